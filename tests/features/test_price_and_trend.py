"""Returns, channels, swings, gaps and trends, each against its formula written out in numpy."""

import numpy as np
import pytest

from robo_trader.features.base import Bars
from tests.features.conftest import (
    closes_of_minutes,
    columns_of,
    flat_bars,
    random_bars,
    windows,
    with_gaps,
)

SESSIONS = 20


def bars_of(close, high=None, low=None, open_=None):
    close = np.array(close, dtype=float)
    high, low = (close if x is None else np.array(x, dtype=float) for x in (high, low))
    return Bars(
        closes_of_minutes(len(close)), low if open_ is None else open_, high, low, close, np.ones(len(close))
    )


def assert_ends_with(ours, expected, atol=1e-9):
    np.testing.assert_allclose(ours[-len(expected) :], expected, atol=atol, rtol=1e-9)
    assert np.isnan(ours[: -len(expected)]).all()


@pytest.fixture(scope="module")
def bars():
    """Twenty sessions, each of which opens away from the close before."""
    return with_gaps(random_bars(SESSIONS * 390))


@pytest.fixture(scope="module")
def columns(bars):
    return columns_of(bars)


@pytest.fixture(scope="module")
def flat():
    return columns_of(flat_bars(17 * 390))


def last_true_ranges(bars, n=14):
    """Return Wilder's mean of the true range, the first high - low."""
    before = np.concatenate(([np.nan], bars.close[:-1]))
    ranges = np.fmax(bars.high, before) - np.fmin(bars.low, before)
    mean = np.full(len(ranges), np.nan)
    mean[n - 1] = ranges[:n].mean()
    for i in range(n, len(ranges)):
        mean[i] = mean[i - 1] + (ranges[i] - mean[i - 1]) / n
    return mean


@pytest.mark.parametrize("n", [1, 2, 5, 10, 20, 60])
def test_log_returns_are_bounded_by_the_deviation_before_the_newest_bar(n, bars, columns):
    logs = np.log(bars.close)
    sigma = windows(np.diff(logs), 20).std(axis=1, ddof=1)[:-1]  # each for the bar after
    moved = logs[n:] - logs[:-n]
    both = min(len(moved), len(sigma))
    bound = 8 * np.sqrt(n) * sigma[-both:]
    assert_ends_with(columns[f"log_ret_{n}"], np.clip(moved[-both:], -bound, bound))
    assert (np.abs(moved[-both:]) > bound).any() == (n < 60)


def test_a_jump_does_not_widen_its_own_bound_and_a_tick_after_silence_has_none():
    close = np.concatenate((10 + 0.01 * (np.arange(40) % 2), [20.0]))
    jumped = columns_of(bars_of(close))["log_ret_1"][-1]
    sigma = np.diff(np.log(close))[-21:-1].std(ddof=1)
    assert jumped == pytest.approx(8 * sigma)
    assert jumped < 0.01
    silent = columns_of(bars_of(np.concatenate((np.full(40, 10.0), [10.01]))))["log_ret_1"][-1]
    assert silent == pytest.approx(np.log(10.01 / 10))


@pytest.mark.parametrize("n", [20, 60])
def test_drawdown_is_the_close_against_the_highest_high(n, bars, columns):
    top = windows(bars.high, n).max(axis=1)
    assert_ends_with(columns[f"donchian_upper_{n}"], top)
    assert_ends_with(columns[f"drawdown_{n}"], bars.close[n - 1 :] / top - 1)


def test_the_channel_of_twenty_bars_and_where_in_it_the_close_is(bars, columns):
    top, bottom = windows(bars.high, 20).max(axis=1), windows(bars.low, 20).min(axis=1)
    assert_ends_with(columns["donchian_lower_20"], bottom)
    assert_ends_with(columns["donchian_20"], (bars.close[19:] - bottom) / (top - bottom))


def test_a_breakout_is_a_close_beyond_the_channel_before_it(bars, columns):
    top, bottom = windows(bars.high, 20).max(axis=1)[:-1], windows(bars.low, 20).min(axis=1)[:-1]
    close = bars.close[20:]
    expected = (close > top).astype(float) - (close < bottom)
    assert_ends_with(columns["breakout_20"], expected)
    assert set(expected) == {-1, 0, 1}


def last_swings(values):
    """Return the last confirmed swing high at each bar: the first highest of five is their middle."""
    levels, level = [], None
    for i in range(len(values)):
        if i >= 4 and np.argmax(values[i - 4 : i + 1]) == 2:
            level = values[i - 2]
        levels.append(values[: i + 1].max() if level is None else level)
    return np.array(levels)[4:]


def test_resistance_and_support_are_the_last_swings_in_ranges_from_the_close(bars, columns):
    resistance, support = last_swings(bars.high), -last_swings(-bars.low)
    assert_ends_with(columns["resistance"], resistance)
    assert_ends_with(columns["support"], support)
    ranges = last_true_ranges(bars)[13:]
    assert_ends_with(columns["resistance_atr"], (resistance[9:] - bars.close[13:]) / ranges)
    assert_ends_with(columns["support_atr"], (bars.close[13:] - support[9:]) / ranges)


def test_a_swing_is_known_when_two_bars_after_it_have_closed_and_the_first_of_equal_ones_counts():
    high = np.array([10, 11, 13, 11, 10, 11, 12, 12, 11, 10, 9.0])
    found = columns_of(bars_of(high - 1, high, high - 2))["resistance"]
    assert found[4:].tolist() == [13, 13, 13, 13, 12, 12, 12]


def test_without_a_swing_the_outermost_prices_so_far_are_the_levels():
    close = np.arange(100.0, 130.0)
    found = columns_of(bars_of(close, close + 1, close - 1))
    assert found["resistance"][4:].tolist() == (close[4:] + 1).tolist()
    assert set(found["support"][4:]) == {99.0}


def test_the_gap_is_the_open_against_the_close_of_the_session_before(bars, columns):
    opens, closes = bars.open[::390], bars.close[389::390]
    assert_ends_with(columns["gap"], np.repeat(np.log(opens[1:] / closes[:-1]), 390))
    days = Bars(
        bars.ts[389::390],
        opens,
        bars.high.reshape(-1, 390).max(axis=1),
        bars.low.reshape(-1, 390).min(axis=1),
        closes,
        bars.volume[::390],
    )
    before = closes[:-1]
    ranges = np.maximum(days.high[1:], before) - np.minimum(days.low[1:], before)
    for session in range(15, SESSIONS):
        mean = np.mean(ranges[session - 15 : session - 1])
        expected = (opens[session] - closes[session - 1]) / mean
        found = columns["gap_atr"][session * 390 : (session + 1) * 390]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isnan(columns["gap_atr"][: 15 * 390]).all()


def exponential(x, n):
    mean = np.full(len(x), np.nan)
    mean[n - 1] = x[:n].mean()
    for i in range(n, len(x)):
        mean[i] = mean[i - 1] + 2 / (n + 1) * (x[i] - mean[i - 1])
    return mean


@pytest.mark.parametrize(("fast", "slow"), [(5, 20), (20, 60), (60, 200)])
def test_spreads_of_exponential_means_are_counted_in_ranges(fast, slow, bars, columns):
    spread = exponential(bars.close, fast) - exponential(bars.close, slow)
    expected = (spread / last_true_ranges(bars))[slow - 1 :]
    assert_ends_with(columns[f"ema_spread_{fast}_{slow}"], expected)


def test_aroon_counts_the_bars_since_the_newest_of_equal_extremes(bars, columns):
    since_high = windows(bars.high, 26)[:, ::-1].argmax(axis=1)
    since_low = windows(bars.low, 26)[:, ::-1].argmin(axis=1)
    assert_ends_with(columns["aroon_25"], 100 * (since_low - since_high) / 25)


def test_aroon_equals_ta_where_no_extreme_ties():
    import pandas as pd
    from ta.trend import AroonIndicator

    rng = np.random.default_rng(5)
    close = 100 + np.cumsum(rng.normal(0, 1, 400)) * 0.1
    high, low = close + rng.random(400), close - rng.random(400)
    theirs = AroonIndicator(pd.Series(high), pd.Series(low), window=25).aroon_indicator().to_numpy()
    np.testing.assert_allclose(columns_of(bars_of(close, high, low))["aroon_25"][25:], theirs[25:], atol=1e-9)


def test_the_spread_of_directions_equals_talipp_once_its_other_seed_is_forgotten():
    import talipp.indicators as t
    from talipp.ohlcv import OHLCV

    exact = random_bars(800, tick=1 / 64)
    rows = zip(
        exact.open.tolist(), exact.high.tolist(), exact.low.tolist(), exact.close.tolist(), strict=True
    )
    theirs = [v.plus_di - v.minus_di for v in t.ADX(14, 14, [OHLCV(*row) for row in rows])[-400:]]
    # Theirs counts the range of the very first bar, which has no movement; of that (13/14)^400 is left.
    np.testing.assert_allclose(columns_of(exact)["di_spread_14"][-400:], theirs, atol=1e-8)


def test_trend_strength_is_the_correlation_of_closes_with_time_and_orders_as_the_t_value_does(bars, columns):
    time = np.arange(20) - 9.5
    rows = windows(bars.close, 20)
    apart = rows - rows.mean(axis=1, keepdims=True)
    slope = apart @ time / (time @ time)
    left = apart - slope[:, None] * time
    t_value = slope / np.sqrt((left**2).sum(axis=1) / 18 / (time @ time))
    strength = columns["trend_strength_20"]
    assert_ends_with(strength, [np.corrcoef(time, row)[0, 1] for row in rows], atol=1e-8)
    np.testing.assert_allclose(
        strength[19:] * np.sqrt(18 / (1 - strength[19:] ** 2)), t_value, rtol=1e-5, atol=1e-6
    )


def test_a_straight_line_is_the_strongest_trend():
    line = 100 + 0.25 * np.arange(60.0)
    assert columns_of(bars_of(line))["trend_strength_20"][-1] == pytest.approx(1)
    assert columns_of(bars_of(line[::-1]))["trend_strength_20"][-1] == pytest.approx(-1)
    assert columns_of(bars_of(line))["aroon_25"][-1] == 100
    assert columns_of(bars_of(line))["breakout_20"][-1] == 1
    assert columns_of(bars_of(line))["donchian_20"][-1] == 1


@pytest.mark.parametrize(
    ("name", "neutral"),
    [
        *((f"log_ret_{n}", 0.0) for n in (1, 2, 5, 10, 20, 60)),
        *(
            (name, 0.0)
            for name in ("drawdown_20", "drawdown_60", "breakout_20", "gap", "gap_atr", "aroon_25")
        ),
        *((name, 0.0) for name in ("resistance_atr", "support_atr", "trend_strength_20", "di_spread_14")),
        *((f"ema_spread_{spans}", 0.0) for spans in ("5_20", "20_60", "60_200")),
        ("donchian_20", 0.5),
    ],
)
def test_a_price_that_never_moves_is_neutral(name, neutral, flat):
    assert set(flat[name][~np.isnan(flat[name])]) == {neutral}


@pytest.mark.parametrize(
    "name", ["donchian_20", "breakout_20", "aroon_25", "resistance_atr", "support_atr", "trend_strength_20"]
)
def test_a_million_dollars_more_cost_no_digits_that_matter(name):
    low, high = (columns_of(random_bars(1500, offset=offset))[name][30:] for offset in (0.0, 1e6))
    np.testing.assert_allclose(high, low, atol=2e-5, rtol=0)
