"""How fast the ensemble answers, beside the libraries that trained it and runtimes of others.

    python -m benchmarks.inference

Measured at a size that others are measured at (random forest 200 trees of depth 8, XGBoost 200 of depth 5, LightGBM 200 of
depth 5, a net of 64 and 32, a linear model, 60 features) and, under `shipped_`, at the size that is trained by default.
`stock` is the libraries' own predictions with scikit-learn's forest in place of XGBoost's. Where `pip install -e ".[bench]"`
was done, onnxruntime, treelite's interpreter and its compiled models answer the same rows in the same run; tl2cgen needs a
C compiler and some ten seconds. The last line is one JSON object: microseconds for one row and for fifty, and how many
times faster one row is than each of them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the libraries are imported

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import dataset
from robo_trader.ml import trainer
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities

Ask = Callable[[np.ndarray], object]

PEERS = trainer.TrainingOptions(
    members=MemberOptions(
        forest_trees=200, forest_depth=8, boosted_trees=200, boosted_depth=5, leaf_rows=20, forest_leaf_rows=20,
        patience=1000, net_layers=(64, 32),
    )
)  # fmt: skip
TREES = ("rf", "xgb", "lgb")


def microseconds(ask: Ask, questions: list[np.ndarray], rounds: int) -> np.ndarray:
    """Time `rounds` calls one by one, after one to warm up."""
    ask(questions[0])
    times = np.empty(rounds)
    for i in range(rounds):
        question = questions[i % len(questions)]
        started = time.perf_counter_ns()
        ask(question)
        times[i] = (time.perf_counter_ns() - started) / 1000
    return times


def measured(ask: Ask, rows: np.ndarray, rounds: int) -> dict[str, float]:
    """Time one row and fifty: p50 and p99 as the best of three rounds, for others use the machine too."""
    singles, fifties = [row[None] for row in rows], [rows[i : i + 50] for i in range(0, 450, 25)]
    one = [microseconds(ask, singles, rounds) for _ in range(3)]
    fifty = [microseconds(ask, fifties, max(rounds // 10, 10)) for _ in range(3)]
    return {
        "one_row_us_p50": round(min(float(np.median(times)) for times in one), 2),
        "one_row_us_p99": round(min(float(np.percentile(times, 99)) for times in one), 2),
        "fifty_rows_us_p50": round(min(float(np.median(times)) for times in fifty), 1),
        "fifty_rows_us_p99": round(min(float(np.percentile(times, 99)) for times in fifty), 1),
    }


def onnx(native: dict[str, Any], features: int) -> Ask:
    """Return all five models as onnxruntime sessions; the bound of standardised values is left out."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from onnxruntime import InferenceSession, SessionOptions
    from skl2onnx import to_onnx
    from sklearn.pipeline import make_pipeline

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it would warn of every batch
    shape = [("x", FloatTensorType([None, features]))]
    for name in ("rf", "xgb"):
        native[name].feature_names = None
    models = [convert_xgboost(native[name], initial_types=shape) for name in ("rf", "xgb")]
    models.append(convert_lightgbm(native["lgb"], initial_types=shape, zipmap=False))
    for name in ("mlp", "logit"):
        plain = make_pipeline(native[name][0], native[name][-1])
        models.append(to_onnx(plain, np.zeros((1, features), np.float32), options={"zipmap": False}))
    sessions = [InferenceSession(model.SerializeToString(), options) for model in models]
    inputs = [session.get_inputs()[0].name for session in sessions]
    return lambda rows: [
        session.run(None, {name: rows}) for session, name in zip(sessions, inputs, strict=True)
    ]


def treelite_models(native: dict[str, Any]) -> list[Any]:
    """Return the three tree models as treelite reads them."""
    from treelite import frontend

    boosters = [frontend.from_xgboost(native[name]) for name in ("rf", "xgb")]
    return [*boosters, frontend.from_lightgbm(native["lgb"])]


def treelite(native: dict[str, Any], features: int) -> Ask:
    """Return the three tree models in treelite's interpreter."""
    from treelite import gtil

    models = treelite_models(native)
    return lambda rows: [gtil.predict(model, rows, nthread=1) for model in models]


def tl2cgen(native: dict[str, Any], features: int) -> Ask:
    """Return the three tree models as C code compiled by tl2cgen."""
    import tl2cgen

    predictors = []
    for i, model in enumerate(treelite_models(native)):
        library = Path(tempfile.mkdtemp()) / f"model{i}.so"
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 4})
        predictors.append(tl2cgen.Predictor(library, nthread=1))
    return lambda rows: [predictor.predict(tl2cgen.DMatrix(rows)) for predictor in predictors]


def stock(native: dict[str, Any], data: Dataset) -> Ask:
    """Return the libraries' own predictions with scikit-learn's forest, as most would train it, in place of XGBoost's."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(200, max_depth=8, min_samples_leaf=20, n_jobs=1, random_state=7)
    forest.fit(data.rows, data.label)
    rest = [name for name in MEMBERS if name != "rf"]
    return lambda rows: [
        forest.predict_proba(rows),
        *(MEMBERS[name].says(native[name], rows) for name in rest),
    ]


def others(native: dict[str, Any], data: Dataset) -> dict[str, dict[str, float]]:
    """Time the libraries themselves and every runtime that is installed."""
    rows = data.rows[:500]
    found = {
        "native": measured(lambda rows: native_probabilities(native, rows), rows, 60),
        "stock": measured(stock(native, data), rows, 60),
    }
    for name, made in (("onnxruntime", onnx), ("treelite", treelite), ("tl2cgen", tl2cgen)):
        try:
            ask = made(native, rows.shape[1])
        except ImportError as missing:
            print(f"{name} is not measured: {missing}")
            continue
        found[name] = measured(ask, rows, 300)
    return found


def measure(options: trainer.TrainingOptions, beside: bool, rows: int, rounds: int) -> dict[str, float]:
    """Train one ensemble and time it, and where asked the others beside it."""
    trained = trainer.train(dataset(rows), options)
    ensemble, asked = trained.ensemble, trained.dataset.rows[:500]
    trees = ensemble.parts.trees
    print(f"{len(trees.tree)} trees, {len(trees.node)} nodes, nets {ensemble.parts.nets.layers.tolist()}")

    def ask(rows: np.ndarray) -> object:
        return ensemble.answer(rows[0]) if len(rows) == 1 else ensemble.answers(rows)

    result = measured(ask, asked, rounds)
    if beside:
        for name, figures in others(trained.native, trained.dataset).items():
            print(f"{name:12} {figures}")
            result[f"{name}_one_row_us_p50"] = figures["one_row_us_p50"]
            result[f"{name}_fifty_rows_us_p50"] = figures["fifty_rows_us_p50"]
            result[f"times_{name}"] = round(figures["one_row_us_p50"] / result["one_row_us_p50"], 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_000, help="to learn from")
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--alone", action="store_true", help="leave out what else could answer")
    chosen = parser.parse_args()
    shipped = measure(trainer.TrainingOptions(), False, chosen.rows, chosen.rounds)
    peers = measure(PEERS, not chosen.alone, chosen.rows, chosen.rounds)
    print(json.dumps(peers | {f"shipped_{key}": value for key, value in shipped.items()}))


if __name__ == "__main__":
    main()
