"""Trains the three models, calibrates them on a later block and judges them on one that nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.features.session import OF_THE_CALENDAR
from robo_trader.ml import drift, forest, validation
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.model import Card, Ensemble, sides
from robo_trader.ml.validation import Blocks, Interval, Overlap, Selected, SplitOptions

Progress = Callable[[str], None]
Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Labels = NDArray[np.int8]

STAGES = ("random forest", "XGBoost", "LightGBM", "calibration", "verdict", "reference of drift")
AGREEMENT = 1e-6


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: seed, threshold a vote must reach, blocks in time, size and regularisation of the models.

    Neighbouring labels share most of their future, so a leaf needs hundreds of rows to hold a handful of outcomes.
    """

    seed: int = 7
    threshold: float = 0.65
    split: SplitOptions = field(default_factory=SplitOptions)
    forest_trees: int = 100
    forest_depth: int = 6
    boosted_trees: int = 150
    boosted_depth: int = 3
    learning_rate: float = 0.04
    leaf_rows: int = 200
    least_rows: int = 300


@dataclass(frozen=True)
class Report:
    """What the test block said: the ensemble's scores, each member's AUC, and the rows it would have acted on."""

    rows: int
    base_rate: float
    auc: Interval
    train_auc: float
    brier: float
    brier_skill: Interval
    log_loss: float
    calibration_error: float
    long: Selected
    short: Selected
    member_auc: dict[str, Interval]


@dataclass(frozen=True)
class Trained:
    """A finished training: the ensemble, the libraries' own models by member name, the blocks and the report.

    `reference` is what later days are compared with: all rows that it was trained, calibrated and judged on, without
    the columns of the calendar.
    """

    ensemble: Ensemble
    native: dict[str, Any]
    dataset: Dataset
    blocks: Blocks
    report: Report
    options: TrainingOptions
    reference: Reference


def silent(stage: str) -> None:
    """Report no progress."""


def train(dataset: Dataset, options: TrainingOptions | None = None, progress: Progress = silent) -> Trained:
    """Train, calibrate and judge on the dataset's blocks in time; the same input gives the same models.

    `progress` is told each of STAGES as it begins. Raises DataError where a block has too few rows or one class only.
    """
    options = options or TrainingOptions()
    embargo_ns = options.split.embargo_bars * dataset.interval_ns
    blocks = validation.split_in_time(dataset.ts, dataset.known_at, embargo_ns, options.split)
    _require_enough(dataset, blocks, options)
    native = _grow(dataset, blocks, options, progress)
    progress("calibration")
    ensemble = _calibrated(native, dataset, blocks)
    progress("verdict")
    report = _judge(ensemble, dataset, blocks, options)
    proven, reason = verdict(report)
    card = Card("untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, proven, reason)
    progress("reference of drift")
    return Trained(ensemble.with_card(card), native, dataset, blocks, report, options, remember(dataset))


def remember(dataset: Dataset) -> Reference:
    """Return what the rows looked like, in all columns but those that the calendar tells."""
    names = dataset.feature_names
    watched = [i for i, name in enumerate(names) if name not in OF_THE_CALENDAR]
    rows, told = dataset.rows[:, watched], [names[i] for i in watched]
    return drift.remember(rows, dataset.symbol, dataset.ts, told, dataset.symbols)


def verdict(report: Report) -> tuple[bool, str]:
    """Say whether the model has proven anything on the test block, and why in words."""
    if report.auc.low == report.auc.high:
        return (
            False,
            "it gives every bar the same odds: on the calibration block no member did better than chance",
        )
    doubts = []
    if report.auc.low <= 0.5:
        doubts.append(f"AUC {report.auc} may be chance")
    if report.brier_skill.value <= 0:
        doubts.append(f"Brier skill {report.brier_skill.value:+.4f} is no better than saying the base rate")
    if doubts:
        return False, ", ".join(doubts)
    return (
        True,
        f"AUC {report.auc}, Brier skill {report.brier_skill.value:+.4f} on {report.rows} rows never seen",
    )


def fit_platt(label: Labels, log_odds: Floats, overlap: float) -> tuple[float, float]:
    """Fit slope and intercept of P = 1 / (1 + exp(-(slope * log_odds + intercept))) without believing a few days too much.

    Both outcomes weigh the same, because which of them led in the block is drift that the next days need not share. Each
    row counts for 1 / `overlap` (labels that share their future say the same thing) against a standard normal prior on
    the slope. A falling line would turn a model around that has learned nothing: it becomes flat and says 1/2.
    Sources: Platt 1999; López de Prado, Advances in Financial Machine Learning, 4.5 (uniqueness).
    """
    share = float(label.mean())
    weight = np.where(label == 1, 0.5 / share, 0.5 / (1 - share)) / overlap
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    prior = np.array([1.0, 0.0])
    line = np.zeros(2)
    for _ in range(50):
        said = 1 / (1 + np.exp(-(design @ line)))
        curvature = (design.T * (weight * said * (1 - said))) @ design + np.diag(prior + 1e-12)
        step = np.linalg.solve(curvature, design.T @ (weight * (label - said)) - prior * line)
        line += step
        if np.abs(step).max() < 1e-10:
            break
    return (float(line[0]), float(line[1])) if line[0] > 0 else (0.0, 0.0)


def _require_enough(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> None:
    for name in ("train", "calibration", "test"):
        label = dataset.label[getattr(blocks, name)]
        if len(label) < options.least_rows or len(np.unique(label)) < 2:
            raise DataError(
                f"too little to learn from: the {name} block has {len(label)} labelled bars, {int(label.sum())} of them "
                f"up; each block needs {options.least_rows} and both outcomes. Fetch more sessions or add symbols"
            )


def _grow(dataset: Dataset, blocks: Blocks, options: TrainingOptions, progress: Progress) -> dict[str, Any]:
    rows, label = dataset.rows[blocks.train], dataset.label[blocks.train]
    grown = {}
    for name, stage, fit in zip(
        ("rf", "xgb", "lgb"), STAGES, (_random_forest, _xgboost, _lightgbm), strict=False
    ):
        progress(stage)
        grown[name] = fit(rows, label, dataset.feature_names, options)
    return grown


def _random_forest(rows: Rows, label: Labels, names: tuple[str, ...], options: TrainingOptions) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=options.forest_trees,
        max_depth=options.forest_depth,
        min_samples_leaf=options.leaf_rows // 2,
        max_samples=0.5,
        n_jobs=1,
        random_state=options.seed,
    )
    return model.fit(rows, label)


def _xgboost(rows: Rows, label: Labels, names: tuple[str, ...], options: TrainingOptions) -> Any:
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
    return xgboost.train(settings, xgboost.DMatrix(rows, label, nthread=1), options.boosted_trees)


def _lightgbm(rows: Rows, label: Labels, names: tuple[str, ...], options: TrainingOptions) -> Any:
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
    data = lightgbm.Dataset(rows, label, feature_name=list(names), params={"verbose": -1})
    return lightgbm.train(settings, data, options.boosted_trees)


def native_probabilities(native: dict[str, Any], rows: Rows) -> Floats:
    """Return what the libraries themselves say, uncalibrated: (n_rows, 3) in the order rf, xgb, lgb."""
    import xgboost

    return np.column_stack(
        [
            native["rf"].predict_proba(rows)[:, 1],
            native["xgb"].predict(xgboost.DMatrix(rows, nthread=1)),
            native["lgb"].predict(rows, num_threads=1),
        ]
    )


def _calibrated(native: dict[str, Any], dataset: Dataset, blocks: Blocks) -> Ensemble:
    members = [
        forest.from_forest(native["rf"]),
        forest.from_xgboost(native["xgb"]),
        forest.from_lightgbm(native["lgb"]),
    ]
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    names = [member.name for member in members]
    trees = forest.flatten(members)
    raw = Ensemble(names, dataset.feature_names, trees, np.ones(3), np.zeros(3), card)
    rows, label = dataset.rows[blocks.calibration], dataset.label[blocks.calibration]
    _require_equal(raw, native_probabilities(native, rows), rows)
    lines = np.array([fit_platt(label, odds, dataset.horizon) for odds in raw.log_odds(rows).T])
    return Ensemble(names, dataset.feature_names, trees, lines[:, 0].copy(), lines[:, 1].copy(), card)


def _require_equal(raw: Ensemble, native: Floats, rows: Rows) -> None:
    worst = float(np.abs(raw.votes_many(rows) - native).max())
    if not worst <= AGREEMENT:
        raise DataError(
            f"the flattened trees differ from their libraries by {worst:.1e} (allowed {AGREEMENT:.0e}): an installed "
            "version of scikit-learn, xgboost or lightgbm keeps its trees in another way; nothing was saved"
        )


def _judge(ensemble: Ensemble, dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> Report:
    overlap = Overlap(dataset.horizon * dataset.interval_ns, dataset.interval_ns)
    label, ts = dataset.label[blocks.test], dataset.ts[blocks.test]
    votes = ensemble.votes_many(dataset.rows[blocks.test])
    probability, forward = votes.mean(axis=1), dataset.forward[blocks.test]
    side = sides(votes, options.threshold)
    return Report(
        rows=len(label),
        base_rate=float(label.mean()),
        auc=validation.auc_interval(label, probability, ts, overlap),
        train_auc=validation.auc(
            dataset.label[blocks.train], ensemble.predict_many(dataset.rows[blocks.train])
        ),
        brier=validation.brier(label, probability),
        brier_skill=validation.brier_skill(label, probability, ts, overlap),
        log_loss=validation.log_loss(label, probability),
        calibration_error=validation.calibration_error(label, probability),
        long=validation.selected(side, 1, label, probability, forward),
        short=validation.selected(side, -1, label, probability, forward),
        member_auc={
            name: validation.auc_interval(label, votes[:, i], ts, overlap)
            for i, name in enumerate(ensemble.names)
        },
    )
