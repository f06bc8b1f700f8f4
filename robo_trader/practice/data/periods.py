"""Which bars a question for history means: bar sizes, durations and ends as TWS spells and limits them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data import xnys
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.protocol.moments import moment
from robo_trader.practice.protocol.wire import WireError
from robo_trader.simulation.tape import Integers

HOUR_NS = 60 * MINUTE_NS
WEEK_NS = 7 * DAY_NS
MONTH_NS = 30 * DAY_NS  # a name for the calendar's months, not their length
BAR_SIZES = {
    **{f"{n} secs": n * SECOND_NS for n in (1, 5, 10, 15, 30)},
    "1 min": MINUTE_NS,
    **{f"{n} mins": n * MINUTE_NS for n in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": HOUR_NS,
    **{f"{n} hours": n * HOUR_NS for n in (2, 3, 4, 8)},
    "1 day": DAY_NS,
    "1 week": WEEK_NS,
    "1 month": MONTH_NS,
}
MOST_BARS = 200_000  # in one answer, about 12 MB

_SPELT = {"1 sec": "1 secs", "1W": "1 week", "1M": "1 month"}
_LEGAL = ", ".join([*BAR_SIZES][:-2]) + ", 1W, 1M"
_DURATION = re.compile(r"(\d{1,6}) ?([SDWMY])")
_LONGEST = {"S": 86_400, "D": 365, "W": 52, "M": 12, "Y": 68}
_LONGER_IN = {
    "S": "86400 seconds must be made in days", "D": "365 days must be made in years",
    "W": "52 weeks must be made in years", "M": "12 months must be made in years", "Y": "68 years cannot be made",
}  # fmt: skip
_LONGEST_SECONDS = 2_000  # of 1-second bars
_CALENDAR_DAYS = {"W": 7, "M": 30.4375, "Y": 365.25}
_FARTHEST_DAYS = 20_000  # further back than any session
_MIDNIGHT_NS = 9 * HOUR_NS + 30 * MINUTE_NS  # before the open; clocks change on Sundays only
_FIRST_DAY, _LAST_DAY = date(xnys.FIRST_YEAR, 1, 1), date(xnys.LAST_YEAR, 12, 31)


class BadQuestion(WireError):
    """A question for history that makes no sense; caught where it came in, and told as error 321."""


class BadTime(BadQuestion):
    """A time nobody can read; caught where it came in, and told as error 10314."""


class NoAnswer(WireError):
    """A question for history that makes sense and has no answer; caught where it came in, and told as error 162."""


def parse_end(text: str, now: int) -> int:
    """Return a time a client wrote, UTC ns, never later than `now`; empty means now. Raises BadTime."""
    try:
        return min(now, moment(text, now)) if text else now
    except ValueError:
        raise BadTime(
            "The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xx/xxxx where"
            " yyyymmdd and xx/xxxx are optional. E.g.: 20031126 15:59:00 US/Eastern"
        ) from None


def parse_size(text: str) -> int:
    """Return the length of bars in ns, one of the values of BAR_SIZES. Raises BadQuestion."""
    interval = BAR_SIZES.get(_SPELT.get(text, text))
    if interval is None:
        raise BadQuestion(f"Historical data bar size setting is invalid. Legal ones are: {_LEGAL}")
    return interval


def parse_duration(text: str, interval: int) -> tuple[int, str]:
    """Return how many of which unit (S, D, W, M, Y) bars of this length reach back.

    Raises BadQuestion where TWS wants a larger unit, NoAnswer where it has no bars so short over so long.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise BadQuestion(f"Historical data query duration string {text!r} is not <number> <S|D|W|M|Y>")
    amount, unit = int(found[1]), found[2]
    if amount > _LONGEST[unit]:
        raise BadQuestion(f"Historical data requests for durations longer than {_LONGER_IN[unit]}.")
    if interval == SECOND_NS and (unit != "S" or amount > _LONGEST_SECONDS):
        raise NoAnswer("invalid step: 1")
    return amount, unit


def span(
    calendar: XnysCalendar, first: str, end: int, duration: tuple[int, str], interval: int
) -> list[tuple[Session, int]]:
    """Return the sessions that bars come from, oldest first, each with where to begin in it (UTC ns).

    S counts seconds of trading, D sessions (one that has begun is counted), W, M and Y reach back on the calendar, and
    all of them reach back to the beginning of a bar. Nothing lies before the session `first` nor after `end`.
    """
    amount, unit = duration
    last = min(date.fromisoformat(calendar.label_of(end)), _LAST_DAY)
    earliest = date.fromisoformat(first)
    since = earliest
    if unit in _CALENDAR_DAYS:
        days = min(round(amount * _CALENDAR_DAYS[unit]), _FARTHEST_DAYS)
        since = max(earliest, period_start(last - timedelta(days=days - 1), interval))
    begun = [s for s in calendar.sessions(since, last) if s.open < end] if since <= last else []
    if unit == "S":
        return _last_seconds(begun, end, amount * SECOND_NS, interval)
    if unit == "D" and begun[-amount:]:
        since = period_start(date.fromisoformat(begun[-amount:][0].label), interval)
    return [(session, session.open) for session in begun if session.label >= since.isoformat()]


def _last_seconds(
    sessions: Sequence[Session], end: int, wanted: int, interval: int
) -> list[tuple[Session, int]]:
    found: list[tuple[Session, int]] = []
    for session in reversed(sessions):
        if wanted <= 0:
            break
        close = min(session.close, end)
        begin = max(session.open, close - wanted)
        wanted -= close - begin
        found.append((session, bar_start(session, begin, interval)))
    return found[::-1]


def bar_starts(session: Session, times: Integers, interval: int) -> Integers:
    """Return when the bars that hold these times (UTC ns) start.

    Bars follow New York's clock: an hour runs from 09:30 to 10:00, then from 10:00 to 11:00.
    """
    if interval >= DAY_NS:
        return np.full(len(times), session.open)
    midnight = session.open - _MIDNIGHT_NS
    return np.maximum(session.open, midnight + (times - midnight) // interval * interval)


def bar_start(session: Session, ts: int, interval: int) -> int:
    """Return when the bar that holds one time starts."""
    return int(bar_starts(session, np.array([ts]), interval)[0])


def period_start(day: date, interval: int) -> date:
    """Return the first day of the bar that holds a day: itself, its Monday, or the first of its month."""
    if interval == WEEK_NS:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == MONTH_NS else day


def period_session(calendar: XnysCalendar, session: Session, interval: int) -> Session:
    """Return the session a bar of a day or more is named after: the last one of its day, week or month."""
    if interval <= DAY_NS:
        return session
    begin = max(_FIRST_DAY, period_start(date.fromisoformat(session.label), interval))
    end = begin + timedelta(days=6 if interval == WEEK_NS else 30)
    held = calendar.sessions(begin, min(end, _LAST_DAY))
    return [one for one in held if period_start(date.fromisoformat(one.label), interval) == begin][-1]
