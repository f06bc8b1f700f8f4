"""Trains the models, calibrates them on a later block and judges them on rows that nobody has seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import blend, dense, drift, folds, guard, labels, leaks, model, report, validation
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.folds import Fold, FoldOptions
from robo_trader.ml.gate import GateOptions, Learnt
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.parts import Tables
from robo_trader.ml.report import Report
from robo_trader.ml.trades import Evidence
from robo_trader.ml.validation import Blocks, Overlap, SplitOptions

Progress = Callable[[str], None]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Singles = NDArray[np.float32]

STAGES = (
    *(member.title for member in MEMBERS.values()),
    "folds",
    "calibration",
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


@dataclass(frozen=True)
class _OutOfFold:
    """What models of the same kind said of rows before the test block, each fitted to none of the rows it spoke of.

    `rows` (n,) of the dataset in order of time, `odds` (n, m) uncalibrated, `independent` (n,) how many labels each is.
    """

    rows: Rows
    odds: Floats
    independent: Floats


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
    progress("folds")
    past = _out_of_fold(dataset, blocks, options)
    progress("calibration")
    ensemble, methods = _calibrated(native, dataset, blocks, past, options)
    progress("verdict")
    said = _judge(ensemble, _believed(past, dataset, options), dataset, blocks, options, trials)
    proven, reason = report.verdict(said)
    card = replace(ensemble.card, proven=proven, reason=reason, threshold=said.threshold, asked=said.asked)
    card = replace(card, payoff=report.payoff(said))
    progress("reference of drift")
    names, symbols = dataset.feature_names, dataset.symbols
    reference = drift.remember(dataset.rows, dataset.symbol, dataset.ts, names, symbols)
    return Trained(ensemble.with_card(card), native, dataset, blocks, said, options, reference, methods)


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
    members = replace(options.members, pause_rows=dataset.horizon * len(dataset.symbols))
    grown = {}
    for name, member in MEMBERS.items():
        progress(member.title)
        grown[name] = member.fit(x, label, weight, dataset.feature_names, members)
    return grown


def _raw(native: dict[str, Any], dataset: Dataset) -> Ensemble:
    """Lay the models out for the desk as they are: not calibrated, and no row too strange for them."""
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    flat = [member.flat(native[name]) for name, member in MEMBERS.items()]
    return model.raw(flat, dataset.feature_names, card, guard.boundless(*dense.standard(native["logit"])))


def _out_of_fold(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> _OutOfFold:
    """Let each fold's models speak of the rows they have not learnt from; of several opinions the mean counts."""
    before = np.concatenate([blocks.train, blocks.calibration])
    cut = folds.split(dataset.ts[before], dataset.known_at[before], options.folds)
    total, count = np.zeros((len(before), len(MEMBERS))), np.zeros(len(before))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        odds = pool.map(partial(_odds_of_fold, dataset, before, options), cut)
        for fold, said in zip(cut, odds, strict=True):
            total[fold.test] += said
            count[fold.test] += 1
    spoken = np.flatnonzero(count)
    rows = before[spoken]
    return _OutOfFold(rows, total[spoken] / count[spoken, None], _independent(dataset, rows))


def _odds_of_fold(dataset: Dataset, before: Rows, options: TrainingOptions, fold: Fold) -> Floats:
    native = _grow(dataset, before[fold.train], options)
    return _raw(native, dataset).log_odds(dataset.rows[before[fold.test]])


def _independent(dataset: Dataset, rows: Rows) -> Floats:
    return labels.average_uniqueness(dataset.ts[rows], dataset.known_at[rows], dataset.symbol[rows])


def _tables(
    odds: Floats, dataset: Dataset, rows: Rows, part: Floats, options: TrainingOptions
) -> tuple[Tables, tuple[str, ...]]:
    """Calibrate the members and their blend on these rows, of which they said `odds`."""
    cut = folds.split(
        dataset.ts[rows], dataset.known_at[rows], replace(options.folds, tested=1, forward=False)
    )
    return blend.calibrate(odds, dataset.label[rows], _independent(dataset, rows), cut, part)


def _calibrated(
    native: dict[str, Any], dataset: Dataset, blocks: Blocks, past: _OutOfFold, options: TrainingOptions
) -> tuple[Ensemble, tuple[str, ...]]:
    """Weigh the members by what their kind said out of fold, and calibrate them on a block they have not seen."""
    raw, block = _raw(native, dataset), blocks.calibration
    _require_equal(raw, native_probabilities(native, dataset.rows[block]), dataset.rows[block])
    part = blend.weights(past.odds, dataset.label[past.rows], past.independent)
    tables, methods = _tables(raw.log_odds(dataset.rows[block]), dataset, block, part, options)
    space = guard.learn(dataset.rows[blocks.train], *dense.standard(native["logit"]))
    return raw.with_tables(tables).within(space), methods


def _believed(past: _OutOfFold, dataset: Dataset, options: TrainingOptions) -> Evidence:
    """Weigh and calibrate what was said out of fold in the same manner, each group of rows by the others."""
    said, leaning = (
        np.full((len(past.rows), len(MEMBERS) + 1), np.nan),
        np.zeros(len(past.rows), dtype=np.int8),
    )
    cut = replace(options.folds, tested=1)
    for train, test in folds.split(dataset.ts[past.rows], dataset.known_at[past.rows], cut):
        rows = past.rows[train]
        part = blend.weights(past.odds[train], dataset.label[rows], past.independent[train])
        tables, _ = _tables(past.odds[train], dataset, rows, part, options)
        said[test] = blend.answers(past.odds[test], tables)
        leaning[test] = model.sides(said[test, :-1], said[test, -1], part, 0.5)
    spoken = np.isfinite(said[:, -1])
    return _evidence(dataset, past.rows[spoken], said[spoken], leaning[spoken])


def _judge(
    ensemble: Ensemble,
    past: Evidence,
    dataset: Dataset,
    blocks: Blocks,
    options: TrainingOptions,
    trials: int,
) -> Report:
    answers = ensemble.answers(dataset.rows[blocks.test])
    leaning = model.sides(answers[:, :-2], answers[:, -2], ensemble.weight, 0.5)
    leaning[answers[:, -1] > 1] = 0  # too strange a row is not acted on
    test = _evidence(dataset, blocks.test, answers[:, :-1], leaning)
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


def _evidence(dataset: Dataset, rows: Rows, said: Floats, leaning: NDArray[np.int8]) -> Evidence:
    """Put what was `said` (n, m votes and the blend's last) beside what came of it."""
    return Evidence(
        said[:, :-1], said[:, -1], leaning, dataset.label[rows], dataset.forward[rows], dataset.ts[rows],
        dataset.known_at[rows], dataset.symbol[rows],
    )  # fmt: skip


def _require_equal(raw: Ensemble, native: Floats, rows: Singles) -> None:
    worst = float(np.abs(raw.votes_many(rows) - native).max())
    if not worst <= AGREEMENT:
        raise DataError(
            f"the flattened models differ from their libraries by {worst:.1e} (allowed {AGREEMENT:.0e}): an installed "
            "version of scikit-learn, xgboost or lightgbm keeps its models in another way; nothing was saved"
        )
