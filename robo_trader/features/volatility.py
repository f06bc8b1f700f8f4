"""How much the price moves: ranges and deviations.

What lies between two bars, a night too, is a move like any other.
"""

from __future__ import annotations

import math

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    LAST_CLOSE,
    LOGS,
    YEAR,
    Array,
    Now,
    kernel,
    log_quotient,
    log_ratio,
    ratio,
    return_deviation,
    slide,
    sliding,
    smooth,
)

LEAST = 1e-12  # the variance of a bar that counts as none: a move of a hundredth of a basis point


@kernel
def log_deviation(variance: float) -> float:
    """Return ln of the deviation, of a millionth at least."""
    return 0.5 * math.log(max(variance, LEAST))


@kernel
def sample_variance(x: Array, first: int, period: int, newest: float) -> float:
    """Return the sample variance of `period` values: the newest and, in any order, those before it from `first`."""
    total = square = other_total = other_square = 0.0
    for i in range(first, first + period - 2, 2):
        d, other = x[i] - newest, x[i + 1] - newest
        total, square = total + d, square + d * d
        other_total, other_square = other_total + other, other_square + other * other
    d = x[first + period - 2] - newest
    total, square = total + other_total + d, square + other_square + d * d
    return max(square - total * total / period, 0.0) / (period - 1)


class Volatility(Feature):
    """A feature of this room."""

    group = Group.VOLATILITY


class Level(Volatility):
    """A price or a number that wanders with the price: shown, and not for the models."""

    stationary = False
    model = False


class Atr(Level):
    """Wilder's mean of the true range over {period} bars, the first high - low.

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
    """

    def __init__(self, period: int = 14) -> None:
        super().__init__(f"atr_{period}", period, period, own_units=[Unit.PRICE])
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        s[own] = smooth(s[own], now.true_range, now.n, period, 1.0 / period)
        return s[own]


class ReturnDeviation(Level):
    """Sample deviation of the last {period} log returns.

    Source: StockCharts ChartSchool.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"sigma_{period}", period, period + 1)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return return_deviation(s, LOGS + now.far, period)


class HistoricalVolatility(Level):
    """sigma_20 for a year of 252 sessions.

    Source: StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("hist_vol_20", 20, 21)

    @staticmethod
    @kernel
    def step(s: Array, sigma_20: float) -> float:
        return sigma_20 * s[YEAR]


class AtrOfPrice(Volatility):
    """atr_14 / close.

    Source: scaled for the models.
    """

    model = False  # they see its log

    def __init__(self) -> None:
        super().__init__("atr_close_14", 14, 14)

    @staticmethod
    @kernel
    def step(now: Now, atr_14: float) -> float:
        return atr_14 / now.close


class RangeInRanges(Volatility):
    """(high - low) / atr_14; 1 where nothing moved.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("range_atr", 14, 14)

    @staticmethod
    @kernel
    def step(now: Now, atr_14: float) -> float:
        return ratio(now.high - now.low, atr_14, 1.0)


class RealisedVol(Volatility):
    """ln of the root of the mean squared log return of {period} bars, of 1e-6 at least.

    Source: Andersen, Bollerslev, Diebold and Labys 2003, Econometrica 71:2.
    """

    def __init__(self, period: int) -> None:
        units = [Unit.PURE] * (1 + sliding(period))  # the sum, for others
        super().__init__(f"realised_vol_{period}", period, period + 1, own_units=units)
        self.period, self.each = period, 1.0 / period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int, each: float) -> float:
        s[own] = slide(s, own + 1, now.n - 1, period, now.log_return * now.log_return)
        return log_deviation(each * s[own])


class RealisedRatio(Volatility):
    """realised_vol_{short} - realised_vol_{long}, -5/2 at least; 0 where nothing moved.

    Source: scaled for the models.
    """

    def __init__(self, short: int = 5, long: int = 60) -> None:
        needs = {"sums": f"own of realised_vol_{long}"}
        super().__init__(f"realised_vol_ratio_{short}_{long}", long, long + 1, needs=needs)
        self.short, self.long, self.scale = short, long, long / short

    @staticmethod
    @kernel
    def step(s: Array, now: Now, sums: int, short: int, scale: float) -> float:
        newest, total = LOGS + now.far, 0.0
        for i in range(short):
            d = s[newest - i] - s[newest - i - 1]
            total += d * d
        return 0.5 * log_ratio(scale * total, s[sums])


class LogRange(Volatility):
    """ln(high / low) of the bar.

    Source: Parkinson 1980, Journal of Business 53:1.
    """

    model = False  # what the estimators are made of

    def __init__(self) -> None:
        super().__init__("log_range", 1, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return log_quotient(now.high, now.low)


class LogBody(Volatility):
    """ln(close / open) of the bar.

    Source: Garman and Klass 1980, Journal of Business 53:1.
    """

    model = False  # what the estimators are made of

    def __init__(self) -> None:
        super().__init__("log_body", 1, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return log_quotient(now.close, now.open)


class Parkinson(Volatility):
    """ln of the root of the mean of ln(high / low)^2 / (4 ln 2) of {period} bars, of 1e-6 at least.

    Source: Parkinson 1980, Journal of Business 53:1.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"parkinson_{period}", period, period, own_units=[Unit.PURE] * sliding(period))
        self.period = period
        self.scale = 1.0 / (4.0 * math.log(2.0) * period)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, log_range: float, period: int, scale: float) -> float:
        return log_deviation(scale * slide(s, own, now.n, period, log_range * log_range))


class GarmanKlass(Volatility):
    """ln of the root of the mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2 of {period} bars.

    Of 1e-6 at least.

    Source: Garman and Klass 1980, Journal of Business 53:1.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"garman_klass_{period}", period, period, own_units=[Unit.PURE] * sliding(period))
        self.period, self.each, self.weight = period, 1.0 / period, 2.0 * math.log(2.0) - 1.0

    @staticmethod
    @kernel
    def step(
        s: Array, own: int, now: Now, log_range: float, log_body: float, period: int, each: float, weight: float
    ) -> float:  # fmt: skip
        variance = 0.5 * log_range * log_range - weight * log_body * log_body
        return log_deviation(each * slide(s, own, now.n, period, variance))


class YangZhang(Volatility):
    """ln of the root of Vo + k Vc + (1 - k) Vrs of {period} bars, of 1e-6 at least.

    Vo, Vc: sample variances of o = ln(open / last close) and c = ln(close / open); Vrs: mean of u (u - c) + d (d - c)
    with u = ln(high / open), d = ln(low / open); k = 0.34 / (1.34 + (n + 1) / (n - 1)) with n = {period}.

    Source: Yang and Zhang 2000, Journal of Business 73:3.
    """

    def __init__(self, period: int = 20) -> None:
        units = [Unit.PURE] * (2 * sliding(period))
        super().__init__(f"yang_zhang_{period}", period, period + 1, own_units=units)
        self.period = period
        self.k = 0.34 / (1.34 + (period + 1.0) / (period - 1.0))
        self.weight, self.pair, self.each = (1.0 - self.k) / period, 1.0 / period, 1.0 / (period - 1.0)

    @staticmethod
    @kernel
    def step(
        s: Array, own: int, now: Now, log_range: float, log_body: float,
        period: int, k: float, weight: float, pair: float, each: float,
    ) -> float:  # fmt: skip
        if now.n == 1:
            return 0.0
        jump, up = log_quotient(now.open, s[LAST_CLOSE]), log_quotient(now.high, now.open)
        down = up - log_range
        inside = up * (up - log_body) + down * (down - log_body)
        # The three variances have one sum of squares, and both sums together are the way from close to close.
        squares = each * (jump * jump + k * log_body * log_body) + weight * inside
        total = slide(s, own, now.n - 1, period, squares)
        jumps = slide(s, own + 2 + period, now.n - 1, period, jump)
        bodies = s[LOGS + now.far] - s[LOGS + now.far - period] - jumps
        return log_deviation(total - each * pair * (jumps * jumps + k * bodies * bodies))


class LogAtrOfPrice(Volatility):
    """ln(atr_14 / close), of 1e-6 at least.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("log_atr_close_14", 14, 14)

    @staticmethod
    @kernel
    def step(atr_close_14: float) -> float:
        return math.log(max(atr_close_14, 1e-6))


class VolOfVol(Volatility):
    """Sample deviation of the last {period} realised_vol_{period}.

    Source: Corsi, Mittnik, Pigorsch and Pigorsch 2008, Econometric Reviews 27:1.
    """

    def __init__(self, period: int = 20) -> None:
        needs = {"vol": f"realised_vol_{period}"}
        super().__init__(
            f"vol_of_vol_{period}", 2 * period, 2 * period, own_units=[Unit.PURE] * (period - 1), needs=needs
        )
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, vol: float, period: int) -> float:
        variance = sample_variance(s, own, period, vol)
        s[own + now.n % (period - 1)] = vol
        return math.sqrt(variance)


FEATURES: tuple[Feature, ...] = (
    Atr(),
    ReturnDeviation(),
    HistoricalVolatility(),
    AtrOfPrice(),
    LogAtrOfPrice(),
    RangeInRanges(),
    RealisedVol(20),
    RealisedVol(60),
    RealisedVol(120),
    RealisedRatio(),
    LogRange(),
    LogBody(),
    Parkinson(),
    GarmanKlass(),
    YangZhang(),
    VolOfVol(),
)
