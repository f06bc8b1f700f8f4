"""Every indicator against somebody else's numbers: published tables, talipp at every bar, ta once it has settled."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from robo_trader.features import kernels
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from tests.features.conftest import SHARED_GOLDEN, EveryDay, closes_of_minutes, random_bars

GOLDEN = Path(__file__).parents[1] / "golden"


def features_of(close, high=None, low=None, volume=None):
    high = close if high is None else np.maximum(high, close)
    low = close if low is None else np.minimum(low, close)
    volume = np.ones(len(close)) if volume is None else volume
    engine = FeatureEngine(EveryDay())
    bars = Bars(closes_of_minutes(len(close)), close, high, low, close, volume)
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))


def published(name):
    path = SHARED_GOLDEN / name
    if not path.exists():
        pytest.skip(f"the published table {name} is not beside this checkout (../shared/golden)")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {c: np.array([float(row[c] or "nan") for row in rows]) for c in rows[0] if c != "Date"}


def assert_from_the_seed(ours, theirs, tolerance):
    """Same first bar, and every bar within what the print keeps."""
    assert np.flatnonzero(~np.isnan(ours))[0] == np.flatnonzero(~np.isnan(theirs))[0]
    told = ~np.isnan(theirs)
    np.testing.assert_allclose(ours[told], theirs[told], atol=tolerance, rtol=0)


def rolling(function, first, n):
    return np.array([function(i) if i >= first else np.nan for i in range(n)])


def test_rsi_equals_the_stockcharts_worksheet():
    table = json.loads((GOLDEN / "19_rsi_stockcharts.json").read_text())["data"]
    ours = features_of(np.array(table["close"]))["rsi_14"]
    np.testing.assert_allclose(ours[14:], table["rsi14_from_index14"], atol=0.006)


def test_adx_equals_the_stockcharts_worksheet():
    table = published("19_adx14_stockcharts_qqq.csv")
    ours = features_of(table["Close"], table["High"], table["Low"])["adx_14"]
    assert ours[27] == pytest.approx(33.5833, abs=5e-5)
    assert_from_the_seed(ours, table["ADX 14"], 5e-5)


def test_atr_equals_the_published_table():
    table = published("19_atr14_wilder.csv")
    ours = features_of(table["Close"], table["High"], table["Low"])["atr_14"]
    assert_from_the_seed(ours, table["Average True Range 14"], 5e-6)


def test_bollinger_bands_equal_the_published_table():
    table = published("19_bollinger20_2.csv")
    top, bottom = (next(c for c in table if c.endswith(end)) for end in ("Top", "Bottom"))
    ours = features_of(table["Close"], table["High"], table["Low"])
    assert_from_the_seed(ours["bb_middle_20"], table["Moving Average 20"], 5e-5)
    assert_from_the_seed(ours["bb_upper_20"], table[top], 1e-4)
    assert_from_the_seed(ours["bb_lower_20"], table[bottom], 1e-4)
    assert_from_the_seed(100 * ours["bb_width_20"], table["BandWidth"], 2e-4)
    assert_from_the_seed(0.5 + ours["zscore_20"] / 4, table["%B"], 1e-4)


def test_williams_and_stochastic_equal_the_published_table():
    table = published("19_williams14.csv")
    ours = features_of(table["Close"], table["High"], table["Low"])
    assert_from_the_seed(ours["williams_r_14"], table["Williams %R 14"], 5e-4)
    assert_from_the_seed(ours["stoch_k_14"] - 100, table["Williams %R 14"], 5e-4)


def test_macd_rsi_and_obv_equal_the_published_table():
    table = published("19_sma_ema_macd_rsi.csv")
    volume = np.abs(np.diff(np.nan_to_num(table["OBV"]), prepend=0))
    ours = features_of(table["Close"], volume=volume)
    assert_from_the_seed(ours["macd"], table["MACD 12 26"], 2e-4)
    assert_from_the_seed(ours["rsi_14"], table["RSI 14 Wilder"], 5e-6)
    assert ours["obv"][1:].tolist() == table["OBV"][1:].tolist()


def test_means_of_other_periods_equal_the_published_table():
    table = published("19_sma_ema_macd_rsi.csv")
    close, average, averages = table["Close"], 0.0, []
    for n, value in enumerate(close, start=1):
        average = kernels.smooth(average, value, n, 14, 2 / 15)
        averages.append(average if n >= 14 else np.nan)
    assert_from_the_seed(np.array(averages), table["EMA14"], 0.006)
    means = rolling(lambda i: close[i] + kernels.excess(close, i, 0, 14, close[i]) / 14, 13, len(close))
    assert_from_the_seed(means, table["SMA14"], 0.006)


def test_commodity_channel_index_equals_the_published_table():
    table = published("19_cci14.csv")
    typical = (table["High"] + table["Low"] + table["Close"]) / 3
    ours = rolling(lambda i: kernels.channel_index(typical, i, 14), 13, len(typical))
    # The table rounds the typical price to 4 digits: 5e-5 / (0.015 x a deviation of about 1).
    assert_from_the_seed(ours, table["Commodity Channel Index (CCI) 14"], 4e-3)


def test_money_flow_index_equals_the_published_table():
    table = published("19_mfi20.csv")
    typical = (table["High"] + table["Low"] + table["Close"]) / 3
    pairs = zip(typical[1:], typical[:-1], table["Volume"][1:], strict=True)
    flow = np.array([0.0, *(kernels.money_flow(*pair) for pair in pairs)])
    ours = rolling(lambda i: kernels.money_flow_index(flow, i, 20), 20, len(flow))
    assert_from_the_seed(ours, table["Money Flow Index 20"], 1e-5)


def test_slow_stochastic_equals_the_published_table():
    table = published("19_stoch12_3_5.csv")
    high, low, close = table["High"], table["Low"], table["Close"]
    bottom = rolling(lambda i: kernels.lowest(low, i, 12), 11, len(close))
    top = rolling(lambda i: kernels.highest(high, i, 12), 11, len(close))
    fast = 100 * (close - bottom) / (top - bottom)
    slow = rolling(lambda i: fast[i - 2 : i + 1].mean(), 13, len(close))
    assert_from_the_seed(slow, table[next(c for c in table if "%K" in c)], 5e-4)
    assert_from_the_seed(rolling(lambda i: slow[i - 4 : i + 1].mean(), 17, len(close)), table["%D 5"], 5e-4)


def test_session_vwap_equals_the_published_day():
    table = published("26_spy_minute_20131007.csv")
    expected = json.loads((GOLDEN / "26_session_vwap.json").read_text())["data"]
    ours = features_of(table["c"], table["h"], table["l"], table["v"])["vwap"]
    assert ours[29] == pytest.approx(expected["vwap_typical_after_30"], abs=1e-9)
    assert ours[389] == pytest.approx(expected["vwap_typical"], abs=1e-9)


def talipp_columns(bars):
    """Return talipp's values of every indicator it shares with us, None where it is warming."""
    import talipp.indicators as t
    from talipp.ohlcv import OHLCV

    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    whole = [OHLCV(*row) for row in zip(*(x.tolist() for x in columns), strict=True)]
    closes, days = bars.close.tolist(), [whole[i : i + 390] for i in range(0, len(whole), 390)]
    macd, bands, stochastic = t.MACD(12, 26, 9, closes), t.BB(20, 2, closes), t.Stoch(14, 3, whole)
    means = {f"sma_{n}": t.SMA(n, closes) for n in (5, 10, 20, 50)}
    means |= {f"ema_{n}": t.EMA(n, closes) for n in (5, 10, 20, 50)}
    return means | {
        "macd": [v and v.macd for v in macd],
        "macd_signal": [v and v.signal for v in macd],
        "macd_hist": [v and v.histogram for v in macd],
        "adx_14": [v and v.adx for v in t.ADX(14, 14, whole)],
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
        # Ours starts at 0, theirs at the first volume; only differences mean anything.
        "obv": [v - bars.volume[0] for v in t.OBV(whole)],
        "vwap": [v for day in days for v in t.VWAP(day)],
        "volume_sma_20": t.SMA(20, bars.volume.tolist()),
    }


@pytest.fixture(scope="module")
def exact():
    """Bars in 64ths of a dollar, which floats hold exactly: whether two movements tie is then no matter of rounding."""
    return random_bars(1200, tick=1 / 64)


@pytest.fixture(scope="module")
def peer(exact):
    return talipp_columns(exact)


TALIPP = (
    *(f"{kind}_{n}" for kind in ("sma", "ema") for n in (5, 10, 20, 50)),
    *(
        "macd",
        "macd_signal",
        "macd_hist",
        "adx_14",
        "rsi_14",
        "stoch_k_14",
        "stoch_d_3",
        "williams_r_14",
        "roc_10",
    ),
    *(
        "cci_20",
        "atr_14",
        "bb_upper_20",
        "bb_middle_20",
        "bb_lower_20",
        "std_20",
        "obv",
        "vwap",
        "volume_sma_20",
    ),
)


@pytest.mark.parametrize("name", TALIPP)
def test_it_equals_talipp_at_every_bar(name, peer, exact):
    ours = features_of(exact.close, exact.high, exact.low, exact.volume)[name]
    theirs = np.array(list(peer[name]), dtype=float)
    assert np.isnan(theirs).tolist() == np.isnan(ours).tolist()
    np.testing.assert_allclose(ours, theirs, atol=1e-8, rtol=1e-10)


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


def test_wilder_averages_equal_ta_once_its_other_seed_is_forgotten():
    import pandas as pd
    from ta.momentum import rsi

    # Of the seed (13/14)^500 is left, less than 1e-16.
    bars = random_bars(1500)
    ours = features_of(bars.close, bars.high, bars.low, bars.volume)
    np.testing.assert_allclose(ours["rsi_14"][500:], rsi(pd.Series(bars.close), 14)[500:], atol=1e-8)


def test_equal_movements_up_and_down_are_no_direction():
    # Each bar reaches 3 cents above and below the one before; in floats the two differ in the last place.
    reach = 0.05 + 0.03 * np.arange(40)
    close = np.full(40, 10.0)
    assert set(features_of(close, close + reach, close - reach)["adx_14"][27:]) == {0.0}


def test_a_tie_of_typical_prices_is_no_money_flow():
    # Both thirds are 10.11, but their floats differ in the last place.
    tied = (10.12 + 10.10 + 10.11) / 3, (10.13 + 10.09 + 10.11) / 3
    assert kernels.money_flow(tied[0], tied[1], 500.0) == 0.0
    assert kernels.money_flow(10.12, 10.11, 500.0) == pytest.approx(5060.0)
    assert kernels.money_flow(10.10, 10.11, 500.0) == pytest.approx(-5050.0)
