"""The models of an ensemble: how each is grown, flattened for the desk, asked by its own library, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import dense, forest

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Labels = NDArray[np.int8]
Names = tuple[str, ...]


@dataclass(frozen=True)
class MemberOptions:
    """Seed, size and regularisation of the models.

    Neighbouring labels share most of their future, so a leaf needs hundreds of rows to hold a handful of outcomes. The
    last `later_share` of the rows tells boosted trees and the net when to stop, `pause_rows` before it are left out:
    labels reach that far.
    """

    seed: int = 7
    forest_trees: int = 100
    forest_depth: int = 6
    forest_columns: float = 0.3
    forest_leaf_rows: int = 200
    boosted_trees: int = 150
    boosted_depth: int = 3
    boosted_columns: float = 0.5
    boosted_l2: float = 10.0
    learning_rate: float = 0.04
    leaf_rows: int = 200
    later_share: float = 0.15
    pause_rows: int = 60
    patience: int = 20
    net_layers: tuple[int, ...] = (32, 16)
    net_rate: float = 1e-3
    net_decay: float = 1.0
    net_rounds: int = 40
    net_patience: int = 4
    logistic_strength: float = 1e-3


@dataclass(frozen=True)
class Sample:
    """Rows (n, k) in order of time, their labels and what each weighs, both outcomes the same in all."""

    rows: Rows
    label: Labels
    weight: Floats
    names: Names

    def part(self, first: int, stop: int) -> Sample:
        """Return the rows from `first` up to `stop`."""
        return Sample(self.rows[first:stop], self.label[first:stop], self.weight[first:stop], self.names)


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    `grow` makes it of a sample; `flat` lays it out for the desk; `says` asks its own library for P(label 1) of rows,
    (n,); `keep` writes it to a file named after the member with `suffix`.
    """

    title: str
    grow: Callable[[Sample, MemberOptions], Any]
    flat: Callable[[Any], forest.Member | dense.Net]
    says: Callable[[Any, Rows], Floats]
    suffix: str
    keep: Callable[[Any, Path], None]

    def fit(self, rows: Rows, label: Labels, weight: Floats, names: Names, options: MemberOptions) -> Any:
        """Grow the model from rows in order of time, labels (n,), what each row weighs (n,) and the columns' names."""
        return self.grow(Sample(rows, label, balanced(label, weight), names), options)


def balanced(label: Labels, weight: Floats) -> Floats:
    """Return weights with a mean of 1 that give both outcomes the same: which of them led is drift."""
    one = label == 1
    total = {True: weight[one].sum(), False: weight[~one].sum()}
    if not total[True] or not total[False]:
        return np.asarray(weight / weight.mean(), dtype=np.float64)
    return np.asarray(weight * len(weight) / 2 / np.where(one, total[True], total[False]), dtype=np.float64)


def earlier_and_later(sample: Sample, options: MemberOptions) -> tuple[Sample, Sample]:
    """Cut a sample in time into what is learnt from and what says when to stop, purged of `pause_rows` between."""
    border = int(len(sample.label) * (1 - options.later_share))
    return sample.part(0, max(border - options.pause_rows, 1)), sample.part(border, len(sample.label))


def _forest(sample: Sample, options: MemberOptions) -> Any:
    """Grow Breiman's forest on binned columns: the squared error of 0/1 labels splits as Gini does."""
    import xgboost

    settings = {
        "objective": "reg:squarederror",
        "base_score": 0.0,
        "tree_method": "hist",
        "max_bin": 63,
        "max_depth": options.forest_depth,
        "num_parallel_tree": options.forest_trees,
        "learning_rate": 1.0,
        "min_child_weight": options.forest_leaf_rows / 4,  # of a tree's half of the rows
        "subsample": 0.5,
        "colsample_bynode": options.forest_columns,
        "lambda": 0.0,
        "nthread": 1,
        "seed": options.seed,
    }
    return xgboost.train(settings, _matrix(sample), 1)


def _xgboost(sample: Sample, options: MemberOptions) -> Any:
    import xgboost

    settings = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_bin": 63,
        "max_depth": options.boosted_depth,
        "learning_rate": options.learning_rate,
        "min_child_weight": options.leaf_rows / 4,  # a row at P = 1/2 weighs 1/4
        "subsample": 0.5,
        "colsample_bytree": options.boosted_columns,
        "lambda": options.boosted_l2,
        "nthread": 1,
        "seed": options.seed,
    }
    learnt, later = (_matrix(part) for part in earlier_and_later(sample, options))
    booster = xgboost.train(
        settings,
        learnt,
        options.boosted_trees,
        evals=[(later, "later")],
        early_stopping_rounds=options.patience,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def _matrix(sample: Sample) -> Any:
    import xgboost

    return xgboost.DMatrix(sample.rows, sample.label, weight=sample.weight, nthread=1)


def _lightgbm(sample: Sample, options: MemberOptions) -> Any:
    import lightgbm

    settings = {
        "objective": "binary",
        "metric": "binary_logloss",
        "max_bin": 63,
        "max_depth": options.boosted_depth,
        "num_leaves": 2**options.boosted_depth,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": options.leaf_rows,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "feature_fraction": options.boosted_columns,
        "lambda_l2": options.boosted_l2,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
        "seed": options.seed,
    }
    learnt, later = earlier_and_later(sample, options)
    data = lightgbm.Dataset(
        learnt.rows, learnt.label, weight=learnt.weight, feature_name=list(sample.names), params=settings
    )
    return lightgbm.train(
        settings,
        data,
        options.boosted_trees,
        valid_sets=[data.create_valid(later.rows, later.label, weight=later.weight)],
        callbacks=[lightgbm.early_stopping(options.patience, verbose=False)],
    )


def _mlp(sample: Sample, options: MemberOptions) -> Any:
    """Train a net round by round and keep the round that spoke best of the later rows."""
    from sklearn.neural_network import MLPClassifier

    learnt, later = earlier_and_later(sample, options)
    net = MLPClassifier(
        options.net_layers,
        learning_rate_init=options.net_rate,
        alpha=options.net_decay,
        random_state=options.seed,
    )
    fitted = dense.pipeline(net)
    z = fitted[:-1].fit(sample.rows.astype(np.float64)).transform(sample.rows.astype(np.float64))
    ahead, best, kept, waited = z[len(z) - len(later.label) :], np.inf, None, 0
    for _ in range(options.net_rounds):
        net.partial_fit(z[: len(learnt.label)], learnt.label, learnt.weight, classes=[0, 1])
        loss = _log_loss(later, net.predict_proba(ahead)[:, 1])
        waited += 1
        if loss < best:
            best, waited = loss, 0
            kept = [array.copy() for array in (*net.coefs_, *net.intercepts_)]
        elif waited >= options.net_patience:
            break
    if kept:
        net.coefs_, net.intercepts_ = kept[: len(net.coefs_)], kept[len(net.coefs_) :]
    return fitted


def _log_loss(sample: Sample, probability: Floats) -> float:
    said = np.where(sample.label == 1, probability, 1 - probability)
    return float(-(sample.weight @ np.log(np.maximum(said, 1e-12))) / sample.weight.sum())


def _logistic(sample: Sample, options: MemberOptions) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=options.logistic_strength, max_iter=1000)
    fitted = dense.pipeline(model)
    z = fitted[:-1].fit(sample.rows.astype(np.float64)).transform(sample.rows.astype(np.float64))
    model.fit(z, sample.label, sample.weight)
    return fitted


def _xgboost_says(model: Any, rows: Rows) -> Floats:
    import xgboost

    return np.asarray(model.predict(xgboost.DMatrix(rows, nthread=1)), dtype=np.float64)


def _lightgbm_says(model: Any, rows: Rows) -> Floats:
    return np.asarray(model.predict(rows, num_threads=1), dtype=np.float64)


def _sklearn_says(model: Any, rows: Rows) -> Floats:
    return np.asarray(model.predict_proba(rows.astype(np.float64))[:, 1], dtype=np.float64)


def _keep_booster(model: Any, path: Path) -> None:
    model.save_model(path)


def _keep_sklearn(model: Any, path: Path) -> None:
    import skops.io

    skops.io.dump(model, path)


MEMBERS = {  # trees before nets, as the desk answers
    "rf": Kind("random forest", _forest, forest.from_forest, _xgboost_says, ".ubj", _keep_booster),
    "xgb": Kind("XGBoost", _xgboost, forest.from_xgboost, _xgboost_says, ".ubj", _keep_booster),
    "lgb": Kind("LightGBM", _lightgbm, forest.from_lightgbm, _lightgbm_says, ".txt", _keep_booster),
    "mlp": Kind("neural net", _mlp, dense.from_mlp, _sklearn_says, ".skops", _keep_sklearn),
    "logit": Kind("logistic", _logistic, dense.from_logistic, _sklearn_says, ".skops", _keep_sklearn),
}


def native_probabilities(native: dict[str, Any], rows: Rows) -> Floats:
    """Return what the libraries themselves say, uncalibrated: (n_rows, n_members) in the order of MEMBERS."""
    return np.column_stack([member.says(native[name], rows) for name, member in MEMBERS.items()])
