"""The training matrix is the live vectors, in order of time."""

import numpy as np

from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.feature_pipeline import build_matrix
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, WARM_SESSIONS, WARMUP
from tests.features.conftest import EveryDay, in_order_of_time, part, random_bars

EARLY = [f for f in CATALOGUE if f.model and not f.optional and not f.sessions]
NAMED = {feature.name for feature in EARLY}
FIRST = max(feature.warmup for feature in EARLY)  # bars until the first row
ENOUGH = max(WARMUP, 390 * WARM_SESSIONS) + 120  # bars, until every column is warm


def test_rows_are_the_live_vectors_of_the_model_inputs():
    symbols = {
        "NVDA": random_bars(ENOUGH, seed=1),
        "AAPL": part(random_bars(ENOUGH + 100, seed=2), 100, ENOUGH + 100),
    }
    rows = build_matrix(symbols, EveryDay())
    engine = FeatureEngine(EveryDay())
    columns = [engine.names.index(name) for name in rows.names]
    live, seen = {}, dict.fromkeys(symbols, -1)
    for bar in in_order_of_time(symbols):
        vector = engine.update(bar)
        seen[bar.symbol] += 1
        if not np.isnan(vector[columns]).any():
            live[bar.symbol, seen[bar.symbol]] = bar.ts, vector[columns].tobytes()
    told = {
        (rows.symbols[s], b): (ts, x.tobytes())
        for s, b, ts, x in zip(rows.symbol, rows.bar, rows.ts.tolist(), rows.x, strict=True)
    }
    assert told == live
    assert NAMED < set(rows.names) < set(MODEL_NAMES)
    assert rows.version == engine.version


def test_rows_come_in_order_of_time_then_of_symbol():
    symbols = {"NVDA": random_bars(ENOUGH, seed=1), "AAPL": random_bars(ENOUGH, seed=2)}
    rows = build_matrix(symbols, EveryDay())
    assert (np.diff(rows.ts) >= 0).all()
    assert len(rows.ts) > 200
    assert rows.symbol.tolist() == [0, 1] * (len(rows.ts) // 2)
    assert not np.isnan(rows.x).any()


def test_columns_that_need_weeks_come_with_months_of_bars_and_cost_no_rows_before():
    few, many = (
        set(build_matrix({"NVDA": random_bars(390 * sessions)}, EveryDay()).names)
        for sessions in (WARM_SESSIONS + 5, 3 * WARM_SESSIONS)
    )
    assert many - few >= {"trend_1d", "volume_of_day_20"}


def test_symbols_without_enough_bars_give_no_rows():
    for bars in ({"NVDA": random_bars(FIRST - 1)}, {}):
        rows = build_matrix(bars, EveryDay())
        assert rows.x.shape == (0, len(rows.names))
        assert set(rows.names) == NAMED
