"""Trains the models, calibrates them on a later block and judges them on rows that nobody has seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import drift, folds, forest, labels, leaks, report, validation
from robo_trader.ml.calibration import fit_platt
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.gate import GateOptions, Learnt
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.report import Report
from robo_trader.ml.trades import Evidence
from robo_trader.ml.validation import Blocks, Overlap, SplitOptions

Progress = Callable[[str], None]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Singles = NDArray[np.float32]

STAGES = (
    *(member.title for member in MEMBERS.values()),
    "calibration",
    "folds",
    "verdict",
    "reference of drift",
)
AGREEMENT = 1e-6


@dataclass(frozen=True)
class TrainingOptions:
    """How to train and to judge: the vote to act on, blocks in time, the fewest rows of a block, folds, members and gate.

    The oldest row weighs `oldest` of what the newest does.
    """

    threshold: float = 0.65
    split: SplitOptions = field(default_factory=SplitOptions)
    members: MemberOptions = field(default_factory=MemberOptions)
    least_rows: int = 300
    folds: FoldOptions = field(default_factory=FoldOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    oldest: float = 0.5


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


def train(
    dataset: Dataset, options: TrainingOptions | None = None, progress: Progress = silent, trials: int = 1
) -> Trained:
    """Train, calibrate and judge on the dataset's blocks in time; the same input gives the same models.

    `progress` is told each of STAGES as it begins; `trials` is how many models were tried until this one, it included.
    Raises DataError where a block has too few rows or one class only, or where a feature knows the future.
    """
    options = options or TrainingOptions()
    embargo_ns = options.split.embargo_bars * dataset.interval_ns
    blocks = validation.split_in_time(dataset.ts, dataset.known_at, embargo_ns, options.split)
    _require_enough(dataset, blocks, options)
    leaks.refuse(dataset, blocks.train)
    native = _grow(dataset, blocks.train, options, progress)
    progress("calibration")
    ensemble = _calibrated(native, dataset, blocks)
    progress("folds")
    past = _out_of_fold(dataset, blocks, options)
    progress("verdict")
    said = _judge(ensemble, past, dataset, blocks, options, trials)
    proven, reason = report.verdict(said)
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, proven, reason,
        said.threshold, said.asked,
    )  # fmt: skip
    progress("reference of drift")
    names, symbols = dataset.feature_names, dataset.symbols
    reference = drift.remember(dataset.rows, dataset.symbol, dataset.ts, names, symbols)
    return Trained(ensemble.with_card(card), native, dataset, blocks, said, options, reference)


def _require_enough(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> None:
    for name in ("train", "calibration", "test"):
        label = dataset.label[getattr(blocks, name)]
        if len(label) < options.least_rows or len(np.unique(label)) < 2:
            raise DataError(
                f"too little to learn from: the {name} block has {len(label)} labelled bars, {int(label.sum())} of them "
                f"up; each block needs {options.least_rows} and both outcomes. Fetch more sessions or add symbols"
            )


def _grow(
    dataset: Dataset, rows: Rows, options: TrainingOptions, progress: Progress = silent
) -> dict[str, Any]:
    x, label = dataset.rows[rows], dataset.label[rows]
    weight = labels.weights(dataset.ts[rows], dataset.known_at[rows], dataset.symbol[rows], options.oldest)
    grown = {}
    for name, member in MEMBERS.items():
        progress(member.title)
        grown[name] = member.fit(x, label, weight, dataset.feature_names, options.members)
    return grown


def _raw(native: dict[str, Any], dataset: Dataset) -> Ensemble:
    """Lay the models out for the desk as they are, not calibrated."""
    trees = forest.flatten([member.flat(native[name]) for name, member in MEMBERS.items()])
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    count = len(MEMBERS)
    return Ensemble(list(MEMBERS), dataset.feature_names, trees, np.ones(count), np.zeros(count), card)


def _calibrated(native: dict[str, Any], dataset: Dataset, blocks: Blocks) -> Ensemble:
    raw = _raw(native, dataset)
    rows = dataset.rows[blocks.calibration]
    _require_equal(raw, native_probabilities(native, rows), rows)
    lines = _lines(raw.log_odds(rows), dataset, blocks.calibration)
    return Ensemble(raw.names, raw.feature_names, raw.trees, lines[:, 0].copy(), lines[:, 1].copy(), raw.card)


def _lines(odds: Floats, dataset: Dataset, rows: Rows) -> Floats:
    """Fit each member's line of calibration (m, 2) to its log-odds (n, m) of these rows."""
    return np.array([fit_platt(dataset.label[rows], one, dataset.horizon) for one in odds.T])


def _out_of_fold(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> Evidence:
    """Let models of the same kind speak of rows before the test block, each of rows that its fold has not learnt from.

    What they say is calibrated in the same manner: by the other folds.
    """
    before = np.concatenate([blocks.train, blocks.calibration])
    cut = folds.split(dataset.ts[before], dataset.known_at[before], options.folds)
    total, count = np.zeros((len(before), len(MEMBERS))), np.zeros(len(before))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        odds = pool.map(partial(_odds_of_fold, dataset, before, options), cut)
        for fold, said in zip(cut, odds, strict=True):
            total[fold.test] += said
            count[fold.test] += 1
    known = np.flatnonzero(count)
    rows, mean = before[known], total[known] / count[known, None]
    votes = np.full_like(mean, np.nan)
    again = FoldOptions(options.folds.groups, 1, options.folds.forward, options.folds.embargo_bars)
    for fold in folds.split(dataset.ts[rows], dataset.known_at[rows], again):
        line = _lines(mean[fold.train], dataset, rows[fold.train])
        votes[fold.test] = 1 / (1 + np.exp(-(mean[fold.test] * line[:, 0] + line[:, 1])))
    spoken = np.isfinite(votes[:, 0])
    return _evidence(dataset, rows[spoken], votes[spoken])


def _odds_of_fold(dataset: Dataset, before: Rows, options: TrainingOptions, fold: folds.Fold) -> Floats:
    return _raw(_grow(dataset, before[fold.train], options), dataset).log_odds(
        dataset.rows[before[fold.test]]
    )


def _evidence(dataset: Dataset, rows: Rows, votes: Floats) -> Evidence:
    return Evidence(
        votes, votes.mean(axis=1), dataset.label[rows], dataset.forward[rows], dataset.ts[rows],
        dataset.known_at[rows], dataset.symbol[rows],
    )  # fmt: skip


def _judge(
    ensemble: Ensemble,
    past: Evidence,
    dataset: Dataset,
    blocks: Blocks,
    options: TrainingOptions,
    trials: int,
) -> Report:
    test = _evidence(dataset, blocks.test, ensemble.votes_many(dataset.rows[blocks.test]))
    learnt = Learnt(dataset.label[blocks.train], ensemble.predict_many(dataset.rows[blocks.train]))
    overlap = Overlap(dataset.horizon * dataset.interval_ns, dataset.interval_ns)
    return report.judge(
        learnt,
        past,
        test,
        ensemble.names,
        overlap,
        dataset.asked.cost_bps,
        options.threshold,
        trials,
        options.gate,
    )


def _require_equal(raw: Ensemble, native: Floats, rows: Singles) -> None:
    worst = float(np.abs(raw.votes_many(rows) - native).max())
    if not worst <= AGREEMENT:
        raise DataError(
            f"the flattened trees differ from their libraries by {worst:.1e} (allowed {AGREEMENT:.0e}): an installed "
            "version of scikit-learn, xgboost or lightgbm keeps its trees in another way; nothing was saved"
        )
