"""A journal that offers what the desk does to the hub and never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from robo_trader.core.events import Event
from robo_trader.core.steps import Step
from robo_trader.websocket_client.picture import Picture
from robo_trader.websocket_client.wire import (
    FRAME_BYTES,
    PUBLISHER,
    Auth,
    Beat,
    Board,
    Clear,
    Live,
    Outbox,
    Put,
    RawRow,
    Row,
    encode,
    wall_ms,
)


@dataclass(frozen=True)
class JournalOptions:
    """How patiently the hub is told: seconds, and how many queued rows at most. `loss_s` parts two warnings of losses."""

    flush_s: float = 0.05
    beat_s: float = 1.0
    timeout_s: float = 5.0
    farewell_s: float = 0.2
    backoff_s: float = 0.25
    backoff_max_s: float = 5.0
    loss_s: float = 60.0
    capacity: int = 1000


class HubJournal:
    """Tells the hub at `url` what the desk does. `record` never waits and never fails for the hub's sake.

    The whole picture is kept here, so a hub that starts later, or again, is told everything it missed.
    """

    def __init__(self, url: str, token: str, options: JournalOptions | None = None) -> None:
        self._url = url
        self._token = token
        self._options = options or JournalOptions()
        self._board: Board[Row] = Board()
        self._outbox = Outbox(self._options.capacity)
        self._picture = Picture(self._board, self._outbox)
        self._unsendable = 0
        self._known_losses = (0, 0)
        self._silent_until = 0.0  # loop time

    def describe(self, **facts: object) -> None:
        """Set status fields that no event carries.

        The page shows `mode` (practice, paper, dry-run, live), `account`, `session`, `symbols` and judges by
        `interval_s`, the wall seconds between two bars, what is stale.
        """
        self._picture.describe(**facts)

    async def record(self, event: Event, step: Step) -> None:
        """Take an event and what the desk did about it; returns at once."""
        self._picture.on_event(event)
        self._picture.on_step(step)

    async def run(self) -> None:
        """Stay connected to the hub and tell it what changes, until cancelled."""
        clock = asyncio.get_running_loop().time
        pause = self._options.backoff_s
        while True:
            began = clock()
            await self._session()
            if clock() - began > self._options.timeout_s:
                pause = self._options.backoff_s
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._options.backoff_max_s)

    async def _session(self) -> None:
        log = structlog.get_logger()
        try:
            async with asyncio.timeout(self._options.timeout_s):
                connection = await self._connect()
            try:
                await self._tell(connection)
            except asyncio.CancelledError:
                await self._farewell(connection)
                raise
            finally:
                connection.transport.abort()
        except (OSError, WebSocketException, TimeoutError) as error:
            level = log.warning if isinstance(error, InvalidHandshake) else log.debug
            level("hub not reached", url=self._url, error=str(error) or type(error).__name__)

    async def _farewell(self, connection: ClientConnection) -> None:
        """Send what is left: the last words of a desk that stops are why it stopped."""
        with suppress(OSError, WebSocketException, TimeoutError):
            async with asyncio.timeout(self._options.farewell_s):
                await self._send(connection, self._changes())

    async def _connect(self) -> ClientConnection:
        connection = await connect(
            self._url, subprotocols=[PUBLISHER], compression=None, proxy=None, close_timeout=1
        )
        await connection.send(encode(Auth(self._token)), text=True)
        return connection

    async def _tell(self, connection: ClientConnection) -> None:
        self._outbox.take()  # covered by what follows, and so no loss
        self._known_losses = self._outbox.dropped, self._unsendable
        for channel in self._board.channels():
            await self._send(connection, self._whole(channel))
        await self._send(connection, [encode(Live())])
        while True:
            await self._send(connection, self._changes())
            self._tell_losses()
            await self._send(connection, [encode(Beat(wall_ms()))])
            try:
                async with asyncio.timeout(self._options.beat_s):
                    await self._outbox.ready.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._options.flush_s)

    def _tell_losses(self) -> None:
        """Warn of rows that were dropped, whose channels are told whole instead, or could not travel at all."""
        now, losses = asyncio.get_running_loop().time(), (self._outbox.dropped, self._unsendable)
        if losses == self._known_losses or now < self._silent_until:
            return
        dropped, unsendable = (
            after - before for after, before in zip(losses, self._known_losses, strict=True)
        )
        self._known_losses, self._silent_until = losses, now + self._options.loss_s
        structlog.get_logger().warning("hub_lost_rows", dropped=dropped, unsendable=unsendable)

    async def _send(self, connection: ClientConnection, frames: Iterable[bytes]) -> None:
        for frame in frames:
            async with asyncio.timeout(self._options.timeout_s):
                await connection.send(frame, text=True)

    def _changes(self) -> Iterator[bytes]:
        resets, due = self._outbox.take()
        for channel in resets:
            yield encode(Clear(channel))
            yield from self._whole(channel)
        by_channel: dict[str, dict[str, None]] = {}
        for channel, key in due:
            by_channel.setdefault(channel, {})[key] = None
        for channel, keys in by_channel.items():
            rows = [(key, self._board.get(channel, key)) for key in keys]
            gone = [key for key, row in rows if row is None]
            yield from self._frames(channel, [row for _, row in rows if row is not None], gone)

    def _whole(self, channel: str) -> Iterator[bytes]:
        return self._frames(channel, self._board.rows(channel), [])

    def _frames(self, channel: str, rows: list[Row], gone: list[str]) -> Iterator[bytes]:
        """Yield put frames of at most FRAME_BYTES; a row that cannot travel is left out and counted."""
        batch: list[RawRow] = []
        size = 0
        for row in rows:
            raw = self._raw(row)
            if raw is None:
                continue
            if batch and size + len(raw) > FRAME_BYTES:
                yield encode(Put(channel, batch))
                batch, size = [], 0
            batch.append(RawRow(row.k, row.at, msgspec.Raw(raw)))
            size += len(raw) + len(row.k) + 40
        if batch or gone:
            yield encode(Put(channel, batch, gone))

    def _raw(self, row: Row) -> bytes | None:
        try:
            raw = encode(row.data)
        except (NotImplementedError, TypeError, ValueError):
            raw = b""
        if 0 < len(raw) <= FRAME_BYTES:
            return raw
        self._unsendable += 1
        return None
