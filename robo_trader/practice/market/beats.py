"""The beat that ended now, looked up once for each symbol that somebody asks about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from robo_trader.core.protocols import Session
from robo_trader.practice.market.days import Days
from robo_trader.practice.market.overlays import Halt, halted_at
from robo_trader.practice.market.quotes import QuoteAt, no_quote, quote_of
from robo_trader.simulation.flow import Passage, Print, TouchAt
from robo_trader.simulation.tape import SLICE_NS


class Beat(msgspec.Struct, frozen=True):
    """What one symbol did in the beat that ended at `now` (UTC ns) and was not halted, and quote and halt after it.

    `before` and `stands` are the touch before and after, halted or not, None where no market is open; `passage` is
    the slice it lies in, of which `count` events are over, None where nothing is known of that symbol.
    """

    now: int
    events: Sequence[Print | TouchAt]
    prints: Sequence[Print]
    quote: QuoteAt
    halt: Halt | None
    before: TouchAt | None
    stands: TouchAt | None
    passage: Passage | None
    count: int


class Beats:
    """Knows what each symbol did at `began` <= ts < `now` (UTC ns), which never reach over the end of a slice."""

    def __init__(self, days: Days, session: Session, now: int) -> None:
        self._days = days
        self._known: dict[str, Beat] = {}  # the latest looked up in this slice
        self._halts: dict[str, Sequence[Halt]] = {}
        self.session = session
        self.began = self.now = now

    def enter(self, session: Session, now: int) -> None:
        """Stand at a time of a session, at the end of a beat of no length."""
        self.session = session
        self.began = self.now = now
        self.forget()

    def step(self, length: int) -> None:
        """Move on by a beat of that length, ns."""
        self.began, self.now = self.now, self.now + length
        if self.now == self.session.open or (self.began - self.session.open) % SLICE_NS == 0:
            self._known.clear()

    def forget(self) -> None:
        """Look everything up anew, now that there are other halts or other prices."""
        self._known.clear()
        self._halts.clear()

    def of(self, symbol: str) -> Beat:
        """Return the beat of a symbol."""
        beat = self._known.get(symbol)
        if beat is None or beat.now != self.now:
            beat = self._known[symbol] = self._look(symbol, beat)
        return beat

    def halts(self, symbol: str) -> Sequence[Halt]:
        """Return the session's halts of a symbol."""
        halts = self._halts.get(symbol)
        if halts is None:
            halts = self._halts[symbol] = self._days.halts(symbol, self.session)
        return halts

    def _look(self, symbol: str, last: Beat | None) -> Beat:
        """Look up the beat, after the last one that was looked up in this slice."""
        session, began, now = self.session, self.began, self.now
        passage, halts = last.passage if last is not None else self._passage(symbol), self.halts(symbol)
        halt = halted_at(halts, symbol, now) if halts else None
        if passage is None:
            return Beat(now, (), (), no_quote(now), halt, None, None, None, 0)
        if last is not None and last.now == began:
            begin, before = last.count, last.stands
        else:
            begin = bisect_left(passage.times, began)
            before = passage.before(begin) if began >= session.open else None
        end = bisect_left(passage.times, now, begin)
        events = passage.events[begin:end]
        if halts:
            events = [event for event in events if not halted_at(halts, symbol, event.ts)]
        prints = [event for event in events if isinstance(event, Print)]
        stands = passage.before(end) if now < session.close else None
        quote = no_quote(now) if stands is None or halt is not None else quote_of(stands)
        return Beat(now, events, prints, quote, halt, before, stands, passage, end)

    def _passage(self, symbol: str) -> Passage | None:
        """Return the slice of the beat, that of the opening before it; None out of hours."""
        session, began = self.session, self.began
        if self.now < session.open or began >= session.close:
            return None
        return self._days.passage(symbol, session, max(0, began - session.open) // SLICE_NS)
