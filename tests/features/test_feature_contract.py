"""What holds for every feature there is: the tests find them in the catalogue by themselves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_trader.features.base import Group
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES, WARM_SESSIONS, WARMUP
from tests.features.conftest import (
    WATCHED,
    Weekdays,
    adjusted,
    flat_bars,
    gapped,
    in_order_of_time,
    live,
    part,
    times,
    universe,
    walk,
    watching,
)

every_feature = pytest.mark.parametrize("feature", CATALOGUE, ids=NAMES)
every_stationary = pytest.mark.parametrize(
    "feature", [f for f in CATALOGUE if f.stationary], ids=lambda f: f.name
)
DAYS, EVERY = Weekdays(), 5  # bars of five minutes: many sessions in few bars
ENOUGH = max(WARM_SESSIONS, WARMUP // 70) + 5  # sessions, until every feature of every symbol is warm

# What a symbol that never moves shows: the neutral values the catalogue names.
NEUTRAL = {"rsi_14": 50, "stoch_k_14": 50, "stoch_d_3": 50, "mfi_14": 50, "williams_r_14": -50}
NEUTRAL |= {
    "volume_rate_20": 1,
    "range_atr": 1,
    "close_location": 0,
    "zscore_20": 0,
    "cci_20": 0,
    "adx_14": 0,
}


@pytest.fixture(scope="module")
def five():
    return universe(DAYS, ENOUGH, EVERY)


@pytest.fixture(scope="module")
def scanned(five):
    return watching(DAYS, EVERY).matrices(five)


@pytest.fixture(scope="module")
def told(five):
    """The same features by one update a bar, the symbols of a minute in any order."""
    return live(watching(DAYS, EVERY), in_order_of_time(five, seed=5, every=EVERY))


@pytest.fixture(scope="module")
def flat():
    """Two universes in which nothing happens, at two prices."""
    bars = {symbol: flat_bars(0) for symbol in WATCHED}
    ts = DAYS.closes(ENOUGH, EVERY)
    still = [
        {s: replace(b, ts=ts, **still_at(price, len(ts))) for s, b in bars.items()} for price in (10.1, 523.7)
    ]
    return [watching(DAYS, EVERY).matrices(one) for one in still]


def still_at(price, n):
    prices = dict.fromkeys(("open", "high", "low", "close"), np.full(n, price))
    return prices | {"volume": np.zeros(n)}


def warm(feature, bars, calendar=DAYS):
    """Tell at which bars a feature has seen the bars and whole sessions it asks for."""
    opens = np.array([calendar.session(int(ts)).open for ts in bars.ts])
    before = np.concatenate(([0], np.cumsum(np.diff(opens) > 0)))
    return (np.arange(len(bars.ts)) + 1 >= feature.warmup) & (before >= feature.sessions)


def column(matrices, feature, symbol):
    return matrices[symbol][:, NAMES.index(feature.name)]


@every_feature
def test_it_is_nan_exactly_while_warming(feature, five, scanned):
    for symbol, bars in five.items():
        known = np.isfinite(column(scanned, feature, symbol))
        expected = warm(feature, bars)
        assert expected[-100:].all(), "the universe is too short to see this feature warm"
        assert not known[~expected].any(), symbol
        if feature.optional:
            continue
        if symbol == "SPY" or feature.group is not Group.TIMEFRAMES:
            assert known[expected].all(), (symbol, np.flatnonzero(expected & ~known)[:5])
        # Of a symbol that often does not trade, longer bars are fewer: it may warm later, and is then known for good.
        assert known[np.argmax(known) :].all(), symbol
        assert known[-1], symbol


@pytest.mark.parametrize(
    "feature", [f for f in CATALOGUE if f.group is Group.CROSS_SECTION], ids=lambda f: f.name
)
def test_what_needs_other_symbols_is_known_once_these_are_there(feature, scanned):
    known = np.isfinite(column(scanned, feature, "NVDA")[-100:])
    assert known.mean() > 0.9  # but for bars before which the other one was silent
    assert not np.isinf(column(scanned, feature, "KO")).any()


@every_feature
def test_updates_equal_the_scan_bit_for_bit(feature, scanned, told):
    for symbol in scanned:
        assert column(told, feature, symbol).tobytes() == column(scanned, feature, symbol).tobytes(), symbol


@pytest.fixture(scope="module")
def minutes():
    """Bars of a minute of the market and of NVDA, and the features of this one."""
    ts = DAYS.closes(ENOUGH)
    bars = {symbol: gapped(walk(ts, seed), seed) for seed, symbol in enumerate(("SPY", "NVDA"))}
    return bars["NVDA"], watching(DAYS).matrices(bars)["NVDA"]


def test_in_bars_of_a_minute_it_is_nan_exactly_while_warming_too(minutes):
    bars, rows = minutes
    known = np.isfinite(rows)
    required = [(i, f) for i, f in enumerate(CATALOGUE) if not f.optional]
    assert [f.name for i, f in required if (known[:, i] != warm(f, bars)).any()] == []


@pytest.mark.parametrize(
    ("minutes", "every", "sessions"), [(60, 1, 40), (390, 1, 3), (390, 30, 40), (390, 15, 20)]
)
def test_updates_equal_the_scan_in_sessions_and_bars_of_any_length(minutes, every, sessions):
    bars = universe(Weekdays(minutes), sessions, every)
    told = live(watching(Weekdays(minutes), every), in_order_of_time(bars, seed=1, every=every))
    scanned = watching(Weekdays(minutes), every).matrices(bars)
    for symbol in bars:
        assert told[symbol].tobytes() == scanned[symbol].tobytes(), symbol


def differing(compute, bars, others, cut):
    """Return the features whose values up to the time `cut` change when the bars after it are other bars."""
    kept, full = compute(bars), compute({s: spliced(bars[s], others[s], cut) for s in bars})
    wrong = set()
    for symbol, one in bars.items():
        past = int(np.searchsorted(one.ts, cut, side="right"))
        same = kept[symbol][:past].view(np.int64) == full[symbol][:past].view(np.int64)
        wrong |= {NAMES[i] for i in np.flatnonzero(~same.all(axis=0))}
    return wrong


def spliced(bars, other, cut):
    later = other.ts > cut
    known = part(bars, 0, int(np.searchsorted(bars.ts, cut, side="right")))
    return type(bars)(*(np.concatenate((getattr(known, x), getattr(other, x)[later])) for x in FIELDS))


FIELDS = ("ts", "open", "high", "low", "close", "volume")


@given(st.integers(0, ENOUGH * 78), st.integers(1, 10**6), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_future_changes_nothing_past(five, at, seed, ends):
    cut = int(five["SPY"].ts[min(at, len(five["SPY"].ts) - 1)])
    others = universe(DAYS, 2 if ends else ENOUGH, EVERY, seed)
    assert differing(watching(DAYS, EVERY).matrices, five, others, cut) == set()


def test_a_feature_that_saw_the_next_bar_would_be_caught(five):
    def leaking(bars):
        shifted = {s: replace(b, close=np.clip(np.roll(b.close, -1), b.low, b.high)) for s, b in bars.items()}
        return watching(DAYS, EVERY).matrices(shifted)

    cut = int(five["SPY"].ts[WARMUP + 30])
    others = universe(DAYS, ENOUGH, EVERY, seed=3)
    assert {"ret_1", "rsi_14", "sma_5", "macd"} <= differing(leaking, five, others, cut)


@every_feature
def test_a_flat_price_without_volume_is_finite_and_neutral(feature, flat):
    ts = DAYS.closes(ENOUGH, EVERY)
    ready = warm(feature, replace(flat_bars(0), ts=ts))
    for one in flat:
        values = column(one, feature, "NVDA")[ready]
        assert not np.isinf(values).any()
        assert feature.optional or np.isfinite(values).all()
        if feature.name in NEUTRAL:
            assert set(values) == {NEUTRAL[feature.name]}
    if feature.stationary:
        low, high = (column(one, feature, "NVDA") for one in flat)
        np.testing.assert_allclose(high, low, atol=1e-9)


@every_stationary
def test_a_stationary_feature_keeps_its_values_at_ten_times_the_price(feature, tenfold, scanned):
    for symbol in scanned:
        ours, theirs = column(scanned, feature, symbol), column(tenfold, feature, symbol)
        np.testing.assert_allclose(theirs, ours, atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module")
def tenfold(five):
    return watching(DAYS, EVERY).matrices({symbol: times(one, 10) for symbol, one in five.items()})


@every_stationary
def test_a_stationary_feature_keeps_its_values_when_shares_are_split(feature, split, scanned):
    ours, theirs = column(scanned, feature, "NVDA"), column(split, feature, "NVDA")
    np.testing.assert_allclose(theirs, ours, atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module")
def split(five):
    return watching(DAYS, EVERY).matrices({symbol: adjusted(one, 4) for symbol, one in five.items()})


def lifted(offset):
    """Every feature of NVDA in 64ths of a dollar, which floats hold exactly, `offset` dollars up."""
    ts = DAYS.closes(ENOUGH, EVERY)
    bars = {symbol: walk(ts, i, offset, tick=1 / 64) for i, symbol in enumerate(WATCHED)}
    return watching(DAYS, EVERY).matrices(bars)["NVDA"]


def test_a_million_dollars_more_costs_no_digits_that_matter():
    # Which features do not know the level of prices at all, three offsets near the ground tell; a rank of returns does.
    own = [i for i, feature in enumerate(CATALOGUE) if not feature.optional]
    ground, near, far, high = (lifted(offset)[WARMUP:] for offset in (0.0, 64.0, 640.0, 1e6))
    blind = [i for i in own if all_close(near[:, i], ground[:, i]) and all_close(far[:, i], ground[:, i])]
    assert {"rsi_14", "macd", "adx_14", "cci_20", "std_20", "zscore_20", "close_vs_ema_50"} <= {
        NAMES[i] for i in blind
    }
    # At a million dollars a float keeps 1e-10, so a cent of movement keeps eight digits and a cent's worth of ATR as many.
    wrong = [NAMES[i] for i in blind if not all_close(high[:, i], ground[:, i], 2e-5)]
    assert wrong == []
    level = [i for i in range(len(NAMES)) if all_close(far[:, i] - near[:, i], np.float64(576.0), 1e-6)]
    assert {"sma_20", "ema_50", "bb_upper_20", "vwap"} <= {NAMES[i] for i in level}
    assert [NAMES[i] for i in level if not all_close(high[:, i] - 1e6, ground[:, i], 0.02)] == []


def all_close(one, other, tolerance=1e-8):
    return np.allclose(one, other, atol=tolerance, rtol=0, equal_nan=True)


def test_nothing_drifts_in_a_hundred_thousand_bars():
    ts = DAYS.closes(1350, EVERY)
    long = {symbol: walk(ts, seed=i) for i, symbol in enumerate(("SPY", "XLK", "NVDA"))}
    assert len(ts) > 98_000
    start = len(DAYS.closes(700, EVERY))
    full = watching(DAYS, EVERY).matrices(long)["NVDA"][-500:]
    fresh = watching(DAYS, EVERY).matrices({s: part(one, start, len(ts)) for s, one in long.items()})["NVDA"][
        -500:
    ]
    # What sums without end is compared by its changes.
    forever = [i for i, f in enumerate(CATALOGUE) if not f.lookback and f.name == "obv"]
    full[:, forever] -= full[0, forever]
    fresh[:, forever] -= fresh[0, forever]
    wrong = [
        name
        for i, name in enumerate(NAMES)
        if not np.allclose(full[:, i], fresh[:, i], 1e-9, 1e-9, equal_nan=True)
    ]
    assert wrong == []


def test_no_two_model_inputs_are_copies_of_each_other(minutes):
    rows = minutes[1][-5000:, [NAMES.index(name) for name in MODEL_NAMES]]
    known = np.isfinite(rows).all(axis=0)
    known[known] = rows[:, known].std(axis=0) > 0
    correlation = np.corrcoef(rows[:, known], rowvar=False) - np.eye(known.sum())
    names = np.array(MODEL_NAMES)[known]
    assert [(names[i], names[j]) for i, j in np.argwhere(np.abs(correlation) > 0.999) if i < j] == []


@every_feature
def test_it_says_what_it_is_and_where_it_is_from(feature):
    assert feature.formula.endswith((".", ")"))
    assert "{" not in feature.formula
    assert feature.source
    assert feature.stationary or not feature.model
    assert feature.name.islower()
    assert feature.name.isidentifier()
