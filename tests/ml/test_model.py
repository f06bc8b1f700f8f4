"""The flattened ensemble answers like the libraries that grew it, and refuses what it cannot answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.ml.model import Ensemble, side, sides
from tests.ml.conftest import CARD, FEATURES, clipped


def thresholds_hit(ensemble: Ensemble, rows: np.ndarray) -> np.ndarray:
    """Rows whose values stand exactly on, one float below and one above the thresholds of the trees."""
    trees = ensemble.trees
    rng = np.random.default_rng(5)
    split = np.flatnonzero(np.isfinite(trees.threshold))
    hit = rows[:1200].copy()
    for i in range(len(hit)):
        for node in rng.choice(split, 3):
            value = trees.threshold[node]
            toward = np.float32((-np.inf, np.inf)[i % 2])
            hit[i, trees.feature[node]] = value if i % 3 == 0 else np.nextafter(value, toward)
    return hit


def native_votes(native: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    return np.column_stack(
        [
            clipped(native["rf"].predict_proba(rows)[:, 1]),
            native["xgb"].predict_proba(rows)[:, 1],
            native["lgb"].predict(rows),
        ]
    )


@pytest.mark.parametrize("which", ["random", "at the thresholds"])
def test_flattened_trees_equal_the_native_models(
    which: str, ensemble: Ensemble, native: dict[str, Any], rows: np.ndarray
) -> None:
    asked = rows if which == "random" else thresholds_hit(ensemble, rows)
    assert np.abs(ensemble.votes_many(asked) - native_votes(native, asked)).max() < 1e-6


def test_one_row_equals_many(ensemble: Ensemble, rows: np.ndarray) -> None:
    many = ensemble.predict_many(rows[:50])
    assert [ensemble.predict_proba(row.astype(np.float64)) for row in rows[:50]] == many.tolist()


def test_probabilities_stay_between_zero_and_one(ensemble: Ensemble, rows: np.ndarray) -> None:
    steep = Ensemble(ensemble.names, FEATURES, ensemble.trees, np.full(3, 900.0), np.full(3, 5.0), CARD)
    for model in (ensemble, steep):
        votes = model.votes_many(rows * 1e6)
        assert (votes >= 0).all()
        assert (votes <= 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_row_that_is_not_finite_is_refused(bad: float, ensemble: Ensemble) -> None:
    row = np.zeros(len(FEATURES))
    row[2] = bad
    with np.errstate(over="ignore"), pytest.raises(DataError, match="not finite"):
        ensemble.predict_proba(row)


def test_a_row_of_the_wrong_length_is_refused(ensemble: Ensemble) -> None:
    with pytest.raises(DataError, match="5 features"):
        ensemble.predict_proba(np.zeros(4))
    with pytest.raises(DataError, match="5 features"):
        ensemble.predict_many(np.zeros((2, 6)))


def test_features_are_found_by_name_and_a_missing_one_is_refused(ensemble: Ensemble) -> None:
    assert ensemble.columns(("other", *FEATURES[::-1])).tolist() == [5, 4, 3, 2, 1]
    with pytest.raises(DataError, match="noise_d"):
        ensemble.columns(FEATURES[:-1])


@pytest.mark.parametrize("field", ["feature", "left", "root", "first_tree"])
def test_trees_that_point_outside_are_refused(field: str, ensemble: Ensemble) -> None:
    broken = getattr(ensemble.trees, field).copy()
    broken[-1] = 10**6
    trees = ensemble.trees._replace(**{field: broken})
    with pytest.raises(DataError, match="not well formed"):
        Ensemble(ensemble.names, FEATURES, trees, ensemble.slope, ensemble.intercept, CARD)


def test_a_side_needs_the_mean_and_a_majority() -> None:
    votes = np.array(
        [[0.99, 0.49, 0.48], [0.7, 0.66, 0.6], [0.01, 0.5, 0.5], [0.3, 0.3, 0.4], [0.5, 0.6, 0.7]]
    )
    assert sides(votes, 0.65).tolist() == [0, 1, 0, -1, 0]
    assert [side(row, 0.65) for row in votes] == [0, 1, 0, -1, 0]
