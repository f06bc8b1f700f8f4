"""Trades on the champion, writes down what a challenger says beside it, and changes models when told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robo_trader.core.events import Bar, ModelChanged, Role
from robo_trader.core.protocols import Vector, View
from robo_trader.core.steps import Fact, Shadow, Signal
from robo_trader.ml.model import Ensemble
from robo_trader.strategies.ml_strategy import MLStrategy

Load = Callable[[str, str], Ensemble]


class _Voice:
    """A model that is asked of the vectors of a desk."""

    def __init__(self, model: Ensemble, feature_names: Sequence[str]) -> None:
        self.version = model.card.version
        self._model = model
        self._columns = model.columns(feature_names)

    def says(self, vector: Vector) -> float | None:
        row = vector[self._columns]
        return self._model.predict_proba(row) if np.isfinite(row).all() else None


class Succession:
    """Implements `core.protocols.Strategy` and `Successor` around the strategy that trades on the champion.

    `load` gets a model by its version and the hash that vouches for it, and raises DataError where it is gone or altered.
    A challenger's probabilities are told bar by bar beside the champion's, whatever either would do about them.
    """

    def __init__(
        self, strategy: MLStrategy, champion: Ensemble, feature_names: Sequence[str], load: Load,
        challenger: Ensemble | None = None,
    ) -> None:  # fmt: skip
        self.name = strategy.name
        self._strategy = strategy
        self._feature_names = feature_names
        self._load = load
        self._champion = _Voice(champion, feature_names)
        self._challenger = None if challenger is None else _Voice(challenger, feature_names)

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        """Return what the champion's strategy says, and last what both models said of this bar."""
        return (*self._strategy.on_bar(bar, view), *self._shadow(bar, view))

    def forget(self, symbol: str) -> None:
        """Pass on that a share was split."""
        self._strategy.forget(symbol)

    def adopt(self, change: ModelChanged) -> None:
        """Give the model that role; positions stay as they are."""
        model = self._load(change.version, change.sha256) if change.version else None
        if change.role is Role.CHALLENGER:
            self._challenger = None if model is None else _Voice(model, self._feature_names)
        elif model is not None:
            self._strategy.adopt(model, self._feature_names)
            self._champion = _Voice(model, self._feature_names)

    def _shadow(self, bar: Bar, view: View) -> Sequence[Fact]:
        vector = view.vector(bar.symbol)
        if self._challenger is None or bar.history or vector is None or view.session() is None:
            return ()
        said, shadow = self._champion.says(vector), self._challenger.says(vector)
        if said is None or shadow is None:
            return ()
        return (Shadow(bar.ts, bar.symbol, self._champion.version, self._challenger.version, said, shadow),)
