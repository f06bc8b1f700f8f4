"""Honest judgement: blocks in time that do not leak into each other, and scores that say how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

Z95 = 1.959964


@dataclass(frozen=True)
class SplitOptions:
    """Shares of time for training and calibration (the rest is the test) and the pause after each border."""

    train_share: float = 0.6
    calibration_share: float = 0.2
    embargo_bars: int = 30


@dataclass(frozen=True)
class Blocks:
    """Row numbers of the three blocks, oldest first."""

    train: Rows
    calibration: Rows
    test: Rows


def split_in_time(ts: Ints, known_at: Ints, embargo_ns: int, options: SplitOptions) -> Blocks:
    """Cut rows of all symbols at the same two moments into train, calibration and test.

    Purged: a row whose label became known at or after the next block's start is dropped. Embargoed: a row within
    `embargo_ns` after a border is dropped, its features still breathe the block before. Source: López de Prado,
    Advances in Financial Machine Learning, 7.4.
    """
    moments = np.unique(ts)
    first = int(moments[int(len(moments) * options.train_share)])
    second = int(moments[int(len(moments) * (options.train_share + options.calibration_share))])
    train = known_at < first
    calibration = (ts >= first + embargo_ns) & (known_at < second)
    test = ts >= second + embargo_ns
    return Blocks(
        train=np.flatnonzero(train),
        calibration=np.flatnonzero(calibration),
        test=np.flatnonzero(test),
    )


@dataclass(frozen=True)
class Overlap:
    """How far labels reach: rows less than `span_ns` apart share part of their future. `step_ns` is one bar."""

    span_ns: int
    step_ns: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence bounds."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}..{self.high:.2f})"


def overlapping_variance(influence: Floats, ts: Ints, overlap: Overlap) -> float:
    """Return the variance of the sum of `influence` when rows close in time share their labels' future.

    Rows of one moment are added first, so symbols that move together count as one observation; then every pair of
    moments less than the labels' span apart adds its product. Labels further apart share nothing, so this is exact in
    expectation when there is no skill. Never below what independent moments would give. Source: Hansen & Hodrick,
    JPE 88 (1980) 829.
    """
    slot = (ts - ts.min()) // overlap.step_ns
    total = np.bincount(slot, weights=influence)
    alone = float(total @ total)
    lags = range(1, min(overlap.span_ns // overlap.step_ns, len(total)))
    return max(alone, alone + 2.0 * sum(float(total[lag:] @ total[:-lag]) for lag in lags))


def auc(label: NDArray[np.int8], score: Floats) -> float:
    """Return the area under the ROC curve: how often a 1 scores above a 0, ties half.

    >>> auc(np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    ranks = _midranks(score)
    ones = int(label.sum())
    zeros = len(label) - ones
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def auc_interval(label: NDArray[np.int8], score: Floats, ts: Ints, overlap: Overlap) -> Interval:
    """Return the AUC with a 95 % interval that respects overlapping labels and symbols that move together.

    DeLong's placement values are the influence of each row on the AUC; their sum's variance comes from
    `overlapping_variance`. Source: DeLong et al., Biometrics 44 (1988) 837.
    """
    one, ranks = label == 1, _midranks(score)
    ones, zeros = int(one.sum()), int((~one).sum())
    placement = np.empty(len(label))
    placement[one] = (ranks[one] - _midranks(score[one])) / zeros
    placement[~one] = 1.0 - (ranks[~one] - _midranks(score[~one])) / ones
    area = float(placement[one].mean())
    influence = (placement - area) / np.where(one, ones, zeros)
    return _interval(area, overlapping_variance(influence, ts, overlap), 0.0, 1.0)


def brier_skill(label: NDArray[np.int8], probability: Floats, ts: Ints, overlap: Overlap) -> Interval:
    """Return 1 - Brier / Brier of always saying the block's own base rate, with its 95 % interval.

    The base rate of the block that is judged is a harder opponent than that of the past: only resolution beats it.
    """
    climate = float(label.mean())
    worst = climate * (1 - climate)
    gain = (climate - label) ** 2 - (probability - label) ** 2
    skill = float(gain.mean()) / worst
    influence = (gain - gain.mean()) / (len(label) * worst)
    return _interval(skill, overlapping_variance(influence, ts, overlap), -np.inf, 1.0)


def brier(label: NDArray[np.int8], probability: Floats) -> float:
    """Return the mean squared distance between probability and outcome."""
    return float(np.mean((probability - label) ** 2))


def log_loss(label: NDArray[np.int8], probability: Floats) -> float:
    """Return the mean negative log likelihood in nats, probabilities clipped to [1e-12, 1 - 1e-12]."""
    said = np.clip(np.where(label == 1, probability, 1 - probability), 1e-12, 1.0)
    return float(-np.log(said).mean())


def calibration_error(label: NDArray[np.int8], probability: Floats, bins: int = 10) -> float:
    """Return the expected calibration error over equal-mass bins: mean |frequency - mean probability|."""
    groups = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [abs(float(label[g].mean() - probability[g].mean())) * len(g) for g in groups if len(g)]
    return sum(gaps) / len(label)


@dataclass(frozen=True)
class Selected:
    """What the rows a model would act on turned out to be; precision, confidence and move are None when there are none."""

    rows: int
    coverage: float
    precision: float | None
    confidence: float | None
    move_bps: float | None


def selected(
    side: NDArray[np.int8], wanted: int, label: NDArray[np.int8], probability: Floats, forward: Floats
) -> Selected:
    """Judge the rows where `side` equals `wanted` (+1 or -1): share of all rows, how often right, how sure, how far.

    `move_bps` is the mean log return in the wanted direction, before costs.
    """
    chosen = side == wanted
    rows = int(chosen.sum())
    if not rows:
        return Selected(0, 0.0, None, None, None)
    right, sure = (label, probability) if wanted > 0 else (1 - label, 1 - probability)
    return Selected(
        rows=rows,
        coverage=rows / len(label),
        precision=float(right[chosen].mean()),
        confidence=float(sure[chosen].mean()),
        move_bps=float(forward[chosen].mean() * wanted * 1e4),
    )


def _midranks(values: Floats) -> Floats:
    """Rank from 1, ties share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


def _interval(value: float, variance: float, low: float, high: float) -> Interval:
    reach = Z95 * float(np.sqrt(variance))
    return Interval(value, max(low, value - reach), min(high, value + reach))
