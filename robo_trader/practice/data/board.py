"""What is shown of one symbol: its day, its last trade and its quote, and which of that changed with a beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.market.quotes import QuoteAt, no_quote
from robo_trader.practice.protocol.ticks import (
    Kinds,
    Tick,
    generic_tick,
    price_tick,
    quote_ticks,
    size_tick,
    text_tick,
)
from robo_trader.simulation.flow import Print
from robo_trader.simulation.rows import Slice

NO_QUOTE = no_quote(0)


class View(Protocol):
    """What a board looks at, at the time that its lines are at."""

    @property
    def kinds(self) -> Kinds: ...
    @property
    def session(self) -> str:
        """Label of the session it is in or before."""

    @property
    def is_open(self) -> bool: ...
    @property
    def slice_ended(self) -> bool:
        """Whether the beat just made closed a slice."""

    def look(self, symbol: str) -> tuple[Sequence[Print], QuoteAt, int]:
        """Return the trades of the beat just made, the quote that stands, and 1 for a halt, 2 for a pause, else 0."""

    def closing_touch(self, symbol: str) -> QuoteAt:
        """Return the quote to show for a share whose last one nobody saw."""

    def so_far(self, symbol: str) -> Sequence[Slice]:
        """Return the session's slices that have ended."""

    def part(self, symbol: str) -> Sequence[Print]:
        """Return the trades so far of the slice that has not ended."""

    def last_print(self, symbol: str) -> Print | None:
        """Return the last trade of the slices that have ended, None where they have none."""

    def close_before(self, symbol: str) -> float | None: ...


class News(NamedTuple):
    """What a beat changed, apart by what a frozen line may still be told."""

    trades: list[Tick]
    quotes: list[Tick]
    closed: bool  # the session has just ended
    opened: bool  # it has just begun


class Day:
    """The day's prices and volume so far; a price is 0 before the first trade."""

    def __init__(self, traded: Iterable[Slice] = ()) -> None:
        self.open = self.high = self.low = self.turnover = 0.0
        self.volume = self.count = 0
        for one in traded:
            if one.volume:
                self.add(one.open, 0)
                self.add(one.high, 0)
                self.add(one.low, 0)
                self.volume += one.volume
                self.count += -(-one.volume // 100)
                self.turnover += one.volume * (one.high + one.low + one.close) / 3

    def add(self, price: float, size: int) -> None:
        """Add a trade."""
        if not self.open:
            self.open = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += size
        self.turnover += price * size

    @property
    def average(self) -> float:
        """The volume-weighted average price, USD."""
        return self.turnover / self.volume if self.volume else 0.0


class Board:
    """One symbol as all its lines have been told it. What has not changed is not told again."""

    def __init__(self, symbol: str, view: View) -> None:
        self.symbol = symbol
        self.view = view
        self.prints: Sequence[Print] = ()  # of the beat just made
        self.is_open = view.is_open
        _, self.touch, self.halted = view.look(symbol)
        self._closing = self.touch if view.is_open else None
        self._begin_day()

    def _begin_day(self) -> None:
        """Take over the session as it stands."""
        view = self.view
        traded = view.so_far(self.symbol)
        self.session, self.day, self.close = view.session, Day(traded), view.close_before(self.symbol)
        fresh = view.part(self.symbol)
        for one in fresh:
            self.day.add(one.price, one.size)
        self.day.count += len(fresh)
        latest = fresh[-1] if fresh else view.last_print(self.symbol)
        if latest is None:
            self.last, self.last_size, self.last_second = self.close, 0, 0
        else:
            self.last, self.last_size, self.last_second = latest.price, latest.size, latest.ts // SECOND_NS

    def turn(self) -> News:
        """Look at the beat just made; return what it changed."""
        view = self.view
        was_open, self.is_open = self.is_open, view.is_open
        told: list[Tick] = []
        if view.session != self.session:
            self._begin_day()
            told = self._morning()
        self.prints, touch, halted = view.look(self.symbol)
        told += self._trades(self.prints)
        if halted != self.halted:
            self.halted = halted
            told.append(generic_tick(view.kinds.halted, float(halted)))
        is_open = self.is_open
        return News(told, self._quotes(touch), was_open and not is_open, is_open and not was_open)

    def image(self) -> list[Tick]:
        """Return all that is known now but the quote."""
        kinds, told = self.view.kinds, []
        if self.last is not None:
            if self.last_second:
                told.append(text_tick(kinds.time, str(self.last_second)))
            told += quote_ticks(kinds.last, kinds.last_size, self.last, self.last_size)
        if self.day.volume:
            told.append(size_tick(kinds.volume, self.day.volume))
        told += self._morning()
        if self.day.open:
            told.append(price_tick(kinds.open, self.day.open, 0))
            told.append(price_tick(kinds.high, self.day.high, 0))
            told.append(price_tick(kinds.low, self.day.low, 0))
        told.append(generic_tick(kinds.halted, float(self.halted)))
        return told

    def quote(self, touch: QuoteAt) -> list[Tick]:
        """Return both sides of a quote."""
        kinds = self.view.kinds
        bid = quote_ticks(kinds.bid, kinds.bid_size, touch.bid, touch.bid_size)
        return bid + quote_ticks(kinds.ask, kinds.ask_size, touch.ask, touch.ask_size)

    @property
    def closing(self) -> QuoteAt:
        """The last quote there was, for who wants it to stand after the close."""
        return self._closing if self._closing is not None else self.view.closing_touch(self.symbol)

    @property
    def is_complete(self) -> bool:
        """Whether bid, ask, last and close are all known."""
        known = self.last is not None and self.close is not None
        return known and self.touch.bid > 0 and self.touch.ask > 0

    def _morning(self) -> list[Tick]:
        return [] if self.close is None else [price_tick(self.view.kinds.close, self.close, 0)]

    def _trades(self, prints: Sequence[Print]) -> list[Tick]:
        if not prints:
            return []
        day = self.day
        before = day.open, day.high, day.low, day.volume
        for one in prints:
            day.add(one.price, one.size)
        day.count += len(prints)
        return self._last(prints[-1], not before[0]) + self._day(*before)

    def _last(self, latest: Print, is_first: bool) -> list[Tick]:
        kinds, told = self.view.kinds, []
        second = latest.ts // SECOND_NS
        if second != self.last_second:
            told.append(text_tick(kinds.time, str(second)))
        if latest.price != self.last or is_first:
            told += quote_ticks(kinds.last, kinds.last_size, latest.price, latest.size)
        elif latest.size != self.last_size:
            told.append(size_tick(kinds.last_size, latest.size))
        self.last, self.last_size, self.last_second = latest.price, latest.size, second
        return told

    def _day(self, open_: float, high: float, low: float, volume: int) -> list[Tick]:
        """Return what differs from the day as it was told before."""
        kinds, day, told = self.view.kinds, self.day, []
        if day.volume != volume:
            told.append(size_tick(kinds.volume, day.volume))
        if day.open != open_:
            told.append(price_tick(kinds.open, day.open, 0))
        if day.high != high:
            told.append(price_tick(kinds.high, day.high, 0))
        if day.low != low:
            told.append(price_tick(kinds.low, day.low, 0))
        return told

    def _quotes(self, now: QuoteAt) -> list[Tick]:
        before, self.touch = self.touch, now
        if now is before:
            return []
        if now.bid > 0 or now.ask > 0:
            self._closing = now
        kinds = self.view.kinds
        told: list[Tick] = []
        if now.bid != before.bid:
            told += quote_ticks(kinds.bid, kinds.bid_size, now.bid, now.bid_size)
        elif now.bid_size != before.bid_size:
            told.append(size_tick(kinds.bid_size, now.bid_size))
        if now.ask != before.ask:
            told += quote_ticks(kinds.ask, kinds.ask_size, now.ask, now.ask_size)
        elif now.ask_size != before.ask_size:
            told.append(size_tick(kinds.ask_size, now.ask_size))
        return told
