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


def brier_skill(
    label: NDArray[np.int8], probability: Floats, block: Ints, draws: int = 2_000, seed: int = 7
) -> Interval:
    """Return 1 - Brier / Brier of always saying the rows' own base rate, with the 95 % interval of a block bootstrap.

    The base rate of the rows that are judged is a harder opponent than that of the past: only resolution beats it. Rows of
    one `block`, a session of all symbols, are drawn together, for they share their future. Source: Künsch, Annals of
    Statistics 17 (1989) 1217.
    """
    _, place = np.unique(block, return_inverse=True)
    sums = np.stack(
        [np.bincount(place, weights=one) for one in (np.ones(len(label)), label, (probability - label) ** 2)]
    )
    drawn = np.random.default_rng(seed).multinomial(
        sums.shape[1], np.full(sums.shape[1], 1 / sums.shape[1]), draws
    )
    low, high = np.quantile(_skill(np.asarray(sums @ drawn.T, dtype=np.float64)), (0.025, 0.975))
    return Interval(float(_skill(sums.sum(axis=1))), float(low), float(high))


def _skill(sums: Floats) -> Floats:
    rows, ones, squares = sums
    climate = ones / rows
    return np.asarray(1 - squares / np.maximum(rows * climate * (1 - climate), 1e-12), dtype=np.float64)


def brier(label: NDArray[np.int8], probability: Floats) -> float:
    """Return the mean squared distance between probability and outcome."""
    return float(np.mean((probability - label) ** 2))


def log_loss(label: NDArray[np.int8], probability: Floats) -> float:
    """Return the mean negative log likelihood in nats, probabilities clipped to [1e-12, 1 - 1e-12]."""
    said = np.clip(np.where(label == 1, probability, 1 - probability), 1e-12, 1.0)
    return float(-np.log(said).mean())


def equal_mass(probability: Floats, bins: int = 10) -> Ints:
    """Return which of `bins` groups of as many rows each row's probability falls into, lowest first."""
    group = np.empty(len(probability), dtype=np.int64)
    group[np.argsort(probability, kind="stable")] = np.arange(len(probability)) * bins // len(probability)
    return group


def calibration_error(label: NDArray[np.int8], probability: Floats, group: Ints) -> float:
    """Return the expected calibration error: mean |frequency - mean probability| over groups, by their rows."""
    gap = np.bincount(group, weights=label - probability)
    return float(np.abs(gap).sum()) / len(label)


def calibration_noise(probability: Floats, group: Ints, independent: float) -> float:
    """Return the error that calibrated probabilities would show in so many independent rows, in expectation."""
    share = np.bincount(group) / len(group)
    spread = np.bincount(group, weights=probability * (1 - probability)) / np.maximum(np.bincount(group), 1)
    return float(np.sqrt(2 / np.pi * share * spread / independent).sum())


def reliability_slope(label: NDArray[np.int8], probability: Floats, ts: Ints, overlap: Overlap) -> Interval:
    """Return the slope of the outcomes' log-odds on those said, with its 95 % interval; 1 is calibrated, less too sure.

    Where the same is said of every row there is no slope, and 0 stands for it. Source: Cox, Biometrika 45 (1958) 562.
    """
    said = np.clip(probability, 1e-9, 1 - 1e-9)
    odds = np.log(said / (1 - said))
    if np.ptp(odds) < 1e-9:
        return Interval(0.0, 0.0, 0.0)
    design = np.column_stack([odds, np.ones(len(odds))])
    line = np.array([1.0, 0.0])
    prior, around = np.array([1e-2, 1e-9]), line.copy()  # so faint that it counts only where all came true
    for _ in range(50):
        now = 1 / (1 + np.exp(-np.clip(design @ line, -500, 500)))
        curvature = (design.T * (now * (1 - now))) @ design + np.diag(prior)
        step = np.linalg.solve(curvature, design.T @ (label - now) - prior * (line - around))
        line += step
        if np.abs(step).max() < 1e-10:
            break
    influence = (label - now) * (design @ np.linalg.inv(curvature)[:, 0])
    return _interval(float(line[0]), overlapping_variance(influence, ts, overlap), -np.inf, np.inf)


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
