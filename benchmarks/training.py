"""How long the models take to train, beside the stock libraries: `python -m benchmarks.training [--large] [--stock-large]`.

Three sizes: 3,624 rows of 60 columns, 20 folds of 3,000 rows, and with `--large` 200,000 rows. Stock is a random forest of
scikit-learn, XGBoost and LightGBM as their own defaults have them but for the same number and depth of trees, without the
net and the linear model that ours train too. Folds run on as many threads as there are cores, as the trainer runs them, and
on as many processes, as a search does, their start included; both must say what they say one after the other.
The last line is one JSON object: seconds by the clock and of processors, which others on the machine hardly change, and
log-loss on rows nobody has seen.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the libraries are imported

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from benchmarks.rows import dataset
from robo_trader.ml.crew import processes, threads
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.members import MEMBERS, MemberOptions

TREES, DEPTH, LEAF = 200, 8, 20
OPTIONS = MemberOptions(
    forest_trees=TREES,
    forest_depth=DEPTH,
    boosted_trees=TREES,
    boosted_depth=5,
    leaf_rows=LEAF,
    forest_leaf_rows=LEAF,
)
Said = dict[str, np.ndarray]


def ours(data: Dataset, fresh: Dataset) -> Said:
    """Train the five members one after the other and let them speak of fresh rows."""
    return {name: one(name, data, fresh) for name in MEMBERS}


def one(name: str, data: Dataset, fresh: Dataset) -> np.ndarray:
    """Train one member and let it speak."""
    kind = MEMBERS[name]
    model = kind.fit(data.rows, data.label, np.ones(len(data.label)), data.feature_names, OPTIONS)
    return kind.says(model, fresh.rows)


def ours_on_threads(data: Dataset, fresh: Dataset) -> Said:
    """Train the five members side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(MEMBERS, pool.map(lambda name: one(name, data, fresh), MEMBERS), strict=True))


def stock(data: Dataset, fresh: Dataset) -> Said:
    """Train the stock libraries one after the other, on one core."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import RandomForestClassifier
    from xgboost import XGBClassifier

    models = {
        "rf": RandomForestClassifier(TREES, max_depth=DEPTH, min_samples_leaf=LEAF, n_jobs=1, random_state=7),
        "xgb": XGBClassifier(n_estimators=TREES, max_depth=5, learning_rate=0.05, n_jobs=1, random_state=7),
        "lgb": LGBMClassifier(n_estimators=TREES, learning_rate=0.05, n_jobs=1, random_state=7, verbose=-1),
    }
    for model in models.values():
        model.fit(data.rows, data.label)
    return {name: model.predict_proba(fresh.rows)[:, 1] for name, model in models.items()}


def losses(said: Said, fresh: Dataset) -> dict[str, float]:
    """Return each model's log-loss on rows it has not learnt from."""
    right = {name: np.where(fresh.label == 1, p, 1 - p) for name, p in said.items()}
    return {name: round(float(-np.log(np.clip(p, 1e-6, 1)).mean()), 4) for name, p in right.items()}


class Timed(NamedTuple):
    """What a piece of work took, by the clock and of processors, and what it said."""

    clock: float
    processor: float
    said: Said


def timed(work: Callable[[Dataset, Dataset], Said], data: Dataset, fresh: Dataset, rounds: int = 1) -> Timed:
    """Take the best of some rounds."""
    found = []
    for _ in range(rounds):
        clock, processor = time.perf_counter(), time.process_time()
        said = work(data, fresh)
        found.append(Timed(time.perf_counter() - clock, time.process_time() - processor, said))
    return min(found, key=lambda one: one.processor)


def figures(name: str, taken: Timed, fresh: Dataset) -> dict[str, float | dict[str, float]]:
    """Name what was measured."""
    return {
        f"{name}_s": round(taken.clock, 2),
        f"{name}_processor_s": round(taken.processor, 2),
        f"{name}_loss": losses(taken.said, fresh),
    }


def small(rows: int) -> dict[str, float | dict[str, float]]:
    """Train on the seed's size, one member after the other and side by side."""
    data, fresh = dataset(rows), dataset(20_000, seed=8)
    found = {}
    for name, work in (("small_stock", stock), ("small_serial", ours), ("small", ours_on_threads)):
        found |= figures(name, timed(work, data, fresh, rounds=2), fresh)
    return found


def fold(about: tuple[list[Dataset], Dataset], number: int) -> Said:
    """Train the five members on a fold."""
    cut, fresh = about
    return ours(cut[number], fresh)


def processor_seconds() -> float:
    """Return what this process and those it waited for took of processors."""
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def folds(count: int, rows: int = 3000, few: int = 4) -> dict[str, float | bool]:
    """Train folds on threads and on processes, compare what they say, and time stock libraries on as many."""
    cut = [dataset(rows, seed=seed) for seed in range(count)]
    fresh = dataset(500, seed=99)
    found: dict[str, float | bool] = {}
    said = {}
    for name, crew in (("folds", threads()), ("folds_processes", processes())):
        clock, processor = time.perf_counter(), processor_seconds()
        with crew((cut, fresh)) as ask:
            said[name] = ask(fold, range(count))
        found[f"{name}_s"] = round(time.perf_counter() - clock, 2)
        found[f"{name}_processor_s"] = round(processor_seconds() - processor, 2)
    alone = [timed(ours, data, fresh).said for data in cut[:few]]
    theirs = [timed(stock, data, fresh) for data in cut[:few]]
    return found | {
        "folds_stock_s": round(sum(one.clock for one in theirs) / len(theirs) * count, 2),
        "folds_stock_processor_s": round(sum(one.processor for one in theirs) / len(theirs) * count, 2),
        "folds_same": all(
            np.array_equal(one[name], other[name])
            for beside in said.values()
            for one, other in zip(alone, beside, strict=False)
            for name in MEMBERS
        ),
    }


def large(with_stock: bool) -> dict[str, float | dict[str, float]]:
    """Train on two hundred thousand rows."""
    data, fresh = dataset(200_000), dataset(20_000, seed=8)
    found = figures("large", timed(ours_on_threads, data, fresh), fresh)
    return found | figures("large_stock", timed(stock, data, fresh), fresh) if with_stock else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="train on 200,000 rows too")
    parser.add_argument(
        "--stock-large", action="store_true", help="the stock libraries as well, some three minutes"
    )
    parser.add_argument("--rows", type=int, default=3624, help="of the small set")
    parser.add_argument("--folds", type=int, default=20)
    chosen = parser.parse_args()
    result = small(chosen.rows) | folds(chosen.folds)
    if chosen.large or chosen.stock_large:
        result |= large(chosen.stock_large)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
