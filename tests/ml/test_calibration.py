"""What a model says becomes believable: each method like the library or paper it comes from, the better one chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from robo_trader.ml import calibration
from robo_trader.ml.calibration import believed, better, fit_platt, isotonic, platt, venn_abers

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "28_calibration_drift.json"


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


def probability(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def drawn(odds: np.ndarray, truth: np.ndarray, seed: int = 5) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(odds)) < truth).astype(np.int8)


def halves(rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    first, second = np.arange(rows // 2), np.arange(rows // 2, rows)
    return [(first, second), (second, first)]


def test_platt_recovers_a_known_line_and_flattens_a_falling_one() -> None:
    odds = np.random.default_rng(5).normal(size=40_000)
    label = drawn(odds, probability(0.5 * odds))
    slope, intercept = fit_platt(label, odds, np.ones(40_000))
    assert slope == pytest.approx(0.5, abs=0.04)
    assert intercept == pytest.approx(0, abs=0.04)
    assert fit_platt(label, -odds, np.ones(40_000)) == (0.0, 0.0)


def test_platt_is_a_logistic_regression_with_a_normal_prior() -> None:
    from sklearn.linear_model import LogisticRegression

    odds = np.random.default_rng(6).normal(size=900)
    label = drawn(odds, probability(odds + 0.4))
    weight = np.random.default_rng(7).uniform(0.01, 0.2, 900)
    fair = calibration.balanced(label, weight)
    reference = LogisticRegression(C=1.0, tol=1e-10).fit(odds[:, None], label, fair)
    found = fit_platt(label, odds, weight)
    assert found == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), abs=1e-6)


def test_platt_believes_overlapping_labels_less() -> None:
    odds = np.random.default_rng(6).normal(size=600)
    label = drawn(odds, probability(odds))
    few, many = (fit_platt(label, odds, np.full(600, each))[0] for each in (1 / 30, 1))
    assert 0 < few < many
    assert abs(fit_platt(label, odds, np.full(600, 1 / 30), expected=2.0)[0] - 2) < abs(few - 2)


def test_platt_survives_odds_that_separate_perfectly() -> None:
    odds = np.repeat([-13.8, 13.8], 500)
    slope, _ = fit_platt((odds > 0).astype(np.int8), odds, np.full(1000, 1 / 30))
    assert np.isfinite(slope)


@pytest.mark.parametrize("fit", calibration.METHODS.values(), ids=calibration.METHODS)
def test_no_method_ever_falls_or_is_certain(fit: calibration.Method) -> None:
    rng = np.random.default_rng(8)
    odds = rng.normal(size=800)
    asked = np.linspace(-9, 9, 2001)
    for truth in (probability(2 * odds), np.full(800, 0.5), probability(-odds), (odds > 0).astype(float)):
        said = believed(fit(drawn(odds, truth), odds, np.full(800, 0.1)), asked)
        assert (np.diff(said) >= -1e-9).all()
        assert np.isfinite(said).all()


def test_isotonic_steps_are_those_of_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(9)
    odds = rng.normal(size=500).round(2)  # some values more than once
    label, weight = drawn(odds, probability(odds)), rng.uniform(0.5, 2, 500)
    reference = IsotonicRegression().fit(odds, label, calibration.balanced(label, weight)).predict(odds)
    doubt = 1 / (weight.sum() + 2)
    found = probability(believed(isotonic(label, odds, weight), odds))
    assert np.allclose(found, np.clip(reference, doubt, 1 - doubt), rtol=0, atol=1e-9)


def test_venn_abers_says_what_its_authors_library_says() -> None:
    """The numbers are those of the package venn-abers 1.5.4, which implements the authors' own algorithm."""
    said = np.array([0.05, 0.12, 0.2, 0.22, 0.3, 0.3, 0.41, 0.48, 0.5, 0.55, 0.6, 0.66, 0.7, 0.81, 0.81, 0.9])
    label = np.array([0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1], dtype=np.int8)
    theirs = [0.25, 0.3, *[3 / 7] * 5, *[16 / 31] * 2, *[10 / 17] * 3, *[7 / 11] * 3, 8 / 11]
    found = probability(believed(venn_abers(label, logit(said), np.ones(16)), logit(said)))
    assert np.allclose(found, theirs, rtol=0, atol=1e-12)


def test_venn_abers_is_two_isotonic_fits_with_the_new_row_among_them() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(10)
    odds = np.sort(rng.normal(size=90))
    label, weight = drawn(odds, probability(odds)), rng.uniform(0.05, 0.3, 90)
    fair = calibration.balanced(label, weight)
    found = probability(believed(venn_abers(label, odds, weight), odds))
    for i in range(0, 90, 7):
        low, high = (
            IsotonicRegression()
            .fit(np.append(odds, odds[i]), np.append(label, outcome), np.append(fair, 1.0))
            .predict(odds[i : i + 1])[0]
            for outcome in (0, 1)
        )
        assert found[i] == pytest.approx(high / (1 - low + high), abs=1e-9)


def test_a_straight_truth_is_left_to_platt_and_a_bent_one_is_not() -> None:
    rng = np.random.default_rng(11)
    odds, weight = rng.normal(size=6000), np.full(6000, 0.2)
    straight = drawn(odds, probability(0.7 * odds))
    assert better(straight, odds, weight, halves(6000))[0] == "platt"
    bent = drawn(odds, np.where(odds > 1, 0.95, 0.45))
    name, table = better(bent, odds, weight, halves(6000))
    assert name != "platt"
    said = probability(believed(table, odds))
    assert said[odds > 1.1].mean() > probability(believed(platt(bent, odds, weight), odds))[odds > 1.1].mean()


def test_without_folds_that_hold_both_outcomes_it_is_a_line() -> None:
    odds = np.linspace(-1, 1, 40)
    label = (odds > 0).astype(np.int8)
    assert better(label, odds, np.ones(40), halves(40))[0] == "platt"


def test_the_golden_probabilities_are_judged_alike_after_a_line_that_changes_nothing() -> None:
    golden = json.loads(GOLDEN.read_text())["data"]
    said, label = np.array(golden["p"]), np.array(golden["y"])
    same = probability(believed(calibration.line(1.0, 0.0), logit(said)))
    assert np.mean((same - label) ** 2) == pytest.approx(golden["brier"], abs=1e-9)
    assert -np.log(np.where(label == 1, same, 1 - same)).mean() == pytest.approx(golden["log_loss"], abs=1e-9)


def test_both_outcomes_weigh_the_same() -> None:
    odds = np.random.default_rng(12).normal(size=20_000)
    label = drawn(odds, probability(odds + 1.5))
    assert label.mean() > 0.7
    for fit in calibration.METHODS.values():
        said = probability(believed(fit(label, odds, np.full(20_000, 0.05)), odds))
        assert abs(calibration.balanced(label, np.ones(20_000)) @ said / 20_000 - 0.5) < 0.02
