"""The beat that ended now, looked up once for each symbol that somebody asks about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from robo_trader.core.protocols import Session
from robo_trader.practice.days import Days
from robo_trader.simulation.flow import Passage, Print, TouchAt
from robo_trader.simulation.tape import SLICE_NS


class Beat(NamedTuple):
    """What one symbol did in a beat, and its touch before and after, halted or not; None where no market is open."""

    events: Sequence[Print | TouchAt]
    before: TouchAt | None
    stands: TouchAt | None


_SILENCE = Beat((), None, None)


class Beats:
    """Knows what each symbol did at `began` <= ts < `now` (UTC ns), which never reach over the end of a slice."""

    def __init__(self, days: Days, session: Session, now: int) -> None:
        self._days = days
        self._passages: dict[str, Passage | None] = {}
        self._known: dict[str, Beat] = {}
        self.session = session
        self.began = self.now = now

    def enter(self, session: Session, now: int) -> None:
        """Stand at a time of a session, at the end of a beat of no length."""
        self.session = session
        self.began = self.now = now
        self.forget()

    def step(self, length: int) -> None:
        """Move on by a beat of that length, ns."""
        self._known.clear()
        self.began, self.now = self.now, self.now + length
        if (self.began - self.session.open) % SLICE_NS == 0:
            self._passages.clear()

    def forget(self) -> None:
        """Look everything up anew."""
        self._known.clear()
        self._passages.clear()

    def of(self, symbol: str) -> Beat:
        """Return the beat of a symbol."""
        beat = self._known.get(symbol)
        if beat is None:
            beat = self._known[symbol] = self._look(symbol)
        return beat

    def passage(self, symbol: str) -> Passage | None:
        """Return the slice the beat lies in, the first one before the open; None for a share that never traded."""
        if symbol not in self._passages:
            k = max(0, self.began - self.session.open) // SLICE_NS
            self._passages[symbol] = self._days.passage(symbol, self.session, k)
        return self._passages[symbol]

    def _look(self, symbol: str) -> Beat:
        session, began, now = self.session, self.began, self.now
        passage = self.passage(symbol) if now >= session.open and began < session.close else None
        if passage is None:
            return _SILENCE
        first, last = bisect_left(passage.times, began), bisect_left(passage.times, now)
        before = passage.before(first) if began >= session.open else None
        stands = passage.before(last) if now < session.close else None
        return Beat(passage.events[first:last], before, stands)
