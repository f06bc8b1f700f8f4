"""What models of one kind say of rows that they have not learnt from, fold by fold, wherever they are grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import dense, folds, guard, labels, model
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.folds import Fold, FoldOptions
from robo_trader.ml.members import MEMBERS, MemberOptions
from robo_trader.ml.model import Card, Ensemble

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Ground:
    """Rows and the folds that they are cut into; the oldest row weighs `oldest` of what the newest does."""

    dataset: Dataset
    folds: tuple[Fold, ...]
    oldest: float


class Job(NamedTuple):
    """Grow a member on the training rows of the fold with this number, and ask it of the others."""

    member: str
    fold: int
    options: MemberOptions


def cut(dataset: Dataset, rows: Rows, how: FoldOptions, oldest: float) -> Ground:
    """Take these rows of a dataset alone, and cut them into folds."""
    part = dataset.part(rows)
    return Ground(part, tuple(folds.split(part.ts, part.known_at, how)), oldest)


def grow(dataset: Dataset, rows: Rows, member: str, options: MemberOptions, oldest: float) -> Any:
    """Grow one member on these rows of a dataset; between what it learns and what says when to stop is a label's reach."""
    weight = labels.weights(dataset.ts[rows], dataset.known_at[rows], dataset.symbol[rows], oldest)
    reach = replace(options, pause_rows=dataset.horizon * len(dataset.symbols))
    return MEMBERS[member].fit(dataset.rows[rows], dataset.label[rows], weight, dataset.feature_names, reach)


def laid_out(native: dict[str, Any], dataset: Dataset) -> Ensemble:
    """Lay grown members out for the desk as they are, not calibrated."""
    card = Card(
        "untitled", dataset.feature_version, dataset.horizon, dataset.interval_ns, False, "not judged yet"
    )
    flat = {name: MEMBERS[name].flat(one) for name, one in native.items()}
    scaled = [native[name] for name, one in flat.items() if isinstance(one, dense.Net)]
    space = guard.boundless(*dense.standard(scaled[0])) if scaled else None
    return model.raw(list(flat.values()), dataset.feature_names, card, space)


def odds(ground: Ground, job: Job) -> Floats:
    """Do one job; return the log-odds of the fold's test rows, (n,)."""
    fold = ground.folds[job.fold]
    native = grow(ground.dataset, fold.train, job.member, job.options, ground.oldest)
    said: Floats = laid_out({job.member: native}, ground.dataset).log_odds(ground.dataset.rows[fold.test])
    return said[:, 0]


def averaged(ground: Ground, said: Sequence[Floats]) -> tuple[Rows, Floats]:
    """Return which rows were spoken of, and the mean of what each fold's models said of them: log-odds (n, m).

    `said` has one array (n_test, m) a fold.
    """
    total, count = np.zeros((len(ground.dataset.ts), said[0].shape[1])), np.zeros(len(ground.dataset.ts))
    for fold, one in zip(ground.folds, said, strict=True):
        total[fold.test] += one
        count[fold.test] += 1
    known = np.flatnonzero(count)
    return known, total[known] / count[known, None]
