"""Compares a challenger with the champion: on past rows that neither has learnt from, and on bars both spoke of live."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import validation
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.model import Ensemble
from robo_trader.ml.registry import Manifest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_ROWS = 300
CLIP = 1e-12


@dataclass(frozen=True)
class WalkForward:
    """The losses (nats a row) of both on the same `rows` of the past."""

    rows: int
    loss: float
    champion_loss: float


@dataclass(frozen=True)
class Paired:
    """By how many nats a bar the challenger was the better one on `bars`, and the standard error of that."""

    bars: int
    gain: float
    error: float


def other_question(challenger: Manifest, champion: Manifest) -> str:
    """Say in what two models differ so that their answers cannot be compared, empty where they can be."""
    for what in ("feature_version", "interval_ns", "label"):
        if getattr(challenger, what) != getattr(champion, what):
            words = {
                "feature_version": "other features",
                "interval_ns": "bars of another size",
                "label": "other labels",
            }
            return f"the champion was trained on {words[what]}"
    return ""


def walk_forward(
    challenger: Ensemble, began: int, champion: Ensemble, champion_began: int, dataset: Dataset
) -> WalkForward | None:
    """Score both on the rows from where both test blocks have begun (UTC ns): neither has learnt from any of them.

    None where these are too few to tell anything.
    """
    mine = dataset.ts >= max(began, champion_began)
    if mine.sum() < LEAST_ROWS:
        return None
    label, rows = dataset.label[mine], dataset.rows[mine]
    losses = (validation.log_loss(label, one.predict_many(rows)) for one in (challenger, champion))
    return WalkForward(int(mine.sum()), *losses)


def paired(label: Ints, champion: Floats, challenger: Floats, ts: Ints, block_ns: int) -> Paired:
    """Return by how much the challenger's probabilities (n,) were better than the champion's, of labels 0 or 1.

    Bars of one `block_ns` share their future, and all symbols their market: a block counts as one observation, weighed by
    its bars. Source: Künsch, Annals of Statistics 17 (1989) 1217.

    >>> said, shadow = np.full(4, 0.5), np.array([0.8, 0.8, 0.6, 0.4])
    >>> found = paired(np.array([1, 1, 1, 0]), said, shadow, np.array([1, 2, 11, 12]), 10)
    >>> found.bars, round(found.gain, 4), round(found.error, 4)
    (4, 0.3262, 0.1438)
    """
    better = _losses(label, champion) - _losses(label, challenger)
    _, block = np.unique(ts // block_ns, return_inverse=True)
    count = np.bincount(block)
    gain = float(better.mean())
    apart = np.bincount(block, weights=better) - gain * count
    blocks = len(count)
    if blocks < 2:
        return Paired(len(better), gain, math.inf)
    error = math.sqrt(float(apart @ apart) * blocks / (blocks - 1)) / len(better)
    return Paired(len(better), gain, error)


def _losses(label: Ints, probability: Floats) -> Floats:
    said = np.clip(np.where(label == 1, probability, 1 - probability), CLIP, 1.0)
    return np.asarray(-np.log(said), dtype=np.float64)
