"""Blocks do not leak, and scores agree with scikit-learn and know how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.ml import validation
from robo_trader.ml.validation import Overlap, SplitOptions

HORIZON = 30
OVERLAP = Overlap(HORIZON * MINUTE_NS, MINUTE_NS)
DAY = 1440 * MINUTE_NS


def days(n: int, symbols: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, labels and a momentum score of symbols that walk at random and share a market."""
    ts, label, score = [], [], []
    minute = np.arange(20, 360)
    for day in range(n):
        market = rng.normal(size=390)
        for _ in range(symbols):
            path = np.cumsum(0.6 * market + 0.8 * rng.normal(size=390))
            ts.append(day * DAY + minute * MINUTE_NS)
            label.append(path[minute + HORIZON - 1] > path[minute - 1])
            score.append(path[minute - 1] - path[minute - 20])
    order = np.argsort(np.concatenate(ts), kind="stable")
    return (
        np.concatenate(ts)[order],
        np.concatenate(label)[order].astype(np.int8),
        np.concatenate(score)[order],
    )


def test_no_label_of_one_block_reaches_into_the_next() -> None:
    ts, _, _ = days(20, 2, np.random.default_rng(1))
    known_at = ts + HORIZON * MINUTE_NS
    embargo = 30 * MINUTE_NS
    blocks = validation.split_in_time(ts, known_at, embargo, SplitOptions())
    moments = np.unique(ts)
    calibration_start, test_start = (moments[int(len(moments) * share)] for share in (0.6, 0.8))
    assert known_at[blocks.train].max() < calibration_start
    assert known_at[blocks.calibration].max() < test_start
    assert ts[blocks.calibration].min() >= calibration_start + embargo
    assert ts[blocks.test].min() >= test_start + embargo
    assert [round(len(rows) / len(ts), 1) for rows in (blocks.train, blocks.calibration, blocks.test)] == [
        0.6,
        0.2,
        0.2,
    ]


def test_all_symbols_are_cut_at_the_same_moments() -> None:
    ts, _, _ = days(10, 3, np.random.default_rng(1))
    blocks = validation.split_in_time(ts, ts + HORIZON * MINUTE_NS, 0, SplitOptions())
    for rows in (blocks.train, blocks.calibration, blocks.test):
        assert set(np.unique(ts[rows], return_counts=True)[1]) == {3}


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(2)
    probability = np.round(rng.random(500), 2)  # with ties
    label = (rng.random(500) < probability).astype(np.int8)
    assert validation.auc(label, probability) == pytest.approx(metrics.roc_auc_score(label, probability))
    assert validation.brier(label, probability) == pytest.approx(metrics.brier_score_loss(label, probability))
    clipped = np.clip(probability, 0.01, 0.99)
    assert validation.log_loss(label, clipped) == pytest.approx(metrics.log_loss(label, clipped))


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    label = np.tile(np.array([1, 0, 0, 0], dtype=np.int8), 100)
    assert validation.calibration_error(label, np.full(400, 0.25)) < 0.01
    assert validation.calibration_error(label, np.full(400, 0.75)) == pytest.approx(0.5, abs=0.01)


def test_the_auc_interval_covers_one_half_as_often_as_it_says_where_there_is_no_skill() -> None:
    rng = np.random.default_rng(3)
    covered, reach = 0, []
    for _ in range(120):
        ts, label, score = days(6, 2, rng)
        interval = validation.auc_interval(label, score, ts, OVERLAP)
        covered += interval.low <= 0.5 <= interval.high
        reach.append(interval.high - interval.low)
    assert covered / 120 > 0.88
    # Rows taken for independent would promise an interval a third as wide, and lie.
    alone = validation.auc_interval(label, score, ts, Overlap(MINUTE_NS, MINUTE_NS))
    assert alone.high - alone.low < 0.5 * np.mean(reach)


def test_saying_the_base_rate_has_no_skill_and_knowing_has_all() -> None:
    ts, label, _ = days(3, 1, np.random.default_rng(4))
    assert validation.brier_skill(label, np.full(len(label), label.mean()), ts, OVERLAP).value == 0
    assert validation.brier_skill(label, label.astype(float), ts, OVERLAP).value == pytest.approx(1)
    assert validation.brier_skill(label, np.full(len(label), 0.9), ts, OVERLAP).value < 0


def test_selected_rows_are_judged_on_their_own_side() -> None:
    side = np.array([1, 1, 0, -1], dtype=np.int8)
    label = np.array([1, 0, 1, 0], dtype=np.int8)
    probability = np.array([0.7, 0.8, 0.5, 0.2])
    forward = np.array([1e-3, -5e-4, 0.0, -1e-3])
    up = validation.selected(side, 1, label, probability, forward)
    assert (up.rows, up.coverage, up.precision) == (2, 0.5, 0.5)
    assert up.confidence == pytest.approx(0.75)
    assert up.move_bps == pytest.approx(2.5)
    down = validation.selected(side, -1, label, probability, forward)
    assert (down.precision, down.confidence, down.move_bps) == (1.0, 0.8, pytest.approx(10.0))
    none = validation.selected(side * 0, 1, label, probability, forward)
    assert (none.rows, none.precision) == (0, None)
