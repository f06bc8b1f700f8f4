"""Blocks do not leak, and scores agree with scikit-learn and know how sure they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.ml import validation
from robo_trader.ml.validation import Overlap, SplitOptions

HORIZON = 30
OVERLAP = Overlap(HORIZON * MINUTE_NS, MINUTE_NS)
DAY = 1440 * MINUTE_NS
GOLDEN = Path(__file__).parents[1] / "golden"


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
    for said, expected in ((0.25, 0.0), (0.75, 0.5)):
        group = validation.equal_mass(np.full(400, said))
        assert np.bincount(group).tolist() == [40] * 10
        assert validation.calibration_error(label, np.full(400, said), group) == pytest.approx(
            expected, abs=0.01
        )


def test_published_calibration_numbers_are_met() -> None:
    golden = json.loads((GOLDEN / "28_calibration_drift.json").read_text())["data"]
    label, said = np.array(golden["y"], dtype=np.int8), np.array(golden["p"])
    assert validation.brier(label, said) == pytest.approx(golden["brier"], abs=1e-9)
    assert validation.log_loss(label, said) == pytest.approx(golden["log_loss"], abs=1e-9)
    equal_width = np.digitize(said, [0.2, 0.4, 0.6, 0.8])
    error = validation.calibration_error(label, said, equal_width)
    assert error == pytest.approx(golden["ece_5_equal_width"], abs=1e-9)


def test_calibrated_probabilities_err_by_no_more_than_chance_lets_them() -> None:
    rng = np.random.default_rng(8)
    said = rng.uniform(0.3, 0.7, 2_000)
    group = validation.equal_mass(said)
    seen = [
        validation.calibration_error((rng.random(2_000) < said).astype(np.int8), said, group)
        for _ in range(200)
    ]
    assert validation.calibration_noise(said, group, 2_000) == pytest.approx(np.mean(seen), rel=0.05)


def test_the_reliability_slope_is_that_of_a_logistic_regression_and_covers_the_truth() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(9)
    odds = rng.normal(size=4_000)
    label = (rng.random(4_000) < 1 / (1 + np.exp(-0.6 * odds - 0.1))).astype(np.int8)
    ts = np.arange(4_000) * MINUTE_NS
    found = validation.reliability_slope(label, 1 / (1 + np.exp(-odds)), ts, Overlap(MINUTE_NS, MINUTE_NS))
    oracle = LogisticRegression(C=1e9, tol=1e-8).fit(odds[:, None], label)
    assert found.value == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert found.low < 0.6 < found.high
    assert found.high - found.low < 0.35
    assert validation.reliability_slope(label, np.full(4_000, 0.5), ts, OVERLAP).value == 0


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
    day = ts // DAY
    assert validation.brier_skill(label, np.full(len(label), label.mean()), day).value == pytest.approx(0)
    assert validation.brier_skill(label, label.astype(float), day).value == pytest.approx(1)
    assert validation.brier_skill(label, np.full(len(label), 0.9), day).value < 0


def test_the_interval_of_the_brier_skill_is_drawn_by_sessions_and_the_same_each_time() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        luck = np.repeat(rng.normal(size=30), 100)  # a session's rows share all they do
        label = (luck > 0).astype(np.int8)
        said = np.clip(
            0.5 + 0.1 * np.repeat(rng.choice([-1, 1], 30), 100) + 1e-3 * rng.normal(size=3_000), 0, 1
        )
        found = validation.brier_skill(label, said, np.repeat(np.arange(30), 100))
        covered += found.low > 0
    assert covered <= 4  # it knows nothing; rows taken one by one would be sure of it half the time
    again = validation.brier_skill(label, said, np.repeat(np.arange(30), 100))
    assert again == found


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
