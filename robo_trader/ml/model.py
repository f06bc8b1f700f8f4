"""The ensemble that the desk asks: flattened trees, each model calibrated, their mean the probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.protocols import Vector
from robo_trader.ml import kernels
from robo_trader.ml.kernels import Trees

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Card:
    """What a user of the model must know of it: what it answers, from which features, and whether it proved itself.

    It was judged by votes of `threshold`, which is lower than the vote `asked` for where that was hardly ever reached.
    """

    version: str
    feature_version: str
    horizon: int
    interval_ns: int
    proven: bool
    reason: str
    threshold: float = 0.65
    asked: float = 0.65


class Ensemble:
    """Answers from arrays alone: the daemon needs none of the libraries that trained it."""

    def __init__(
        self,
        names: Sequence[str],
        feature_names: Sequence[str],
        trees: Trees,
        slope: Floats,
        intercept: Floats,
        card: Card,
    ) -> None:
        self.names = tuple(names)
        self.feature_names = tuple(feature_names)
        self.card = card
        self.trees, self.slope, self.intercept = trees, slope, intercept
        self._row = np.empty((1, len(self.feature_names)), dtype=np.float32)
        if not _sound(trees, len(self.names), len(self.feature_names)):
            raise DataError(
                f"model {card.version} is not well formed: a tree points outside of its nodes or of the "
                f"{len(self.feature_names)} features; train it again with `python -m robo_trader.train_models`"
            )

    def with_card(self, card: Card) -> Ensemble:
        """Return the same ensemble under another card."""
        return Ensemble(self.names, self.feature_names, self.trees, self.slope, self.intercept, card)

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
        return float(self.votes(x).sum()) / len(self.names)

    def votes(self, x: Vector) -> Floats:
        """Return each member's calibrated probability, (n_members,) in the order of `names`. Raises DataError."""
        if x.shape != self._row.shape[1:]:
            raise self._wrong_shape(x.shape)
        self._row[0] = x
        votes: Floats = self._calibrated(self._row)[0]
        return votes

    def votes_many(self, rows: NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities (n_rows, n_members) for rows (n_rows, n_features). Raises DataError."""
        return self._calibrated(self._singles(rows))

    def predict_many(self, rows: NDArray[np.floating]) -> Floats:
        """Return P(label 1) of every row: (n_rows,) from (n_rows, n_features). Raises DataError."""
        return np.asarray(self.votes_many(rows).sum(axis=1) / len(self.names), dtype=np.float64)

    def log_odds(self, rows: NDArray[np.floating]) -> Floats:
        """Return the members' uncalibrated log-odds (n_rows, n_members); what Platt's line is fitted to."""
        singles = self._singles(rows)
        out = np.empty((len(singles), len(self.names)))
        if not kernels.log_odds(singles, self.trees, out):
            raise self._not_finite()
        return out

    def _singles(self, rows: NDArray[np.floating]) -> Singles:
        if rows.ndim != 2 or rows.shape[1] != len(self.feature_names):
            raise self._wrong_shape(rows.shape)
        return np.ascontiguousarray(rows, dtype=np.float32)

    def _calibrated(self, rows: Singles) -> Floats:
        out = np.empty((len(rows), len(self.names)))
        if not kernels.votes(rows, self.trees, self.slope, self.intercept, out):
            raise self._not_finite()
        return out

    def _not_finite(self) -> DataError:
        return DataError(f"model {self.card.version} was asked about a row that is not finite; refused")

    def _wrong_shape(self, shape: tuple[int, ...]) -> DataError:
        return DataError(
            f"model {self.card.version} takes {len(self.feature_names)} features a row, got {shape}"
        )


def side(votes: Floats, threshold: float) -> int:
    """Return +1, -1 or 0: the mean reaches `threshold` (or 1 - threshold) and more than half agree on the side.

    >>> side(np.array([0.72, 0.69, 0.55]), 0.65), side(np.array([0.2, 0.3, 0.4]), 0.65), side(np.array([0.6]), 0.65)
    (1, -1, 0)
    """
    return int(kernels.side(votes, threshold))


def sides(votes: Floats, threshold: float) -> NDArray[np.int8]:
    """Return `side` for every row of votes (n_rows, n_members)."""
    found: NDArray[np.int8] = kernels.sides(votes, threshold)
    return found


def _sound(trees: Trees, members: int, features: int) -> bool:
    """Say whether every index stays inside its array: the compiled walk does not check."""
    nodes, grown = len(trees.left), len(trees.root)
    last = trees.left + np.isfinite(trees.threshold)  # the right child, or the leaf itself
    return (
        len(trees.feature) == len(trees.threshold) == len(trees.value) == nodes
        and len(trees.depth) == grown
        and len(trees.averages) == len(trees.base) == len(trees.first_tree) - 1 == members
        and _within(trees.feature, features)
        and _within(trees.left, nodes)
        and _within(last, nodes)
        and _within(trees.root, nodes)
        and _within(trees.first_tree, grown + 1)
    )


def _within(indices: NDArray[np.integer], length: int) -> bool:
    return bool(((indices >= 0) & (indices < length)).all())
