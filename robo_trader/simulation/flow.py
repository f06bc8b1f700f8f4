"""What happens inside five seconds of a bar: prints, quotes and ten levels a side that add up to that bar exactly."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.protocols import Session
from robo_trader.simulation.limit_book import DEPTH, Ladder
from robo_trader.simulation.moments import (
    MOST_PRINTS,
    ROUND_LOT,
    Moments,
    chances,
    draw_moments,
    mixed,
)
from robo_trader.simulation.rows import Rows
from robo_trader.simulation.tape import (
    SLICE_NS,
    SLICES,
    Minutes,
    MinuteSource,
    Slices,
    slice_session,
)

OPENING, CLOSING, ODD_LOT = "O", "6", "I"  # conditions of a print, as the consolidated tape marks them
PRIMARY = "NASDAQ"
VENUES = (PRIMARY, "ARCA", "NYSE", "BATS", "EDGX", "IEX")

_HOW = [(venue, mark) for venue in VENUES for mark in ("", ODD_LOT)] + [
    (PRIMARY, OPENING),
    (PRIMARY, CLOSING),
]
_GROWTH = 0.25  # of a level's size at the touch, more for each step further away
_FARTHEST = 10  # steps beyond which levels grow no more
_LUCK = 1021  # sizes drawn for a day, and the strides in them by price and by time
_SCATTER = 7919, 104729
_SPAN = 48  # slices drawn at once
_KEPT_SPANS = 2
_CACHED_DAYS = 2048


class Print(NamedTuple):
    """One trade: `ts` UTC ns, price in USD, shares, where, and the tape's condition letters (empty for most)."""

    ts: int
    price: float
    size: int
    exchange: str
    conditions: str


class TouchAt(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask from `ts` on, in cents and shares, 0 and 0 where a side is empty.

    `at` is where their flow finds the levels behind them.
    """

    ts: int
    bid: int
    ask: int
    bid_size: int
    ask_size: int
    at: int


class Passage(NamedTuple):
    """One slice as it passed: the touch at its start, then what happened, oldest first, with the times apart."""

    start: TouchAt
    events: Sequence[Print | TouchAt]
    times: Sequence[int]

    def since(self, begin: int, end: int) -> Sequence[Print | TouchAt]:
        """Return what happened at begin <= ts < end (UTC ns)."""
        return self.events[bisect_left(self.times, begin) : bisect_left(self.times, end)]

    def standing(self, ts: int) -> TouchAt:
        """Return the touch just before a time within the slice or at its end."""
        return self.before(bisect_left(self.times, ts))

    def before(self, at: int) -> TouchAt:
        """Return the touch before the event of that number."""
        for i in range(at - 1, -1, -1):
            event = self.events[i]
            if type(event) is TouchAt:
                return event
        return self.start


class Flow(Protocol):
    """Knows what happened inside the slices of a market; asked in any order, it answers the same."""

    @property
    def real(self) -> bool:
        """Whether this happened once: it has had its pauses then, and neither splits nor dividends change it."""

    def slices(self, symbol: str, session: Session, minutes: Minutes) -> Slices:
        """Return the 5-second slices of a session with these minutes."""

    def passage(self, symbol: str, session: Session, rows: Rows, k: int) -> Passage:
        """Return the k-th slice of a session whose slices are `rows`, silent ones included."""

    def levels(self, symbol: str, session: Session, rows: Rows, touch: TouchAt) -> tuple[Ladder, Ladder]:
        """Return bids and asks, best first, at a touch that a passage of that session has told."""


@dataclass(frozen=True)
class FlowOptions:
    """How busy the drawn market is, for a slice of 500 shares; prints grow with the cube root of volume, up to 24."""

    prints: float = 4.0
    flickers: float = 2.0  # changes of size at the touch without a trade
    depth: float = 0.06  # of a slice's volume, what a level at the touch shows on average

    def __post_init__(self) -> None:
        if not (0 < self.prints <= MOST_PRINTS and 0 <= self.flickers <= 100 and 0 < self.depth <= 10):
            raise ConfigurationError(
                f"{self.prints} prints, {self.flickers} flickers, {self.depth} of the volume make no sense"
            )


@dataclass
class _Day:
    """One symbol's session: where its chance begins, and what was drawn of it last."""

    rows: Rows
    seed: int
    step: int  # cents between levels away from the touch
    spread: Callable[[float], float]
    options: FlowOptions
    first: int  # the first slice that trades, -1 for none
    spans: dict[int, tuple[int, Moments]] = field(default_factory=dict)
    begun: TouchAt | None = None

    def __post_init__(self) -> None:
        # By minute, as plain numbers: one of an array costs ten times as much.
        self._cents = (self.rows.prices[::SLICES, 0] * 100).tolist()
        shares = self.rows.volume[::SLICES].clip(self.rows.volume.mean())
        self._usual = (shares * self.options.depth).tolist()
        self._luck = (0.3 + 2.1 * chances(self.seed, _LUCK) ** 2).tolist()

    def passage(self, k: int) -> Passage:
        """Walk the touch through slice k: to where each print needs it, and by what each print takes."""
        start = self._start(k)
        before, bid, ask, bid_size, ask_size = start.ts, start.bid, start.ask, start.bid_size, start.ask_size
        wide, usual_bid, usual_ask = ask - bid, bid_size, ask_size
        events: list[Print | TouchAt] = []
        for ts, cents, size, how, chance in self._moments(k):
            middle, before = (before + ts) // 2, ts
            if cents:
                if not bid <= cents <= ask:
                    bid, ask = (max(1, cents - wide), cents) if cents > ask else (cents, cents + wide)
                    usual_bid = bid_size = self.size(bid, k)
                    usual_ask = ask_size = self.size(-ask, k)
                    events.append(TouchAt(middle, bid, ask, bid_size, ask_size, k))
                events.append(Print(ts, cents / 100, size, *_HOW[how]))
                if cents == bid:
                    bid_size = bid_size - size if size < bid_size else lots(usual_bid * (0.3 + chance))
                elif cents == ask:
                    ask_size = ask_size - size if size < ask_size else lots(usual_ask * (0.3 + chance))
                else:
                    continue
            elif chance < 0.5:
                bid_size = lots(usual_bid * (0.5 + 2 * chance))
            else:
                ask_size = lots(usual_ask * (2 * chance - 0.5))
            events.append(TouchAt(ts, bid, ask, bid_size, ask_size, k))
        if k < len(self.rows) - 1:
            then = self._start(k + 1)
            end = then.ts - 1
            events.append(TouchAt(end, then.bid, then.ask, then.bid_size, then.ask_size, k + 1))
        return Passage(start, events, [event.ts for event in events])

    def levels(self, touch: TouchAt) -> tuple[Ladder, Ladder]:
        """Return ten levels a side, fewer bids where the price would fall below a cent."""
        step, size, k = self.step, self.size, touch.at
        bid, ask = (touch.bid - 1) // step * step, touch.ask // step * step + step
        below = range(bid, max(0, bid - (DEPTH - 1) * step), -step)
        above = range(ask, ask + (DEPTH - 1) * step, step)
        bids = [(touch.bid, touch.bid_size), *[(cents, size(cents, k)) for cents in below]]
        return bids, [(touch.ask, touch.ask_size), *[(cents, size(-cents, k)) for cents in above]]

    def size(self, key: int, k: int) -> int:
        """Return the shares at a price in slice k; `key` is the bid's cents, or less the ask's.

        Each price is drawn anew once a minute, each at a moment of its own, by the volume and price of that minute.
        """
        begin = k - (k + key * 7) % SLICES
        minute = begin // SLICES if begin > 0 else 0
        away = min(_FARTHEST, abs(abs(key) - self._cents[minute]) / self.step)
        luck = self._luck[(key * _SCATTER[0] + begin * _SCATTER[1]) % _LUCK]
        return lots(self._usual[minute] * (1 + _GROWTH * away) * luck)

    def _start(self, k: int) -> TouchAt:
        """Return the touch that stands when slice k begins."""
        if self.begun is None or self.begun.at != k:
            first, drawn = self._span(k)
            bid, ask, ts = drawn.bid[k - first], drawn.ask[k - first], self.rows.start + k * SLICE_NS
            self.begun = TouchAt(ts, bid, ask, self.size(bid, k), self.size(-ask, k), k)
        return self.begun

    def _moments(self, k: int) -> Iterable[tuple[int, int, int, int, float]]:
        """Return time, cents, size, kind and chance of each moment of slice k."""
        first, (_, _, bounds, ts, cents, size, how, chance) = self._span(k)
        at = slice(bounds[k - first], bounds[k - first + 1])
        return zip(ts[at], cents[at], size[at], how[at], chance[at], strict=True)

    def _span(self, k: int) -> tuple[int, Moments]:
        """Return the first slice of the span that slice k is drawn with, and all of them."""
        # Each symbol begins its spans elsewhere, or all would be drawn in the same beat.
        phase = self.seed % _SPAN
        nth = (k + phase) // _SPAN
        if nth not in self.spans:
            if len(self.spans) >= _KEPT_SPANS:
                del self.spans[next(iter(self.spans))]
            begin = nth * _SPAN - phase
            span = range(max(0, begin), min(len(self.rows), begin + _SPAN))
            spread = self.spread(self.rows.prices[span.start, 0].item()) * 100
            busy = self.options.prints, self.options.flickers
            drawn = draw_moments(self.rows, span, mixed(self.seed + nth + 1), busy, spread, self.first)
            self.spans[nth] = span.start, drawn
        return self.spans[nth]


class DrawnFlow:
    """Draws the inside of a market's slices from its identity, symbol, session and slice, and nothing else.

    A slice begins with a quote around its first price. Its prints run through open, low, high and close on or between
    bid and ask; where one must trade beyond, the quote moves there first. Sizes are skewed, in round lots mostly. With
    its last nanosecond the next slice's first quote is told. The session's first print is the opening auction and the
    last print of its last slice the closing auction, each about two fifths of its slice. Where a slice claims more
    different prices than it has shares, prints of 0 shares mark the rest.

    Sizes of levels belong to their prices: one is drawn anew once a minute, and is eaten by prints within its slice.
    """

    real = False

    def __init__(self, source: MinuteSource, options: FlowOptions | None = None) -> None:
        self._source = source
        self._options = options or FlowOptions()
        self._days: OrderedDict[str, _Day] = OrderedDict()

    def slices(self, symbol: str, session: Session, minutes: Minutes) -> Slices:
        return slice_session(minutes)

    def passage(self, symbol: str, session: Session, rows: Rows, k: int) -> Passage:
        """Return what happened in slice k of a session with these rows."""
        return self._day(symbol, session, rows).passage(k)

    def levels(self, symbol: str, session: Session, rows: Rows, touch: TouchAt) -> tuple[Ladder, Ladder]:
        """Return ten levels a side behind a touch, fewer bids where the price would fall below a cent."""
        return self._day(symbol, session, rows).levels(touch)

    def _day(self, symbol: str, session: Session, rows: Rows) -> _Day:
        """Return the day these rows are of; of each symbol the one asked for last is kept."""
        day = self._days.get(symbol)
        if day is None or day.rows is not rows:
            day = self._days[symbol] = self._begin(symbol, session, rows)
            if len(self._days) > _CACHED_DAYS:
                self._days.popitem(last=False)
        self._days.move_to_end(symbol)
        return day

    def _begin(self, symbol: str, session: Session, rows: Rows) -> _Day:
        words = f"flow-2|{self._source.identity}|{symbol}|{session.label}"
        seed = int.from_bytes(blake2b(words.encode(), digest_size=8).digest())
        spread = partial(self._source.spread, symbol)
        step = max(1, round(spread(rows[0].open) * 50))
        traded = rows.volume.nonzero()[0]
        first = int(traded[0]) if len(traded) else -1
        return _Day(rows, seed, step, spread, self._options, first)


def lots(shares: float) -> int:
    """Round shares down to whole round lots, below one of them to whole shares, at least one.

    >>> lots(1234.5), lots(99.9), lots(0.2)
    (1200, 99, 1)
    """
    whole = int(shares)
    return whole - whole % ROUND_LOT if whole >= ROUND_LOT else max(1, whole)
