"""How fast the ensemble answers, beside the libraries that trained it: `python -m benchmarks.inference`.

Measured at a size that others are measured at (random forest 200 trees of depth 8, XGBoost 200 of depth 5, LightGBM 200
with 31 leaves, 60 features) and, under `shipped_`, at the size that is trained by default. The last line is one JSON
object: microseconds for one row and for fifty, and how many times faster one row is than the three libraries' own
predictions in the same run.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the libraries are imported

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.ml import trainer
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.labels import LabelOptions
from robo_trader.ml.members import MemberOptions, native_probabilities

FEATURES = 60
ROWS = 12_000


def dataset() -> Dataset:
    """Make rows of noise with a weak rule in them, one a minute, enough to train on."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    odds = 0.6 * rows[:, 0] + 0.4 * rows[:, 1] * rows[:, 2]
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    ts = np.arange(ROWS, dtype=np.int64) * MINUTE_NS
    names = tuple(f"f{i}" for i in range(FEATURES))
    return Dataset(
        rows=rows,
        label=label,
        ts=ts,
        known_at=ts + 30 * MINUTE_NS,
        forward=np.where(label == 1, 1e-3, -1e-3),
        nearest=rng.normal(size=ROWS),
        feature_names=names,
        feature_version="benchmark",
        symbols=("A",),
        symbol=np.zeros(ROWS, dtype=np.int64),
        asked=LabelOptions(horizon=30),
        interval_ns=MINUTE_NS,
        sessions=1,
        bars=ROWS,
        bars_sha256="",
    )


def microseconds(ask: Callable[[Any], object], questions: list[Any], rounds: int) -> np.ndarray:
    """Time `rounds` calls one by one, after one to warm up."""
    ask(questions[0])
    times = np.empty(rounds)
    for i in range(rounds):
        question = questions[i % len(questions)]
        started = time.perf_counter_ns()
        ask(question)
        times[i] = (time.perf_counter_ns() - started) / 1000
    return times


def measure(options: trainer.TrainingOptions) -> dict[str, float]:
    """Train one ensemble and time it: p50 as the median and p99 as the best of three rounds, tails are noisy."""
    trained = trainer.train(dataset(), options)
    ensemble, rows = trained.ensemble, trained.dataset.rows[:500]
    singles = list(rows.astype(np.float64))
    fifties = [rows[i : i + 50] for i in range(0, 450, 25)]
    one = [microseconds(ensemble.predict_proba, singles, 10_000) for _ in range(3)]
    fifty = [microseconds(ensemble.predict_many, fifties, 1_000) for _ in range(3)]
    native = microseconds(lambda row: native_probabilities(trained.native, row[None]), list(rows), 60)
    p50 = float(np.median([np.median(times) for times in one]))
    print(f"{len(ensemble.trees.root)} trees, {len(ensemble.trees.left)} nodes, {FEATURES} features")
    return {
        "one_row_us_p50": round(p50, 2),
        "one_row_us_p99": round(min(float(np.percentile(times, 99)) for times in one), 2),
        "fifty_rows_us_p99": round(min(float(np.percentile(times, 99)) for times in fifty), 1),
        "native_one_row_us_p50": round(float(np.median(native)), 1),
        "times_native": round(float(np.median(native)) / p50),
    }


def main() -> None:
    peers = trainer.TrainingOptions(
        members=MemberOptions(
            forest_trees=200, forest_depth=8, boosted_trees=200, boosted_depth=5, leaf_rows=20
        )
    )
    shipped = measure(trainer.TrainingOptions())
    result = measure(peers) | {f"shipped_{key}": value for key, value in shipped.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
