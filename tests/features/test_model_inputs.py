"""The columns made for the models, each against its formula written out in numpy."""

import numpy as np
import pytest

from tests.features.conftest import closes_of_minutes, windows


def assert_ends_with(ours, expected):
    np.testing.assert_allclose(ours[-len(expected) :], expected, atol=1e-9, rtol=1e-9)


def test_historical_volatility_is_the_yearly_deviation_of_twenty_returns(bars, matrix):
    returns = np.diff(np.log(bars.close))
    assert_ends_with(matrix["hist_vol_20"], windows(returns, 20).std(axis=1, ddof=1) * np.sqrt(252 * 390))


@pytest.mark.parametrize("n", [1, 5, 15, 30])
def test_returns_are_counted_in_sigmas_of_twenty_bars(n, bars, matrix):
    logs = np.log(bars.close)
    moved = logs[n:] - logs[:-n]
    sigma = windows(np.diff(logs), 20).std(axis=1, ddof=1)
    both = min(len(moved), len(sigma))
    expected = np.clip(moved[-both:] / (sigma[-both:] * np.sqrt(n)), -8, 8)
    assert_ends_with(matrix[f"ret_{n}"], expected)


@pytest.mark.parametrize("kind", ["sma", "ema"])
@pytest.mark.parametrize("n", [5, 10, 20, 50])
def test_distances_from_means_are_counted_in_ranges(kind, n, bars, matrix):
    expected = (bars.close - matrix[f"{kind}_{n}"]) / matrix["atr_14"]
    np.testing.assert_allclose(matrix[f"close_vs_{kind}_{n}"], expected, atol=1e-12)


def test_position_and_width_of_the_bands(bars, matrix):
    last = windows(bars.close, 20)
    assert_ends_with(matrix["zscore_20"], (bars.close[19:] - last.mean(axis=1)) / last.std(axis=1))
    assert_ends_with(matrix["bb_width_20"], 4 * last.std(axis=1) / last.mean(axis=1))


def test_volume_against_its_mean_and_its_direction(bars, matrix):
    volume = windows(bars.volume, 20)
    signed = np.concatenate(([0.0], np.sign(np.diff(bars.close)) * bars.volume[1:]))
    assert_ends_with(matrix["volume_rate_20"], bars.volume[19:] / volume.mean(axis=1))
    expected = windows(signed, 20).sum(axis=1) / volume.sum(axis=1)
    assert_ends_with(matrix["obv_change_20"], expected[1:])
    change = matrix["obv"][20:] - matrix["obv"][:-20]
    assert_ends_with(matrix["obv_change_20"], change / volume.sum(axis=1)[1:])


def test_ratios_to_the_true_range(bars, matrix):
    atr = matrix["atr_14"]
    np.testing.assert_allclose(matrix["macd_atr"], matrix["macd"] / atr, atol=1e-12)
    np.testing.assert_allclose(matrix["macd_hist_atr"], matrix["macd_hist"] / atr, atol=1e-12)
    np.testing.assert_allclose(matrix["atr_close_14"], atr / bars.close, atol=1e-12)
    np.testing.assert_allclose(matrix["vwap_distance"], (bars.close - matrix["vwap"]) / atr, atol=1e-12)
    np.testing.assert_allclose(matrix["range_atr"], (bars.high - bars.low) / atr, atol=1e-12)


def test_distance_from_the_open_starts_anew_each_session(bars, matrix):
    opens = np.repeat(bars.open[::390], 390)[: len(bars.open)]
    np.testing.assert_allclose(matrix["open_distance"], (bars.close - opens) / matrix["atr_14"], atol=1e-12)


def test_where_in_its_bar_the_close_is(bars, matrix):
    spread = bars.high - bars.low
    moved = spread > 0
    expected = (2 * bars.close - bars.high - bars.low)[moved] / spread[moved]
    np.testing.assert_allclose(matrix["close_location"][moved], expected, atol=1e-9)
    assert set(matrix["close_location"][~moved]) <= {0.0}


def test_the_clock_tells_the_open_from_the_close(bars, matrix):
    gone = (np.arange(len(bars.ts)) % 390 + 1) / 390
    assert bars.ts.tolist() == closes_of_minutes(len(bars.ts)).tolist()
    np.testing.assert_allclose(matrix["session_sin"], np.sin(np.pi * gone), atol=1e-12)
    np.testing.assert_allclose(matrix["session_cos"], np.cos(np.pi * gone), atol=1e-12)
    assert matrix["session_cos"][389] == pytest.approx(-1)
