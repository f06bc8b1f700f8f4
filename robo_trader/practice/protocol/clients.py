"""One connected API client: its handshake, its messages, its way out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol

import structlog

from robo_trader.practice.protocol.wire import Cursor, Framer, WireError, choose_version, error, frame

Answer = Callable[["Client", Cursor], None]

MAX_UNREAD = 16 << 20  # bytes a client may leave unread before it is dropped
_MAX_UNSENT = 1 << 20  # bytes that wait for all that was read to be answered
GREETING_S = 10.0  # wall seconds a socket has to be let in under a client id
START_API = 71
ID_IN_USE = 326, "Unable to connect as the client id is already in use. Retry with a unique client id."
_AT_ONCE = struct.pack("ii", 1, 0)  # linger for 0 s: a close resets the connection
_log = structlog.get_logger()


class Server(Protocol):
    """Whom a client talks to."""

    def greeting_time(self) -> str: ...
    def on_connect(self, client: Client) -> bool:
        """Take a new socket; False where there are too many."""

    def on_start(self, client: Client) -> bool:
        """Let a client in under its id; False where that id is taken."""

    def on_message(self, client: Client, kind: int, cursor: Cursor) -> None: ...
    def on_gone(self, client: Client) -> None: ...


class Client(asyncio.Protocol):
    """The gateway's end of one socket. What makes no sense closes this socket and no other.

    `middle` is who stands between the gateway and this socket: it is given what would be written and returns what is.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._waiting = 0  # bytes in it
        self._deadline: asyncio.TimerHandle | None = None
        self.version = 0
        self.id: int | None = None
        self.middle: Callable[[Client, bytes], bytes] | None = None

    @property
    def key(self) -> int:
        """The id it was let in under."""
        assert self.id is not None, "a client is let in under an id before it may ask"
        return self.id

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._server.on_connect(self):
            self._deadline = asyncio.get_running_loop().call_later(GREETING_S, self._too_late)
        else:
            transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self.be_patient()
        self._server.on_gone(self)

    def data_received(self, data: bytes) -> None:
        self._framer.feed(data)
        try:
            if self.version or self._greet():
                self._read()
        except WireError as error:
            _log.warning("practice gateway hung up on a client", client=self.id, reason=str(error))
            self.hang_up()

    def send(self, data: bytes) -> None:
        """Send whole frames, in one piece with all else that is sent in this turn of the event loop.

        A client that has stopped reading is dropped rather than waited for.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent.append(data)
        self._waiting += len(data)

    def flush(self) -> None:
        """Write now what this turn of the event loop has sent so far."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._waiting = 0
        if self.middle is not None and data and self._transport is not None:
            data = self.middle(self, data)
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write bytes to the socket now."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("practice gateway dropped a client that does not read", client=self.id)
            self._transport.abort()

    def error(self, about: int, code: int, text: str) -> None:
        self.send(error(self.version, about, code, text))

    def hang_up(self) -> None:
        """Close after what is written is sent."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close at once and without a farewell: the other end finds its connection reset."""
        if self._transport is not None:
            plug = self._transport.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()

    def listen(self, wanted: bool) -> None:
        """Read from the socket, or leave there what comes in."""
        if self._transport is None or self._transport.is_closing():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def be_patient(self) -> None:
        """Wait for this socket to be let in for as long as it takes."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        _log.warning("practice gateway hung up on a socket that never started a session")
        self.abort()

    def _greet(self) -> bool:
        offered = self._framer.greeting()
        if offered is None:
            return False
        version = choose_version(*offered)
        if version is None:
            raise WireError(f"it speaks versions {offered[0]} to {offered[1]}")
        self.version = version
        self.send(frame(version, self._server.greeting_time()))
        return True

    def _read(self) -> None:
        while self._transport is not None and not self._transport.is_closing():
            fields = self._framer.message()
            if fields is None:
                return
            if self.id is None:
                self._start(Cursor(fields))
            else:
                self._ask(Cursor(fields))
            if self._waiting > _MAX_UNSENT:  # one read may hold a thousand questions
                self.flush()

    def _start(self, cursor: Cursor) -> None:
        if cursor.integer(default=-1) != START_API:
            raise WireError("the first message is not startApi")
        cursor.skip(1)  # message version
        self.id = cursor.integer()
        if not self._server.on_start(self):
            self.error(-1, *ID_IN_USE)
            self.id = None
            return self.hang_up()
        return self.be_patient()

    def _ask(self, cursor: Cursor) -> None:
        try:
            self._server.on_message(self, cursor.integer(default=-1), cursor)
        except WireError as error:
            self.error(-1, 320, f"Server error when reading an API client request: {error}")
