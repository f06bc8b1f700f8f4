"""Where the practice gateway on a port takes commands, and how they are given to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from robo_trader.core import command_socket
from robo_trader.core.command_socket import Answer, CommandSocket, Wish
from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, NobodyAnswers


def default_directory() -> Path:
    """Return where control sockets of this user are."""
    return Path(tempfile.gettempdir()) / f"robo-trader-{os.getuid()}"


def socket_path(directory: Path, port: int) -> Path:
    """Return the control socket of the gateway on that port."""
    return directory / f"practice-{port}.sock"


class ControlSocket:
    """Takes commands from this user. `obey` does one and returns what to say of it, or raises RoboTraderError."""

    def __init__(self, directory: Path, port: int, obey: Callable[[Wish], Answer]) -> None:
        self.path = socket_path(directory, port)

        async def at_once(wanted: Wish) -> Answer:
            return obey(wanted)

        # Who holds the TCP port owns this socket too, so there cannot be another gateway on it.
        self._socket = CommandSocket(self.path, at_once, ours=directory == default_directory())

    async def open(self) -> None:
        """Listen, in place of what an earlier gateway left behind. Raises ConfigurationError."""
        try:
            await self._socket.open()
        except OSError as error:
            raise ConfigurationError(
                f"control socket {self.path}: {error.strerror or error}; choose another place with --control"
            ) from error

    async def close(self) -> None:
        """Hang up and take the socket away."""
        await self._socket.close()


def ask(directory: Path, port: int, command: Wish) -> dict[str, object]:
    """Give a running gateway a command and return its answer.

    Raises BrokerUnreachable where there is none, ConfigurationError where it refuses the command.
    """
    path = socket_path(directory, port)
    try:
        return command_socket.ask(path, command)
    except NobodyAnswers as error:
        raise BrokerUnreachable(f"no practice gateway on port {port} listens at {path}: {error}") from error


def keep_private(directory: Path) -> None:
    """Make a directory for this user alone, or see that nobody else can write to it. Raises OSError."""
    command_socket.keep_private(directory, ours=directory == default_directory())
