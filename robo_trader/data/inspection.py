"""Looks over a series of believed bars for what no single bar shows: gaps, switched feeds, splits, an unfinished end."""

from __future__ import annotations

import math

import numpy as np

from robo_trader.core.events import DAY_NS
from robo_trader.core.protocols import Session
from robo_trader.data.aggregation import closes
from robo_trader.data.bars import Bars, Ints, merge
from robo_trader.data.findings import Defect, Done, Finding, finding
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.splits import splits
from robo_trader.data.stamps import Sessions, grid

_SWITCH = math.log(8)  # a feed with so much more or less of the volume is another one
_AROUND = 5  # sessions on either side whose volume is compared
_FEW_BARS = 5  # of a session, before its volume says anything
_HARDLY = 0.1  # of the usual volume: a bar cut off


def inspect(bars: Bars, interval_ns: int, calendar: XnysCalendar, notes: list[Finding]) -> tuple[Bars, int]:
    """Return the bars without an unfinished last one, and how many are missing; add to `notes` what was found."""
    if not len(bars):
        return bars, 0
    bars = _finished(bars, interval_ns, Sessions.around(calendar, bars.ts), notes)
    found, lost = doubts(bars, interval_ns, calendar)
    notes.extend(found)
    return bars, lost


def doubts(bars: Bars, interval_ns: int, calendar: XnysCalendar) -> tuple[list[Finding], int]:
    """Return what is to be told of bars by close, oldest first and at least one, and how many are missing.

    Those are gaps, switched feeds and splits; there is nothing to repair, or it is not ours to decide.
    """
    notes: list[Finding] = []
    sessions = Sessions.around(calendar, bars.ts)
    number = sessions.number(bars.ts - 1)
    due = expected(bars.ts, interval_ns, sessions)
    lacking = due[~np.isin(due, bars.ts)]
    notes.extend(_gaps(lacking, len(due), sessions, number))
    if interval_ns < DAY_NS:
        notes.extend(_switches(bars, number, sessions))
    found = splits(merge(bars, number))
    if found:
        why = "; ".join(split.why for split in found[:3]) + "; prices are as traded, nothing was adjusted"
        notes.append(finding(Defect.SPLIT, Done.TOLD, [split.ts for split in found], why))
    return notes, len(lacking)


def _finished(bars: Bars, interval_ns: int, sessions: Sessions, notes: list[Finding]) -> Bars:
    """Leave out a last bar that was cut off: hardly any volume, in the midst of a session."""
    last = int(bars.ts[-1])
    if interval_ns >= DAY_NS or last in sessions.closes or len(bars) <= _FEW_BARS:
        return bars
    told = bars.volume[-31:-1][np.isfinite(bars.volume[-31:-1])]
    usual = float(np.median(told)) if len(told) else 0.0
    if not bars.volume[-1] < _HARDLY * usual:
        return bars
    why = f"{bars.volume[-1]:.0f} shares where {usual:.0f} are usual: fetched before the bar was over"
    notes.append(finding(Defect.PARTIAL, Done.DROPPED, [last], why))
    return bars.take(slice(0, -1))


def expected(ts: Ints, interval_ns: int, sessions: Sessions) -> Ints:
    """Return when bars should have closed from the first of the closes `ts` to the last (UTC ns), on the grid they have."""
    offset = grid(ts, interval_ns, sessions)
    pairs = zip(sessions.opens.tolist(), sessions.closes.tolist(), strict=True)
    # The first bar ends where the grid begins, so it is as if the session had opened an interval before.
    begun = ((opened + offset - interval_ns if offset else opened, closed) for opened, closed in pairs)
    due = [close for opened, closed in begun for close in closes(Session("", opened, closed), interval_ns)]
    wanted: Ints = np.array(due, np.int64)
    return wanted[np.searchsorted(wanted, ts[0]) : np.searchsorted(wanted, ts[-1], "right")]


def _gaps(lacking: Ints, due: int, sessions: Sessions, number: Ints) -> list[Finding]:
    if not len(lacking):
        return []
    of = sessions.number(lacking - 1)
    whole = np.setdiff1d(of, number)
    parts = lacking[~np.isin(of, whole)]
    found = []
    if len(whole):
        why = "whole sessions without a bar: no data, or a ticker that had another name"
        found.append(finding(Defect.GAP, Done.TOLD, sessions.closes[whole], why))
    if len(parts):
        share = len(parts) / due
        why = f"bars missing within sessions, {share:.2%} of those due: not traded, halted or lost"
        found.append(finding(Defect.GAP, Done.TOLD, parts, why))
    return found


def _switches(bars: Bars, number: Ints, sessions: Sessions) -> list[Finding]:
    """Find where the volume of whole sessions steps up or down and stays, as no market does."""
    days, level = _levels(bars, number)
    step = np.array([_step(level, i) for i in range(len(level))])
    found = []
    for i in np.flatnonzero(np.abs(step) > _SWITCH):
        if abs(step[i]) < np.abs(step[max(0, i - 1) : i + 2]).max():
            continue  # beside a larger step
        times = math.exp(abs(step[i]))
        why = f"volume is {times:.0f} times {'more' if step[i] > 0 else 'less'} from here: another feed; not comparable"
        found.append(finding(Defect.FEED_SWITCH, Done.TOLD, [int(sessions.opens[days[i]])], why))
    return found


def _levels(bars: Bars, number: Ints) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the sessions with enough bars and the log of their median volume."""
    days, counts = np.unique(number[bars.volume > 0], return_counts=True)
    days = days[counts >= _FEW_BARS]
    median = [float(np.median(bars.volume[(number == day) & (bars.volume > 0)])) for day in days]
    return days, np.log(np.array(median, np.float64))


def _step(level: np.ndarray[tuple[int], np.dtype[np.float64]], i: int) -> float:
    """Return the step between the levels before and from `i`, 0 where they overlap."""
    before, after = level[max(0, i - _AROUND) : i], level[i : i + _AROUND]
    if not len(before):
        return 0.0
    apart = max(float(before.min() - after.max()), float(after.min() - before.max()))
    return float(np.median(after) - np.median(before)) if apart > 0.5 * _SWITCH else 0.0
