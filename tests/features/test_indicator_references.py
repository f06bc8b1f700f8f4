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
