"""How fast the price goes: returns in sigmas, and the oscillators."""

from __future__ import annotations

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    CLOSES,
    HIGHS,
    LOGS,
    LOWS,
    TIE,
    TYPICALS,
    Array,
    Now,
    excess,
    highest,
    kernel,
    lowest,
    ratio,
    smooth,
)


class Momentum(Feature):
    """A feature of this room."""

    group = Group.MOMENTUM


@kernel
def _strength(s: Array, own: int, now: Now, period: int) -> float:
    s[own] = smooth(s[own], max(now.change, 0.0), now.n - 1, period, 1.0 / period)
    s[own + 1] = smooth(s[own + 1], max(-now.change, 0.0), now.n - 1, period, 1.0 / period)
    return ratio(100.0 * s[own], s[own] + s[own + 1], 50.0)


class Rsi(Momentum):
    """100 G / (G + L), Wilder's means over {period} bars of gains and losses; 50 where nothing moved.

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
    """

    def __init__(self, period: int = 14) -> None:
        super().__init__(f"rsi_{period}", period, period + 1, own_units=[Unit.PRICE] * 2)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        return _strength(s, own, now, period)


class CentredRsi(Momentum):
    """(RSI - 50) / 50, from -1 to 1, Wilder's means over {period} bars; 0 where nothing moved.

    Source: Connors and Alvarez 2009, Short Term Trading Strategies That Work; Wilder 1978 for the RSI.
    """

    def __init__(self, period: int = 2) -> None:
        super().__init__(f"rsi_{period}_centred", period, period + 1, own_units=[Unit.PRICE] * 2)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        return (_strength(s, own, now, period) - 50.0) / 50.0


class StochasticK(Momentum):
    """100 (close - low_{period}) / (high_{period} - low_{period}); 50 where nothing moved.

    Source: Lane 1984, TASC 2:3.
    """

    def __init__(self, period: int = 14) -> None:
        super().__init__(f"stoch_k_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        low = lowest(s, LOWS + now.at, period)
        return ratio(100.0 * (now.close - low), highest(s, HIGHS + now.at, period) - low, 50.0)


class StochasticD(Momentum):
    """Mean of the last 3 stoch_k_14.

    Source: Lane 1984, TASC 2:3.
    """

    def __init__(self) -> None:
        super().__init__("stoch_d_3", 16, 16, own_units=[Unit.PURE] * 2)

    @staticmethod
    @kernel
    def step(s: Array, own: int, stoch_k_14: float) -> float:
        mean: float = (stoch_k_14 + s[own] + s[own + 1]) / 3.0
        s[own + 1] = s[own]
        s[own] = stoch_k_14
        return mean


class WilliamsR(Momentum):
    """stoch_k_14 - 100; the models see stoch_k_14 already.

    Source: Williams 1979, How I Made One Million Dollars.
    """

    model = False

    def __init__(self) -> None:
        super().__init__("williams_r_14", 14, 14)

    @staticmethod
    @kernel
    def step(stoch_k_14: float) -> float:
        return stoch_k_14 - 100.0


class RateOfChange(Momentum):
    """100 (close / close_{period}_ago - 1); the models see it as log_ret_{period} already.

    Source: StockCharts ChartSchool.
    """

    model = False

    def __init__(self, period: int = 10) -> None:
        super().__init__(f"roc_{period}", period, period + 1)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        growth: float = now.close / s[CLOSES + now.far - period]
        return 100.0 * (growth - 1.0)


class Cci(Momentum):
    """(typical - mean) / (0.015 mean |typical - mean|) over {period} bars; 0 where nothing moved.

    Source: Lambert 1980, Commodities magazine.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"cci_{period}", period, period)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, now: Now, period: int) -> float:
        newest = TYPICALS + now.at
        mean = excess(s, newest, 0, period, now.typical) / period
        total = 0.0
        for i in range(period):
            total += abs(s[newest - i] - now.typical - mean)
        return -mean / (0.015 * total / period) if total > TIE * now.typical * period else 0.0


class ReturnInSigmas(Momentum):
    """ln(close / close_{period}_ago) / (sigma_20 sqrt({period})), between -8 and 8: beyond it the size says no more.

    Source: scaled for the models.
    """

    def __init__(self, period: int) -> None:
        longest = max(period, 20)
        super().__init__(f"ret_{period}", longest, longest + 1, needs={"sigma": "sigma_20"})
        self.period = period
        self.root = period**0.5

    @staticmethod
    @kernel
    def step(s: Array, now: Now, sigma: float, period: int, root: float) -> float:
        newest = LOGS + now.far
        units = ratio(s[newest] - s[newest - period], sigma * root, 0.0)
        return min(max(units, -8.0), 8.0)


class MeanReversion(Momentum):
    """1 where zscore_20 < -2 and rsi_14 < 30, -1 where zscore_20 > 2 and rsi_14 > 70, else 0: which way is back.

    Source: Bollinger 2001, Bollinger on Bollinger Bands, for the bands; Wilder 1978 for the extremes of the RSI.
    """

    def __init__(self) -> None:
        super().__init__("mean_reversion_20", 20, 20)

    @staticmethod
    @kernel
    def step(zscore_20: float, rsi_14: float) -> float:
        if zscore_20 < -2.0 and rsi_14 < 30.0:
            return 1.0
        return -1.0 if zscore_20 > 2.0 and rsi_14 > 70.0 else 0.0


FEATURES: tuple[Feature, ...] = (
    Rsi(),
    CentredRsi(),
    StochasticK(),
    StochasticD(),
    WilliamsR(),
    RateOfChange(),
    Cci(),
    *(ReturnInSigmas(period) for period in (1, 5, 15, 20, 30, 60)),
    MeanReversion(),
)
