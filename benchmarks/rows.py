"""Rows of noise with a weak rule in them, for benchmarks that need something to learn."""

from __future__ import annotations

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.labels import LabelOptions


def dataset(rows: int, features: int = 60, seed: int = 7) -> Dataset:
    """Make `rows` rows, one a minute, whose label leans to one column and to the product of two others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    odds = 0.6 * x[:, 0] + 0.4 * x[:, 1] * x[:, 2]
    label = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    ts = np.arange(rows, dtype=np.int64) * MINUTE_NS
    return Dataset(
        rows=x,
        label=label,
        ts=ts,
        known_at=ts + 30 * MINUTE_NS,
        forward=np.where(label == 1, 1e-3, -1e-3),
        nearest=rng.normal(size=rows),
        feature_names=tuple(f"f{i}" for i in range(features)),
        feature_version="benchmark",
        symbols=("A",),
        symbol=np.zeros(rows, dtype=np.int64),
        asked=LabelOptions(horizon=30),
        interval_ns=MINUTE_NS,
        sessions=1,
        bars=rows,
        bars_sha256="",
    )
