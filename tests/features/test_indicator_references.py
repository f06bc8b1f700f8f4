"""Every indicator against somebody else's program: talipp at every bar, TA-Lib and ta once their other seed is forgotten."""

import numpy as np
import pytest

from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from tests.features.conftest import features_of, random_bars

MEANS = (5, 10, 20, 50, 100, 200)
LOOKBACK = {feature.name: feature.lookback for feature in CATALOGUE}


def ours_of(bars):
    return features_of(bars.close, bars.high, bars.low, bars.volume)


@pytest.fixture(scope="module")
def exact():
    """Bars in 64ths of a dollar, which floats hold exactly: whether two movements tie is then no matter of rounding."""
    return random_bars(2600, tick=1 / 64)


@pytest.fixture(scope="module")
def ours(exact):
    return ours_of(exact)


def talipp_columns(bars):
    """Return talipp's values of every indicator it shares with us, None where it is warming."""
    import talipp.indicators as t
    from talipp.ohlcv import OHLCV

    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    whole = [OHLCV(*row) for row in zip(*(x.tolist() for x in columns), strict=True)]
    closes, days = bars.close.tolist(), [whole[i : i + 390] for i in range(0, len(whole), 390)]
    macd, bands, stochastic = t.MACD(12, 26, 9, closes), t.BB(20, 2, closes), t.Stoch(14, 3, whole)
    typicals = ((bars.high + bars.low + bars.close) / 3).tolist()
    adx, channel = t.ADX(14, 14, whole), t.DonchianChannels(20, whole)
    means = {f"sma_{n}": t.SMA(n, closes) for n in MEANS}
    means |= {f"ema_{n}": t.EMA(n, closes) for n in MEANS}
    return means | {
        "macd": [v and v.macd for v in macd],
        "macd_signal": [v and v.signal for v in macd],
        "macd_hist": [v and v.histogram for v in macd],
        "adx_14": [v and v.adx for v in adx],
        "plus_di_14": [v and v.plus_di for v in adx],
        "minus_di_14": [v and v.minus_di for v in adx],
        "rsi_14": t.RSI(14, closes),
        "stoch_k_14": [v and v.k for v in stochastic],
        "stoch_d_3": [v and v.d for v in stochastic],
        "williams_r_14": t.Williams(14, whole),
        "roc_10": t.ROC(10, closes),
        "cci_20": t.CCI(20, whole),
        "atr_14": t.ATR(14, whole),
        "bb_upper_20": [v and v.ub for v in bands],
        "bb_middle_20": [v and v.cb for v in bands],
        "bb_lower_20": [v and v.lb for v in bands],
        "std_20": t.StdDev(20, closes),
        "donchian_upper_20": [v and v.ub for v in channel],
        "donchian_lower_20": [v and v.lb for v in channel],
        # Ours starts at 0, theirs at the first volume; only differences mean anything.
        "obv": [v - bars.volume[0] for v in t.OBV(whole)],
        # Before the first share of a session it says nothing, we the typical price.
        "vwap": [
            typical if v is None else v
            for v, typical in zip((v for day in days for v in t.VWAP(day)), typicals, strict=True)
        ],
        "volume_sma_20": t.SMA(20, bars.volume.tolist()),
    }


@pytest.fixture(scope="module")
def peer(exact):
    return talipp_columns(exact)


TALIPP = (
    *(f"{kind}_{n}" for kind in ("sma", "ema") for n in MEANS),
    *("macd", "macd_signal", "macd_hist", "adx_14", "plus_di_14", "minus_di_14", "rsi_14", "stoch_k_14"),
    *(
        "stoch_d_3",
        "williams_r_14",
        "roc_10",
        "cci_20",
        "atr_14",
        "bb_upper_20",
        "bb_middle_20",
        "bb_lower_20",
    ),
    *("std_20", "donchian_upper_20", "donchian_lower_20", "obv", "vwap", "volume_sma_20"),
)


@pytest.mark.parametrize("name", [name for name in TALIPP if name in NAMES])
def test_it_equals_talipp_at_every_bar(name, peer, ours):
    theirs = np.array(list(peer[name]), dtype=float)
    assert np.isnan(theirs).tolist() == np.isnan(ours[name]).tolist()
    settled = 20 * 14 if name in OTHER_RANGE else 0
    np.testing.assert_allclose(
        ours[name][settled:], theirs[settled:], atol=1e-6 if settled else 1e-8, rtol=1e-10
    )


# talipp's mean of the true range begins with bar 1, StockCharts' (golden 19) and ours with bar 2; adx_14 divides it away.
OTHER_RANGE = ("plus_di_14", "minus_di_14")


def talib_columns(bars):
    """Return TA-Lib's values of every indicator it shares with us, NaN where it is warming."""
    talib = pytest.importorskip(
        "talib", reason="TA-Lib is with the benchmarks' extra: pip install 'robo-trader[bench]'"
    )
    high, low, close, volume = bars.high, bars.low, bars.close, bars.volume
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    fast_k, fast_d = talib.STOCHF(high, low, close, 14, 3)
    means = {f"sma_{n}": talib.SMA(close, n) for n in MEANS} | {
        f"ema_{n}": talib.EMA(close, n) for n in MEANS
    }
    return means | {
        "macd": macd,
        "macd_signal": signal,
        "macd_hist": histogram,
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        "aroon_25": talib.AROONOSC(high, low, 25),
        "rsi_14": talib.RSI(close, 14),
        "rsi_2_centred": (talib.RSI(close, 2) - 50) / 50,
        "stoch_k_14": fast_k,
        "stoch_d_3": fast_d,
        "williams_r_14": talib.WILLR(high, low, close, 14),
        "roc_10": talib.ROC(close, 10),
        "cci_20": talib.CCI(high, low, close, 20),
        "mfi_14": talib.MFI(high, low, close, volume, 14),
        "atr_14": talib.ATR(high, low, close, 14),
        "std_20": talib.STDDEV(close, 20),
        "bb_upper_20": upper,
        "bb_middle_20": middle,
        "bb_lower_20": lower,
        "donchian_upper_20": talib.MAX(high, 20),
        "donchian_lower_20": talib.MIN(low, 20),
        "obv": talib.OBV(close, volume) - volume[0],
        "volume_sma_20": talib.SMA(volume, 20),
    }


# Where TA-Lib goes another way in the first bars, and by which convention; after ten periods nothing of it is left, after
# twenty where a mean is Wilder's (of its seed (13/14)^140 would be left, 3e-5) and forty where one is of another.
OTHER_SEED = {
    "macd": "it begins both means at bar 26, we each at its own",
    "macd_signal": "as macd",
    "macd_hist": "as macd",
    "atr_14": "its first true range is of bar 2, ours high - low of bar 1",
    "adx_14": "its first sums are of 13 bars",
    "plus_di_14": "as adx_14",
    "minus_di_14": "as adx_14",
}
PERIODS = {"plus_di_14": 20, "minus_di_14": 20, "adx_14": 40}
TALIB = (*(name for name in TALIPP if name != "vwap"), "aroon_25", "rsi_2_centred", "mfi_14")


@pytest.fixture(scope="module")
def library(exact):
    return talib_columns(exact)


@pytest.mark.parametrize("name", [name for name in TALIB if name in NAMES])
def test_it_equals_ta_lib_after_ten_periods(name, library, ours):
    theirs = library[name]
    settled = (
        PERIODS.get(name, 10) * LOOKBACK[name] if name in OTHER_SEED else np.flatnonzero(~np.isnan(theirs))[0]
    )
    assert len(theirs) - settled > 500
    np.testing.assert_allclose(ours[name][settled:], theirs[settled:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", OTHER_SEED)
def test_ta_lib_has_another_seed_where_we_say_so(name, library, ours):
    theirs = library[name]
    first = np.flatnonzero(~np.isnan(theirs) & ~np.isnan(ours[name]))[0]
    assert abs(ours[name][first] - theirs[first]) > 1e-4


def test_money_flow_index_equals_ta_where_no_typical_price_ties(bars, matrix):
    import pandas as pd
    from ta.volume import money_flow_index

    typical = (bars.high + bars.low + bars.close) / 3
    tied = np.abs(np.diff(typical, prepend=0)) < 1e-9
    free = np.convolve(tied, np.ones(14))[: len(tied)] == 0
    free[:14] = False
    columns = (pd.Series(x) for x in (bars.high, bars.low, bars.close, bars.volume))
    theirs = money_flow_index(*columns, window=14).to_numpy()
    assert free.sum() > 100
    np.testing.assert_allclose(matrix["mfi_14"][free], theirs[free], atol=1e-8)


def ta_columns(bars):
    """Return what only ta knows besides us, NaN where it is warming."""
    import pandas as pd
    from ta.momentum import stoch, williams_r
    from ta.volatility import bollinger_pband, donchian_channel_pband
    from ta.volume import chaikin_money_flow

    high, low, close, volume = (pd.Series(x) for x in (bars.high, bars.low, bars.close, bars.volume))
    return {
        "cmf_20": chaikin_money_flow(high, low, close, volume, 20),
        "percent_b_20": bollinger_pband(close, 20, 2),
        "donchian_20": donchian_channel_pband(high, low, close, 20),
        "stoch_k_14": stoch(high, low, close, 14),
        "williams_r_14": williams_r(high, low, close, 14),
    }


@pytest.mark.parametrize("name", ["cmf_20", "percent_b_20", "donchian_20", "stoch_k_14", "williams_r_14"])
def test_it_equals_ta(name, exact, ours):
    if name not in NAMES:
        pytest.skip(f"this catalogue has no {name}")
    theirs = ta_columns(exact)[name].to_numpy()
    told = ~np.isnan(theirs)
    assert told.sum() > 2500
    np.testing.assert_allclose(ours[name][told], theirs[told], atol=1e-8)


def test_wilder_averages_equal_ta_once_its_other_seed_is_forgotten():
    import pandas as pd
    from ta.momentum import rsi

    # Of the seed (13/14)^500 is left, less than 1e-16.
    bars = random_bars(1500)
    ours = ours_of(bars)
    np.testing.assert_allclose(ours["rsi_14"][500:], rsi(pd.Series(bars.close), 14)[500:], atol=1e-8)


def test_equal_movements_up_and_down_are_no_direction():
    # Each bar reaches 3 cents above and below the one before; in floats the two differ in the last place.
    reach = 0.05 + 0.03 * np.arange(40)
    close = np.full(40, 10.0)
    assert set(features_of(close, close + reach, close - reach)["adx_14"][27:]) == {0.0}


def test_a_tie_of_typical_prices_is_no_money_flow():
    # All thirds are 10.11, but their floats differ in the last place.
    tied = np.array([(10.13, 10.07, 10.13), (10.12, 10.10, 10.11)] * 15)
    high, low, close = tied.T
    assert len(set(((high + low + close) / 3).tolist())) == 2
    assert set(features_of(close, high, low, np.full(30, 500.0))["mfi_14"][14:]) == {50.0}
