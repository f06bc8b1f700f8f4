"""Trains the models, calibrates them on a later block and judges them on one that nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import blend, dense, drift, folds, guard, model, validation
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.report import Report, judge, verdict
from robo_trader.ml.validation import Blocks, SplitOptions

Progress = Callable[[str], None]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

STAGES = (*(member.title for member in MEMBERS.values()), "calibration", "verdict", "reference of drift")
AGREEMENT = 1e-6
CALIBRATION_FOLDS = 4


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: threshold a vote must reach, blocks in time, the fewest rows of a block, and how members are grown."""

    threshold: float = 0.65
    split: SplitOptions = field(default_factory=SplitOptions)
    members: MemberOptions = field(default_factory=MemberOptions)
    least_rows: int = 300


@dataclass(frozen=True)
class Trained:
    """A finished training: the ensemble, the libraries' own models by member name, the blocks and the report.

    `reference` is what later days are compared with: all rows that it was trained, calibrated and judged on. `methods`
    names how each member was calibrated.
    """

    ensemble: Ensemble
    native: dict[str, Any]
    dataset: Dataset
    blocks: Blocks
    report: Report
    options: TrainingOptions
    reference: Reference
    methods: tuple[str, ...]


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
    native = _grow(dataset, blocks, options.members, progress)
    progress("calibration")
    ensemble, methods = _calibrated(native, dataset, blocks)
    progress("verdict")
    report = judge(ensemble, dataset, blocks, options.threshold)
    proven, reason = verdict(report)
    card = Card("untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, proven, reason)
    progress("reference of drift")
    names, symbols = dataset.feature_names, dataset.symbols
    reference = drift.remember(dataset.rows, dataset.symbol, dataset.ts, names, symbols)
    return Trained(ensemble.with_card(card), native, dataset, blocks, report, options, reference, methods)


def _require_enough(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> None:
    for name in ("train", "calibration", "test"):
        label = dataset.label[getattr(blocks, name)]
        if len(label) < options.least_rows or len(np.unique(label)) < 2:
            raise DataError(
                f"too little to learn from: the {name} block has {len(label)} labelled bars, {int(label.sum())} of them "
                f"up; each block needs {options.least_rows} and both outcomes. Fetch more sessions or add symbols"
            )


def _grow(dataset: Dataset, blocks: Blocks, options: MemberOptions, progress: Progress) -> dict[str, Any]:
    rows, label = dataset.rows[blocks.train], dataset.label[blocks.train]
    weight = np.ones(len(label))
    grown = {}
    for name, member in MEMBERS.items():
        progress(member.title)
        grown[name] = member.fit(rows, label, weight, dataset.feature_names, options)
    return grown


def _raw(native: dict[str, Any], dataset: Dataset, train: Rows) -> Ensemble:
    """Lay the models out for the desk as they are, not calibrated, beside what their training rows looked like."""
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    flat = [member.flat(native[name]) for name, member in MEMBERS.items()]
    space = guard.learn(dataset.rows[train], *dense.standard(native["logit"]))
    return model.raw(flat, dataset.feature_names, card, space)


def _calibrated(native: dict[str, Any], dataset: Dataset, blocks: Blocks) -> tuple[Ensemble, tuple[str, ...]]:
    raw, block = _raw(native, dataset, blocks.train), blocks.calibration
    _require_equal(raw, native_probabilities(native, dataset.rows[block]), dataset.rows[block])
    odds, label = raw.log_odds(dataset.rows[block]), dataset.label[block]
    weight = np.full(
        len(label), 1 / dataset.horizon
    )  # neighbours share their future, and count together for one
    cut = folds.split(dataset.ts[block], dataset.known_at[block], FoldOptions(groups=CALIBRATION_FOLDS))
    part = blend.weights(odds, label, weight)
    tables, methods = blend.calibrate(odds, label, weight, cut, part)
    return raw.with_tables(tables), methods


def _require_equal(raw: Ensemble, native: Floats, rows: NDArray[np.float32]) -> None:
    worst = float(np.abs(raw.votes_many(rows) - native).max())
    if not worst <= AGREEMENT:
        raise DataError(
            f"the flattened models differ from their libraries by {worst:.1e} (allowed {AGREEMENT:.0e}): an installed "
            "version of scikit-learn, xgboost or lightgbm keeps its models in another way; nothing was saved"
        )
