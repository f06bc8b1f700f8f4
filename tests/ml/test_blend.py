"""Voices are weighed by what they knew, and the whole is believed as far as it deserves."""

from __future__ import annotations

import numpy as np
import pytest

from robo_trader.ml import blend
from tests.ml.test_calibration import drawn, halves, probability

ROWS = 6000
COUNT = np.full(ROWS, 0.2)


def voices(*noises: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Members that hear the same truth, each under its own noise, and what came true."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=ROWS)
    odds = np.column_stack([(truth + noise * rng.normal(size=ROWS)) / (1 + noise**2) for noise in noises])
    return odds, drawn(truth, probability(truth))


def loss(odds: np.ndarray, label: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, odds) - label * odds))


def test_a_member_without_skill_counts_nothing_and_the_rest_sum_to_one() -> None:
    odds, label = voices(0.5, 0.5, 0.5)
    odds[:, 1] = np.random.default_rng(8).normal(size=ROWS)
    odds[:, 2] *= -1
    found = blend.weights(odds, label, COUNT)
    assert found.tolist() == [1.0, 0.0, 0.0]


def test_where_nobody_has_skill_nobody_counts_and_the_blend_says_one_half() -> None:
    _, label = voices(1.0)
    odds = np.random.default_rng(9).normal(size=(ROWS, 3))
    found = blend.weights(odds, label, COUNT)
    assert found.tolist() == [0.0, 0.0, 0.0]
    tables, _ = blend.calibrate(odds, label, COUNT, halves(ROWS), found)
    assert (blend.answers(odds, tables)[:, -1] == 0.5).all()


def test_the_better_informed_counts_more_and_the_order_of_members_does_not_matter() -> None:
    odds, label = voices(0.3, 1.0, 3.0)
    found = blend.weights(odds, label, COUNT)
    assert found[0] > found[1] > found[2]
    assert found.sum() == pytest.approx(1)
    assert np.allclose(blend.weights(odds[:, ::-1], label, COUNT), found[::-1], atol=1e-6)
    assert blend.weights(odds, label, COUNT).tolist() == found.tolist()


def test_few_labels_leave_the_weights_near_equal() -> None:
    odds, label = voices(0.3, 1.0)
    spread = [np.ptp(blend.weights(odds, label, np.full(ROWS, each))) for each in (0.01, 0.1, 1.0)]
    assert spread[0] < spread[1] < spread[2]


def test_stacking_without_the_pull_is_the_minimum_another_optimiser_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scipy.optimize import minimize

    odds, label = voices(0.5, 0.8, 2.0)
    monkeypatch.setattr(blend, "EQUAL_PULL", 0.0)
    monkeypatch.setattr(blend, "STEPS", 20_000)
    found = blend._stacked(odds, label, np.ones(ROWS))
    reference = minimize(
        lambda part: loss(odds @ part, label), np.full(3, 1 / 3), bounds=[(0, 1)] * 3, method="SLSQP",
        constraints={"type": "eq", "fun": lambda part: part.sum() - 1}, options={"ftol": 1e-12},
    )  # fmt: skip
    assert np.allclose(found, reference.x, atol=2e-3)
    assert loss(odds @ found, label) <= reference.fun + 1e-8


def test_the_blend_of_calibrated_voices_is_made_surer_and_then_calibrated() -> None:
    odds, label = voices(1.5, 1.5, 1.5, 1.5)
    fresh, later = voices(1.5, 1.5, 1.5, 1.5, seed=4)
    part = np.full(4, 0.25)
    tables, methods = blend.calibrate(odds, label, COUNT, halves(ROWS), part)
    assert len(methods) == 4
    answers = blend.answers(fresh, tables)
    mean, whole = answers[:, :-1].mean(axis=1), answers[:, -1]
    assert whole.std() > mean.std()
    assert np.mean((whole - later) ** 2) < np.mean((mean - later) ** 2)
    sure = whole > 0.65
    assert later[sure].mean() == pytest.approx(whole[sure].mean(), abs=0.03)


def test_members_that_are_taken_at_their_word_say_what_they_said() -> None:
    odds, _ = voices(0.5, 1.0)
    answers = blend.answers(odds, blend.unbelieved(2))
    assert np.allclose(answers[:, :2], probability(odds), rtol=0, atol=1e-15)
    assert np.allclose(answers[:, 2], probability(odds.mean(axis=1)), rtol=0, atol=1e-15)


def test_few_labels_leave_the_blend_as_sure_as_its_voices() -> None:
    odds, label = voices(1.0, 1.0)
    tables, _ = blend.calibrate(odds, label, np.full(ROWS, 0.001), [], np.array([0.5, 0.5]))
    assert tables.knot[2, tables.first[-2]] == pytest.approx(1.15, abs=0.15)
