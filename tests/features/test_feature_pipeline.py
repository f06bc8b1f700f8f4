"""The training matrix is the live vectors, in order of time."""

import numpy as np

from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.feature_pipeline import build_matrix
from robo_trader.features.technical_indicators import MODEL_NAMES, WARMUP
from tests.features.conftest import EveryDay, messages, part, random_bars


def test_rows_are_the_live_vectors_of_the_model_inputs():
    symbols = {"NVDA": random_bars(200, seed=1), "AAPL": part(random_bars(300, seed=2), 100, 300)}
    rows = build_matrix(symbols, EveryDay())
    engine = FeatureEngine(EveryDay())
    columns = [engine.names.index(name) for name in MODEL_NAMES]
    live = {}
    for symbol, bars in symbols.items():
        for i, bar in enumerate(messages(bars, symbol)):
            vector = engine.update(bar)
            if vector is not None:
                live[symbol, i] = bar.ts, vector[columns].tobytes()
    told = {
        (rows.symbols[s], b): (ts, x.tobytes())
        for s, b, ts, x in zip(rows.symbol, rows.bar, rows.ts.tolist(), rows.x, strict=True)
    }
    assert told == live
    assert rows.names == MODEL_NAMES
    assert rows.version == engine.version


def test_rows_come_in_order_of_time_then_of_symbol():
    symbols = {"NVDA": random_bars(120, seed=1), "AAPL": random_bars(120, seed=2)}
    rows = build_matrix(symbols, EveryDay())
    assert (np.diff(rows.ts) >= 0).all()
    assert rows.symbol.tolist() == [0, 1] * (120 - WARMUP + 1)
    assert not np.isnan(rows.x).any()


def test_symbols_without_enough_bars_give_no_rows():
    assert build_matrix({"NVDA": random_bars(WARMUP - 1)}, EveryDay()).x.shape == (0, len(MODEL_NAMES))
    assert build_matrix({}, EveryDay()).x.shape == (0, len(MODEL_NAMES))
