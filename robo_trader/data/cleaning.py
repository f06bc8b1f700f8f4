"""Turns the rows of a file into bars as the desk knows them: rising closes in trading hours, each once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from robo_trader.core.events import DAY_NS, Bar
from robo_trader.data import inspection, stamps
from robo_trader.data.bars import Bars, Ints, merge
from robo_trader.data.findings import Defect, Done, Finding, finding
from robo_trader.data.quality import Quality
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.stamps import Sessions, Stamped
from robo_trader.data.validation import Validator

_STRAY = 0.05  # of the rows lie outside trading hours where a file is of trading hours only
NEVER = int(np.iinfo(np.int64).min)  # the time of a row that has none


@dataclass(frozen=True)
class ReadOptions:
    """What is known of a file's times; what is empty is found out. `stamped` names a bar's "start" or its "end"."""

    zone: str = ""
    stamped: str = ""


@dataclass(frozen=True)
class Reading:
    """Bars of a file and what was wrong with it; no bars where it was refused.

    `rows` is how many the file has, `lost` how many bars it lacks of those due from the first to the last.
    """

    symbol: str
    bars: Bars
    interval_ns: int
    findings: tuple[Finding, ...]
    rows: int
    lost: int

    @property
    def refused(self) -> bool:
        """Whether nothing may be used, because the times cannot be understood."""
        return any(found.done is Done.REFUSED for found in self.findings)

    @property
    def quality(self) -> Quality:
        """How many of the bars due are there and sound."""
        bad = (found for found in self.findings if found.what is Defect.REFUSED)
        refused = {found.why.partition(",")[0]: found.count for found in bad}
        return Quality(self.symbol, len(self.bars), 0, self.lost, refused)


def clean(
    symbol: str, rows: Bars, daily: bool, options: ReadOptions, early: frozenset[int] = frozenset()
) -> Reading:
    """Return these rows as bars by close, and all that was wrong with them.

    `ts` of the rows are ns as they are written, by the wall or by UTC; `early` are dates of daily rows (ns) that were
    fetched before their day was over.
    """
    calendar, notes = XnysCalendar(), list[Finding]()
    bars = _ordered(rows, notes)
    kept = ~np.isin(bars.ts, list(early))
    _note(notes, Defect.PARTIAL, bars.ts[~kept], "fetched before the day was over, its volume says")
    bars = bars.take(kept)
    interval = DAY_NS if daily else stamps.interval_of(bars.ts)
    timed = _dated(bars, calendar, notes) if daily else _timed(bars, interval, calendar, options, notes)
    lost = 0
    if len(timed):
        timed = _believed(symbol, timed, interval, calendar, notes)
        timed, lost = inspection.inspect(timed, interval, calendar, notes)
    return Reading(symbol, timed, interval, tuple(notes), len(rows), lost)


def _note(notes: list[Finding], what: Defect, at: Ints, why: str, done: Done = Done.DROPPED) -> None:
    if len(at):
        notes.append(finding(what, done, at, why))


def _ordered(rows: Bars, notes: list[Finding]) -> Bars:
    """Return the rows that are bars by time; of several of one time the one that traded most is the most complete."""
    timed = rows.take(rows.ts != NEVER)
    back = np.flatnonzero(np.diff(timed.ts) < 0) + 1
    _note(notes, Defect.OUT_OF_ORDER, timed.ts[back], "sorted by time; here it ran backwards", Done.REPAIRED)
    prices = np.array([timed.open, timed.high, timed.low, timed.close])
    known = np.asarray(np.isfinite(prices).all(axis=0))
    if lost := len(rows) - int(known.sum()):
        why = "a row without a time or a price is no bar"
        notes.append(finding(Defect.UNREADABLE, Done.DROPPED, timed.ts[~known], why, lost))
    bars = timed.take(known)
    bars = bars.take(np.lexsort((np.nan_to_num(bars.volume, nan=-1.0), bars.ts)))
    last = np.append(np.diff(bars.ts) != 0, True)[: len(bars)]
    _note(
        notes, Defect.DUPLICATE, bars.ts[~last], "of the rows of one time the one with most volume was kept"
    )
    return bars.take(last)


def _dated(bars: Bars, calendar: XnysCalendar, notes: list[Finding]) -> Bars:
    """Return daily bars by the close of their session."""
    if not len(bars):
        return bars
    sessions = Sessions.around(calendar, bars.ts)
    days = sessions.opens // DAY_NS
    at = np.minimum(np.searchsorted(days, bars.ts // DAY_NS), max(len(days) - 1, 0))
    traded = days[at] == bars.ts // DAY_NS if len(days) else np.zeros(len(bars), np.bool_)
    _note(
        notes,
        Defect.OUTSIDE_HOURS,
        bars.ts[~traded],
        "the exchange was closed that day, or the day is before 2000",
    )
    return _at(bars, sessions.closes[at] if len(days) else bars.ts).take(traded)


def _timed(
    bars: Bars, interval: int, calendar: XnysCalendar, options: ReadOptions, notes: list[Finding]
) -> Bars:
    """Return bars by close; none where their times cannot be understood, which is noted."""
    zone, stamped = options.zone, options.stamped
    if not zone and len(bars):
        zone, shares = stamps.find_zone(bars.ts, bars.volume, calendar)
        if zone not in ("", stamps.UTC_NAME):
            why = f"read as {zone}, {_percent(shares[zone])} in trading hours, by UTC {_percent(shares[stamps.UTC_NAME])}"
            notes.append(finding(Defect.WRONG_ZONE, Done.REPAIRED, bars.ts[:1], why, len(bars)))
    if not zone or not interval:
        problem = "in no zone most of it is in trading hours" if interval else "one row has no interval"
        return _refuse(bars, f"{problem}; say the zone", notes)
    bars = _at(bars, stamps.in_zone(bars.ts, zone))
    sessions = Sessions.around(calendar, bars.ts)
    end, seen = Stamped(stamped) if stamped else None, ""
    if end is None:
        end, seen = stamps.find_stamping(bars.ts, bars.volume, interval, sessions)
    if end is None:
        return _refuse(bars, f"starts or ends? {seen}; say which", notes)
    if end is Stamped.END and not stamped:
        notes.append(
            finding(
                Defect.END_STAMPED, Done.REPAIRED, bars.ts[:1], f"times taken for ends: {seen}", len(bars)
            )
        )
    return _closing(bars, interval, end, sessions, notes)


def _refuse(bars: Bars, why: str, notes: list[Finding]) -> Bars:
    notes.append(finding(Defect.UNKNOWN_TIMES, Done.REFUSED, bars.ts[:1], why, len(bars)))
    return bars.take(slice(0, 0))


def _closing(bars: Bars, interval: int, end: Stamped, sessions: Sessions, notes: list[Finding]) -> Bars:
    """Return the bars of trading hours by close, an auction's own row joined to its neighbour."""
    offset = stamps.grid(bars.ts, interval, sessions)
    reach = interval - 1 if end is Stamped.START and offset else 0  # to the open that a bar may hold
    number = np.maximum(sessions.number(bars.ts + reach), 0)
    opened, closed = sessions.opens[number], sessions.closes[number]
    holding = np.full(len(bars), offset > 0) & (
        bars.ts == opened + offset - (interval if end is Stamped.START else 0)
    )
    inside = (opened <= bars.ts) & (bars.ts <= closed) | holding
    known = (sessions.opens[0] - DAY_NS <= bars.ts) & (bars.ts <= sessions.closes[-1] + DAY_NS)
    is_regular = (known & ~inside).sum() <= _STRAY * len(bars)
    edge = bars.ts == (opened if end is Stamped.END else closed)
    # An auction has its row every day; after hours there is a row at the close as well, and it is no auction.
    daily = (edge & inside).sum() > len(np.unique(number[inside])) / 2
    auction = edge & inside & (daily and is_regular)
    _note(notes, Defect.AUCTION_ROW, bars.ts[auction], "joined to the bar beside it", Done.REPAIRED)
    kept = inside & (~edge | auction) & (~holding | is_regular)
    _note(
        notes,
        Defect.OUTSIDE_HOURS,
        bars.ts[~kept],
        "not in the exchange's regular hours, which are known from 2000 on",
    )
    if end is Stamped.START:
        since = bars.ts - opened - offset
        ts = np.where(auction, bars.ts, opened + offset + (since // interval + 1) * interval)
    else:
        ts = bars.ts + np.where(auction, interval, 0)
    by_close = _at(bars, np.minimum(ts, closed)).take(kept)
    return merge(by_close, by_close.ts)


def _at(bars: Bars, ts: Ints) -> Bars:
    return Bars(ts, bars.open, bars.high, bars.low, bars.close, bars.volume)


def _believed(symbol: str, bars: Bars, interval: int, calendar: XnysCalendar, notes: list[Finding]) -> Bars:
    """Return what the rules of the live stream believe."""
    # Where none has a volume there is nothing to say of it; where others have one, one that has none is refused.
    volume = bars.volume if np.nansum(bars.volume) > 0 else np.ones(len(bars))
    prices = (column.tolist() for column in (bars.open, bars.high, bars.low, bars.close))
    lengths = _lengths(bars, interval, calendar).tolist()
    rows = zip(bars.ts.tolist(), *prices, volume.tolist(), lengths, strict=True)
    stream = (Bar(symbol, *row) for row in rows)
    verdict = Validator(calendar).history(symbol, stream)
    refused = defaultdict(list)
    for refusal in verdict.rejected:
        refused[refusal.reason].append(refusal)
    for reason, found in refused.items():
        worst = max(found, key=lambda refusal: refusal.value or 0.0)
        what = Defect.OUTSIDE_HOURS if reason == Defect.OUTSIDE_HOURS else Defect.REFUSED
        notes.append(
            finding(what, Done.DROPPED, [one.ts for one in found], f"{reason}, the worst: {worst.detail}")
        )
    gone = np.array([refusal.ts for refusal in verdict.rejected], np.int64)
    return bars.take(~np.isin(bars.ts, gone))


def _lengths(bars: Bars, interval: int, calendar: XnysCalendar) -> Ints:
    """Return (n,) how long the bars are: hours by the clock begin with half a one."""
    sessions = Sessions.around(calendar, bars.ts)
    since = bars.ts - sessions.opens[sessions.number(bars.ts - 1)]
    return np.full(len(bars), interval) if interval >= DAY_NS else np.minimum(interval, since)


def _percent(share: float) -> str:
    return f"{share:.0%}"
