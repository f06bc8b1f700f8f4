"""The oscillators that are signals, against talipp and numpy."""

import numpy as np
import pytest
import talipp.indicators as t

from robo_trader.features.base import Bars
from robo_trader.features.technical_indicators import CATALOGUE
from tests.features.conftest import closes_of_minutes, columns_of, flat_bars, random_bars, windows, with_gaps


@pytest.fixture(scope="module")
def bars():
    return with_gaps(random_bars(6 * 390))


@pytest.fixture(scope="module")
def columns(bars):
    return columns_of(bars)


def strength(close, n):
    """Return talipp's RSI, NaN while it is warming."""
    return np.array(list(t.RSI(n, close.tolist())), dtype=float)


def test_the_rsi_of_two_bars_runs_from_minus_one_to_one(bars, columns):
    np.testing.assert_allclose(columns["rsi_2_centred"], (strength(bars.close, 2) - 50) / 50, atol=1e-8)
    assert -1 <= np.nanmin(columns["rsi_2_centred"]) < -0.9
    assert 0.9 < np.nanmax(columns["rsi_2_centred"]) <= 1


@pytest.mark.parametrize("n", [20, 60])
def test_long_returns_are_counted_in_sigmas_of_twenty_bars(n, bars, columns):
    logs = np.log(bars.close)
    moved = logs[n:] - logs[:-n]
    sigma = windows(np.diff(logs), 20).std(axis=1, ddof=1)[-len(moved) :]
    expected = np.clip(moved / (sigma * np.sqrt(n)), -8, 8)
    np.testing.assert_allclose(columns[f"ret_{n}"][n:], expected, atol=1e-9, rtol=1e-9)
    assert np.isnan(columns[f"ret_{n}"][:n]).all()


def test_reversion_is_signalled_where_the_bands_and_the_rsi_agree(bars, columns):
    rows = windows(bars.close, 20)
    score = (bars.close[19:] - rows.mean(axis=1)) / rows.std(axis=1)
    rsi = strength(bars.close, 14)[19:]
    expected = ((score < -2) & (rsi < 30)).astype(float) - ((score > 2) & (rsi > 70))
    assert columns["mean_reversion_20"][19:].tolist() == expected.tolist()
    assert np.isnan(columns["mean_reversion_20"][:19]).all()
    assert set(expected) == {-1, 0, 1}
    assert (np.abs(score) > 2).sum() > np.abs(expected).sum(), "a wide band alone is no signal"


def test_a_fall_without_end_is_a_signal_to_buy_and_a_rise_to_sell():
    quiet = 100 + 0.01 * (np.arange(60) % 2)
    fallen, risen = (np.concatenate((quiet, 100 + step * np.arange(1, 4))) for step in (-1.0, 1.0))
    ends = []
    for close in (fallen, risen):
        bars = Bars(closes_of_minutes(63), close, close, close, close, np.ones(63))
        ends.append(columns_of(bars)["mean_reversion_20"][-1])
    assert ends == [1, -1]


def test_a_price_that_never_moves_is_neutral():
    flat = columns_of(flat_bars(200))
    for name in ("rsi_2_centred", "mean_reversion_20", "ret_20", "ret_60"):
        assert set(flat[name][~np.isnan(flat[name])]) == {0}


def test_the_rate_of_change_is_shown_and_left_to_the_log_return_for_the_models(columns):
    known = slice(30, None)
    assert np.corrcoef(columns["roc_10"][known], columns["log_ret_10"][known])[0, 1] > 0.99
    assert [f.model for f in CATALOGUE if f.name in {"roc_10", "log_ret_10"}] == [True, False]
