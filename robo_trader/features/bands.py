"""Bands around a mean of the price, how wide they are, and one inside the other."""

from __future__ import annotations

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    CLOSES,
    RANGES,
    TIE,
    TYPICALS,
    Array,
    Now,
    deviation,
    excess,
    kernel,
    ratio,
    smooth,
)


class Bands(Feature):
    """A feature of this room."""

    group = Group.VOLATILITY


class Level(Bands):
    """A price or a number that wanders with the price: shown, and not for the models."""

    stationary = False
    model = False


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


class ZScore(Bands):
    """(close - sma_20) / std_20; 0 where nothing moved.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self) -> None:
        super().__init__("zscore_20", 20, 20)

    @staticmethod
    @kernel
    def step(now: Now, sma_20: float, std_20: float) -> float:
        return ratio(now.close - sma_20, std_20, 0.0)


class PercentB(Bands):
    """(close - bb_lower_20) / (bb_upper_20 - bb_lower_20), which is 1/2 + zscore_20 / 4; 1/2 where nothing moved.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    model = False  # a copy of zscore_20

    def __init__(self) -> None:
        super().__init__("percent_b_20", 20, 20)

    @staticmethod
    @kernel
    def step(zscore_20: float) -> float:
        return 0.5 + 0.25 * zscore_20


class BandWidth(Bands):
    """4 std_20 / sma_20.

    Source: Bollinger 2001, Bollinger on Bollinger Bands.
    """

    def __init__(self) -> None:
        super().__init__("bb_width_20", 20, 20)

    @staticmethod
    @kernel
    def step(sma_20: float, std_20: float) -> float:
        return 4.0 * std_20 / sma_20


class WidthPercentile(Bands):
    """Share of the {period} bb_width_20 before this one that were below it; 0 where all were the same.

    Source: Bollinger 2001, Bollinger on Bollinger Bands (the squeeze as the narrowest width of many bars).
    """

    def __init__(self, period: int = 252) -> None:
        longest = period + 20
        super().__init__(f"width_percentile_{period}", longest, longest, own_units=[Unit.PURE] * period)
        self.period, self.each = period, 1.0 / period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, bb_width_20: float, period: int, each: float) -> float:
        limit = bb_width_20 * (1.0 - TIE)
        below = 0
        for i in range(own, own + period):
            below += s[i] < limit
        s[own + now.n % period] = bb_width_20
        return below * each


class TypicalSma(Level):
    """Mean of the last {period} typical prices, (high + low + close) / 3: the middle of the Keltner channel.

    Source: Keltner 1960, How to Make Money in Commodities.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"typical_sma_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return now.typical + excess(s, TYPICALS + now.at, 0, period, now.typical) / period


class TypicalEma(Level):
    """Exponential mean of typical prices, 2/({period} + 1), from the mean of the first {period}.

    Source: StockCharts ChartSchool, Keltner Channels.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"typical_ema_{period}", period, period, own_units=[Unit.PRICE])
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        s[own] = smooth(s[own], now.typical, now.n, period, 2.0 / (period + 1.0))
        return s[own]


class MeanRange(Level):
    """Mean of the last {period} true ranges, the first high - low.

    Source: Wilder 1978, New Concepts in Technical Trading Systems, with a simple mean.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"true_range_sma_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        return excess(s, RANGES + now.at, 0, period, 0.0) / period


class KeltnerBand(Level):
    """typical_{mean}_20 + {widths} true_range_sma_20.

    Source: Keltner 1960, How to Make Money in Commodities; StockCharts ChartSchool.
    """

    def __init__(self, mean: str, side: str, widths: float) -> None:
        super().__init__(f"keltner_{mean}_{side}_20", 20, 20, needs={"middle": f"typical_{mean}_20"})
        self.mean, self.widths = mean, widths

    @staticmethod
    @kernel
    def step(middle: float, true_range_sma_20: float, widths: float) -> float:
        return middle + widths * true_range_sma_20


class Squeeze(Bands):
    """1 where both Bollinger bands are inside keltner_ema_20, else 0.

    Source: Carter 2012, Mastering the Trade, with the channel of QuantConnect's Lean.
    """

    def __init__(self) -> None:
        needs = {"top": "keltner_ema_upper_20", "bottom": "keltner_ema_lower_20"}
        super().__init__("squeeze_20", 20, 20, needs=needs)

    @staticmethod
    @kernel
    def step(bb_upper_20: float, bb_lower_20: float, top: float, bottom: float) -> float:
        return 1.0 if bb_upper_20 < top and bb_lower_20 > bottom else 0.0


class SinceSqueeze(Bands):
    """Bars since squeeze_20 was last 1: 0 within the squeeze, {most} where it is longer ago or never was.

    Source: Carter 2012, Mastering the Trade.
    """

    def __init__(self, most: int = 60) -> None:
        super().__init__("since_squeeze_20", 20, 20, own_units=[Unit.PURE])
        self.most = most

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, squeeze_20: float, most: int) -> float:
        since = 0.0 if squeeze_20 > 0.0 else min(s[own] + 1.0, float(most))
        s[own] = since if now.n >= 20 else most
        return s[own]


FEATURES: tuple[Feature, ...] = (
    StandardDeviation(),
    BollingerBand("upper", 2.0),
    BollingerBand("middle", 0.0),
    BollingerBand("lower", -2.0),
    ZScore(),
    PercentB(),
    BandWidth(),
    WidthPercentile(),
    TypicalSma(),
    TypicalEma(),
    MeanRange(),
    KeltnerBand("sma", "upper", 1.5),
    KeltnerBand("sma", "lower", -1.5),
    KeltnerBand("ema", "upper", 1.5),
    KeltnerBand("ema", "lower", -1.5),
    Squeeze(),
    SinceSqueeze(),
)
