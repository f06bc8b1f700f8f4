"""The control socket: one line of JSON in, one out, on a socket of this user alone."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, RoboTraderError

MAX_LINE = 1 << 16  # bytes
MAX_GUESTS = 8
_ANSWER_S = 5.0  # wall seconds a command waits for its answer


def default_directory() -> Path:
    """Return where control sockets of this user are."""
    return Path(tempfile.gettempdir()) / f"robo-trader-{os.getuid()}"


def socket_path(directory: Path, port: int) -> Path:
    """Return the control socket of the gateway on that port."""
    return directory / f"practice-{port}.sock"


class ControlSocket:
    """Takes commands from this user. `obey` does one and returns what to say of it, or raises RoboTraderError."""

    def __init__(
        self, directory: Path, port: int, obey: Callable[[Mapping[str, object]], Mapping[str, object]]
    ) -> None:
        self.path = socket_path(directory, port)
        self._obey = obey
        self._server: asyncio.AbstractServer | None = None
        self._guests: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen, in place of what an earlier gateway left behind. Raises ConfigurationError.

        Who holds the TCP port owns this socket too, so there cannot be another gateway on it.
        """
        try:
            keep_private(self.path.parent)
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MAX_LINE)
            self.path.chmod(0o600)
        except OSError as error:
            raise ConfigurationError(
                f"control socket {self.path}: {error.strerror or error}; choose another place with --control"
            ) from error

    async def close(self) -> None:
        """Hang up and take the socket away."""
        if self._server is not None:
            self._server.close()
            for guest in list(self._guests):
                guest.transport.abort()
            await asyncio.sleep(0)
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._guests) >= MAX_GUESTS:
            writer.transport.abort()
            return
        self._guests.add(writer)
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a line without end, or a guest that left
        finally:
            self._guests.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> Mapping[str, object]:
        try:
            wanted = msgspec.json.decode(line, type=dict[str, object])
            return {"ok": True, **self._obey(wanted)}
        except (msgspec.DecodeError, RoboTraderError) as error:
            return {"ok": False, "error": str(error)}


def ask(directory: Path, port: int, command: Mapping[str, object]) -> dict[str, object]:
    """Give a running gateway a command and return its answer.

    Raises BrokerUnreachable where there is none, ConfigurationError where it refuses the command.
    """
    path = socket_path(directory, port)
    try:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.settimeout(_ANSWER_S)
            plug.connect(str(path))
            plug.sendall(msgspec.json.encode(command) + b"\n")
            with plug.makefile("rb") as answers:
                line = answers.readline()
        answer = msgspec.json.decode(line, type=dict[str, object])
    except (OSError, msgspec.DecodeError) as error:
        raise BrokerUnreachable(f"no practice gateway on port {port} listens at {path} ({error})") from error
    if not answer.pop("ok", False):
        raise ConfigurationError(str(answer.get("error")))
    return answer


def keep_private(directory: Path) -> None:
    """Make a directory for this user alone, or see that nobody else can write to it. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{directory} is not a directory of this user")
    if directory == default_directory():
        directory.chmod(0o700)
    elif found.st_mode & 0o022:  # somebody's own place is not ours to close
        raise PermissionError(f"others can write to {directory}")
