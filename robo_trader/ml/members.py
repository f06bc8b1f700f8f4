"""The models of an ensemble: how each is grown, flattened for the desk, and asked by its own library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import forest

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class MemberOptions:
    """Seed, size and regularisation of the models.

    Neighbouring labels share most of their future, so a leaf needs hundreds of rows to hold a handful of outcomes.
    """

    seed: int = 7
    forest_trees: int = 100
    forest_depth: int = 6
    boosted_trees: int = 150
    boosted_depth: int = 3
    learning_rate: float = 0.04
    leaf_rows: int = 200


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    `fit` grows it from rows (n, k), labels (n,), what each row weighs (n,), column names and options; `flat` lays it out
    for the desk; `says` asks its own library for P(label 1) of rows, (n,).
    """

    title: str
    fit: Callable[[Rows, Labels, Floats, tuple[str, ...], MemberOptions], Any]
    flat: Callable[[Any], forest.Member]
    says: Callable[[Any, Rows], Floats]


def _random_forest(
    rows: Rows, label: Labels, weight: Floats, names: tuple[str, ...], options: MemberOptions
) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=options.forest_trees,
        max_depth=options.forest_depth,
        min_samples_leaf=options.leaf_rows // 2,
        max_samples=0.5,
        n_jobs=1,
        random_state=options.seed,
    )
    return model.fit(rows, label, sample_weight=weight)


def _xgboost(
    rows: Rows, label: Labels, weight: Floats, names: tuple[str, ...], options: MemberOptions
) -> Any:
    import xgboost

    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": 63,
        "max_depth": options.boosted_depth,
        "learning_rate": options.learning_rate,
        "min_child_weight": options.leaf_rows / 4,  # a row at P = 1/2 weighs 1/4
        "subsample": 0.5,
        "colsample_bytree": 0.5,
        "lambda": 10.0,
        "nthread": 1,
        "seed": options.seed,
    }
    data = xgboost.DMatrix(rows, label, weight=weight, nthread=1)
    return xgboost.train(settings, data, options.boosted_trees)


def _lightgbm(
    rows: Rows, label: Labels, weight: Floats, names: tuple[str, ...], options: MemberOptions
) -> Any:
    import lightgbm

    settings = {
        "objective": "binary",
        "max_bin": 63,
        "max_depth": options.boosted_depth,
        "num_leaves": 2**options.boosted_depth,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": options.leaf_rows,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "lambda_l2": 10.0,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
        "seed": options.seed,
    }
    data = lightgbm.Dataset(rows, label, weight=weight, feature_name=list(names), params={"verbose": -1})
    return lightgbm.train(settings, data, options.boosted_trees)


def _forest_says(model: Any, rows: Rows) -> Floats:
    return np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)


def _xgboost_says(model: Any, rows: Rows) -> Floats:
    import xgboost

    return np.asarray(model.predict(xgboost.DMatrix(rows, nthread=1)), dtype=np.float64)


def _lightgbm_says(model: Any, rows: Rows) -> Floats:
    return np.asarray(model.predict(rows, num_threads=1), dtype=np.float64)


MEMBERS = {
    "rf": Kind("random forest", _random_forest, forest.from_forest, _forest_says),
    "xgb": Kind("XGBoost", _xgboost, forest.from_xgboost, _xgboost_says),
    "lgb": Kind("LightGBM", _lightgbm, forest.from_lightgbm, _lightgbm_says),
}


def native_probabilities(native: dict[str, Any], rows: Rows) -> Floats:
    """Return what the libraries themselves say, uncalibrated: (n_rows, n_members) in the order of MEMBERS."""
    return np.column_stack([member.says(native[name], rows) for name, member in MEMBERS.items()])
