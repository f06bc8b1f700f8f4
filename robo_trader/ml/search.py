"""Searches how large and how free the models shall be, on purged folds of the training block, and counts all it tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import DAY_NS
from robo_trader.ml import calibration, gate, labels, unseen
from robo_trader.ml.crew import Ask, Crew
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.unseen import Ground, Job

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Rows = NDArray[np.intp]

NETS = ((8,), (16,), (32, 16), (64, 32))


class Range(NamedTuple):
    """The values between `low` and `high`, both whole or neither; all orders of magnitude alike where `log`."""

    low: float
    high: float
    log: bool = False


class Kind(NamedTuple):
    """The members that are searched together and what of their options; `net_layers` is the place in NETS."""

    members: tuple[str, ...]
    space: Mapping[str, Range]


KINDS = {
    "forest": Kind(
        ("rf",),
        {
            "forest_depth": Range(3, 9),
            "forest_columns": Range(0.1, 0.7),
            "forest_leaf_rows": Range(50, 800, log=True),
        },
    ),
    "boosted": Kind(
        ("xgb", "lgb"),
        {
            "boosted_trees": Range(50, 400),
            "boosted_depth": Range(2, 6),
            "boosted_columns": Range(0.2, 0.9),
            "boosted_l2": Range(1.0, 100.0, log=True),
            "learning_rate": Range(0.01, 0.15, log=True),
            "leaf_rows": Range(50, 800, log=True),
        },
    ),
    "net": Kind(
        ("mlp",),
        {
            "net_layers": Range(0, len(NETS) - 1),
            "net_rate": Range(3e-4, 3e-3, log=True),
            "net_decay": Range(0.1, 30.0, log=True),
        },
    ),
    "linear": Kind(("logit",), {"logistic_strength": Range(1e-5, 1e-1, log=True)}),
}


@dataclass(frozen=True)
class SearchOptions:
    """How far to search: `trials` of each kind of model, none for not at all, for about so many `seconds` at most.

    So many are drawn `together` before any is heard, however many processes there are: that is why those change nothing.
    A kind's trials are pruned once `unpruned` of them have been heard to the end.
    """

    trials: int = 0
    seconds: float | None = None
    together: int = 4
    unpruned: int = 4

    @property
    def count(self) -> int:
        """How many models it will have tried at most; the gate is told, before anything of them is seen."""
        return self.trials * len(KINDS)

    @property
    def rounds(self) -> int:
        """How many times trials are drawn."""
        return -(-self.trials // self.together)


@dataclass(frozen=True)
class Tried:
    """One configuration of a kind, and what it lost (nats a row) over the first fold, the first two and so on.

    Where it was given up there are fewer losses than folds. The one without values is that which was there before.
    """

    kind: str
    values: dict[str, float]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Searched:
    """What was searched for and found: seed, number of folds, the limits of each value, every try, the best of each kind."""

    seed: int
    folds: int
    space: dict[str, tuple[float, float]]
    tried: tuple[Tried, ...]
    best: dict[str, Tried]


@dataclass(frozen=True)
class Found:
    """The best options, how they were found, and what each try that was heard to the end earned: (sessions, tries)."""

    members: MemberOptions
    searched: Searched
    earned: Floats


class _Try:
    """A configuration while it is heard, fold by fold; `trial` is optuna's own, None for what was there before."""

    def __init__(self, kind: str, given: MemberOptions, trial: Any = None) -> None:
        self.kind = kind
        self.trial = trial
        self.values = dict(trial.params) if trial else {}
        layers = {"net_layers": NETS[self.values["net_layers"]]} if "net_layers" in self.values else {}
        self.options = replace(given, **{**self.values, **layers})
        self.losses: list[float] = []
        self.said: list[Floats] = []

    @property
    def tried(self) -> Tried:
        values = {name: float(value) for name, value in self.values.items()}
        return Tried(self.kind, values, tuple(self.losses))

    def jobs(self, fold: int) -> list[Job]:
        return [Job(member, fold, self.options) for member in KINDS[self.kind].members]

    def hear(self, said: Floats, label: Labels, weight: Floats) -> None:
        """Note what its members say of one fold more, log-odds (n, m); labels and weights are those of all until now."""
        self.said.append(said)
        odds = np.concatenate(self.said)
        self.losses.append(float(np.mean([_loss(label, one, weight) for one in odds.T])))

    def goes_on(self) -> bool:
        if self.trial is None:
            return True
        self.trial.report(self.losses[-1], len(self.losses))
        return not self.trial.should_prune()


def _loss(label: Labels, odds: Floats, weight: Floats) -> float:
    """Return what is lost once a line has calibrated the odds, as it will: being too shy or too sure is no fault yet."""
    slope, offset = calibration.fit_platt(label, odds, weight)
    said = slope * odds + offset
    fair = calibration.balanced(label, weight)
    return float(fair @ (np.logaddexp(0.0, said) - label * said) / fair.sum())


def search(
    dataset: Dataset,
    rows: Rows,
    given: MemberOptions,
    folds: FoldOptions,
    oldest: float,
    options: SearchOptions,
    crew: Crew,
    progress: Callable[[str], None],
) -> Found:
    """Look for better options than those given on purged folds of these rows alone, by what was lost there.

    Each kind of model is searched for itself, by a tree-structured Parzen estimator (Bergstra et al., NIPS 2011); a try that
    after some folds is worse than the median of those before is given up. Losses are log-losses after Platt's line, both
    outcomes weighing the same, and each label by the part that is its own; where nothing loses less than what was given,
    that remains. The same seed and rows give the same options, with whatever crew, unless time runs out.
    """
    ground = unseen.cut(dataset, rows, replace(folds, tested=1, forward=False), oldest)
    studies = {kind: _study(given.seed, options) for kind in KINDS}
    heard = [_Try(kind, given) for kind in KINDS]
    until = time.monotonic() + (options.seconds or np.inf)
    with crew(ground) as ask:
        _hear(heard, ground, ask)
        for number in range(options.rounds):
            if time.monotonic() >= until:
                break
            first = number * options.together
            drawn = min(options.together, options.trials - first)
            progress(f"trials {first + 1} to {first + drawn} of {options.trials}")
            asked = [
                _Try(kind, given, study.ask(_distributions(kind)))
                for kind, study in studies.items()
                for _ in range(drawn)
            ]
            _hear(asked, ground, ask)
            _tell(studies, asked, len(ground.folds))
            heard += asked
    return _found(heard, ground, given)


def _study(seed: int, options: SearchOptions) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=options.unpruned),
    )


def _distributions(kind: str) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(one.low, int(one.high), one.log)
        if isinstance(one.low, int)
        else FloatDistribution(one.low, one.high, one.log)
        for name, one in KINDS[kind].space.items()
    }


def _hear(tries: Sequence[_Try], ground: Ground, ask: Ask) -> None:
    """Let all tries speak of one fold after the other, without those that were given up in between."""
    known = ground.dataset
    alone = labels.average_uniqueness(known.ts, known.known_at, known.symbol)
    for number in range(len(ground.folds)):
        said = iter(ask(unseen.odds, [job for one in tries for job in one.jobs(number)]))
        spoken = np.concatenate([fold.test for fold in ground.folds[: number + 1]])
        for one in tries:
            odds = np.column_stack([next(said) for _ in KINDS[one.kind].members])
            one.hear(odds, known.label[spoken], alone[spoken])
        tries = [one for one in tries if one.goes_on()]


def _tell(studies: Mapping[str, Any], tries: Sequence[_Try], folds: int) -> None:
    from optuna.trial import TrialState

    for one in tries:
        whole = len(one.losses) == folds
        studies[one.kind].tell(
            one.trial,
            one.losses[-1] if whole else None,
            state=TrialState.COMPLETE if whole else TrialState.PRUNED,
        )


def _found(heard: Sequence[_Try], ground: Ground, given: MemberOptions) -> Found:
    whole = [one for one in heard if len(one.losses) == len(ground.folds)]
    best = {
        kind: min((one for one in whole if one.kind == kind), key=lambda one: one.losses[-1])
        for kind in KINDS
    }
    chosen = {name: getattr(one.options, name) for one in best.values() for name in one.values}
    said = np.column_stack([unseen.averaged(ground, one.said)[1].mean(axis=1) for one in whole])
    known = ground.dataset
    return Found(
        replace(given, **chosen),
        Searched(
            seed=given.seed,
            folds=len(ground.folds),
            space={
                name: (float(one.low), float(one.high))
                for kind in KINDS.values()
                for name, one in kind.space.items()
            },
            tried=tuple(one.tried for one in heard),
            best={kind: one.tried for kind, one in best.items()},
        ),
        gate.wagered(known.ts // DAY_NS, 1 / (1 + np.exp(-said)), known.forward),
    )
