"""Ticks as the wire carries them: written once for all who listen, stamped with the request id of each line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

Tick = str  # a message without its length; where the request id belongs stands _MARK

_MARK = "\xff"  # no field of a tick holds this character, and no tick is 255 bytes long
_MARKED = _MARK.encode("latin-1")
_usd = lru_cache(maxsize=1 << 14)(repr)  # the same prices come again and again, and repr of a float is slow
_LONGEST_WORD = 32  # characters of a venue or of conditions, which a tape may spell as it likes


class Kinds(NamedTuple):
    """The tick types of one grade of market data."""

    bid: int
    ask: int
    last: int
    bid_size: int
    ask_size: int
    last_size: int
    high: int
    low: int
    volume: int
    close: int
    open: int
    time: int
    halted: int


LIVE = Kinds(1, 2, 4, 0, 3, 5, 6, 7, 8, 9, 14, 45, 49)
DELAYED = Kinds(66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 88, 90)


def price_tick(kind: int, price: float, size: int) -> Tick:
    """Write tickPrice (1), USD, which carries its size in shares."""
    return f"1\x006\x00{_MARK}\x00{kind}\x00{_usd(price)}\x00{size}\x001\x00"


def size_tick(kind: int, size: int) -> Tick:
    """Write tickSize (2), shares."""
    return f"2\x006\x00{_MARK}\x00{kind}\x00{size}\x00"


def quote_ticks(kind: int, size_kind: int, price: float, size: int) -> list[Tick]:
    """Write a price with its size, and the size once more by itself: so does TWS, and some clients hear only that.

    Source: TWS API, "Receiving Watchlist Data": every tickPrice is followed by a tickSize; ib_insync issue 29.
    """
    return [price_tick(kind, price, size), size_tick(size_kind, size)]


def generic_tick(kind: int, value: float) -> Tick:
    """Write tickGeneric (45)."""
    return f"45\x006\x00{_MARK}\x00{kind}\x00{value!r}\x00"


def text_tick(kind: int, text: str) -> Tick:
    """Write tickString (46)."""
    return f"46\x006\x00{_MARK}\x00{kind}\x00{text}\x00"


def parameters(min_tick: float, exchange_map: str, permissions: int) -> Tick:
    """Write tickReqParams (81)."""
    return f"81\x00{_MARK}\x00{min_tick!r}\x00{exchange_map}\x00{permissions}\x00"


def data_type(kind: int) -> Tick:
    """Write marketDataType (58): 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""
    return f"58\x001\x00{_MARK}\x00{kind}\x00"


def snapshot_end() -> Tick:
    """Write tickSnapshotEnd (57)."""
    return f"57\x001\x00{_MARK}\x00"


def trade(kind: int, second: int, price: float, size: int, mask: int, exchange: str, conditions: str) -> Tick:
    """Write tickByTick (99) of a trade; kind 1 is Last and 2 AllLast, `second` counts from the epoch."""
    where, how = exchange[:_LONGEST_WORD], conditions[:_LONGEST_WORD]
    return f"99\x00{_MARK}\x00{kind}\x00{second}\x00{price!r}\x00{size}\x00{mask}\x00{where}\x00{how}\x00"


def bid_ask(second: int, bid: float, ask: float, bid_size: int, ask_size: int, mask: int) -> Tick:
    """Write tickByTick (99) of a quote."""
    return f"99\x00{_MARK}\x003\x00{second}\x00{bid!r}\x00{ask!r}\x00{bid_size}\x00{ask_size}\x00{mask}\x00"


def mid_point(second: int, price: float) -> Tick:
    """Write tickByTick (99) of a midpoint."""
    return f"99\x00{_MARK}\x004\x00{second}\x00{price!r}\x00"


def bar(start: int, prices: tuple[float, float, float, float], volume: int, wap: float, count: int) -> Tick:
    """Write realtimeBar (50); `start` in seconds of the epoch, prices open, high, low, close."""
    o, h, low, c = prices
    return f"50\x003\x00{_MARK}\x00{start}\x00{o!r}\x00{h!r}\x00{low!r}\x00{c!r}\x00{volume}\x00{wap!r}\x00{count}\x00"


def depth(position: int, operation: int, side: int, price: float, size: int) -> Tick:
    """Write mktDepth (12); operation 0 inserts, 1 updates, 2 deletes; side 0 is ask, 1 bid."""
    return f"12\x001\x00{_MARK}\x00{position}\x00{operation}\x00{side}\x00{price!r}\x00{size}\x00"


def smart_depth(position: int, operation: int, side: int, price: float, size: int, exchange: str) -> Tick:
    """Write mktDepthL2 (13), where the exchange stands in place of a market maker."""
    return f"13\x001\x00{_MARK}\x00{position}\x00{exchange}\x00{operation}\x00{side}\x00{price!r}\x00{size}\x001\x00"


class Strip:
    """Ticks that go to many lines: encoded once for each length a request id has, and stamped by one replacement."""

    def __init__(self, ticks: Sequence[Tick]) -> None:
        self._ticks = ticks
        self._forms: dict[int, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._ticks)

    def stamped(self, request: bytes) -> bytes:
        """Return the frames for the line of this request id, given in digits."""
        form = self._forms.get(len(request))
        if form is None:
            form = self._forms[len(request)] = self._form(len(request))
        return form.replace(_MARKED, request)

    def _form(self, digits: int) -> bytes:
        more = digits - 1
        framed = [f"\x00\x00\x00{chr(len(tick) + more)}{tick}" for tick in self._ticks]
        return "".join(framed).encode("latin-1", "replace")
