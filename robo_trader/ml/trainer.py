"""Trains the three models, calibrates them on a later block and judges them on one that nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import drift, forest, validation
from robo_trader.ml.calibration import fit_platt
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.report import Report, judge, verdict
from robo_trader.ml.validation import Blocks, SplitOptions

Progress = Callable[[str], None]
Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

STAGES = (*(member.title for member in MEMBERS.values()), "calibration", "verdict", "reference of drift")
AGREEMENT = 1e-6


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

    `reference` is what later days are compared with: all rows that it was trained, calibrated and judged on.
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
    native = _grow(dataset, blocks, options.members, progress)
    progress("calibration")
    ensemble = _calibrated(native, dataset, blocks)
    progress("verdict")
    report = judge(ensemble, dataset, blocks, options.threshold)
    proven, reason = verdict(report)
    card = Card("untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, proven, reason)
    progress("reference of drift")
    names, symbols = dataset.feature_names, dataset.symbols
    reference = drift.remember(dataset.rows, dataset.symbol, dataset.ts, names, symbols)
    return Trained(ensemble.with_card(card), native, dataset, blocks, report, options, reference)


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


def _calibrated(native: dict[str, Any], dataset: Dataset, blocks: Blocks) -> Ensemble:
    flat = [member.flat(native[name]) for name, member in MEMBERS.items()]
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    names = list(MEMBERS)
    trees = forest.flatten(flat)
    raw = Ensemble(names, dataset.feature_names, trees, np.ones(len(names)), np.zeros(len(names)), card)
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
