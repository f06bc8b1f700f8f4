"""The port clients knock at: open, shut so that they are refused, and open again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from robo_trader.core.errors import ConfigurationError


class Door:
    """A listening socket that keeps its port while it is shut, so that nobody else can take it."""

    def __init__(self, host: str, port: int, connect: Callable[[], asyncio.Protocol]) -> None:
        """`connect` makes the gateway's end of each new connection; port 0 picks a free one."""
        self.host = host
        self.port = port
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[asyncio.Server] | None = None
        self._shut: socket.socket | None = None

    async def open(self) -> int:
        """Listen, and return the port. Raises ConfigurationError where it is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, self.host, self.port)
        except OSError as error:
            raise ConfigurationError(
                f"port {self.port} cannot be had ({error.strerror}); choose another one with --port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    def refuse(self) -> None:
        """Shut: who knocks is refused from now on."""
        if self._shut is not None:
            return
        if self._opening is not None and not self._opening.done():
            self._opening.add_done_callback(lambda _: self.refuse())
            return
        self._close()
        self._shut = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self._shut.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._shut.bind((self.host, self.port))  # bound and not listening: the kernel refuses

    def listen_again(self) -> None:
        """Open after `refuse`. Who knocks from now on waits at worst for the next turn of the event loop."""
        if self._shut is None:
            return
        plug, self._shut = self._shut, None
        plug.listen(100)
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(loop.create_server(self._connect, sock=plug))

    async def close(self) -> None:
        """Shut for good."""
        if self._opening is not None:
            await self._opening
        self._close()
        if self._shut is not None:
            self._shut.close()
            self._shut = None

    def _close(self) -> None:
        if self._opening is not None:
            self._server, self._opening = self._opening.result(), None
        if self._server is not None:
            self._server.close()
            self._server = None
