"""Turns what a model says into probabilities that can be believed, by a block it was not trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


def fit_platt(label: Labels, log_odds: Floats, overlap: float) -> tuple[float, float]:
    """Fit slope and intercept of P = 1 / (1 + exp(-(slope * log_odds + intercept))) without believing a few days too much.

    Both outcomes weigh the same, because which of them led in the block is drift that the next days need not share. Each
    row counts for 1 / `overlap` (labels that share their future say the same thing) against a standard normal prior on
    the slope. A falling line would turn a model around that has learned nothing: it becomes flat and says 1/2.
    Sources: Platt 1999; López de Prado, Advances in Financial Machine Learning, 4.5 (uniqueness).
    """
    share = float(label.mean())
    weight = np.where(label == 1, 0.5 / share, 0.5 / (1 - share)) / overlap
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    prior = np.array([1.0, 0.0])
    line = np.zeros(2)
    for _ in range(50):
        said = 1 / (1 + np.exp(-(design @ line)))
        curvature = (design.T * (weight * said * (1 - said))) @ design + np.diag(prior + 1e-12)
        step = np.linalg.solve(curvature, design.T @ (weight * (label - said)) - prior * line)
        line += step
        if np.abs(step).max() < 1e-10:
            break
    return (float(line[0]), float(line[1])) if line[0] > 0 else (0.0, 0.0)
