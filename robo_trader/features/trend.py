"""Where the price is going: means, their crossings, and Wilder's directional movement."""

from __future__ import annotations

from itertools import pairwise

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import (
    CLOSES,
    HIGHS,
    LAST_HIGH,
    LAST_LOW,
    LOWS,
    TIE,
    Array,
    Now,
    excess,
    kernel,
    ratio,
    smooth,
)


class Trend(Feature):
    """A feature of this room."""

    group = Group.TREND


class Level(Trend):
    """A price or another number that wanders with the price: shown, and not for the models."""

    stationary = False
    model = False


class Sma(Level):
    """Mean of the last {period} closes.

    Source: StockCharts ChartSchool.
    """

    def __init__(self, period: int, within: int = 0) -> None:
        # Of the closes of a shorter mean only that mean is taken.
        super().__init__(f"sma_{period}", period, period, needs={"shorter": f"sma_{within}"})
        self.period, self.within = period, within
        if not within:
            self.shorter = 0.0

    @staticmethod
    @kernel
    def step(s: Array, now: Now, shorter: float, period: int, within: int) -> float:
        rest = excess(s, CLOSES + now.far, within, period, now.close)
        return now.close + (within * (shorter - now.close) + rest) / period


class Ema(Level):
    """Exponential mean of closes, 2/({period} + 1), from the mean of the first {period}.

    Source: StockCharts ChartSchool.
    """

    def __init__(self, period: int) -> None:
        super().__init__(f"ema_{period}", period, period, own_units=[Unit.PRICE])
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        s[own] = mean = smooth(s[own], now.close, now.n, period, 2.0 / (period + 1.0))
        return mean


class Macd(Level):
    """ema_{fast} - ema_{slow}.

    Source: Appel 2005, Technical Analysis: Power Tools.
    """

    def __init__(self, fast: int = 12, slow: int = 26) -> None:
        super().__init__("macd", slow, slow, needs={"quick": f"ema_{fast}", "calm": f"ema_{slow}"})
        self.fast, self.slow = fast, slow

    @staticmethod
    @kernel
    def step(quick: float, calm: float) -> float:
        return quick - calm


class MacdSignal(Level):
    """Exponential mean of macd, 2/({period} + 1), from the mean of its first {period}.

    Source: Appel 2005, Technical Analysis: Power Tools.
    """

    def __init__(self, period: int = 9, slow: int = 26) -> None:
        super().__init__("macd_signal", slow + period - 1, slow + period - 1, own_units=[Unit.PRICE])
        self.period, self.slow = period, slow

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, macd: float, period: int, slow: int) -> float:
        s[own] = mean = smooth(s[own], macd, now.n - slow + 1, period, 2.0 / (period + 1.0))
        return mean


class MacdHistogram(Level):
    """macd - macd_signal.

    Source: Appel 2005, Technical Analysis: Power Tools.
    """

    def __init__(self) -> None:
        super().__init__("macd_hist", 34, 34)

    @staticmethod
    @kernel
    def step(macd: float, macd_signal: float) -> float:
        return macd - macd_signal


class Directional(Trend):
    """100 times Wilder's mean of the {side} movement over that of the true range, {period} bars; 0 where nothing moved.

    Of the two movements of a bar the larger counts, of two equal ones neither.

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
    """

    model = False

    def __init__(self, side: str, period: int = 14) -> None:
        super().__init__(f"{side}_di_{period}", period, period + 1, own_units=[Unit.PRICE] * 2)
        self.side, self.up, self.period = side, side == "plus", period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, up: bool, period: int) -> float:
        rise, fall = now.high - s[LAST_HIGH], s[LAST_LOW] - now.low
        mine, other = (rise, fall) if up else (fall, rise)
        moved = mine if mine > max(other, 0.0) + TIE * now.high else 0.0
        s[own] = smooth(s[own], moved, now.n - 1, period, 1.0 / period)
        s[own + 1] = smooth(s[own + 1], now.true_range, now.n - 1, period, 1.0 / period)
        return ratio(100.0 * s[own], s[own + 1], 0.0)


class Adx(Trend):
    """Wilder's mean over {period} bars of 100 |+DI - -DI| / (+DI + -DI).

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
    """

    def __init__(self, period: int = 14) -> None:
        needs = {"plus": f"plus_di_{period}", "minus": f"minus_di_{period}"}
        super().__init__(f"adx_{period}", period, 2 * period, own_units=[Unit.PURE], needs=needs)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, plus: float, minus: float, period: int) -> float:
        dx = ratio(100.0 * abs(plus - minus), plus + minus, 0.0)
        s[own] = mean = smooth(s[own], dx, now.n - period, period, 1.0 / period)
        return mean


class DirectionalSpread(Trend):
    """plus_di_{period} - minus_di_{period}.

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
    """

    def __init__(self, period: int = 14) -> None:
        needs = {"plus": f"plus_di_{period}", "minus": f"minus_di_{period}"}
        super().__init__(f"di_spread_{period}", period, period + 1, needs=needs)
        self.period = period

    @staticmethod
    @kernel
    def step(plus: float, minus: float) -> float:
        return plus - minus


@kernel
def _bar_of_extreme(s: Array, own: int, newest: int, n: int, period: int, sign: float) -> float:
    """Return which bar the highest (`sign` 1) or lowest (-1) of the last `period` is, and keep it and its value in `own`.

    The window is only searched when the extreme has left it.
    """
    value, top = sign * s[newest], sign * s[own]
    fresh = n == 1 or value >= top
    top = value if fresh else top
    bar: float = n if fresh else s[own + 1]
    if n - bar >= period:
        top, bar = value, n
        for i in range(1, period):
            value = sign * s[newest - i]
            bar = n - i if value > top else bar
            top = max(top, value)
    s[own], s[own + 1] = sign * top, bar
    return bar


class Aroon(Trend):
    """100 / {period} times the bars from the lowest low to the highest high of this bar and the {period} before it.

    Of equal highs or lows the newest counts.

    Source: Chande 1995, TASC 13:9; with TA-Lib's window, one bar longer than the period.
    """

    def __init__(self, period: int = 25) -> None:
        units = [Unit.PRICE, Unit.PURE] * 2
        super().__init__(f"aroon_{period}", period, period + 1, own_units=units)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, period: int) -> float:
        top = _bar_of_extreme(s, own, HIGHS + now.at, now.n, period + 1, 1.0)
        bottom = _bar_of_extreme(s, own + 2, LOWS + now.at, now.n, period + 1, -1.0)
        return 100.0 * (top - bottom) / period


class TrendStrength(Trend):
    """Correlation of the last {period} closes with time, -1 to 1; 0 where nothing moved.

    It orders bars as the t-value of the closes' slope does, which has no bound on a straight line; and unlike the sign
    of the DI times the ADX it is no product of other columns.

    Source: Pearson 1895, Proceedings of the Royal Society 58.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"trend_strength_{period}", period, period, needs={"spread": f"std_{period}"})
        self.period = period
        self.scale = period * ((period * period - 1) / 12) ** 0.5

    @staticmethod
    @kernel
    def step(s: Array, now: Now, spread: float, period: int, scale: float) -> float:
        newest, oldest = CLOSES + now.far, CLOSES + now.far - period + 1
        outer = inner = 0.0
        for i in range(period // 4):
            outer += (0.5 * (period - 1) - i) * (s[newest - i] - s[oldest + i])
        for i in range(period // 4, period // 2):
            inner += (0.5 * (period - 1) - i) * (s[newest - i] - s[oldest + i])
        return min(max(ratio(outer + inner, scale * spread, 0.0), -1.0), 1.0)


class EmaSpread(Trend):
    """(ema_{fast} - ema_{slow}) / atr_14.

    Source: scaled for the models.
    """

    def __init__(self, fast: int, slow: int) -> None:
        needs = {"quick": f"ema_{fast}", "calm": f"ema_{slow}"}
        super().__init__(f"ema_spread_{fast}_{slow}", slow, slow, needs=needs)
        self.fast, self.slow = fast, slow

    @staticmethod
    @kernel
    def step(quick: float, calm: float, atr_14: float) -> float:
        return ratio(quick - calm, atr_14, 0.0)


class Distance(Trend):
    """(close - {mean}) / atr_14.

    Source: scaled for the models.
    """

    def __init__(self, mean: str, period: int) -> None:
        longest = max(period, 14)
        super().__init__(f"close_vs_{mean}", longest, longest, needs={"level": mean})
        self.mean = mean

    @staticmethod
    @kernel
    def step(now: Now, level: float, atr_14: float) -> float:
        return ratio(now.close - level, atr_14, 0.0)


class InRanges(Trend):
    """{what} / atr_14.

    Source: scaled for the models.
    """

    def __init__(self, what: str, lookback: int) -> None:
        super().__init__(f"{what}_atr", lookback, lookback, needs={"value": what})
        self.what = what

    @staticmethod
    @kernel
    def step(value: float, atr_14: float) -> float:
        return ratio(value, atr_14, 0.0)


SPANS = (5, 10, 20, 50)

FEATURES: tuple[Feature, ...] = (
    *(Sma(period, within) for within, period in pairwise((0, *SPANS, 100, 200))),
    *(Ema(period) for period in (*SPANS, 12, 26, 60, 100, 200)),
    Macd(),
    MacdSignal(),
    MacdHistogram(),
    Directional("plus"),
    Directional("minus"),
    Adx(),
    *(Distance(f"{kind}_{period}", period) for kind in ("sma", "ema") for period in SPANS),
    InRanges("macd", 26),
    InRanges("macd_hist", 34),
    *(EmaSpread(fast, slow) for fast, slow in ((5, 20), (20, 60), (60, 200))),
    DirectionalSpread(),
    Aroon(),
    TrendStrength(),
)
