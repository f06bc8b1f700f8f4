"""What is traded: balance, flow and rate of the volume."""

from __future__ import annotations

import math

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    FLOWS,
    SIGNED,
    VOLUMES,
    Array,
    Now,
    excess,
    kernel,
    log_ratio,
    ratio,
    slide,
    sliding,
)


class Volume(Feature):
    """A feature of this room."""

    group = Group.VOLUME


class Level(Volume):
    """A number of shares: shown, and not for the models."""

    stationary = False
    model = False


class Obv(Level):
    """Sum of the volume signed by the change of the close, from 0.

    Source: Granville 1963, New Key to Stock Market Profits.
    """

    def __init__(self) -> None:
        super().__init__("obv", 0, 1, own_units=[Unit.SHARES])

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now) -> float:
        s[own] += s[SIGNED + now.at]
        return s[own]


class Mfi(Volume):
    """100 P / (P + N), sums over {period} bars of typical x volume by the sign of its change; 50 where none flowed.

    A change of less than rounding is no flow.

    Source: StockCharts ChartSchool.
    """

    def __init__(self, period: int = 14) -> None:
        super().__init__(f"mfi_{period}", period, period + 1)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        positive = negative = 0.0
        for i in range(period):
            flow = s[FLOWS + now.at - i]
            positive += max(flow, 0.0)
            negative -= min(flow, 0.0)
        return ratio(100.0 * positive, positive + negative, 50.0)


class VolumeSma(Level):
    """Mean of {period} volumes.

    Source: StockCharts ChartSchool.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"volume_sma_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return excess(s, VOLUMES + now.at, 0, period, 0.0) / period


class VolumeRate(Volume):
    """volume / volume_sma_20; 1 where nothing traded.

    Source: StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("volume_rate_20", 20, 20)

    @staticmethod
    @kernel
    def step(now: Now, volume_sma_20: float) -> float:
        return ratio(now.volume, volume_sma_20, 1.0)


class ObvChange(Volume):
    """Change of obv in 20 bars over the volume of these.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("obv_change_20", 20, 21)

    @staticmethod
    @kernel
    def step(s: Array, now: Now, volume_sma_20: float) -> float:
        return ratio(excess(s, SIGNED + now.at, 0, 20, 0.0), 20.0 * volume_sma_20, 0.0)


class ObvSlope(Volume):
    """Slope of the least-squares line through the last 20 obv, a bar, over volume_sma_20; 0 where nothing traded.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("obv_slope_20", 20, 20)

    @staticmethod
    @kernel
    def step(s: Array, now: Now, volume_sma_20: float) -> float:
        # A signed volume m bars after the first of the line lifts all that follow: it weighs m (20 - m) / 2.
        newest = SIGNED + now.at
        early, late = 50.0 * s[newest - 9], 0.0
        for m in range(1, 10):
            early += 0.5 * m * (20.0 - m) * s[newest - 19 + m]
            late += 0.5 * m * (20.0 - m) * s[newest + 1 - m]
        return ratio(early + late, 665.0 * volume_sma_20, 0.0)


class ChaikinMoneyFlow(Volume):
    """Sum of close_location x volume over the sum of volume, 20 bars; 0 where nothing traded.

    Source: Chaikin, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("cmf_20", 20, 20, own_units=[Unit.SHARES] * sliding(20))

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, close_location: float, volume_sma_20: float) -> float:
        return ratio(slide(s, own, now.n, 20, close_location * now.volume), 20.0 * volume_sma_20, 0.0)


class Amihud(Level):
    """ln of the mean over {period} bars of |log return| per million USD traded at the typical price, of 1e-12 at least.

    Bars without volume are left out; 0, as of a very thin stock, where no bar had any.

    Source: Amihud 2002, Journal of Financial Markets 5:1.
    """

    def __init__(self, period: int = 20) -> None:
        units = [Unit.PURE] * (3 + 2 * sliding(period))  # mean, size and count for others; both windows
        super().__init__(f"amihud_{period}", period, period + 1, own_units=units)
        self.period = period
        self.traded = 3 + sliding(period)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int, traded: int) -> float:
        counts = now.n > 1 and now.volume > 0.0
        s[own + 1] = abs(now.log_return) / (1e-6 * now.typical * now.volume) if counts else 0.0
        s[own + 2] = 1.0 if counts else 0.0
        total = slide(s, own + 3, now.n - 1, period, s[own + 1])
        bars = slide(s, own + traded, now.n - 1, period, s[own + 2])
        s[own] = ratio(total, bars, -1.0)
        return math.log(max(s[own], 1e-12)) if bars > 0.0 else 0.0


class AmihudRatio(Volume):
    """ln of the mean move per dollar of {short} bars over that of {long}, as in amihud_{short}; -5 at least.

    0 where none of the {short} traded, or none of the {long} moved.

    Source: Amihud 2002, Journal of Financial Markets 5:1; scaled for the models.
    """

    def __init__(self, short: int = 20, long: int = 120) -> None:
        needs = {"near": f"own of amihud_{short}"}
        units = [Unit.PURE] * (2 * sliding(long))
        super().__init__(f"amihud_ratio_{short}_{long}", long, long + 1, own_units=units, needs=needs)
        self.short, self.long = short, long
        self.traded = sliding(long)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, near: int, long: int, traded: int) -> float:
        total = slide(s, own, now.n - 1, long, s[near + 1])
        bars = slide(s, own + traded, now.n - 1, long, s[near + 2])
        return log_ratio(s[near], ratio(total, bars, 0.0)) if s[near] >= 0.0 else 0.0


FEATURES: tuple[Feature, ...] = (
    Obv(),
    Mfi(),
    VolumeSma(),
    VolumeRate(),
    ObvChange(),
    ObvSlope(),
    ChaikinMoneyFlow(),
    Amihud(),
    AmihudRatio(),
)
