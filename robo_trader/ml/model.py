"""The ensemble that the desk asks: flattened models, each calibrated, weighed and joined to one probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.core.protocols import Vector
from robo_trader.core.steps import Payoff
from robo_trader.ml import blend, dense, forest, guard, kernels
from robo_trader.ml.dense import BOUND, Net
from robo_trader.ml.forest import Member
from robo_trader.ml.parts import Nets, Parts, Space, Tables, Trees, pack

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Card:
    """What a user of the model must know of it: what it answers, from which features, and whether it proved itself.

    It was judged by votes of `threshold`, which is lower than the vote `asked` for where that was hardly ever reached;
    `payoff` is what those votes came to. It knows the market until `last` (UTC ns, 0 where unknown).
    """

    version: str
    feature_version: str
    horizon: int
    interval_ns: int
    proven: bool
    reason: str
    threshold: float = 0.65
    asked: float = 0.65
    last: int = 0
    payoff: Payoff | None = None

    def acting(self, wanted: float) -> float:
        """Return the vote to act on where one of `wanted` is set: a stricter one holds, a laxer one nobody has judged."""
        return wanted if wanted > self.asked else self.threshold


def too_old(version: str, last: int, now: int, max_age_days: int) -> str:
    """Say that what a model knows ends too long ago, empty where not; of 0 days nothing is. Market times, UTC ns."""
    age = (now - last) / DAY_NS
    if not max_age_days or age <= max_age_days:
        return ""
    return (
        f"model {version} has expired: what it knows ends {age:.0f} days ago, ML_MAX_AGE_DAYS={max_age_days}"
    )


@dataclass(frozen=True)
class Answer:
    """What the ensemble says of one row: P(label 1), each member's own, and how strange the row is, 1 being the limit."""

    probability: float
    votes: Floats
    strangeness: float


class Ensemble:
    """Answers from arrays alone: the daemon needs none of the libraries that trained it."""

    def __init__(self, names: Sequence[str], feature_names: Sequence[str], parts: Parts, card: Card) -> None:
        """Take the members' names in the order of `parts`. Raises DataError where an index of `parts` points outside."""
        self.names = tuple(names)
        self.feature_names = tuple(feature_names)
        self.card, self.parts = card, parts
        self._packed = pack(parts)
        self._row = np.empty((1, len(self.feature_names)), dtype=np.float32)
        self._out = np.empty((1, len(self.names) + 2))
        if not _sound(parts, len(self.names), len(self.feature_names)):
            raise DataError(
                f"model {card.version} is not well formed: its numbers point outside of their arrays or of the "
                f"{len(self.feature_names)} features; train it again with `python -m robo_trader.train_models`"
            )

    @property
    def weight(self) -> Floats:
        """What each member counts, (n_members,) in the order of `names`."""
        return self.parts.tables.weight

    def with_card(self, card: Card) -> Ensemble:
        """Return the same ensemble under another card."""
        return Ensemble(self.names, self.feature_names, self.parts, card)

    def with_tables(self, tables: Tables) -> Ensemble:
        """Return the same models with other calibration and weights."""
        return Ensemble(self.names, self.feature_names, self.parts._replace(tables=tables), self.card)

    def columns(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return where this model's features stand in a vector of `names`. Raises DataError where one is missing."""
        place = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.feature_names if name not in place]
        if missing:
            raise DataError(
                f"model {self.card.version} needs features that are not computed: {', '.join(missing)}; train it "
                "again with `python -m robo_trader.train_models`"
            )
        return np.array([place[name] for name in self.feature_names], dtype=np.intp)

    def predict_proba(self, x: Vector) -> float:
        """Return P(label 1) in [0, 1] for one (n_features,) row in the order of `feature_names`.

        Raises DataError on a wrong length, NaN or infinity.
        """
        return float(self._one(x)[-2])

    def answer(self, x: Vector) -> Answer:
        """Return all that the ensemble says of one row, (n_features,). Raises DataError like `predict_proba`."""
        said = self._one(x)
        return Answer(float(said[-2]), said[:-2].copy(), float(said[-1]))

    def answers(self, rows: NDArray[np.floating]) -> Floats:
        """Return votes, P(label 1) and strangeness (n_rows, n_members + 2) of rows (n_rows, n_features)."""
        return self._ask(self._singles(rows), believed=True)

    def votes_many(self, rows: NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities (n_rows, n_members) for rows (n_rows, n_features). Raises DataError."""
        return self.answers(rows)[:, :-2]

    def predict_many(self, rows: NDArray[np.floating]) -> Floats:
        """Return P(label 1) of every row: (n_rows,) from (n_rows, n_features). Raises DataError."""
        return self.answers(rows)[:, -2]

    def log_odds(self, rows: NDArray[np.floating]) -> Floats:
        """Return the members' uncalibrated log-odds (n_rows, n_members); what calibration is fitted to."""
        return self._ask(self._singles(rows), believed=False)[:, :-2]

    def side(self, said: Answer, threshold: float) -> int:
        """Return +1, -1 or 0: P reaches `threshold` (or 1 - threshold) and more votes agree than oppose."""
        return int(kernels.side(said.votes, said.probability, threshold))

    def worst(self, x: Vector) -> tuple[str, ...]:
        """Name the features of a row that stand farthest from those of training."""
        return guard.worst(x, self.parts.space, self.feature_names)

    def _one(self, x: Vector) -> Floats:
        if x.shape != self._row.shape[1:]:
            raise self._wrong_shape(x.shape)
        self._row[0] = x
        if not kernels.answer(self._row, self._packed, BOUND, True, self._out):
            raise self._not_finite()
        said: Floats = self._out[0]
        return said

    def _singles(self, rows: NDArray[np.floating]) -> Singles:
        if rows.ndim != 2 or rows.shape[1] != len(self.feature_names):
            raise self._wrong_shape(rows.shape)
        return np.ascontiguousarray(rows, dtype=np.float32)

    def _ask(self, rows: Singles, believed: bool) -> Floats:
        out = np.empty((len(rows), len(self.names) + 2))
        if not kernels.answer(rows, self._packed, BOUND, believed, out):
            raise self._not_finite()
        return out

    def _not_finite(self) -> DataError:
        return DataError(f"model {self.card.version} was asked about a row that is not finite; refused")

    def _wrong_shape(self, shape: tuple[int, ...]) -> DataError:
        return DataError(
            f"model {self.card.version} takes {len(self.feature_names)} features a row, got {shape}"
        )


def raw(
    members: Sequence[Member | Net],
    feature_names: Sequence[str],
    card: Card,
    space: Space | None = None,
) -> Ensemble:
    """Put flattened members together as they are: not calibrated, all alike; without a space no row is strange.

    Members made of trees come first. Nets need the space they were standardised in.
    """
    trees = [member for member in members if isinstance(member, Member)]
    nets = [member for member in members if isinstance(member, Net)]
    parts = Parts(
        forest.flatten(trees),
        dense.flatten(nets),
        space or guard.boundless(np.zeros(len(feature_names)), np.ones(len(feature_names))),
        blend.unbelieved(len(members)),
    )
    names = [member.name for member in trees] + [net.name for net in nets]
    return Ensemble(names, feature_names, parts, card)


def sides(votes: Floats, probability: Floats, threshold: float) -> NDArray[np.int8]:
    """Return +1, -1 or 0 for each row of votes (n, m) and probabilities (n,), as `Ensemble.side` does for one.

    >>> votes = np.array([[0.72, 0.69, 0.55], [0.2, 0.3, 0.4], [0.7, 0.4, 0.4]])
    >>> sides(votes, np.array([0.7, 0.3, 0.7]), 0.65).tolist()
    [1, -1, 0]
    """
    found: NDArray[np.int8] = kernels.sides(votes, probability, threshold)
    return found


def _sound(parts: Parts, members: int, features: int) -> bool:
    """Say whether every index stays inside its array: the compiled walk does not check."""
    trees, nets, space, tables = parts
    return (
        _sound_trees(trees, features)
        and _sound_nets(nets, features)
        and len(trees.base) + len(nets.layers) == members == len(tables.weight)
        and space.standard.shape == (4, features)
        and space.axes.shape[1:] == (features,)
        and space.limit.shape == (2,)
        and len(tables.knot) == 3
        and len(tables.first) == members + 2
        and bool((np.diff(tables.first) > 0).all())
        and tables.first[0] == 0
        and tables.first[-1] == tables.knot.shape[1]
    )


def _sound_trees(trees: Trees, features: int) -> bool:
    threshold, left, feature = forest.unpack(trees.node)
    nodes, last = len(trees.node), left + np.isfinite(threshold)  # the right child, or the leaf itself
    return (
        len(trees.value) == nodes
        and len(trees.averages) == len(trees.base) == len(trees.first_tree) - 1
        and _within(feature, features)
        and _within(left, nodes)
        and _within(last, nodes)
        and _within(trees.tree[:, 0], nodes)
        and _within(trees.tree[:, 1], nodes)
        and _within(trees.first_tree, len(trees.tree) + 1)
    )


def _sound_nets(nets: Nets, features: int) -> bool:
    needed = 0
    for widths in nets.layers.tolist():
        used = [width for width in widths if width]
        if used != widths[: len(used)] or used[-1:] != [1] or min(used) < 0:
            return False
        needed += sum((inputs + 1) * width for inputs, width in zip([features, *used], used, strict=False))
    return needed == len(nets.coefficient)


def _within(indices: NDArray[np.integer], length: int) -> bool:
    return bool(((indices >= 0) & (indices < length)).all())
