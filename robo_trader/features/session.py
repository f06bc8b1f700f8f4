"""The session so far and its place in the calendar."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.features.base import Feature, Floats, Group, Unit
from robo_trader.features.kernels import SESSION_OPEN, Array, Now, kernel, ratio


class DAY(IntEnum):
    """Where the numbers of a session stand in `day`."""

    LABEL = 0  # its open, UTC seconds
    LENGTH = 1  # minutes


def day_of(found: Session) -> Floats:
    """Return what is known of a session before it opens, in the order of `DAY`."""
    day = np.zeros(len(DAY))
    day[DAY.LABEL] = found.open / SECOND_NS
    day[DAY.LENGTH] = (found.close - found.open) / MINUTE_NS
    return day


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


FEATURES: tuple[Feature, ...] = (Vwap(), VwapDistance(), OpenDistance(), SessionSine(), SessionCosine())
