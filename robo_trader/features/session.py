"""The session so far, the sessions before it, and its place in the calendar.

The calendar knows when the exchange trades, and no more: days of FOMC meetings and of earnings are in no column.
Means over sessions are plain ones of the last few: what was before, and how much of it was read, makes no difference.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from enum import IntEnum

import numpy as np

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Calendar, Session
from robo_trader.features.base import Feature, Floats, Group, Unit
from robo_trader.features.kernels import (
    LOGS,
    PRIOR_CLOSE,
    SESSION_OPEN,
    Array,
    Now,
    excess,
    kernel,
    put,
    ratio,
)


class DAY(IntEnum):
    """Where the numbers of a session stand in `day`."""

    LABEL = 0  # its open, UTC seconds
    LENGTH = 1  # minutes
    WEEKDAY = 2  # 0 on Monday
    MONTH_FIRST = 3  # 1 on the first session of a month
    MONTH_LAST = 4
    OPEX = 5  # 1 when the month's options expire


REGULAR = 390.0  # minutes of a whole session
WEEK = 7  # days within which another session is looked for: the longest closure was shorter
HALF_OF_SHORTEST = 105 * MINUTE_NS
THURSDAY, FRIDAY = 3, 4
RING = 16  # sessions that are kept


def day_of(found: Session, calendar: Calendar) -> Floats:
    """Return what is known of a session before it opens, in the order of `DAY`."""
    on = date.fromisoformat(found.label)
    day = np.zeros(len(DAY))
    day[DAY.LABEL] = found.open / SECOND_NS
    day[DAY.LENGTH] = (found.close - found.open) / MINUTE_NS
    day[DAY.WEEKDAY] = on.weekday()
    day[DAY.MONTH_FIRST] = _is_alone(found, calendar, -1)
    day[DAY.MONTH_LAST] = _is_alone(found, calendar, 1)
    day[DAY.OPEX] = _is_expiry(found, calendar)
    return day


def _trades(found: Session, calendar: Calendar, days: int) -> bool:
    """Tell whether there is a session so many days after this one."""
    # Well inside the shortest session, so that neither a change of the clocks nor an early close leads past it.
    inside = found.open + min((found.close - found.open) // 2, HALF_OF_SHORTEST)
    return calendar.session(inside + days * DAY_NS) is not None


def _is_alone(found: Session, calendar: Calendar, direction: int) -> bool:
    """Tell whether no more sessions of the month lie in one direction."""
    on = date.fromisoformat(found.label)
    steps = [direction * n for n in range(1, WEEK + 1)]
    here = [days for days in steps if (on + timedelta(days=days)).month == on.month]
    return not any(_trades(found, calendar, days) for days in here)


def _is_expiry(found: Session, calendar: Calendar) -> bool:
    """Tell whether it is the third Friday, or the Thursday before one that is a holiday."""
    on = date.fromisoformat(found.label)
    if on.weekday() == FRIDAY:
        return 15 <= on.day <= 21
    return on.weekday() == THURSDAY and 14 <= on.day <= 20 and not _trades(found, calendar, 1)


class InSession(Feature):
    """A feature of this room."""

    group = Group.SESSION


class Vwap(InSession):
    """Typical price weighted by volume, this session; the typical price until its first share trades.

    Source: StockCharts ChartSchool.
    """

    stationary = False
    model = False

    def __init__(self) -> None:
        super().__init__("vwap", 0, 1, own_units=[Unit.PURE, Unit.SHARES])

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now) -> float:
        if now.first:
            s[own] = s[own + 1] = 0.0
        s[own] += now.typical * now.volume
        s[own + 1] += now.volume
        return ratio(s[own], s[own + 1], now.typical)


class VwapDistance(InSession):
    """(close - vwap) / atr_14.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("vwap_distance", 14, 14)

    @staticmethod
    @kernel
    def step(now: Now, vwap: float, atr_14: float) -> float:
        return ratio(now.close - vwap, atr_14, 0.0)


class OpenDistance(InSession):
    """(close - the session's open) / atr_14.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("open_distance", 14, 14)

    @staticmethod
    @kernel
    def step(s: Array, now: Now, atr_14: float) -> float:
        return ratio(now.close - s[SESSION_OPEN], atr_14, 0.0)


class SessionSine(InSession):
    """sin(pi x), x the part of the session gone: half a circle, a whole one would make open and close one moment.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("session_sin", 0, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return math.sin(math.pi * now.elapsed / now.length)


class SessionCosine(InSession):
    """cos(pi x), x the part of the session gone.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("session_cos", 0, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return math.cos(math.pi * now.elapsed / now.length)


class DayRange(InSession):
    """Plain mean of the true ranges of the last {period} whole sessions; the first one seen, which may have begun late,
    only lends its close.

    Source: Wilder 1978, New Concepts in Technical Trading Systems (the true range).
    """

    stationary = False
    model = False

    def __init__(self, period: int = 14) -> None:
        super().__init__(
            f"day_atr_{period}", 0, 1, sessions=period + 1, own_units=[Unit.PRICE] * (4 + 2 * RING)
        )
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        high, low, close = own + 1, own + 2, own + 3
        if now.first:
            if now.sessions > 1:
                true_range = max(s[high], s[close]) - min(s[low], s[close])
                at = (now.sessions & (RING - 1)) + RING
                put(s, own + 4, RING, at, true_range)
                s[own] = excess(s, own + 4 + at, 0, period, 0.0) / period
            s[high], s[low], s[close] = now.high, now.low, s[PRIOR_CLOSE]
        s[high], s[low] = max(s[high], now.high), min(s[low], now.low)
        mean: float = s[own]
        return mean


class DayDeviation(InSession):
    """Root of the mean square of the last {period} log returns from close to close of whole sessions.

    Source: Figlewski 1997, Financial Markets, Institutions and Instruments 6:1.
    """

    stationary = False
    model = False

    def __init__(self, period: int = 14) -> None:
        units = [Unit.PURE, Unit.PRICE, *[Unit.PURE] * (2 * RING)]
        super().__init__("day_sigma", 0, 1, sessions=period + 1, own_units=units)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        if now.first:
            if now.sessions > 1:
                moved = math.log(s[PRIOR_CLOSE] / s[own + 1])
                at = (now.sessions & (RING - 1)) + RING
                put(s, own + 2, RING, at, moved * moved)
                s[own] = math.sqrt(excess(s, own + 2 + at, 0, period, 0.0) / period)
            s[own + 1] = s[PRIOR_CLOSE]
        sigma: float = s[own]
        return sigma


class ReturnSince(InSession):
    """ln(close / the {what}) / day_sigma, between -8 and 8; 0 where no session moved.

    Source: scaled for the models.
    """

    def __init__(self, name: str, what: str, level: int) -> None:
        super().__init__(name, 0, 1, sessions=15, own_units=[Unit.LOG_PRICE])
        self.what, self.level = what, level

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, day_sigma: float, level: int) -> float:
        if now.first:
            s[own] = math.log(s[level])
        return min(max(ratio(s[LOGS + now.far] - s[own], day_sigma, 0.0), -8.0), 8.0)


class MinutesToClose(InSession):
    """Minutes until the session closes; on a half day it closes early, as the calendar tells in advance.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("minutes_to_close", 0, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return now.length - now.elapsed


class HalfDay(InSession):
    """1 in a session of less than 390 minutes, else 0.

    Source: the exchange's calendar.
    """

    def __init__(self) -> None:
        super().__init__("half_day", 0, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return 1.0 if now.length < REGULAR else 0.0


class Weekday(InSession):
    """-1 on Monday, by halves to 1 on Friday.

    Source: French 1980, Journal of Financial Economics 8:1.
    """

    def __init__(self) -> None:
        super().__init__("weekday", 0, 1)
        self.fact = int(DAY.WEEKDAY)

    @staticmethod
    @kernel
    def step(day: Array, fact: int) -> float:
        weekday: float = day[fact]
        return weekday / 2.0 - 1.0


class CalendarFlag(InSession):
    """1 in {what}, else 0.

    Source: the exchange's calendar.
    """

    def __init__(self, name: str, what: str, fact: DAY) -> None:
        super().__init__(name, 0, 1)
        self.what, self.fact = what, int(fact)

    @staticmethod
    @kernel
    def step(day: Array, fact: int) -> float:
        flag: float = day[fact]
        return flag


EXPIRY = "the session of the month's third Friday, when options expire, or the Thursday before if that is a holiday"

FEATURES: tuple[Feature, ...] = (
    Vwap(),
    VwapDistance(),
    OpenDistance(),
    SessionSine(),
    SessionCosine(),
    DayRange(),
    DayDeviation(),
    ReturnSince("return_since_open", "session's open", SESSION_OPEN),
    ReturnSince("return_since_close", "close of the session before", PRIOR_CLOSE),
    MinutesToClose(),
    HalfDay(),
    Weekday(),
    CalendarFlag("month_first", "the first session of a month", DAY.MONTH_FIRST),
    CalendarFlag("month_last", "the last session of a month", DAY.MONTH_LAST),
    CalendarFlag("options_expiry", EXPIRY, DAY.OPEX),
)
# What the calendar tells: one session of it never looks like all sessions together.
_DATES = (SessionSine, SessionCosine, MinutesToClose, HalfDay, Weekday, CalendarFlag)
OF_THE_CALENDAR = frozenset(feature.name for feature in FEATURES if isinstance(feature, _DATES))
