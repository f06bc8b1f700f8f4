"""Volatility, bands and the shape of returns against numpy, published tables and markets in which nothing happens."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from robo_trader.core.events import MINUTE_NS
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE
from tests.features.conftest import (
    DAY_NS,
    OPEN_NS,
    SHARED_GOLDEN,
    EveryDay,
    closes_of_minutes,
    flat_bars,
    part,
    random_bars,
)

WARMUP = {f.name: f.warmup for f in CATALOGUE}


def features_of(bars, interval_ns=MINUTE_NS):
    engine = FeatureEngine(EveryDay(), interval_ns)
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))


def rolling(x, period, function):
    """Apply a function of (m, period) windows; NaN until the first is full."""
    return np.concatenate((np.full(period - 1, np.nan), function(sliding_window_view(x, period))))


def returns(bars):
    return np.concatenate(([np.nan], np.diff(np.log(bars.close))))


def root_mean_square(x, period):
    return rolling(x, period, lambda w: np.log(np.maximum(np.sqrt((w * w).mean(axis=1)), 1e-6)))


def log_root(x, period):
    return 0.5 * np.log(rolling(x, period, lambda w: w.mean(axis=1)))


def true_range(bars):
    before = np.concatenate((bars.close[:1], bars.close[:-1]))
    whole = np.maximum(bars.high, before) - np.minimum(bars.low, before)
    whole[0] = bars.high[0] - bars.low[0]
    return whole


def exponential(x, period):
    out = np.full(len(x), np.nan)
    out[period - 1] = x[:period].mean()
    for i in range(period, len(x)):
        out[i] = out[i - 1] + 2 / (period + 1) * (x[i] - out[i - 1])
    return out


def typical(bars):
    return (bars.high + bars.low + bars.close) / 3


def bandwidth(bars):
    return rolling(bars.close, 20, lambda w: 4 * w.std(axis=1) / w.mean(axis=1))


def width_percentile(bars):
    widths = bandwidth(bars)[19:]
    below = rolling(widths, 253, lambda w: (w[:, :-1] < w[:, -1:] * (1 - 1e-12)).mean(axis=1))
    return np.concatenate((np.full(19, np.nan), below))


def squeeze(bars):
    middle = rolling(bars.close, 20, lambda w: w.mean(axis=1))
    spread = 2 * rolling(bars.close, 20, lambda w: w.std(axis=1))
    mean, reach = (
        exponential(typical(bars), 20),
        1.5 * rolling(true_range(bars), 20, lambda w: w.mean(axis=1)),
    )
    inside = (middle + spread < mean + reach) & (middle - spread > mean - reach)
    return np.where(np.isnan(mean), np.nan, inside)


def since_squeeze(bars):
    out, since = squeeze(bars), 60
    for i in range(19, len(out)):
        since = 0 if out[i] else min(since + 1, 60)
        out[i] = since
    return out


def yang_zhang(bars, n=20):
    opened, high, low, close = (np.log(x) for x in (bars.open, bars.high, bars.low, bars.close))
    o = np.concatenate(([np.nan], opened[1:] - close[:-1]))
    c, u, d = close - opened, high - opened, low - opened
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    between, within = (rolling(x, n, lambda w: w.var(axis=1, ddof=1)) for x in (o, c))
    inside = rolling(u * (u - c) + d * (d - c), n, lambda w: w.mean(axis=1))
    return 0.5 * np.log(between + k * within + (1 - k) * inside)


def moment_ratio(x, period, power):
    def of(windows):
        d = windows - windows.mean(axis=1, keepdims=True)
        return (d**power).mean(axis=1) / (d * d).mean(axis=1) ** (power / 2)

    return rolling(x, period, of)


def variance_ratio(bars, q, period=120):
    """Lo and MacKinlay 1988, equations 12 and 13, window by window."""

    def of(windows):
        mean = (windows[:, -1:] - windows[:, :1]) / period
        single = ((np.diff(windows, axis=1) - mean) ** 2).sum(axis=1) / (period - 1)
        whole = ((windows[:, q:] - windows[:, :-q] - q * mean) ** 2).sum(axis=1)
        return whole / (q * (period - q + 1) * (1 - q / period)) / single

    return rolling(np.log(bars.close), period + 1, of)


def autocorrelation(windows):
    d = windows - windows.mean(axis=1, keepdims=True)
    return (d[:, 1:] * d[:, :-1]).sum(axis=1) / (d * d).sum(axis=1)


def log_range(bars):
    return np.log(bars.high / bars.low)


def log_body(bars):
    return np.log(bars.close / bars.open)


REFERENCES = {
    "percent_b_20": lambda b: (
        0.5 + rolling(b.close, 20, lambda w: (w[:, -1] - w.mean(axis=1)) / w.std(axis=1) / 4)
    ),
    "width_percentile_252": width_percentile,
    "typical_sma_20": lambda b: rolling(typical(b), 20, lambda w: w.mean(axis=1)),
    "typical_ema_20": lambda b: exponential(typical(b), 20),
    "true_range_sma_20": lambda b: rolling(true_range(b), 20, lambda w: w.mean(axis=1)),
    "squeeze_20": squeeze,
    "since_squeeze_20": since_squeeze,
    "realised_vol_20": lambda b: root_mean_square(returns(b), 20),
    "realised_vol_60": lambda b: root_mean_square(returns(b), 60),
    "realised_vol_120": lambda b: root_mean_square(returns(b), 120),
    "realised_vol_ratio_5_60": lambda b: np.maximum(
        root_mean_square(returns(b), 5) - root_mean_square(returns(b), 60), -2.5
    ),
    "log_range": log_range,
    "log_body": log_body,
    "parkinson_20": lambda b: log_root(log_range(b) ** 2 / (4 * np.log(2)), 20),
    "garman_klass_20": lambda b: log_root(log_range(b) ** 2 / 2 - (2 * np.log(2) - 1) * log_body(b) ** 2, 20),
    "yang_zhang_20": yang_zhang,
    "vol_of_vol_20": lambda b: rolling(root_mean_square(returns(b), 20), 20, lambda w: w.std(axis=1, ddof=1)),
    "skew_60": lambda b: moment_ratio(returns(b), 60, 3),
    "kurt_60": lambda b: moment_ratio(returns(b), 60, 4) - 3,
    "variance_ratio_2": lambda b: variance_ratio(b, 2),
    "variance_ratio_8": lambda b: variance_ratio(b, 8),
    "autocorrelation_20": lambda b: rolling(returns(b), 20, autocorrelation),
}


@pytest.fixture(scope="module")
def lively():
    """Bars that gap between close and open, jump, and start and end in a wild market."""
    bars = random_bars(1200, seed=3)
    rng = np.random.default_rng(5)
    factor = np.exp(np.cumsum(rng.standard_t(3, 1200) * 5e-4))
    factor[700:] *= 1.08
    opened = bars.open * factor * np.exp(rng.normal(0, 2e-4, 1200))
    high, low = (
        pick(side * factor, opened) for pick, side in ((np.maximum, bars.high), (np.minimum, bars.low))
    )
    return Bars(bars.ts, opened, high, low, bars.close * factor, bars.volume)


@pytest.fixture(scope="module")
def ours(lively):
    return features_of(lively)


@pytest.mark.parametrize("name", REFERENCES)
def test_it_equals_its_formula_in_numpy_at_every_bar(name, ours, lively):
    expected = REFERENCES[name](lively)
    assert np.flatnonzero(np.isfinite(expected))[0] == WARMUP[name] - 1
    assert np.isfinite(ours[name]).tolist() == np.isfinite(expected).tolist()
    np.testing.assert_allclose(ours[name], expected, atol=1e-9, rtol=1e-9)


def test_skew_and_kurtosis_equal_scipy(ours, lively):
    from scipy import stats

    last = returns(lively)[-60:]
    assert ours["skew_60"][-1] == pytest.approx(stats.skew(last), rel=1e-9)
    assert ours["kurt_60"][-1] == pytest.approx(stats.kurtosis(last), rel=1e-9)


def test_log_atr_is_the_log_of_the_ratio(ours):
    np.testing.assert_allclose(ours["log_atr_close_14"], np.log(ours["atr_close_14"]), atol=1e-12)


@pytest.mark.parametrize("name", [n for n in REFERENCES if WARMUP[n] > 1])
def test_a_fall_by_half_leaves_no_trace_when_it_has_left_the_window(name):
    calm = random_bars(700, seed=11)
    wild = replace(calm, low=calm.low.copy())
    for column in (wild.high, wild.close, wild.open, wild.low):
        column[:100] *= 2
    exponentials = 500 if "typical_ema" in name or "squeeze" in name else 0  # these forget, but slowly
    first = 101 + WARMUP[name] + exponentials
    quiet, settled = (features_of(bars)[name][first:] for bars in (random_bars(700, seed=11), wild))
    np.testing.assert_allclose(settled, quiet, atol=1e-11, rtol=1e-11)


def test_the_squeeze_equals_the_published_flags_and_channel():
    path = SHARED_GOLDEN / "10_squeeze_spy_1998_2001.csv"
    if not path.exists():
        pytest.skip("the published table of squeezes is not beside this checkout (../shared/golden)")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    table = {c: np.array([float(row[c] or "nan") for row in rows]) for c in rows[0] if c != "date"}
    prices = (table[c] for c in ("open", "high", "low", "close"))
    got = features_of(Bars(closes_of_minutes(len(rows)), *prices, np.ones(len(rows))))
    told = np.isfinite(table["kc high"])
    assert told.sum() == 982
    assert (2 * got["squeeze_20"][told] - 1).tolist() == table["squeeze on"][told].tolist()
    for name, column in (("upper", "high"), ("lower", "low")):
        np.testing.assert_allclose(
            got[f"keltner_ema_{name}_20"][told], table[f"kc {column}"][told], rtol=1e-12
        )
        np.testing.assert_allclose(got[f"bb_{name}_20"][told], table[f"bb {column}"][told], rtol=1e-12)


def test_the_keltner_channel_equals_the_published_table():
    path = SHARED_GOLDEN / "19_keltner20_1_5.csv"
    if not path.exists():
        pytest.skip("the published Keltner channel is not beside this checkout (../shared/golden)")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    table = {c: np.array([float(row[c] or "nan") for row in rows]) for c in rows[0] if c != "Date"}
    prices = (table[c] for c in ("Open", "High", "Low", "Close"))
    got = features_of(Bars(closes_of_minutes(len(rows)), *prices, np.ones(len(rows))))
    names = {
        "keltner_sma_upper_20": "Keltner Channels 20 Top",
        "keltner_sma_lower_20": "Keltner Channels 20 Bottom",
    }
    for name, column in (names | {"typical_sma_20": "Middle Band"}).items():
        assert np.isfinite(got[name]).tolist() == np.isfinite(table[column]).tolist()
        np.testing.assert_allclose(got[name], table[column], atol=7e-5, rtol=0)  # both printed to 4 digits


FLAT = {"percent_b_20": 0.5, "since_squeeze_20": 60, "variance_ratio_2": 1, "variance_ratio_8": 1}
FLOOR = ("realised_vol_20", "realised_vol_60", "realised_vol_120", "parkinson_20", "garman_klass_20")
FLAT |= dict.fromkeys((*FLOOR, "yang_zhang_20", "log_atr_close_14"), np.log(1e-6))
STATIONARY = [f.name for f in CATALOGUE if f.name in {*REFERENCES, *FLAT} and f.stationary]


@pytest.mark.parametrize("name", STATIONARY)
def test_a_price_that_never_moves_gives_the_neutral_value_the_docstring_names(name):
    values = features_of(flat_bars(900, price=10.1))[name][WARMUP[name] - 1 :]
    assert len(set(values)) == 1
    assert values[0] == pytest.approx(FLAT.get(name, 0), abs=1e-12)


@pytest.mark.parametrize("name", ["skew_60", "kurt_60", "autocorrelation_20", "variance_ratio_2"])
def test_a_price_that_grows_by_the_same_part_each_bar_shows_no_noise(name):
    grown = 10 * 1.001 ** np.arange(400)
    bars = Bars(closes_of_minutes(400), grown, grown, grown, grown, np.ones(400))
    assert set(features_of(bars)[name][WARMUP[name] - 1 :]) == {FLAT.get(name, 0)}


def test_quiet_minutes_in_a_moving_hour_give_the_smallest_ratio():
    bars = part(random_bars(100, seed=2), 0, 70)
    still = replace(bars, close=bars.close.copy())
    still.close[64:] = still.close[64]
    high, low = np.maximum(still.high, still.close), np.minimum(still.low, still.close)
    assert features_of(replace(still, high=high, low=low))["realised_vol_ratio_5_60"][-1] == -2.5


def jump_share(prices):
    """Barndorff-Nielsen and Shephard 2004, of a session's prices from its open on."""
    sizes = np.abs(np.diff(np.log(prices)))
    bipower = np.pi / 2 * len(sizes) / (len(sizes) - 1) * (sizes[1:] * sizes[:-1]).sum()
    return max(0, 1 - bipower / (sizes**2).sum())


def test_the_share_of_jumps_is_that_of_the_last_closed_session(bars):
    jumped = replace(
        bars, open=bars.open.copy(), high=bars.high.copy(), low=bars.low.copy(), close=bars.close.copy()
    )
    for column in (jumped.open[501:], jumped.high[500:], jumped.low[501:], jumped.close[500:]):
        column *= 1.02
    shares = features_of(jumped)["jump_share_day"]
    assert np.isnan(shares[:390]).all()
    for day in (0, 1, 2):
        begin, stop = 390 * day, 390 * (day + 1)
        expected = jump_share(np.concatenate((jumped.open[begin : begin + 1], jumped.close[begin:stop])))
        np.testing.assert_allclose(shares[stop : stop + 390], expected, rtol=1e-9)
    assert shares[780] > 0.5 > 0.2 > shares[390]


def test_sessions_of_one_bar_or_without_a_move_have_no_jumps():
    one_a_day = Bars(
        closes_of_minutes(5, 1), *(np.array([10.0, 11, 12, 11, 10]) for _ in range(4)), np.ones(5)
    )
    assert features_of(one_a_day)["jump_share_day"][1:].tolist() == [0] * 4
    assert set(features_of(flat_bars(800))["jump_share_day"][390:]) == {0}


def test_half_hour_bars_have_the_same_formulas():
    day, bar = np.divmod(np.arange(400), 13)
    slow = replace(random_bars(400), ts=OPEN_NS + day * DAY_NS + (bar + 1) * 30 * MINUTE_NS)
    got = features_of(slow, 30 * MINUTE_NS)
    for name in ("yang_zhang_20", "kurt_60", "width_percentile_252"):
        np.testing.assert_allclose(got[name], REFERENCES[name](slow), rtol=1e-9, atol=1e-9)
    last = slow.close[13 * 29 : 13 * 30]
    share = jump_share(np.concatenate((slow.open[13 * 29 : 13 * 29 + 1], last)))
    assert got["jump_share_day"][13 * 30] == pytest.approx(share)
