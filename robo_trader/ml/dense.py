"""Turns trained linear models and neural nets into plain arrays that answer like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml.parts import Nets

Floats = NDArray[np.float64]

BOUND = 8.0


@dataclass(frozen=True)
class Net:
    """A model of layers, each a matrix (inputs, outputs) and a bias; the last has one output, the log-odds."""

    name: str
    layers: Sequence[tuple[Floats, Floats]]


def pipeline(model: Any) -> Any:
    """Put a scikit-learn model behind the standardisation that serving repeats: float64, clipped at BOUND deviations."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    clip = FunctionTransformer(np.clip, kw_args={"a_min": -BOUND, "a_max": BOUND})
    return make_pipeline(StandardScaler(), clip, model)


def standard(fitted: Any) -> tuple[Floats, Floats]:
    """Return the centre and 1 / scale (k,) of a fitted pipeline's columns."""
    scaler = fitted[0]
    return np.asarray(scaler.mean_, dtype=np.float64), 1.0 / np.asarray(scaler.scale_, dtype=np.float64)


def from_logistic(fitted: Any) -> Net:
    """Flatten a pipeline that ends in a binary LogisticRegression."""
    model = fitted[-1]
    return Net("logit", [(model.coef_.T, model.intercept_)])


def from_mlp(fitted: Any) -> Net:
    """Flatten a pipeline that ends in a binary MLPClassifier of rectified units."""
    model = fitted[-1]
    return Net("mlp", list(zip(model.coefs_, model.intercepts_, strict=True)))


def flatten(nets: Sequence[Net]) -> Nets:
    """Lay the coefficients of all nets in one row."""
    deepest = max((len(net.layers) for net in nets), default=0)
    layers = np.zeros((len(nets), deepest), dtype=np.int64)
    parts: list[Floats] = []
    for i, net in enumerate(nets):
        for j, (matrix, bias) in enumerate(net.layers):
            layers[i, j] = len(bias)
            parts += [np.ravel(matrix), np.ravel(bias)]
    return Nets(layers, np.concatenate(parts, dtype=np.float64) if parts else np.empty(0))
