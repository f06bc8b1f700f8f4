"""The catalogue: every feature by name, in the order of the vector.

Conventions are StockCharts' and Wilder's: an exponential average starts as the mean of its first n values, Wilder's
averages weigh 1/n, Bollinger bands use the population deviation, VWAP starts anew each session.
Where a formula would divide nothing by nothing, its neutral value stands: RSI, %K and MFI 50, %R -50, volume rate 1,
bar range in ATRs 1, all others 0; VWAP is the typical price until the session's first share trades.

>>> [f.name for f in CATALOGUE if f.group is Group.MOMENTUM]
['rsi_14', 'stoch_k_14', 'stoch_d_3', 'williams_r_14', 'roc_10', 'cci_20']
>>> next((f.formula, f.warmup) for f in CATALOGUE if f.name == "adx_14")
('Wilder mean of 100 |+DI - -DI| / (+DI + -DI)', 28)
"""

from __future__ import annotations

from robo_trader.features.base import Feature, Group

APPEL = "Appel 2005, Technical Analysis: Power Tools"
BOLLINGER = "Bollinger 2001, Bollinger on Bollinger Bands"
GRANVILLE = "Granville 1963, New Key to Stock Market Profits"
LAMBERT = "Lambert 1980, Commodities magazine"
LANE = "Lane 1984, TASC 2:3"
OWN = "scaled for the models"
STOCKCHARTS = "StockCharts ChartSchool"
WILDER = "Wilder 1978, New Concepts in Technical Trading Systems"
WILLIAMS = "Williams 1979, How I Made One Million Dollars"

SPANS = (5, 10, 20, 50)
TREND, MOMENTUM, VOLATILITY, VOLUME, MODEL = (
    Group.TREND,
    Group.MOMENTUM,
    Group.VOLATILITY,
    Group.VOLUME,
    Group.MODEL,
)


def _level(name: str, group: Group, lookback: int, warmup: int, formula: str, source: str) -> Feature:
    return Feature(name, group, lookback, warmup, False, False, formula, source)


def _input(name: str, group: Group, lookback: int, warmup: int, formula: str, source: str) -> Feature:
    return Feature(name, group, lookback, warmup, True, True, formula, source)


CATALOGUE: tuple[Feature, ...] = (
    *(_level(f"sma_{n}", TREND, n, n, f"mean of {n} closes", STOCKCHARTS) for n in SPANS),
    *(_level(f"ema_{n}", TREND, n, n, f"exponential mean of closes, 2/{n + 1}", STOCKCHARTS) for n in SPANS),
    _level("macd", TREND, 26, 26, "ema_12 - ema_26", APPEL),
    _level("macd_signal", TREND, 34, 34, "exponential mean of macd, 2/10", APPEL),
    _level("macd_hist", TREND, 34, 34, "macd - macd_signal", APPEL),
    _input("adx_14", TREND, 14, 28, "Wilder mean of 100 |+DI - -DI| / (+DI + -DI)", WILDER),
    _input("rsi_14", MOMENTUM, 14, 15, "100 G / (G + L), Wilder means of gains and losses", WILDER),
    _input("stoch_k_14", MOMENTUM, 14, 14, "100 (close - low_14) / (high_14 - low_14)", LANE),
    _input("stoch_d_3", MOMENTUM, 16, 16, "mean of 3 stoch_k_14", LANE),
    # Stationary, but the models see stoch_k_14 already.
    Feature("williams_r_14", MOMENTUM, 14, 14, True, False, "stoch_k_14 - 100", WILLIAMS),
    _input("roc_10", MOMENTUM, 10, 11, "100 (close / close_10_ago - 1)", STOCKCHARTS),
    _input("cci_20", MOMENTUM, 20, 20, "(typical - mean) / (0.015 mean |typical - mean|)", LAMBERT),
    _level("atr_14", VOLATILITY, 14, 14, "Wilder mean of the true range, the first high - low", WILDER),
    _level("bb_upper_20", VOLATILITY, 20, 20, "sma_20 + 2 std_20", BOLLINGER),
    _level("bb_middle_20", VOLATILITY, 20, 20, "sma_20", BOLLINGER),
    _level("bb_lower_20", VOLATILITY, 20, 20, "sma_20 - 2 std_20", BOLLINGER),
    _level("std_20", VOLATILITY, 20, 20, "population deviation of 20 closes", BOLLINGER),
    _level(
        "hist_vol_20",
        VOLATILITY,
        20,
        21,
        "sample deviation of 20 log returns, per year of 252 sessions",
        STOCKCHARTS,
    ),
    _level("obv", VOLUME, 0, 1, "sum of volume signed by the change of the close, from 0", GRANVILLE),
    _level("vwap", VOLUME, 0, 1, "typical price weighted by volume, this session", STOCKCHARTS),
    _input("mfi_14", VOLUME, 14, 15, "100 P / (P + N), sums of typical x volume by its sign", STOCKCHARTS),
    _level("volume_sma_20", VOLUME, 20, 20, "mean of 20 volumes", STOCKCHARTS),
    _input("volume_rate_20", VOLUME, 20, 20, "volume / volume_sma_20", STOCKCHARTS),
    *(
        _input(
            f"ret_{n}",
            MODEL,
            max(n, 20),
            max(n, 20) + 1,
            f"ln(close / close_{n}_ago) / (sigma_20 sqrt({n})), |x| <= 8",
            OWN,
        )
        for n in (1, 5, 15, 30)
    ),
    *(
        _input(f"close_vs_sma_{n}", MODEL, max(n, 14), max(n, 14), f"(close - sma_{n}) / atr_14", OWN)
        for n in SPANS
    ),
    *(
        _input(f"close_vs_ema_{n}", MODEL, max(n, 14), max(n, 14), f"(close - ema_{n}) / atr_14", OWN)
        for n in SPANS
    ),
    _input("zscore_20", MODEL, 20, 20, "(close - sma_20) / std_20", BOLLINGER),
    _input("bb_width_20", MODEL, 20, 20, "4 std_20 / sma_20", BOLLINGER),
    _input("macd_atr", MODEL, 26, 26, "macd / atr_14", OWN),
    _input("macd_hist_atr", MODEL, 34, 34, "macd_hist / atr_14", OWN),
    _input("atr_close_14", MODEL, 14, 14, "atr_14 / close", OWN),
    _input("obv_change_20", MODEL, 20, 21, "change of obv in 20 bars / their volume", OWN),
    _input("vwap_distance", MODEL, 14, 14, "(close - vwap) / atr_14", OWN),
    _input("open_distance", MODEL, 14, 14, "(close - the session's open) / atr_14", OWN),
    _input("close_location", MODEL, 1, 1, "((close - low) - (high - close)) / (high - low)", OWN),
    _input("range_atr", MODEL, 14, 14, "(high - low) / atr_14", OWN),
    _input("session_sin", MODEL, 0, 1, "sin(pi x), x the part of the session gone", OWN),
    _input("session_cos", MODEL, 0, 1, "cos(pi x), x the part of the session gone", OWN),
)

NAMES = tuple(feature.name for feature in CATALOGUE)
MODEL_NAMES = tuple(feature.name for feature in CATALOGUE if feature.model)
WARMUP = max(feature.warmup for feature in CATALOGUE)
