"""What is traded: balance, flow and rate of the volume."""

from __future__ import annotations

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import FLOWS, SIGNED, VOLUMES, Array, Now, excess, kernel, ratio


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


FEATURES: tuple[Feature, ...] = (Obv(), Mfi(), VolumeSma(), VolumeRate(), ObvChange())
