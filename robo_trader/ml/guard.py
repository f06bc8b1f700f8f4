"""Remembers where the training rows stood, so that a row unlike all of them can be told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import kernels
from robo_trader.ml.dense import BOUND
from robo_trader.ml.parts import Space

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

AXES = 10
TAIL = 1e-3
HELD_BACK = 0.25


def boundless(centre: Floats, scale: Floats) -> Space:
    """Return a space in which no row is strange; `scale` is 1 / deviation."""
    standard = np.vstack([centre, scale, np.full_like(centre, -np.inf), np.full_like(centre, np.inf)])
    return Space(standard, np.zeros((0, len(centre))), np.full(2, np.inf))


def learn(rows: Rows, centre: Floats, scale: Floats) -> Space:
    """Measure the training rows (n, k), in order of time, for what is usual; `scale` is 1 / deviation.

    Usual are the values between each column's 0.1 % and 99.9 % quantiles: what a row exceeds them by, in deviations and
    on average over its columns, is one measure, its distance along the ten main axes the other. Both limits are what all
    but one in a thousand of the last quarter stayed under when the rest had been measured, so they allow for columns
    that drift; for serving all rows are measured.
    """
    border = int(len(rows) * (1 - HELD_BACK))
    earlier = _measure(rows[:border], centre, scale, np.ones(2))
    seen = strangeness(rows[border:], earlier)
    limit = np.quantile(seen, 1 - TAIL, axis=0)
    least = np.array([BOUND / rows.shape[1], 1.0])  # neither one column alone nor a row of ordinary size
    return _measure(rows, centre, scale, np.maximum(limit, least))


def _measure(rows: Rows, centre: Floats, scale: Floats, limit: Floats) -> Space:
    low, high = np.quantile(rows, [TAIL, 1 - TAIL], axis=0)
    z = np.clip((rows - centre) * scale, -BOUND, BOUND)
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    main = slice(-min(AXES, len(variance)), None)
    unit = axes[:, main] / np.sqrt(np.maximum(variance[main], 1e-12))
    return Space(np.vstack([centre, scale, low, high]), np.ascontiguousarray(unit.T), limit)


def strangeness(rows: Rows, space: Space) -> Floats:
    """Return for each row the share of unusual columns and its distance: (n, 2)."""
    out = np.empty((len(rows), 2))
    kernels.strangeness(np.ascontiguousarray(rows, dtype=np.float32), space, BOUND, out)
    return out


def worst(row: NDArray[np.floating], space: Space, names: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """Name the columns that stand farthest from their usual values, in deviations."""
    centre, scale, low, high = space.standard
    beyond = np.maximum(np.maximum(low - row, row - high), 0.0) * scale
    far = beyond if beyond.any() else np.abs((row - centre) * scale)
    return tuple(names[i] for i in np.argsort(-far, kind="stable")[:count])
