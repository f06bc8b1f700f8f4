"""What holds for every feature there is: the tests find them in the catalogue by themselves."""

import pickle

import numpy as np
import pytest

from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE, NAMES, WARMUP
from tests.features.conftest import EveryDay, flat_bars, messages, part, random_bars

every_feature = pytest.mark.parametrize("feature", CATALOGUE, ids=NAMES)
every_stationary = pytest.mark.parametrize(
    "feature", [f for f in CATALOGUE if f.stationary], ids=lambda f: f.name
)

# What a symbol that never moves shows: the neutral values the catalogue names.
NEUTRAL = {"rsi_14": 50, "stoch_k_14": 50, "stoch_d_3": 50, "mfi_14": 50, "williams_r_14": -50}
NEUTRAL |= {"volume_rate_20": 1, "range_atr": 1}
CLOCK = ("session_sin", "session_cos")


@pytest.fixture(scope="module")
def live(bars):
    """The same features by one update a bar, NaN where there was no vector."""
    engine = FeatureEngine(EveryDay())
    rows = [engine.update(bar) for bar in messages(bars)]
    empty = np.full(len(NAMES), np.nan)
    return dict(zip(NAMES, np.array([empty if row is None else row for row in rows]).T, strict=True))


@pytest.fixture(scope="module")
def lifted():
    """Features of bars in cents, and of the same bars a million dollars up, by name."""
    engine = FeatureEngine(EveryDay())
    pair = (engine.matrix(random_bars(3000, offset=offset)) for offset in (0.0, 1e6))
    return [dict(zip(NAMES, matrix.T, strict=True)) for matrix in pair]


@every_feature
def test_it_is_nan_exactly_while_warming(feature, matrix):
    assert np.isnan(matrix[feature.name][: feature.warmup - 1]).all()
    assert np.isfinite(matrix[feature.name][feature.warmup - 1 :]).all()


@every_feature
def test_updates_equal_the_scan_bit_for_bit(feature, matrix, live):
    assert live[feature.name][WARMUP - 1 :].tobytes() == matrix[feature.name][WARMUP - 1 :].tobytes()
    assert np.isnan(live[feature.name][: WARMUP - 1]).all()


@every_feature
def test_the_future_changes_nothing_past(feature, bars, matrix):
    column = NAMES.index(feature.name)
    for known in (60, 400, 777):
        early = FeatureEngine(EveryDay()).matrix(part(bars, 0, known))[:, column]
        assert early.tobytes() == matrix[feature.name][:known].tobytes()


@every_feature
def test_a_flat_price_without_volume_is_finite_and_neutral(feature):
    values = FeatureEngine(EveryDay()).matrix(flat_bars(900))[feature.warmup - 1 :, NAMES.index(feature.name)]
    assert np.isfinite(values).all()
    if feature.stationary and feature.name not in CLOCK:
        assert set(values) == {NEUTRAL.get(feature.name, 0)}


# At a million dollars a float keeps 1e-10, so a cent of movement keeps eight digits and a cent's worth of ATR as many.
SHIFTED = [f for f in CATALOGUE if f.name.startswith(("close_vs", "macd")) or f.name in {
    "adx_14", "rsi_14", "stoch_k_14", "stoch_d_3", "williams_r_14", "cci_20", "atr_14", "std_20", "zscore_20", "obv",
    "volume_sma_20", "volume_rate_20", "obv_change_20", "open_distance", "close_location", "range_atr",
}]  # fmt: skip


@pytest.mark.parametrize("feature", SHIFTED, ids=lambda f: f.name)
def test_a_million_dollars_more_costs_no_digits_that_matter(feature, lifted):
    low, high = (x[feature.name][feature.warmup - 1 :] for x in lifted)
    np.testing.assert_allclose(high, low, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["sma_20", "ema_50", "bb_upper_20", "bb_lower_20", "vwap"])
def test_a_price_level_moves_by_the_offset(name, lifted):
    low, high = (x[name][50:] for x in lifted)
    np.testing.assert_allclose(high - 1e6, low, atol=0.02 if name == "vwap" else 1e-7, rtol=0)


@every_stationary
def test_a_stationary_feature_keeps_its_range_at_ten_times_the_price(feature, bars, matrix):
    tenfold = type(bars)(
        bars.ts, *(10 * x for x in (bars.open, bars.high, bars.low, bars.close)), bars.volume
    )
    values = FeatureEngine(EveryDay()).matrix(tenfold)[:, NAMES.index(feature.name)]
    np.testing.assert_allclose(values, matrix[feature.name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cut", [1, 13, 26, 49, 50, 64, 129, 391])
def test_a_pickled_engine_continues_bit_for_bit(cut, bars):
    told = messages(part(bars, 0, cut + 80))
    engine = FeatureEngine(EveryDay())
    for bar in told[:cut]:
        engine.update(bar)
    restored = pickle.loads(pickle.dumps(engine))
    for bar in told[cut:]:
        one, other = engine.update(bar), restored.update(bar)
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes()


def test_nothing_drifts_in_a_hundred_thousand_bars():
    long = random_bars(100_000)
    tail = part(long, 99_000, 100_000)
    windowed = [
        f for f in CATALOGUE if f.lookback and f.name.startswith(("sma", "bb_", "std", "cci", "mfi", "stoch"))
    ]
    full, fresh = (FeatureEngine(EveryDay()).matrix(x) for x in (long, tail))
    for feature in windowed:
        column = NAMES.index(feature.name)
        assert full[-800:, column].tobytes() == fresh[-800:, column].tobytes(), feature.name
