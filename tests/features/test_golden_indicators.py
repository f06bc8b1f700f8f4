"""Every indicator of a published table, from its first number, at the precision of the print."""

import csv
import json

import numpy as np
import pytest

from robo_trader.features.momentum import Cci, StochasticK
from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from robo_trader.features.trend import Ema, Sma
from robo_trader.features.volume import Mfi
from tests.features.conftest import GOLDEN, SHARED_GOLDEN, features_of, random_bars
from tests.features.interpreted import interpreted


def published(name):
    path = GOLDEN / name if (GOLDEN / name).exists() else SHARED_GOLDEN / name
    if not path.exists():
        pytest.skip(f"the published table {name} is not beside this checkout (../shared/golden)")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {c: np.array([float(row[c] or "nan") for row in rows]) for c in rows[0] if c != "Date"}


def of(table, *features):
    """Return our columns of a table's bars: of the catalogue, or of these features of ours with other periods."""
    high, low = table.get("High"), table.get("Low")
    if not features:
        return features_of(table["Close"], high, low, table.get("Volume"))
    with interpreted(features):
        return features_of(table["Close"], high, low, table.get("Volume"))


def column(table, words):
    return table[next(c for c in table if words in c)]


def assert_from_the_seed(ours, theirs, tolerance):
    """Same first bar, and every bar within what the print keeps."""
    assert np.flatnonzero(~np.isnan(ours))[0] == np.flatnonzero(~np.isnan(theirs))[0]
    told = ~np.isnan(theirs)
    np.testing.assert_allclose(ours[told], theirs[told], atol=tolerance, rtol=0)


def mean_of_last(n, x):
    """Return the mean of n values, NaN as long as one of them is."""
    padded = np.concatenate((np.full(n - 1, np.nan), x))
    return np.lib.stride_tricks.sliding_window_view(padded, n).mean(axis=1)


def test_rsi_equals_the_stockcharts_worksheet():
    table = json.loads((GOLDEN / "19_rsi_stockcharts.json").read_text())["data"]
    ours = features_of(np.array(table["close"]))["rsi_14"]
    np.testing.assert_allclose(ours[14:], table["rsi14_from_index14"], atol=0.006)


def test_adx_equals_the_stockcharts_worksheet():
    table = published("19_adx14_stockcharts_qqq.csv")
    ours = of(table)
    assert ours["adx_14"][27] == pytest.approx(33.5833, abs=5e-5)
    assert_from_the_seed(ours["adx_14"], table["ADX 14"], 5e-5)
    assert_from_the_seed(ours["plus_di_14"], table["+DI14"], 5e-5)
    assert_from_the_seed(ours["minus_di_14"], table["-DI14"], 5e-5)


def test_atr_equals_the_published_table():
    table = published("19_atr14_wilder.csv")
    assert_from_the_seed(of(table)["atr_14"], table["Average True Range 14"], 5e-6)


def test_bollinger_bands_equal_the_published_table():
    table = published("19_bollinger20_2.csv")
    ours = of(table)
    assert_from_the_seed(ours["bb_middle_20"], table["Moving Average 20"], 5e-5)
    assert_from_the_seed(ours["bb_upper_20"], column(table, "Top"), 1e-4)
    assert_from_the_seed(ours["bb_lower_20"], column(table, "Bottom"), 1e-4)
    assert_from_the_seed(100 * ours["bb_width_20"], table["BandWidth"], 2e-4)
    assert_from_the_seed(0.5 + ours["zscore_20"] / 4, table["%B"], 1e-4)


@pytest.mark.skipif("keltner_sma_upper_20" not in NAMES, reason="this catalogue has no Keltner channel")
def test_keltner_channels_equal_the_published_table():
    table = published("19_keltner20_1_5.csv")
    ours = of(table)
    assert_from_the_seed(ours["typical_sma_20"], table["Middle Band"], 1e-4)
    assert_from_the_seed(ours["keltner_sma_upper_20"], column(table, "Top"), 1e-4)
    assert_from_the_seed(ours["keltner_sma_lower_20"], column(table, "Bottom"), 1e-4)


def test_williams_and_stochastic_equal_the_published_table():
    table = published("19_williams14.csv")
    ours = of(table)
    assert_from_the_seed(ours["williams_r_14"], table["Williams %R 14"], 5e-4)
    assert_from_the_seed(ours["stoch_k_14"] - 100, table["Williams %R 14"], 5e-4)


def test_macd_rsi_and_obv_equal_the_published_table():
    table = published("19_sma_ema_macd_rsi.csv")
    table["Volume"] = np.abs(np.diff(np.nan_to_num(table["OBV"]), prepend=0))
    ours = of(table)
    assert_from_the_seed(ours["macd"], table["MACD 12 26"], 2e-4)
    assert_from_the_seed(ours["rsi_14"], table["RSI 14 Wilder"], 5e-6)
    assert ours["obv"][1:].tolist() == table["OBV"][1:].tolist()


def test_means_equal_the_published_table():
    table = published("19_sma_ema_macd_rsi.csv")
    ours = of(table, Sma(14), Ema(14))
    assert_from_the_seed(ours["sma_14"], table["SMA14"], 0.006)
    assert_from_the_seed(ours["ema_14"], table["EMA14"], 0.006)


def test_commodity_channel_index_equals_the_published_table():
    table = published("19_cci14.csv")
    # The table rounds the typical price to 4 digits: 5e-5 / (0.015 x a deviation of about 1).
    assert_from_the_seed(of(table, Cci(14))["cci_14"], column(table, "CCI"), 4e-3)


def test_money_flow_index_equals_the_published_table():
    table = published("19_mfi20.csv")
    assert_from_the_seed(of(table, Mfi(20))["mfi_20"], table["Money Flow Index 20"], 1e-5)


def test_slow_stochastic_equals_the_published_table():
    table = published("19_stoch12_3_5.csv")
    slow = mean_of_last(3, of(table, StochasticK(12))["stoch_k_12"])
    assert_from_the_seed(slow, column(table, "%K"), 5e-4)
    assert_from_the_seed(mean_of_last(5, slow), table["%D 5"], 5e-4)


def test_session_vwap_equals_the_published_day():
    table = published("26_spy_minute_20131007.csv")
    expected = json.loads((GOLDEN / "26_session_vwap.json").read_text())["data"]
    ours = features_of(table["c"], table["h"], table["l"], table["v"])["vwap"]
    assert ours[29] == pytest.approx(expected["vwap_typical_after_30"], abs=1e-9)
    assert ours[389] == pytest.approx(expected["vwap_typical"], abs=1e-9)


def test_the_compiled_step_is_the_step_as_it_is_written():
    bars = random_bars(330)
    arrays = (bars.close, bars.high, bars.low, bars.volume)
    compiled = features_of(*arrays)
    with interpreted():
        plain = features_of(*arrays)
    assert list(plain) == list(NAMES) == [feature.name for feature in CATALOGUE]
    for name in NAMES:
        np.testing.assert_allclose(plain[name], compiled[name], rtol=1e-9, atol=1e-9, err_msg=name)
