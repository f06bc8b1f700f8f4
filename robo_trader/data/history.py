"""Joins stored and fetched bars into one series without overlap, and says what the calendar still misses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.data.aggregation import bucket, closes
from robo_trader.data.sessions import XnysCalendar

# Asks for closed bars of a symbol with ts > since_ns, oldest first; may return more than was asked.
Fetch = Callable[[str, int], Awaitable[Sequence[Bar]]]


@dataclass(frozen=True)
class HistoryOptions:
    """How much past is wanted: whole sessions before the current one, in bars of `interval_ns`."""

    sessions: int = 5
    interval_ns: int = MINUTE_NS


def merge(stored: Iterable[Bar], fetched: Iterable[Bar]) -> list[Bar]:
    """Return one symbol's bars by time, each close once; where both have one, the fetched bar wins."""
    by_close = {bar.ts: bar for bar in stored}
    by_close.update((bar.ts, bar) for bar in fetched)
    return [by_close[ts] for ts in sorted(by_close)]


def missing(
    bars: Iterable[Bar], sessions: Iterable[Session], interval_ns: int = MINUTE_NS
) -> list[tuple[int, int]]:
    """Return the stretches (start, end] in UTC ns, oldest first, for which the sessions have no bar."""
    present = {bar.ts for bar in bars}
    stretches: list[tuple[int, int]] = []
    for session in sessions:
        lacking = [ts for ts in closes(session, interval_ns) if ts not in present]
        for start, end in (bucket(session, ts, interval_ns) for ts in lacking):
            if stretches and stretches[-1][1] == start:
                stretches[-1] = (stretches[-1][0], end)
            else:
                stretches.append((start, end))
    return stretches


def wanted(calendar: XnysCalendar, now_ns: int, options: HistoryOptions) -> list[Session]:
    """Return the sessions to know at `now_ns`, oldest first: the whole ones, then today's as far as closed bars go."""
    label = calendar.label_of(now_ns)
    sessions = calendar.before(label, options.sessions)
    today = calendar.after(sessions[-1].label) if sessions else calendar.session(now_ns)
    if today is None or today.label != label or now_ns <= today.open:
        return sessions
    told = [ts for ts in closes(today, options.interval_ns) if ts <= now_ns]
    return [*sessions, msgspec.structs.replace(today, close=told[-1])] if told else sessions


async def warm(
    symbol: str,
    fetch: Fetch,
    stored: Sequence[Bar],
    calendar: XnysCalendar,
    now_ns: int,
    options: HistoryOptions,
    asked: Collection[str] = (),
) -> list[Bar]:
    """Return the symbol's closed bars up to `now_ns`, oldest first, marked as history.

    Asks `fetch` once, from the first stretch that `stored` lacks, and not at all where nothing is missing. What the
    exchange itself did not trade stays missing: sessions in `asked` (labels) are not asked for again. Errors of `fetch`
    climb.
    """
    sessions = wanted(calendar, now_ns, options)
    if not sessions:
        return []
    unasked = [session for session in sessions if session.label not in asked]
    holes = missing(stored, unasked, options.interval_ns)
    fetched = await fetch(symbol, holes[0][0]) if holes else ()
    first, last = sessions[0].open, sessions[-1].close
    return [
        msgspec.structs.replace(bar, history=True)
        for bar in merge(stored, fetched)
        if first < bar.ts <= last and calendar.session(bar.ts) is not None
    ]
