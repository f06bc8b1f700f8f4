"""Trains the models, calibrates them on a later block and judges them on rows that nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.features.session import OF_THE_CALENDAR
from robo_trader.ml import (
    blend,
    dense,
    drift,
    folds,
    guard,
    labels,
    leaks,
    report,
    search,
    unseen,
    validation,
)
from robo_trader.ml.crew import Crew, threads
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.gate import GateOptions, Learnt
from robo_trader.ml.members import MEMBERS, MemberOptions, native_probabilities
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.parts import Tables
from robo_trader.ml.report import Report
from robo_trader.ml.search import Found, Searched, SearchOptions
from robo_trader.ml.trades import Evidence
from robo_trader.ml.unseen import Job
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
    """How to train and to judge: the vote to act on, blocks in time, the fewest rows of a block, folds, members, how to
    search for better ones, and gate.

    The oldest row weighs `oldest` of what the newest does.
    """

    threshold: float = 0.65
    split: SplitOptions = field(default_factory=SplitOptions)
    members: MemberOptions = field(default_factory=MemberOptions)
    least_rows: int = 300
    folds: FoldOptions = field(default_factory=FoldOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    oldest: float = 0.5
    search: SearchOptions = field(default_factory=SearchOptions)


@dataclass(frozen=True)
class Trained:
    """A finished training: the ensemble, the libraries' own models by member name, the blocks and the report.

    `reference` is what later days are compared with: all rows that it was trained, calibrated and judged on, without
    the columns of the calendar. `methods` names how each member was calibrated. `options` are those it was trained by;
    where they were searched for, `searched` says among what.
    """

    ensemble: Ensemble
    native: dict[str, Any]
    dataset: Dataset
    blocks: Blocks
    report: Report
    options: TrainingOptions
    reference: Reference
    methods: tuple[str, ...]
    searched: Searched | None


def silent(stage: str) -> None:
    """Report no progress."""


def train(
    dataset: Dataset,
    options: TrainingOptions | None = None,
    progress: Progress = silent,
    trials: int = 1,
    crew: Crew | None = None,
) -> Trained:
    """Train, calibrate and judge on the dataset's blocks in time; the same input gives the same models.

    `progress` is told each of STAGES as it begins; `trials` is how many models were tried until this one, it included and
    not those that it searches among, which are added. The `crew` grows the models of folds, threads where not given.
    Raises DataError where a block has too few rows or one class only, or where a feature knows the future.
    """
    options = options or TrainingOptions()
    embargo_ns = options.split.embargo_bars * dataset.interval_ns
    blocks = validation.split_in_time(dataset.ts, dataset.known_at, embargo_ns, options.split)
    _require_enough(dataset, blocks, options)
    leaks.refuse(dataset, blocks.train)
    crew = crew or threads()
    found = _look(dataset, blocks.train, options, crew, progress)
    if found:
        options = replace(options, members=found.members)
    native = _grow(dataset, blocks.train, options, progress)
    progress("folds")
    rows, odds = _out_of_fold(dataset, blocks, options, crew)
    past = _said_of_past(dataset, rows, odds, options)
    progress("calibration")
    part = blend.weights(odds, dataset.label[rows], _counts(dataset, rows))
    ensemble, methods = _calibrated(native, dataset, blocks, part, options)
    progress("verdict")
    said = _judge(ensemble, past, dataset, blocks, options, trials + options.search.count, found)
    proven, reason = report.verdict(said)
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, proven, reason,
        said.threshold, said.asked, payoff=report.payoff(said),
    )  # fmt: skip
    progress("reference of drift")
    return Trained(
        ensemble.with_card(card), native, dataset, blocks, said, options, remember(dataset), methods,
        found.searched if found else None,
    )  # fmt: skip


def remember(dataset: Dataset) -> Reference:
    """Return what the rows looked like, in all columns but those that the calendar tells."""
    names = dataset.feature_names
    watched = [i for i, name in enumerate(names) if name not in OF_THE_CALENDAR]
    rows, told = dataset.rows[:, watched], [names[i] for i in watched]
    return drift.remember(rows, dataset.symbol, dataset.ts, told, dataset.symbols)


def _require_enough(dataset: Dataset, blocks: Blocks, options: TrainingOptions) -> None:
    for name in ("train", "calibration", "test"):
        label = dataset.label[getattr(blocks, name)]
        if len(label) < options.least_rows or len(np.unique(label)) < 2:
            raise DataError(
                f"too little to learn from: the {name} block has {len(label)} labelled bars, {int(label.sum())} of them "
                f"up; each block needs {options.least_rows} and both outcomes. Fetch more sessions or add symbols"
            )


def _look(
    dataset: Dataset, rows: Rows, options: TrainingOptions, crew: Crew, progress: Progress
) -> Found | None:
    if not options.search.trials:
        return None
    asked = (options.members, options.folds, options.oldest, options.search)
    return search.search(dataset, rows, *asked, crew, progress)


def _grow(dataset: Dataset, rows: Rows, options: TrainingOptions, progress: Progress) -> dict[str, Any]:
    grown = {}
    for name, member in MEMBERS.items():
        progress(member.title)
        grown[name] = unseen.grow(dataset, rows, name, options.members, options.oldest)
    return grown


def _calibrated(
    native: dict[str, Any], dataset: Dataset, blocks: Blocks, part: Floats, options: TrainingOptions
) -> tuple[Ensemble, tuple[str, ...]]:
    """Lay the models out, calibrated and weighed by `part`, beside what their training rows looked like."""
    raw, rows = unseen.laid_out(native, dataset), dataset.rows[blocks.calibration]
    _require_equal(raw, native_probabilities(native, rows), rows)
    tables, methods = _tables(raw.log_odds(rows), dataset, blocks.calibration, part, options)
    space = guard.learn(dataset.rows[blocks.train], *dense.standard(native["logit"]))
    parts = raw.parts._replace(tables=tables, space=space)
    return Ensemble(raw.names, raw.feature_names, parts, raw.card), methods


def _tables(
    odds: Floats, dataset: Dataset, rows: Rows, part: Floats, options: TrainingOptions
) -> tuple[Tables, tuple[str, ...]]:
    """Fit the calibration of members and blend to log-odds (n, m) of these rows; name each member's method."""
    plain = replace(options.folds, tested=1, forward=False)
    cut = folds.split(dataset.ts[rows], dataset.known_at[rows], plain)
    return blend.calibrate(odds, dataset.label[rows], _counts(dataset, rows), cut, part)


def _counts(dataset: Dataset, rows: Rows) -> Floats:
    """Say for how many independent labels each row counts."""
    return labels.average_uniqueness(dataset.ts[rows], dataset.known_at[rows], dataset.symbol[rows])


def _out_of_fold(
    dataset: Dataset, blocks: Blocks, options: TrainingOptions, crew: Crew
) -> tuple[Rows, Floats]:
    """Let models of the same kind speak of rows before the test block, each of rows that its fold has not learnt from.

    Returns those rows and their log-odds (n, m).
    """
    before = np.concatenate([blocks.train, blocks.calibration])
    ground = unseen.cut(dataset, before, options.folds, options.oldest)
    jobs = [Job(name, fold, options.members) for fold in range(len(ground.folds)) for name in MEMBERS]
    with crew(ground) as ask:
        said = ask(unseen.odds, jobs)
    each = range(0, len(jobs), len(MEMBERS))
    known, odds = unseen.averaged(ground, [np.column_stack(said[at : at + len(MEMBERS)]) for at in each])
    return before[known], odds


def _said_of_past(dataset: Dataset, rows: Rows, odds: Floats, options: TrainingOptions) -> Evidence:
    """Calibrate and weigh what was said out of fold as the ensemble does it, each fold by the others."""
    said = np.full((len(rows), len(MEMBERS) + 1), np.nan)
    again = replace(options.folds, tested=1)
    for fold in folds.split(dataset.ts[rows], dataset.known_at[rows], again):
        known, heard = rows[fold.train], odds[fold.train]
        part = blend.weights(heard, dataset.label[known], _counts(dataset, known))
        tables, _ = _tables(heard, dataset, known, part, options)
        said[fold.test] = blend.answers(odds[fold.test], tables)
    spoken = np.isfinite(said[:, 0])
    return _evidence(dataset, rows[spoken], said[spoken])


def _evidence(dataset: Dataset, rows: Rows, said: Floats) -> Evidence:
    """Put what was said of rows, the members' votes and last the blend (n, m + 1), beside what became of them."""
    return Evidence(
        said[:, :-1], said[:, -1], dataset.label[rows], dataset.forward[rows], dataset.ts[rows],
        dataset.known_at[rows], dataset.symbol[rows],
    )  # fmt: skip


def _judge(
    ensemble: Ensemble,
    past: Evidence,
    dataset: Dataset,
    blocks: Blocks,
    options: TrainingOptions,
    trials: int,
    found: Found | None,
) -> Report:
    answers = ensemble.answers(dataset.rows[blocks.test])
    known = np.where(answers[:, -1:] > 1, 0.5, answers[:, :-1])  # of rows too strange the desk takes no word
    test = _evidence(dataset, blocks.test, known)
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
        found.earned if found else None,
    )


def _require_equal(raw: Ensemble, native: Floats, rows: Singles) -> None:
    worst = float(np.abs(raw.votes_many(rows) - native).max())
    if not worst <= AGREEMENT:
        raise DataError(
            f"the flattened models differ from their libraries by {worst:.1e} (allowed {AGREEMENT:.0e}): an installed "
            "version of scikit-learn, xgboost or lightgbm keeps its models in another way; nothing was saved"
        )
