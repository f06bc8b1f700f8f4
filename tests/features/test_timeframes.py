"""Longer frames, against frames built by the aggregation's own rule and indicators written in numpy."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data.aggregation import bucket
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from robo_trader.features.timeframes import FEATURES
from tests.features.conftest import DAY_NS, OPEN_NS, EveryDay, flat_bars, label_of, messages, random_bars

FIVE, HALF_HOUR, DAY = 5 * MINUTE_NS, 30 * MINUTE_NS, DAY_NS
PERIODS = {FIVE: (20, 60), HALF_HOUR: (20, 60), DAY: (10, 20)}
COLUMNS = {
    f"{what}_{name}": (frame, what)
    for frame, name in ((FIVE, "5m"), (HALF_HOUR, "30m"), (DAY, "1d"))
    for what in ("trend", "rsi_14", "return", "rv_rank")
}
every_column = pytest.mark.parametrize("name", COLUMNS)


@dataclass(frozen=True)
class SomeHalfDays:
    """A calendar whose every fifth session ends after three and a half hours."""

    def session(self, ts):
        day = (ts - OPEN_NS) // DAY_NS
        minutes = 210 if day % 5 == 1 else 390
        open_ = OPEN_NS + day * DAY_NS
        close = open_ + minutes * MINUTE_NS
        return Session(label_of(open_), open_, close) if open_ < ts <= close else None


def kept(bars, keep):
    return Bars(*(getattr(bars, x)[keep] for x in ("ts", "open", "high", "low", "close", "volume")))


def thinned(n=34 * 390, seed=3):
    """Return bars of half days among whole ones of which every ninth is missing, so that many frames lack their end."""
    bars = random_bars(n, seed=seed)
    is_open = np.array([SomeHalfDays().session(ts) is not None for ts in bars.ts.tolist()])
    return kept(bars, is_open & (np.random.default_rng(seed).random(n) > 1 / 9))


def mean_of(values, period):
    """Return the plain mean of the last `period` values."""
    out = np.full(len(values), np.nan)
    if len(values) >= period:
        out[period - 1 :] = np.lib.stride_tricks.sliding_window_view(values, period).mean(axis=1)
    return out


def sign_of(spread, price):
    """Return the sign; what rounding leaves of a difference of nothing is nothing."""
    return np.where(np.abs(spread) < 1e-11 * price, 0, np.sign(spread))


def share_below(values, period):
    out = np.full(len(values), np.nan)
    for i in range(period - 1, len(values)):
        window = values[i - period + 1 : i + 1]
        is_equal = np.isclose(window, values[i], rtol=1e-11, atol=0)
        out[i] = ((window < values[i]) & ~is_equal).mean() + is_equal.mean() / 2
    return out


def indicators(closes, starts, periods):
    """Return what is shown of each bar of a frame, given its close and the price that its return counts from."""
    window, ranked = periods
    returns = np.log(closes / starts)
    returns[0] = np.nan
    root = np.full(len(closes), np.nan)
    for i in range(window, len(closes)):
        root[i] = np.sqrt(np.mean(returns[i - window + 1 : i + 1] ** 2))
    changes = np.diff(closes)
    up, down = (mean_of(np.maximum(x, 0), 14) for x in (changes, -changes))
    return {
        "trend": sign_of(mean_of(closes, 5) - mean_of(closes, 20), closes),
        "rsi_14": np.concatenate(([np.nan], 100 * up / (up + down))),
        "return": returns / root,
        "rv_rank": np.concatenate((np.full(window, np.nan), share_below(root[window:], ranked))),
    }


def frames_of(bars, frame, calendar):
    """Return for each bar its frame's number, and whether it reaches that frame's end."""
    ends = [bucket(calendar.session(ts), ts, frame)[1] for ts in bars.ts.tolist()]
    return np.unique(ends, return_inverse=True)[1], bars.ts == ends


def reference(bars, name, calendar, shown="closed"):
    """Return a column; `shown` plants a leak: the bar "making", or the "whole" one before it closed."""
    frame, what = COLUMNS[name]
    number, reaches_end = frames_of(bars, frame, calendar)
    last = np.append(np.flatnonzero(np.diff(number)), len(number) - 1)
    first = np.append(0, last[:-1] + 1)
    closes = bars.close[last]
    starts = np.append(bars.open[0], closes[:-1])
    if frame != DAY:
        session = bars.ts // DAY_NS
        opens = np.append(True, np.diff(session[last]) > 0)
        starts[opens] = bars.open[first[opens]]
    if shown == "making":
        return np.array(
            [
                indicators(
                    np.append(closes[max(k - 40, 0) : k], bars.close[i]),
                    starts[max(k - 40, 0) : k + 1],
                    PERIODS[frame],
                )[what][-1]
                for i, k in enumerate(number)
            ]
        )
    values = indicators(closes, starts, PERIODS[frame])[what]
    if shown == "whole":
        return values[number]
    newest = number - 1 + reaches_end
    return np.where(newest >= 0, values[newest], np.nan)


def touched(before, after):
    """Return the rows that differ."""
    return np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))


def column(engine, bars, name):
    return engine.matrix(bars)[:, NAMES.index(name)]


@pytest.fixture(scope="module")
def gappy():
    return thinned()


@pytest.fixture(scope="module")
def gappy_matrix(gappy):
    return FeatureEngine(SomeHalfDays()).matrix(gappy)


@every_column
def test_it_is_what_numpy_makes_of_the_frames_that_have_closed(name, gappy, gappy_matrix):
    ours, theirs = gappy_matrix[:, NAMES.index(name)], reference(gappy, name, SomeHalfDays())
    warm = ~np.isnan(ours)
    assert warm.sum() > 1000
    np.testing.assert_allclose(ours[warm], theirs[warm], rtol=1e-9, atol=1e-9)


@every_column
def test_it_is_nan_until_its_sessions_are_over_and_never_after(name, gappy, gappy_matrix):
    (feature,) = (f for f in CATALOGUE if f.name == name)
    session = np.unique(gappy.ts // DAY_NS, return_inverse=True)[1]
    is_nan = np.isnan(gappy_matrix[:, NAMES.index(name)])
    assert is_nan.tolist() == (session < feature.sessions).tolist()


@every_column
def test_a_first_session_joined_at_its_last_bar_is_enough(name):
    bars = random_bars(33 * 390 + 10, seed=5)
    late = FeatureEngine(EveryDay()).matrix(kept(bars, slice(389, None)))
    (feature,) = (f for f in CATALOGUE if f.name == name)
    assert np.isfinite(late[1 + (feature.sessions - 1) * 390 :, NAMES.index(name)]).all()


def test_days_need_no_more_than_thirty_sessions():
    assert max(f.sessions for f in FEATURES) == 30
    assert {f.name for f in FEATURES} == set(COLUMNS)


def spoiled(bars, i):
    """Return the bars with another price in bar `i`."""
    close = bars.close.copy()
    close[i] *= 1.05
    return Bars(bars.ts, bars.open, np.maximum(bars.high, close), bars.low, close, bars.volume)


def rows_touched(make, bars, i):
    return touched(make(bars), make(spoiled(bars, i)))


@every_column
@pytest.mark.parametrize("at", [9_001, 9_003, 9_020])
def test_a_bar_in_the_making_is_never_seen(name, at, gappy):
    number, reaches_end = frames_of(gappy, COLUMNS[name][0], SomeHalfDays())
    (end,) = np.flatnonzero((number == number[at]) & (np.append(np.diff(number) > 0, True)))
    rows = rows_touched(lambda x: column(FeatureEngine(SomeHalfDays()), x, name), gappy, at)
    assert (rows >= end + (not reaches_end[end])).all()


@pytest.mark.parametrize("leak", ["making", "whole"])
@pytest.mark.parametrize("name", ["return_5m", "rsi_14_30m"])
def test_a_planted_leak_is_seen(name, leak):
    bars = random_bars(4 * 390, seed=11)
    at = 3 * 390 + 91  # the second minute of a frame of five and of thirty
    number, _ = frames_of(bars, COLUMNS[name][0], EveryDay())
    end = np.flatnonzero(number == number[at])[-1]

    def clean(x):
        return reference(x, name, EveryDay())

    def leaky(x):
        return reference(x, name, EveryDay(), leak)

    last_of_frame = end if leak == "whole" else at
    assert (rows_touched(clean, bars, last_of_frame) >= end).all()
    assert (rows_touched(leaky, bars, last_of_frame) < end).any()


@every_column
def test_a_frame_whose_last_bar_is_missing_closes_when_a_later_bar_comes(name):
    bars = random_bars(32 * 390 + 200, seed=17)
    ends = {FIVE: 31 * 390 + 99, HALF_HOUR: 31 * 390 + 89, DAY: 32 * 390 - 1}
    end = ends[COLUMNS[name][0]]
    whole, lacking = (
        column(FeatureEngine(EveryDay()), kept(bars, np.arange(len(bars.ts)) != missing), name)
        for missing in (len(bars.ts), end)
    )
    before = column(FeatureEngine(EveryDay()), kept(bars, slice(0, end)), name)
    assert lacking[:end].tobytes() == before.tobytes()
    cut = kept(bars, np.arange(len(bars.ts)) != end)
    assert lacking[end] == pytest.approx(reference(cut, name, EveryDay())[end])
    assert np.isfinite(whole[end])


@pytest.mark.parametrize("minutes", [30, 45, 60])
@pytest.mark.parametrize("name", ["trend_5m", "rsi_14_5m", "return_5m", "rv_rank_5m", "return_30m"])
def test_a_bar_as_long_as_a_frame_is_that_frame(name, minutes):
    session = int(np.ceil(390 / minutes))
    n = 40 * session
    day, k = np.divmod(np.arange(n), session)
    ts = OPEN_NS + day * DAY_NS + np.minimum((k + 1) * minutes, 390) * MINUTE_NS
    base = random_bars(n, seed=2)
    bars = Bars(ts, base.open, base.high, base.low, base.close, base.volume)
    ours = column(FeatureEngine(EveryDay(), minutes * MINUTE_NS), bars, name)
    starts = np.append(bars.open[0], bars.close[:-1])
    starts[k == 0] = bars.open[k == 0]
    theirs = indicators(bars.close, starts, PERIODS[FIVE])[COLUMNS[name][1]]
    warm = ~np.isnan(ours)
    assert warm[-session:].all()
    np.testing.assert_allclose(ours[warm], theirs[warm], rtol=1e-9, atol=1e-9)


def test_the_night_counts_for_the_day_and_for_no_shorter_frame():
    bars = random_bars(25 * 390, seed=4)
    night = np.where(
        np.arange(len(bars.ts)) >= 24 * 390, 1.1, 1.0
    )  # a gap of ten percent into the last session
    gapped = Bars(bars.ts, *(x * night for x in (bars.open, bars.high, bars.low, bars.close)), bars.volume)
    plain, jumped = (FeatureEngine(EveryDay()).matrix(x)[:, NAMES.index("return_5m")] for x in (bars, gapped))
    np.testing.assert_allclose(jumped[2 * 390 :], plain[2 * 390 :], atol=1e-9)
    assert column(FeatureEngine(EveryDay()), gapped, "return_1d")[-1] > 2


def test_a_price_that_never_moves_is_neutral():
    matrix = FeatureEngine(EveryDay()).matrix(flat_bars(32 * 390))
    neutral = {"trend": 0, "rsi_14": 50, "return": 0, "rv_rank": 0.5}
    assert {name: set(matrix[31 * 390 :, NAMES.index(name)]) for name in COLUMNS} == {
        name: {neutral[what]} for name, (_, what) in COLUMNS.items()
    }


def test_updates_equal_the_scan_across_a_pickled_engine(gappy, gappy_matrix):
    engine, rows = FeatureEngine(SomeHalfDays()), []
    for i, bar in enumerate(messages(gappy)):
        if i == 7_003:
            engine = pickle.loads(pickle.dumps(engine))
        rows.append(engine.update(bar))
    ours = [NAMES.index(name) for name in COLUMNS]
    assert np.array(rows)[:, ours].tobytes() == gappy_matrix[:, ours].tobytes()
