"""How much the price moves: ranges, deviations and the bands made of them."""

from __future__ import annotations

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import CLOSES, LOGS, YEAR, Array, Now, deviation, kernel, ratio, return_deviation, smooth


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


class StandardDeviation(Level):
    """Population deviation of {period} closes.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"std_{period}", period, period, needs={"mean": f"sma_{period}"})
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, mean: float, period: int) -> float:
        return deviation(s, CLOSES + now.far, period, mean)


class BollingerBand(Level):
    """sma_20 + {widths} std_20.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self, side: str, widths: float) -> None:
        super().__init__(f"bb_{side}_20", 20, 20)
        self.widths = widths

    @staticmethod
    @kernel
    def step(sma_20: float, std_20: float, widths: float) -> float:
        return sma_20 + widths * std_20


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


class ZScore(Volatility):
    """(close - sma_20) / std_20; 0 where nothing moved.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self) -> None:
        super().__init__("zscore_20", 20, 20)

    @staticmethod
    @kernel
    def step(now: Now, sma_20: float, std_20: float) -> float:
        return ratio(now.close - sma_20, std_20, 0.0)


class BandWidth(Volatility):
    """4 std_20 / sma_20.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self) -> None:
        super().__init__("bb_width_20", 20, 20)

    @staticmethod
    @kernel
    def step(sma_20: float, std_20: float) -> float:
        return 4.0 * std_20 / sma_20


class AtrOfPrice(Volatility):
    """atr_14 / close.

    Source: scaled for the models.
    """

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


FEATURES: tuple[Feature, ...] = (
    Atr(),
    StandardDeviation(),
    BollingerBand("upper", 2.0),
    BollingerBand("middle", 0.0),
    BollingerBand("lower", -2.0),
    ReturnDeviation(),
    HistoricalVolatility(),
    ZScore(),
    BandWidth(),
    AtrOfPrice(),
    RangeInRanges(),
)
