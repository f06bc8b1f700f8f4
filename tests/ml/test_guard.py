"""A row unlike all that was learnt from is told from one that is only rare."""

from __future__ import annotations

import numpy as np
import pytest

from robo_trader.ml import guard
from robo_trader.ml.parts import Space

NAMES = tuple(f"f{i}" for i in range(60))
MIX = np.random.default_rng(1).normal(size=(12, 60))


def market(rows: int, seed: int, stretch: float = 1.0) -> np.ndarray:
    """Columns that move together: twelve causes and a little noise."""
    rng = np.random.default_rng(seed)
    noise = 0.3 * rng.normal(size=(rows, 60))
    return (stretch * (rng.normal(size=(rows, 12)) @ MIX + noise)).astype(np.float32)


def space_of(rows: np.ndarray) -> Space:
    return guard.learn(rows, rows.mean(axis=0, dtype=np.float64), 1 / rows.std(axis=0, dtype=np.float64))


@pytest.fixture(scope="module")
def space() -> Space:
    return space_of(market(8000, 2))


def strange(rows: np.ndarray, space: Space) -> np.ndarray:
    return (guard.strangeness(rows, space) / space.limit).max(axis=1) > 1


def test_rows_like_those_of_training_are_hardly_ever_strange(space: Space) -> None:
    assert strange(market(20_000, 3), space).mean() < 0.005


def test_a_wilder_market_is_strange(space: Space) -> None:
    assert strange(market(500, 4, stretch=6.0), space).mean() > 0.6


def test_one_column_beyond_its_usual_values_is_not_strange_but_several_are(space: Space) -> None:
    calm = np.zeros((1, 60), dtype=np.float32)
    one, many = calm.copy(), calm.copy()
    one[0, 3] = 100
    many[0, :30] = [50, -50] * 15
    assert strange(np.vstack([calm, one, many]), space).tolist() == [False, False, True]


def test_the_distance_is_that_of_mahalanobis_along_the_main_axes() -> None:
    from sklearn.decomposition import PCA

    rows = market(4000, 5)
    found = guard.strangeness(rows[:50], space_of(rows))[:, 1]
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    reference = PCA(guard.AXES, whiten=True).fit(z).transform(z[:50])
    assert np.allclose(found, np.sqrt((reference**2).mean(axis=1)), rtol=2e-3)


def test_the_excess_over_usual_values_is_measured_in_deviations() -> None:
    rows = market(4000, 6)
    low, high = np.quantile(rows, [0.001, 0.999], axis=0)
    beyond = (rows - np.clip(rows, low, high)) / rows.std(axis=0)
    found = guard.strangeness(rows, space_of(rows))[:, 0]
    assert np.allclose(found, np.abs(beyond).mean(axis=1), rtol=1e-4, atol=1e-8)
    assert guard.strangeness(np.full((1, 60), 1e9, dtype=np.float32), space_of(rows))[0, 0] == 8


def test_columns_that_drift_while_training_widen_the_limit() -> None:
    still, drifting = market(8000, 7), market(8000, 7)
    drifting += np.linspace(0, 40, 8000)[:, None].astype(np.float32)
    assert space_of(drifting).limit[0] > 2 * space_of(still).limit[0]


def test_one_absurd_row_does_not_change_what_is_far() -> None:
    clean, spoilt = market(8000, 8), market(8000, 8)
    spoilt[100, :] = 1e9
    centre, scale = np.zeros(60), np.full(60, 0.3)
    far = [
        guard.strangeness(market(500, 9), guard.learn(rows, centre, scale))[:, 1] for rows in (clean, spoilt)
    ]
    assert np.allclose(far[0], far[1], rtol=0.05)


def test_the_columns_to_blame_are_named_worst_first(space: Space) -> None:
    row = np.zeros(60)
    row[[4, 11, 2]] = [60.0, -90.0, 30.0]
    row[[4, 11, 2]] /= space.standard[1, [4, 11, 2]]
    assert guard.worst(row, space, NAMES) == ("f11", "f4", "f2")
    inside = np.zeros(60)
    inside[7] = 0.5 / space.standard[1, 7]
    assert guard.worst(inside, space, NAMES)[0] == "f7"


def test_a_column_that_never_moved_does_no_harm() -> None:
    rows = market(2000, 10)
    rows[:, 5] = 3.0
    centre, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    found = guard.learn(rows, centre, 1 / np.where(deviation, deviation, 1.0))
    assert np.isfinite(guard.strangeness(rows, found)).all()
    assert strange(rows, found).mean() < 0.01
