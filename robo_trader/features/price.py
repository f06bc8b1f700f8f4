"""Where the price stands: the bar by itself, its returns, and the highs and lows before it."""

from __future__ import annotations

import math

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    HIGHS,
    LOGS,
    LOWS,
    PRIOR_CLOSE,
    SESSION_OPEN,
    SHORT,
    Array,
    Now,
    highest,
    kernel,
    lowest,
    ratio,
)


class Price(Feature):
    """A feature of this room."""

    group = Group.PRICE


class Level(Price):
    """A price: shown, and not for the models."""

    stationary = False
    model = False


class CloseLocation(Price):
    """((close - low) - (high - close)) / (high - low); 0 where nothing moved.

    Source: Chaikin, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("close_location", 1, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return ratio((now.close - now.low) - (now.high - now.close), now.high - now.low, 0.0)


class LogReturn(Price):
    """ln(close / close_{period}_ago), within 8 sqrt({period}) times sigma_20 of the bar before, if that was above 0.

    Of the bar before, so that a jump does not widen its own bound.

    Source: scaled for the models.
    """

    def __init__(self, period: int) -> None:
        super().__init__(f"log_ret_{period}", max(period, 21), max(period, 21) + 1, own_units=[Unit.PURE])
        self.period = period
        self.sigmas = 8.0 * period**0.5

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, sigma_20: float, period: int, sigmas: float) -> float:
        moved: float = s[LOGS + now.far] - s[LOGS + now.far - period]
        bound = sigmas * s[own]
        s[own] = sigma_20
        return min(max(moved, -bound), bound) if bound > 0.0 else moved


class Drawdown(Price):
    """close / donchian_upper_{period} - 1.

    Source: scaled for the models.
    """

    def __init__(self, period: int) -> None:
        super().__init__(f"drawdown_{period}", period, period, needs={"top": f"donchian_upper_{period}"})
        self.period = period

    @staticmethod
    @kernel
    def step(now: Now, top: float) -> float:
        return ratio(now.close, top, 1.0) - 1.0


class DonchianUpper(Level):
    """Highest high of the last {period} bars, this one included.

    Source: Donchian 1960, in StockCharts ChartSchool.
    """

    def __init__(self, period: int) -> None:
        super().__init__(f"donchian_upper_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return highest(s, HIGHS + now.at, period)


class LongUpper(Level):
    """Highest high of the last 60 bars: of donchian_upper_20 now, 20 and 40 bars ago.

    Source: Donchian 1960, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("donchian_upper_60", 60, 60, own_units=[Unit.PRICE] * SHORT)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, donchian_upper_20: float) -> float:
        s[own + (now.n & (SHORT - 1))] = donchian_upper_20
        before: float = s[own + ((now.n - 20) & (SHORT - 1))]
        oldest: float = s[own + ((now.n - 40) & (SHORT - 1))]
        return max(donchian_upper_20, before, oldest)


class DonchianLower(Level):
    """Lowest low of the last {period} bars, this one included.

    Source: Donchian 1960, in StockCharts ChartSchool.
    """

    def __init__(self, period: int) -> None:
        super().__init__(f"donchian_lower_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return lowest(s, LOWS + now.at, period)


class DonchianPosition(Price):
    """(close - donchian_lower_20) / (donchian_upper_20 - donchian_lower_20); 0.5 where nothing moved.

    Source: Donchian 1960, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("donchian_20", 20, 20)

    @staticmethod
    @kernel
    def step(now: Now, donchian_upper_20: float, donchian_lower_20: float) -> float:
        return ratio(now.close - donchian_lower_20, donchian_upper_20 - donchian_lower_20, 0.5)


class Breakout(Price):
    """1 where the close is above the highest high of the 20 bars before, -1 where it is below their lowest low, else 0.

    Source: Donchian 1960, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("breakout_20", 21, 21, own_units=[Unit.PRICE] * 2)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, donchian_upper_20: float, donchian_lower_20: float) -> float:
        side = 1.0 if now.close > s[own] else (-1.0 if now.close < s[own + 1] else 0.0)
        s[own], s[own + 1] = donchian_upper_20, donchian_lower_20
        return side


class Swing(Level):
    """The last {extreme} beyond those of the two bars before it and not passed by the two after, known once these have
    closed; until there is one, the {outermost} so far.

    Source: Williams 1995, Trading Chaos, where of equal ones none counts, and here the first.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, 5, 5, own_units=[Unit.PRICE, Unit.PURE])
        self.extreme, self.outermost, self.ring, self.sign = {
            "resistance": ("high", "highest", HIGHS, 1.0),
            "support": ("low", "lowest", LOWS, -1.0),
        }[name]

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, ring: int, sign: float) -> float:
        newest = ring + now.at
        middle = sign * s[newest - 2]
        before = max(sign * s[newest - 4], sign * s[newest - 3])
        after = max(sign * s[newest - 1], sign * s[newest])
        if now.n >= 5 and middle > before and middle >= after:
            s[own], s[own + 1] = s[newest - 2], 1.0
        elif s[own + 1] == 0.0 and (now.n == 1 or sign * s[newest] > sign * s[own]):
            s[own] = s[newest]
        level: float = s[own]
        return level


class SwingDistance(Price):
    """({far} - {near}) / atr_14.

    Source: scaled for the models.
    """

    def __init__(self, level: str) -> None:
        super().__init__(f"{level}_atr", 14, 14, needs={"level": level})
        self.far, self.near = ("resistance", "close") if level == "resistance" else ("close", "support")
        self.sign = 1.0 if level == "resistance" else -1.0

    @staticmethod
    @kernel
    def step(now: Now, level: float, atr_14: float, sign: float) -> float:
        return ratio(sign * (level - now.close), atr_14, 0.0)


class Gap(Price):
    """ln(the session's open / close of the session before).

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("gap", 0, 1, sessions=1, own_units=[Unit.PURE])

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now) -> float:
        if now.first:
            s[own] = math.log(s[SESSION_OPEN] / s[PRIOR_CLOSE])
        gap: float = s[own]
        return gap


class GapInRanges(Price):
    """(the session's open - close of the session before) / day_atr_14; 0 where no session moved.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("gap_atr", 0, 1, sessions=15)

    @staticmethod
    @kernel
    def step(s: Array, day_atr_14: float) -> float:
        return ratio(s[SESSION_OPEN] - s[PRIOR_CLOSE], day_atr_14, 0.0)


FEATURES: tuple[Feature, ...] = (
    CloseLocation(),
    *(LogReturn(period) for period in (1, 2, 5, 10, 20, 60)),
    Drawdown(20),
    Drawdown(60),
    DonchianUpper(20),
    LongUpper(),
    DonchianLower(20),
    DonchianPosition(),
    Breakout(),
    Swing("resistance"),
    Swing("support"),
    SwingDistance("resistance"),
    SwingDistance("support"),
    Gap(),
    GapInRanges(),
)
