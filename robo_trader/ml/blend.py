"""Joins the members' voices into one: how much each counts, and what the whole is worth believing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import calibration, kernels
from robo_trader.ml.calibration import Fold, Table
from robo_trader.ml.parts import Tables

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

EQUAL_PULL = 10.0
SLOPE_COST = 1.0
STEPS = 500
SILENT = calibration.line(0.0, 0.0)


def tables(found: Sequence[Table], whole: Table, weight: Floats) -> Tables:
    """Lay each member's table and that of their blend in one row of knots."""
    lengths = [table.shape[1] for table in (*found, whole)]
    first = np.cumsum([0, *lengths])
    return Tables(np.hstack([*found, whole]), first, np.asarray(weight, dtype=np.float64))


def unbelieved(members: int) -> Tables:
    """Return tables that take every member at its word and all alike."""
    same = calibration.line(1.0, 0.0)
    return tables([same] * members, same, np.full(members, 1 / members))


def weights(odds: Floats, label: Labels, weight: Floats) -> Floats:
    """Return what each member counts, (m,) summing to 1, from log-odds (n, m) of rows it has not learnt from.

    `weight` says for how many independent labels each row counts. A member whose calibrated log-likelihood is not at
    least one nat above chance, which is what fitting its slope costs (Akaike 1974), gets 0; all get 0 where none has
    skill. The rest are stacked: the weights on the simplex whose blended log-odds lose least (Wolpert 1992; Breiman
    1996), pulled towards equal ones, for weights learnt from few labels forecast worse than none (Stock & Watson 2004).
    """
    fair = calibration.balanced(label, weight)
    lines = [calibration.fit_platt(label, one, weight) for one in odds.T]
    said = np.column_stack([slope * one + offset for (slope, offset), one in zip(lines, odds.T, strict=True)])
    gain = fair @ (np.log(2) - _losses(said, label[:, None]))
    skilled = np.flatnonzero(gain > SLOPE_COST)
    found = np.zeros(odds.shape[1])
    if len(skilled):
        found[skilled] = _stacked(said[:, skilled], label, fair)
    return found


def _losses(odds: Floats, label: NDArray[np.integer]) -> Floats:
    return np.asarray(np.logaddexp(0.0, odds) - label * odds, dtype=np.float64)


def _stacked(odds: Floats, label: Labels, weight: Floats) -> Floats:
    """Minimise a convex loss on the simplex by projected steps no longer than its curvature allows."""
    members = odds.shape[1]
    equal = found = np.full(members, 1 / members)
    curvature = np.linalg.eigvalsh((odds.T * weight) @ odds / 4)[-1] + EQUAL_PULL
    for _ in range(STEPS):
        said = 1 / (1 + np.exp(-(odds @ found)))
        slope = odds.T @ (weight * (said - label)) + EQUAL_PULL * (found - equal)
        moved = _on_simplex(found - slope / curvature)
        if np.abs(moved - found).max() < 1e-9:
            break
        found = moved
    return found


def _on_simplex(point: Floats) -> Floats:
    """Return the nearest point whose parts are not negative and sum to 1. Source: Duchi et al., ICML 2008.

    >>> _on_simplex(np.array([0.9, 0.5, -1.0])).round(3).tolist()
    [0.7, 0.3, 0.0]
    """
    ordered = np.sort(point)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(point) + 1)
    last = int(np.flatnonzero(ordered > excess)[-1])
    return np.asarray(np.maximum(point - excess[last], 0.0), dtype=np.float64)


def calibrate(
    odds: Floats, label: Labels, weight: Floats, folds: Sequence[Fold], part: Floats
) -> tuple[Tables, tuple[str, ...]]:
    """Fit each member's table and that of their blend on a block none has learnt from; name the methods chosen.

    `odds` (n, m) raw log-odds, `weight` (n,) for how many independent labels each row counts, `folds` purged row numbers
    within the block, `part` (m,) what each member counts: one that counts nothing says one half. The blend needs a line
    of its own: the mean of voices that are each right is not sure enough (Ranjan & Gneiting, JRSS B 72 (2010) 71), so
    its slope is expected at 1, not 0.
    """
    found = [
        calibration.better(label, one, weight, folds) if counts else ("none", SILENT)
        for one, counts in zip(odds.T, part, strict=True)
    ]
    each = [table for _, table in found]
    said = np.column_stack(
        [calibration.believed(table, one) for table, one in zip(each, odds.T, strict=True)]
    )
    whole = calibration.line(*calibration.fit_platt(label, said @ part, weight, expected=1.0))
    if not part.any():
        whole = SILENT
    return tables(each, whole, part), tuple(name for name, _ in found)


def answers(odds: Floats, tables: Tables) -> Floats:
    """Return the members' calibrated probabilities and, last, the blend's: (n, m + 1) from raw log-odds (n, m)."""
    out = np.empty((len(odds), odds.shape[1] + 1))
    kernels.believe(np.ascontiguousarray(odds), tables, out)
    return out
