"""What desk, hub and pages say to each other, and how desk and hub remember it in bounded space."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from websockets.typing import Subprotocol

PUBLISHER = Subprotocol("robotrader.publish.v1")
VIEWER = Subprotocol("robotrader.v1")
FRAME_BYTES = 48 * 1024  # the hub takes 64 KiB at most

# How many rows a channel keeps, newest last; a channel with a symbol behind a colon goes by its family.
KEEP = {
    "status": 1,
    "account": 1,
    "equity": 2000,
    "positions": 500,
    "quarantines": 500,
    "protection": 500,
    "regimes": 500,
    "drift": 500,
    "orders": 300,
    "fills": 500,
    "signals": 200,
    "decisions": 200,
    "denied": 200,
    "events": 200,
    "quotes": 1,
    "bars": 1000,
}
# Only the latest row of these matters; the others tell a story and go out in order.
STATE = frozenset(
    {"status", "account", "positions", "quarantines", "protection", "regimes", "drift", "orders", "quotes"}
)


class Row(msgspec.Struct):
    """One row of a channel: its key, when it was told (wall clock, ms) and what it says."""

    k: str
    at: int
    data: Any


class Auth(msgspec.Struct, tag_field="t", tag="auth"):
    """The first frame of a publisher."""

    token: str


class Put(msgspec.Struct, tag_field="t", tag="put"):
    """Rows that are new or changed, oldest first, and keys that are gone. `data` stays raw JSON when read."""

    ch: str
    rows: list[RawRow] = []
    gone: list[str] = []


class RawRow(msgspec.Struct):
    """A row whose content is passed on unread."""

    k: str
    at: int
    data: msgspec.Raw


class Clear(msgspec.Struct, tag_field="t", tag="clear"):
    """What was said on this channel is void; the puts that follow say it again."""

    ch: str


class Live(msgspec.Struct, tag_field="t", tag="live"):
    """Everything known has been told; from here on only changes follow."""


class Beat(msgspec.Struct, tag_field="t", tag="beat"):
    """The desk's loop still turns; `at` is its wall clock in ms."""

    at: int


PublisherFrame = Auth | Put | Clear | Live | Beat


class Sub(msgspec.Struct, tag_field="t", tag="sub"):
    """A viewer wants these channels: a snapshot of each, then what changes."""

    ch: list[str]
    id: int = 0


class Unsub(msgspec.Struct, tag_field="t", tag="unsub"):
    """A viewer has seen enough of these channels."""

    ch: list[str]


class Resync(msgspec.Struct, tag_field="t", tag="resync"):
    """A viewer missed something and wants the channel's snapshot again."""

    ch: str


class Ping(msgspec.Struct, tag_field="t", tag="ping"):
    """A viewer measures the way."""

    id: int = 0


class Hello(msgspec.Struct, tag_field="t", tag="hello"):
    """The first frame to a viewer. `epoch` names this run of the hub, `hb` is the heartbeat's interval in s."""

    epoch: str
    server_ts: int
    hb: float
    limits: dict[str, int]
    desk: bool
    v: int = 1


class Snap(msgspec.Struct, tag_field="t", tag="snap"):
    """All rows of a channel, oldest first; replaces what the viewer had of it."""

    ch: str
    epoch: str
    seq: int
    ts: int
    data: list[RawRow]


class Delta(msgspec.Struct, tag_field="t", tag="d", omit_defaults=True):
    """One changed row, whole. `seq` counts the frames of this channel to this viewer, without gaps."""

    ch: str
    seq: int
    op: str
    k: str
    ts: int
    data: msgspec.Raw | None = None


class Heartbeat(msgspec.Struct, tag_field="t", tag="hb"):
    """The hub lives; `desk` says whether the daemon is connected to it, `desk_age_ms` when it last spoke."""

    ts: int
    seq: dict[str, int]
    desk: bool
    desk_age_ms: int | None


class Err(msgspec.Struct, tag_field="t", tag="err"):
    """A request could not be served, and why."""

    id: int
    code: str
    msg: str


class Pong(msgspec.Struct, tag_field="t", tag="pong"):
    """The answer to a ping."""

    id: int
    ts: int


ViewerFrame = Sub | Unsub | Resync | Ping


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} cannot go on the wire")


encode = msgspec.json.Encoder(decimal_format="string", enc_hook=_plain).encode


def wall_ms() -> int:
    """Return the wall clock in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def family(channel: str) -> str:
    """Return the channel's name without its symbol.

    >>> family("bars:NVDA")
    'bars'
    """
    return channel.partition(":")[0]


RowT = TypeVar("RowT")


class Board(Generic[RowT]):
    """Channels of keyed rows, most recently told last, each channel bounded by `KEEP`."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, RowT]] = {}

    def put(self, channel: str, key: str, row: RowT) -> None:
        """Store a row as its channel's newest; the oldest goes where the channel is full."""
        rows = self._channels.setdefault(channel, {})
        rows.pop(key, None)
        rows[key] = row
        if len(rows) > KEEP[family(channel)]:
            del rows[next(iter(rows))]

    def remove(self, channel: str, key: str) -> None:
        """Forget a row."""
        self._channels.get(channel, {}).pop(key, None)

    def clear(self, channel: str) -> None:
        """Forget all rows of a channel."""
        self._channels.pop(channel, None)

    def get(self, channel: str, key: str) -> RowT | None:
        """Return a row, None where there is none."""
        return self._channels.get(channel, {}).get(key)

    def rows(self, channel: str) -> list[RowT]:
        """Return a channel's rows, oldest first."""
        return list(self._channels.get(channel, {}).values())

    def channels(self) -> list[str]:
        """Return the channels that hold anything."""
        return list(self._channels)


class Outbox:
    """What one reader has yet to be told: keys only, so it is bounded however slow the reader is.

    State channels conflate (latest wins) and note at most `capacity` rows; the others queue up to `capacity`, and
    when that is full, market data is dropped first. A channel whose notes were dropped is told whole again.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._state: dict[tuple[str, str], None] = {}
        self._queue: deque[tuple[str, str]] = deque()
        self._resets: dict[str, None] = {}
        self.dropped = 0
        self.ready = asyncio.Event()

    def touch(self, channel: str, key: str) -> None:
        """Note that a row changed."""
        self.ready.set()
        if channel in self._resets:
            return
        if family(channel) in STATE:
            self._state[(channel, key)] = None
            # Orders get new keys for ever: a desk without a hub must not remember them all.
            if len(self._state) > self._capacity:
                self._tell_whole({channel})
            return
        if len(self._queue) >= self._capacity:
            self._overflow()
        if channel not in self._resets:
            self._queue.append((channel, key))

    def reset(self, channel: str) -> None:
        """Note that a channel must be told whole."""
        self._resets[channel] = None
        self.ready.set()

    def forget(self, channel: str) -> None:
        """Drop all notes about a channel."""
        self._resets.pop(channel, None)
        self._queue = deque(note for note in self._queue if note[0] != channel)
        self._state = {note: None for note in self._state if note[0] != channel}

    def take(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Return and forget what is due: channels to tell whole, then single rows, the queue first."""
        resets = self._resets
        due = [note for note in (*self._queue, *self._state) if note[0] not in resets]
        self._queue.clear()
        self._state, self._resets = {}, {}
        self.ready.clear()
        return list(resets), due

    def _overflow(self) -> None:
        bars = {channel for channel, _ in self._queue if family(channel) == "bars"}
        self._tell_whole(bars or {channel for channel, _ in self._queue})

    def _tell_whole(self, channels: set[str]) -> None:
        before = len(self._queue) + len(self._state)
        self._queue = deque(note for note in self._queue if note[0] not in channels)
        self._state = {note: None for note in self._state if note[0] not in channels}
        self.dropped += before - len(self._queue) - len(self._state)
        self._resets.update(dict.fromkeys(sorted(channels)))
