"""Builds longer bars from shorter ones, aligned to the session's open; a bar is closed or it is not told."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from robo_trader.core.events import Bar
from robo_trader.core.protocols import Calendar, Session


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Time for which closed bars are missing: those with start < ts <= end, in UTC ns."""

    symbol: str
    start: int
    end: int


def bucket(session: Session, ts: int, interval_ns: int) -> tuple[int, int]:
    """Return start and end (UTC ns) of the interval that holds a bar closing at `ts`, open < ts <= close.

    Intervals are counted from the open; the last one ends with the session, so a day is one interval.

    >>> bucket(Session("2026-01-05", 0, 390), 61, 30)
    (60, 90)
    >>> bucket(Session("2026-01-05", 0, 390), 390, 60)
    (360, 390)
    """
    start = ts - 1 - (ts - 1 - session.open) % interval_ns
    return start, min(start + interval_ns, session.close)


def closes(session: Session, interval_ns: int) -> range | list[int]:
    """Return when each bar of the session closes, in UTC ns, oldest first."""
    ends = range(session.open + interval_ns, session.close + 1, interval_ns)
    return ends if ends and ends[-1] == session.close else [*ends, session.close]


@dataclass(slots=True)
class _Bucket:
    """A bar in the making: where it ends, how far it is told, and whether every part was there."""

    start: int
    end: int
    told: int
    whole: bool
    bars: list[Bar]


class Aggregator:
    """Turns closed bars of any symbol into closed bars of `interval_ns`, or says what is missing.

    Parts come oldest first, each once, and only from trading hours. The part that reaches the end of its interval
    closes the bar at once.
    """

    def __init__(self, interval_ns: int, calendar: Calendar) -> None:
        self._interval_ns = interval_ns
        self._calendar = calendar
        self._buckets: dict[str, _Bucket] = {}

    def add(self, part: Bar) -> list[Bar | Gap]:
        """Take one part; return what it settled, oldest first: an interval given up, a closed bar, or nothing."""
        session = self._calendar.session(part.ts)
        if session is None:
            return []
        start, end = bucket(session, part.ts, self._interval_ns)
        settled: list[Bar | Gap] = []
        current = self._buckets.get(part.symbol)
        if current is None or current.start != start:
            if current is not None:
                settled.append(Gap(part.symbol, current.start, current.end))
            current = self._buckets[part.symbol] = _Bucket(start, end, start, True, [])
        current.whole = current.whole and max(part.ts - part.interval_ns, session.open) == current.told
        current.told = part.ts
        current.bars.append(part)
        if part.ts == end:
            del self._buckets[part.symbol]
            closed = self._close(current) if current.whole else Gap(part.symbol, start, end)
            settled.append(closed)
        return settled

    def open_since(self, symbol: str) -> int | None:
        """Return when the bar in the making started (UTC ns), None while there is none."""
        current = self._buckets.get(symbol)
        return None if current is None else current.start

    def _close(self, done: _Bucket) -> Bar:
        bars = done.bars
        return Bar(
            symbol=bars[0].symbol,
            ts=done.end,
            open=bars[0].open,
            high=max(bar.high for bar in bars),
            low=min(bar.low for bar in bars),
            close=bars[-1].close,
            volume=sum(bar.volume for bar in bars),
            interval_ns=self._interval_ns,
            history=any(bar.history for bar in bars),
        )
