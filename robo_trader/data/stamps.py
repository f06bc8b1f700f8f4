"""Finds out what the times of a file mean: their zone, and whether they are a bar's start or its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.data import xnys
from robo_trader.data.bars import Floats, Ints
from robo_trader.data.sessions import XnysCalendar

UTC_NAME, NEW_YORK_NAME = "UTC", "America/New_York"
# The zones that wall times are written in, the likelier first; GMT+5 is New York without summer time.
ZONES = (
    UTC_NAME, NEW_YORK_NAME, "Etc/GMT+5", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin"
)  # fmt: skip
_AS_GOOD = 0.02  # a zone must explain so much more of the volume before the label is not believed
_ONE_SIDE = 0.1  # of the rows outside hours are on the other side of the day, if a file goes on outside them
_LONG = 365 * DAY_NS
_LEAST = 0.5  # of the volume, or of the rows, is traded in regular hours in any file of ours
_MOST, _CLEAR, _RARE = 0.5, 0.4, 0.1  # of the sessions


class Stamped(StrEnum):
    """Which end of a bar its time names."""

    START = "start"
    END = "end"


@dataclass(frozen=True)
class Sessions:
    """Opens and closes (n,) of consecutive sessions, UTC ns."""

    opens: Ints
    closes: Ints

    @classmethod
    def around(cls, calendar: XnysCalendar, ts: Ints) -> Sessions:
        """Return the sessions from the day before the first time to the day after the last, as far as the table goes."""
        first = max(_day(int(ts.min())) - timedelta(days=1), date(xnys.FIRST_YEAR, 1, 1))
        last = min(_day(int(ts.max())) + timedelta(days=1), date(xnys.LAST_YEAR, 12, 31))
        found = calendar.sessions(first, last) if first <= last else []
        opens = np.array([session.open for session in found], np.int64)
        return cls(opens, np.array([session.close for session in found], np.int64))

    def number(self, ts: Ints) -> Ints:
        """Return (n,) the session that began last, -1 before the first."""
        return np.searchsorted(self.opens, ts, "right").astype(np.int64) - 1

    def trading(self, ts: Ints) -> NDArray[np.bool_]:
        """Return (n,) whether open <= ts <= close of a session."""
        if not len(self.opens):
            return np.zeros(len(ts), np.bool_)
        number = self.number(ts)
        return (number >= 0) & (ts <= self.closes[np.maximum(number, 0)])


def interval_of(ts: Ints) -> int:
    """Return the most frequent distance (ns) of rising times, a day for daily rows, 0 for fewer than two."""
    steps = np.diff(np.unique(ts))
    if not len(steps):
        return 0
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[np.argmax(counts)])
    return DAY_NS if usual >= 20 * 60 * MINUTE_NS else usual


def grid(ts: Ints, interval_ns: int, sessions: Sessions) -> int:
    """Return how long after the open (ns) most times within sessions are, whole intervals taken off.

    It is 0 for bars counted from the open and half an hour for hours by the clock.
    """
    number = sessions.number(ts)
    known = number >= 0
    opened, closed = sessions.opens[number[known]], sessions.closes[number[known]]
    within = (ts[known] > opened) & (ts[known] < closed)
    offsets, counts = np.unique((ts[known] - opened)[within] % interval_ns, return_counts=True)
    return int(offsets[np.argmax(counts)]) if len(offsets) else 0


def in_zone(wall: Ints, zone: str) -> Ints:
    """Return UTC ns of wall times (ns as if they were UTC) of a zone; the hour that is skipped or doubled is UTC's."""
    if zone == UTC_NAME:
        return wall
    import pandas as pd

    stamps = pd.DatetimeIndex(wall.astype("datetime64[ns]"))
    at = stamps.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert(None)
    known = ~np.asarray(at.isna())
    return np.where(known, at.to_numpy().astype("datetime64[ns]").astype(np.int64), wall)


def find_zone(wall: Ints, volume: Floats, calendar: XnysCalendar) -> tuple[str, dict[str, float]]:
    """Return the zone of the wall times and, by zone, the share of volume (of rows, without volumes) in regular hours.

    The zone is UTC, as labelled, unless another explains clearly more; empty where none explains half.
    """
    weights = volume if np.nansum(volume) > 0 else np.ones(len(wall))
    shares = {zone: _share(in_zone(wall, zone), weights, calendar, zone == UTC_NAME) for zone in ZONES}
    best = max(shares, key=lambda zone: shares[zone])
    if shares[best] < _LEAST:
        return "", shares
    return (UTC_NAME if shares[UTC_NAME] >= shares[best] - _AS_GOOD else best), shares


def _share(ts: Ints, weights: Floats, calendar: XnysCalendar, labelled: bool) -> float:
    """Return the share in regular hours; 0 where a zone that is not the label's leaves rows on one side of them.

    A file that goes on outside hours does so before the open and after the close; one an hour off does not.
    """
    sessions = Sessions.around(calendar, ts)
    inside = sessions.trading(ts)
    share = float(np.nansum(weights[inside]) / np.nansum(weights))
    if labelled or share > 1 - _AS_GOOD or not len(sessions.opens):
        return share
    outside = ts[~inside]
    number = sessions.number(outside)
    last = len(sessions.opens) - 1
    since = np.where(number < 0, _LONG, outside - sessions.closes[np.maximum(number, 0)])
    until = np.where(number >= last, _LONG, sessions.opens[np.minimum(number + 1, last)] - outside)
    early = float((until < since).mean())
    return share if _ONE_SIDE < early < 1 - _ONE_SIDE else 0.0


def find_stamping(
    ts: Ints, volume: Floats, interval_ns: int, sessions: Sessions
) -> tuple[Stamped | None, str]:
    """Return which end the times (UTC ns, rising) name, and by what that was seen; None where it cannot be seen.

    Rows at the open and none at the close name starts, the opposite ends. Where there are both, an auction has a row
    of its own or the file goes on after hours: then the jump of volume at the open or before the close tells.
    """
    offset = grid(ts, interval_ns, sessions)
    # An hour by the clock that holds the open begins before it.
    around = sessions.opens + (offset - interval_ns if offset else 0)
    edges = (sessions.opens, around, sessions.closes, sessions.opens - interval_ns)
    opened, holding, at_close, before_open = (_present(ts, edge, sessions) for edge in edges)
    at_open = max(opened, holding)
    if at_open - at_close > _CLEAR:
        return Stamped.START, "there are rows at the open and hardly any at the close"
    if at_close - at_open > _CLEAR:
        return Stamped.END, "there are rows at the close and hardly any at the open"
    if max(at_open, at_close) < _RARE:
        return None, "there are no rows at the open and none at the close"
    if at_open <= _MOST or at_close <= _MOST or offset or not np.nansum(volume):
        return None, "rows at the open and at the close come and go"
    return _by_volume(ts, volume, interval_ns, sessions, extended=before_open > _MOST)


def _present(ts: Ints, edges: Ints, sessions: Sessions) -> float:
    """Return the share of the sessions with rows that have one at the edge."""
    traded = np.unique(sessions.number(ts[sessions.trading(ts)]))
    return float(np.isin(edges[traded], ts).mean()) if len(traded) else 0.0


def _by_volume(
    ts: Ints, volume: Floats, interval_ns: int, sessions: Sessions, extended: bool
) -> tuple[Stamped | None, str]:
    def usual(edges: Ints, bars: int) -> float:
        there = np.isin(ts, edges + bars * interval_ns)
        return float(np.nanmedian(volume[there])) + 1.0 if there.any() else 1.0

    opens, closes = sessions.opens, sessions.closes
    if extended:
        starts = math.log(usual(opens, 0) / usual(opens, -1))
        ends = math.log(usual(opens, 1) / usual(opens, 0))
        seen = "volume jumps with the row {} the open"
        return (Stamped.START, seen.format("at")) if starts > ends else (Stamped.END, seen.format("after"))
    # The last minute of trading is a busy one: its row stands at close - interval or at the close.
    if usual(closes, -1) > 1.8 * usual(closes, -2):
        return (
            Stamped.START,
            "the row before the close is as busy as a last one; the close has a row of its own",
        )
    return Stamped.END, "the row before the close is as quiet as any; the open has a row of its own"


def _day(ts: int) -> date:
    return datetime.fromtimestamp(ts // SECOND_NS, UTC).date()
