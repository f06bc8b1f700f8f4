"""The hub: takes what the desk tells and shows it to every page, each at its own pace, on port 8765."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin, Subprotocol

from robo_trader.core.parent import parent_ended
from robo_trader.websocket_client.wire import (
    KEEP,
    PUBLISHER,
    VIEWER,
    Auth,
    Beat,
    Board,
    Clear,
    Delta,
    Err,
    Heartbeat,
    Hello,
    Live,
    Outbox,
    Ping,
    Pong,
    PublisherFrame,
    Put,
    RawRow,
    Resync,
    Snap,
    Sub,
    Unsub,
    ViewerFrame,
    encode,
    family,
    wall_ms,
)

CHANNEL = re.compile(r"[a-z]+(:[A-Z0-9.\- ]{1,16})?")

REPLACED, SLOW, BAD_MESSAGE, UNAUTHENTICATED, AUTH_TIMEOUT = 4000, 4008, 4400, 4401, 4408
SUBPROTOCOLS = (VIEWER, PUBLISHER)
# What decoding can raise: besides wrong JSON, bytes that are no text and brackets without end.
BAD_FRAME = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_publisher_frames: msgspec.json.Decoder[PublisherFrame] = msgspec.json.Decoder(PublisherFrame)
_viewer_frames: msgspec.json.Decoder[ViewerFrame] = msgspec.json.Decoder(ViewerFrame)


@dataclass(frozen=True)
class HubOptions:
    """Limits and paces of the hub: seconds, and counts per viewer."""

    heartbeat_s: float = 5.0
    flush_s: float = 0.1
    send_s: float = 5.0
    auth_s: float = 5.0
    clients: int = 16
    subscriptions: int = 64
    capacity: int = 1000


@dataclass(eq=False)
class Viewer:
    """One page: what it subscribed to, the last seq of each channel, and what it has yet to be told."""

    outbox: Outbox
    seq: dict[str, int] = field(default_factory=dict)
    replies: list[Err | Pong] = field(default_factory=list)
    beat_due: bool = False

    def next_seq(self, channel: str) -> int:
        """Count one more frame of a channel."""
        self.seq[channel] += 1
        return self.seq[channel]

    def beat(self) -> None:
        """Have a heartbeat sent with the next frames."""
        self.beat_due = True
        self.outbox.ready.set()


class Hub:
    """One desk in, many pages out. Holds the latest picture in memory; a page can neither slow it nor grow it."""

    def __init__(self, token: str, options: HubOptions | None = None) -> None:
        self.options = options or HubOptions()
        self.epoch = secrets.token_hex(8)
        self._token = token
        self._board: Board[RawRow] = Board()
        self._viewers: set[Viewer] = set()
        self._desk: ServerConnection | None = None
        self._desk_at: int | None = None
        self._log = structlog.get_logger()

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection until it ends, by the subprotocol it chose."""
        with suppress(ConnectionClosed):
            if connection.subprotocol == PUBLISHER:
                await self._serve_desk(connection)
            else:
                await self._serve_viewer(connection)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a viewer beyond the limit, and a browser that would play the desk."""
        offers = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        if _chosen({offer.strip() for offer in offers}) == PUBLISHER:
            if "Origin" in request.headers:
                return connection.respond(HTTPStatus.FORBIDDEN, "A web page cannot publish.\n")
        elif len(self._viewers) >= self.options.clients:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many viewers.\n")
        return None

    # ------------------------------------------------------------------------------------------------- the desk

    async def _serve_desk(self, connection: ServerConnection) -> None:
        if not await self._authenticated(connection):
            return
        board: Board[RawRow] = Board()
        try:
            async for message in connection:
                frame = _publisher_frames.decode(message)
                self._desk_at = wall_ms() if connection is self._desk else self._desk_at
                if isinstance(frame, Live):
                    await self._adopt(connection, board)
                else:
                    self._take(board, frame, live=connection is self._desk)
        except BAD_FRAME as error:
            self._log.warning("bad frame from the desk", error=str(error))
            await connection.close(BAD_MESSAGE, "bad_message")
        finally:
            if connection is self._desk:
                self._desk = None
                self._beat_all()

    async def _authenticated(self, connection: ServerConnection) -> bool:
        try:
            async with asyncio.timeout(self.options.auth_s):
                frame = _publisher_frames.decode(await connection.recv())
        except TimeoutError:
            await connection.close(AUTH_TIMEOUT, "auth_timeout")
            return False
        except BAD_FRAME:
            frame = Beat(0)
        if isinstance(frame, Auth) and hmac.compare_digest(frame.token.encode(), self._token.encode()):
            return True
        self._log.warning("a publisher without the right token was refused")
        await connection.close(UNAUTHENTICATED, "unauthenticated")
        return False

    async def _adopt(self, connection: ServerConnection, board: Board[RawRow]) -> None:
        """Make a desk that has told everything the one that is shown; an earlier one is closed."""
        earlier, self._desk = self._desk, connection
        self._desk_at = wall_ms()
        self._board = board
        for viewer in self._viewers:
            for channel in viewer.seq:
                viewer.outbox.reset(channel)
        self._beat_all()
        if earlier is not None and earlier is not connection:
            await earlier.close(REPLACED, "replaced")

    def _take(self, board: Board[RawRow], frame: PublisherFrame, live: bool) -> None:
        if isinstance(frame, Put) and family(frame.ch) in KEEP:
            for row in frame.rows:
                # The raw bytes point into the whole frame; a copy lets the frame go.
                board.put(frame.ch, row.k, RawRow(row.k, row.at, row.data.copy()))
            for key in frame.gone:
                board.remove(frame.ch, key)
            if live:
                self._touch(frame.ch, [*(row.k for row in frame.rows), *frame.gone])
        elif isinstance(frame, Clear):
            board.clear(frame.ch)
            for viewer in self._watching(frame.ch) if live else ():
                viewer.outbox.reset(frame.ch)

    def _touch(self, channel: str, keys: Sequence[str]) -> None:
        for viewer in self._watching(channel):
            for key in keys:
                viewer.outbox.touch(channel, key)

    def _watching(self, channel: str) -> Iterator[Viewer]:
        return (viewer for viewer in self._viewers if channel in viewer.seq)

    async def beat(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(self.options.heartbeat_s)
            self._beat_all()

    def _beat_all(self) -> None:
        for viewer in self._viewers:
            viewer.beat()

    # -------------------------------------------------------------------------------------------------- a viewer

    async def _serve_viewer(self, connection: ServerConnection) -> None:
        viewer = Viewer(Outbox(self.options.capacity))
        self._viewers.add(viewer)
        writer = asyncio.create_task(self._write(connection, viewer))
        try:
            async for message in connection:
                self._answer(viewer, _viewer_frames.decode(message))
        except BAD_FRAME:
            await connection.close(BAD_MESSAGE, "bad_message")
        finally:
            self._viewers.discard(viewer)
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await writer

    def _answer(self, viewer: Viewer, frame: ViewerFrame) -> None:
        match frame:
            case Sub():
                for channel in frame.ch:
                    self._subscribe(viewer, channel, frame.id)
            case Unsub():
                for channel in frame.ch:
                    viewer.seq.pop(channel, None)
                    viewer.outbox.forget(channel)
            case Resync():
                if frame.ch in viewer.seq:
                    viewer.outbox.reset(frame.ch)
            case Ping():
                self._reply(viewer, Pong(frame.id, wall_ms()))

    def _subscribe(self, viewer: Viewer, channel: str, request: int) -> None:
        if family(channel) not in KEEP or not CHANNEL.fullmatch(channel):
            self._reply(viewer, Err(request, "unknown_channel", channel[:32]))
        elif len(viewer.seq) >= self.options.subscriptions and channel not in viewer.seq:
            self._reply(viewer, Err(request, "too_many_subscriptions", channel))
        else:
            viewer.seq.setdefault(channel, 0)
            viewer.outbox.reset(channel)

    def _reply(self, viewer: Viewer, reply: Err | Pong) -> None:
        if len(viewer.replies) < self.options.subscriptions:
            viewer.replies.append(reply)
        viewer.outbox.ready.set()

    async def _write(self, connection: ServerConnection, viewer: Viewer) -> None:
        """Send what is due, conflated over `flush_s`; a viewer that cannot take a frame in time is cut off."""
        limits = {"subs": self.options.subscriptions}
        hello = Hello(self.epoch, wall_ms(), self.options.heartbeat_s, limits, self._desk is not None)
        try:
            await self._send(connection, encode(hello))
            while True:
                await viewer.outbox.ready.wait()
                for frame in self._frames(viewer):
                    await self._send(connection, frame)
                await asyncio.sleep(self.options.flush_s)
        except TimeoutError:
            self._log.warning("slow viewer cut off", dropped=viewer.outbox.dropped)
            self._viewers.discard(viewer)
            await connection.close(SLOW, "slow_consumer")

    async def _send(self, connection: ServerConnection, frame: bytes) -> None:
        async with asyncio.timeout(self.options.send_s):
            await connection.send(frame, text=True)

    def _frames(self, viewer: Viewer) -> Iterator[bytes]:
        resets, due = viewer.outbox.take()
        replies, viewer.replies = viewer.replies, []
        yield from map(encode, replies)
        for channel in resets:
            if channel in viewer.seq:
                yield encode(self._snap(viewer, channel))
        for channel, key in due:
            if channel in viewer.seq:
                yield encode(self._delta(viewer, channel, key))
        if viewer.beat_due:
            viewer.beat_due = False
            age = None if self._desk_at is None else wall_ms() - self._desk_at
            yield encode(Heartbeat(wall_ms(), viewer.seq, self._desk is not None, age))

    def _snap(self, viewer: Viewer, channel: str) -> Snap:
        return Snap(channel, self.epoch, viewer.next_seq(channel), wall_ms(), self._board.rows(channel))

    def _delta(self, viewer: Viewer, channel: str, key: str) -> Delta:
        row = self._board.get(channel, key)
        seq = viewer.next_seq(channel)
        if row is None:
            return Delta(channel, seq, "remove", key, wall_ms())
        return Delta(channel, seq, "upsert", key, row.at, row.data)


def _chosen(offers: set[str]) -> Subprotocol | None:
    """Return the subprotocol the connection will have: of those offered the first of ours, as `serve` chooses."""
    return next((ours for ours in SUBPROTOCOLS if ours in offers), None)


@asynccontextmanager
async def serving(hub: Hub, sock: socket.socket, page_port: int) -> AsyncIterator[Server]:
    """Serve the hub on a bound loopback socket. Browsers are let in from the page on `page_port` only."""
    origins = [Origin(f"http://{host}:{page_port}") for host in ("127.0.0.1", "localhost")]
    async with serve(
        hub.handle,
        sock=sock,
        origins=[*origins, None],  # None: a program on this machine, which sends no Origin
        subprotocols=SUBPROTOCOLS,
        process_request=hub.admit,
        compression=None,
        max_size=64 * 1024,
        close_timeout=0.3,
    ) as server:
        beating = asyncio.create_task(hub.beat())
        try:
            yield server
        finally:
            beating.cancel()


def bind(port: int) -> socket.socket:
    """Return a listening loopback socket. Raises OSError where the port is taken."""
    return socket.create_server(("127.0.0.1", port))


async def run(hub: Hub, port: int, page_port: int, parent_pid: int) -> None:
    """Serve until SIGTERM, Ctrl-C or the end of the parent process. Raises OSError where the port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sock = bind(port)
    async with serving(hub, sock, page_port):
        sys.stdout.write(f"hub ready on ws://127.0.0.1:{sock.getsockname()[1]}\n")
        sys.stdout.flush()
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(parent_ended(parent_pid))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the hub from the command line; return the exit code (0, or 2 for a usage error)."""
    parser = argparse.ArgumentParser(prog="robo_trader.websocket_server", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1 (default 8765)")
    parser.add_argument("--page-port", type=int, default=5555, help="the page's port, whose origin is let in")
    parser.add_argument("--parent-pid", type=int, default=0, help="end when this process ends")
    parser.add_argument("--heartbeat", type=float, default=5.0, help="seconds between heartbeats (default 5)")
    options = parser.parse_args(argv)
    token = os.environ.get("ROBO_HUB_TOKEN", "")
    if not token:
        sys.stderr.write("ROBO_HUB_TOKEN is not set: the hub would have no way to know the desk.\n")
        return 2
    hub = Hub(token, HubOptions(heartbeat_s=options.heartbeat))
    try:
        asyncio.run(run(hub, options.port, options.page_port, options.parent_pid))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        sys.stderr.write(f"The hub cannot listen on 127.0.0.1:{options.port}: {reason}.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
