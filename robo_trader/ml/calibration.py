"""Turns what a model says into probabilities that can be believed, by a block it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Longs = NDArray[np.int64]
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
Table = Floats
Method = Callable[[Labels, Floats, Floats], Table]

GRID = 100


def line(slope: float, intercept: float) -> Table:
    """Return the table of a straight line: one knot whose rise reaches everywhere.

    A table (3, n) holds knots in log-odds, the believed log-odds there and their rise until the next; the first knot
    also serves all below it.

    >>> believed(line(0.5, 0.1), np.array([-2.0, 4.0])).tolist()
    [-0.9, 2.1]
    """
    return np.array([[0.0], [intercept], [slope]])


def through(odds: Floats, probability: Floats) -> Table:
    """Return the table through points of ascending log-odds, straight between them and level beyond both ends."""
    height = np.log(probability / (1 - probability))
    rise = np.append(np.diff(height) / np.diff(odds), 0.0)
    level = [[odds[0]], [height[0]], [0.0]]
    return np.hstack([level, np.vstack([odds, height, rise])])


def believed(table: Table, odds: Floats) -> Floats:
    """Return the log-odds that a table makes of `odds` (n,)."""
    knot = np.maximum(np.searchsorted(table[0], odds, side="right") - 1, 0)
    return np.asarray(table[1, knot] + table[2, knot] * (odds - table[0, knot]), dtype=np.float64)


def balanced(label: Labels, weight: Floats) -> Floats:
    """Return weights of the same sum of which both outcomes have half.

    Which of them led in the block is drift that the next days need not share.
    """
    one = label == 1
    half = weight.sum() / 2
    return np.asarray(weight * np.where(one, half / weight[one].sum(), half / weight[~one].sum()))


def fit_platt(label: Labels, log_odds: Floats, weight: Floats, expected: float = 0.0) -> tuple[float, float]:
    """Fit slope and intercept of P = 1 / (1 + exp(-(slope * log_odds + intercept))) without believing a few days too much.

    Both outcomes weigh the same. `weight` says for how many independent labels each row counts (labels that share their
    future say the same thing), against a normal prior on the slope around `expected` with a deviation of 1. A falling
    line would turn a model around that has learned nothing: it becomes flat and says 1/2.
    Sources: Platt 1999; López de Prado, Advances in Financial Machine Learning, 4.5 (uniqueness).
    """
    weight = balanced(label, weight)
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    prior, around = np.array([1.0, 0.0]), np.array([expected, 0.0])
    found = around.copy()
    for _ in range(50):
        said = 1 / (1 + np.exp(-np.clip(design @ found, -500, 500)))
        curvature = (design.T * (weight * said * (1 - said))) @ design + np.diag(prior + 1e-12)
        step = np.linalg.solve(curvature, design.T @ (weight * (label - said)) - prior * (found - around))
        found += step
        if np.abs(step).max() < 1e-10:
            break
    return (float(found[0]), float(found[1])) if found[0] > 0 else (0.0, 0.0)


def platt(label: Labels, odds: Floats, weight: Floats) -> Table:
    """Fit Platt's line."""
    return line(*fit_platt(label, odds, weight))


def isotonic(label: Labels, odds: Floats, weight: Floats) -> Table:
    """Fit the rising steps that come nearest to the outcomes, straight between one step and the next.

    No step is surer than the rule of succession allows on as many independent labels as there are. Sources: Zadrozny &
    Elkan, KDD 2002; scikit-learn's IsotonicRegression interpolates probabilities, here their log-odds are.
    """
    at, share, count = _distinct(label, odds, weight)
    doubt = 1 / (weight.sum() + 2)
    height = np.clip(_rising(share, count), doubt, 1 - doubt)
    edge = np.diff(height, prepend=-1.0) != 0
    edge |= np.append(edge[1:], True)  # where a step begins and where it ends
    return through(at[edge], height[edge])


def venn_abers(label: Labels, odds: Floats, weight: Floats) -> Table:
    """Fit the inductive Venn-Abers predictor: what isotonic steps say if the new row were a 0, and if it were a 1.

    The new row counts as one independent label; the two answers p0 and p1 are joined to p1 / (1 - p0 + p1), which loses
    least whichever comes true. It is asked at up to 100 scores. Source: Vovk, Petej & Fedorova, NIPS 2015, section 4.
    """
    at, share, count = _distinct(label, odds, weight)
    blocks = _blocks(_rising(share, count))
    asked = np.unique(np.linspace(0, len(at) - 1, GRID).round().astype(np.int64))
    joined = np.empty(len(asked))
    for i, place in enumerate(asked):
        low, high = (_with(share, count, blocks, place, outcome) for outcome in (0.0, 1.0))
        joined[i] = high / (1 - low + high)
    return through(at[asked], joined)


METHODS: dict[str, Method] = {"platt": platt, "isotonic": isotonic, "venn-abers": venn_abers}


def better(label: Labels, odds: Floats, weight: Floats, folds: Sequence[Fold]) -> tuple[str, Table]:
    """Return the method with the lowest Brier score over purged folds of this block, fitted to all of it.

    A tie goes to the simpler. Raises KeyError never: without folds that hold both outcomes it is Platt's line.
    """
    usable = [fold for fold in folds if len(np.unique(label[fold[0]])) == 2 and len(fold[1])]
    fair = balanced(label, weight)
    scores = {
        name: sum(_squares(fit, fold, label, odds, weight, fair) for fold in usable)
        for name, fit in METHODS.items()
    }
    name = min(scores, key=lambda method: scores[method])
    return name, METHODS[name](label, odds, weight)


def _squares(fit: Method, fold: Fold, label: Labels, odds: Floats, weight: Floats, fair: Floats) -> float:
    train, test = fold
    table = fit(label[train], odds[train], weight[train])
    said = 1 / (1 + np.exp(-believed(table, odds[test])))
    return float(fair[test] @ (said - label[test]) ** 2)


def _distinct(label: Labels, odds: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the distinct log-odds, ascending, the share of ones at each and its weight, outcomes weighing the same."""
    fair = balanced(label, weight)
    at, which = np.unique(odds, return_inverse=True)
    count = np.asarray(np.bincount(which, weights=fair), dtype=np.float64)
    return at, np.bincount(which, weights=fair * label) / count, count


def _blocks(height: Floats) -> Longs:
    """Return where each step begins, and the end of the last."""
    return np.concatenate([[0], np.flatnonzero(np.diff(height)) + 1, [len(height)]])


def _with(share: Floats, count: Floats, blocks: Longs, place: int, outcome: float) -> float:
    """Return the step at `place` once a row of weight 1 with this outcome stands there too.

    Only the step it falls into can break: within any other, every first part lies no lower than the rest.
    """
    mine = int(np.searchsorted(blocks, place, side="right")) - 1
    first, stop = int(blocks[mine]), int(blocks[mine + 1])
    cut = np.concatenate([blocks[:mine], np.arange(first, stop), blocks[mine + 1 : -1]])
    ones, rows = np.add.reduceat(share * count, cut), np.add.reduceat(count, cut)
    here = mine + place - first
    ones[here] += outcome
    rows[here] += 1
    return float(_rising(ones / rows, rows)[here])


def _rising(share: Floats, count: Floats) -> Floats:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(share, weights=count).x, dtype=np.float64)
