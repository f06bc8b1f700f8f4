"""The flattened ensemble answers like the libraries that grew it, and refuses what it cannot answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.ml import blend, calibration, forest, guard, model
from robo_trader.ml.model import Ensemble, sides
from tests.ml.conftest import CARD, FEATURES, clipped


def thresholds_hit(ensemble: Ensemble, rows: np.ndarray) -> np.ndarray:
    """Rows whose values stand exactly on, one float below and one above the thresholds of the trees."""
    threshold, _, feature = forest.unpack(ensemble.parts.trees.node)
    rng = np.random.default_rng(5)
    split = np.flatnonzero(np.isfinite(threshold))
    hit = rows[:1200].copy()
    for i in range(len(hit)):
        for node in rng.choice(split, 3):
            value = threshold[node]
            toward = np.float32((-np.inf, np.inf)[i % 2])
            hit[i, feature[node]] = value if i % 3 == 0 else np.nextafter(value, toward)
    return hit


def native_votes(native: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    return np.column_stack(
        [
            clipped(native["rf"].predict(rows)),
            native["xgb"].predict_proba(rows)[:, 1],
            native["lgb"].predict(rows),
            native["mlp"].predict_proba(rows.astype(np.float64))[:, 1],
            native["logit"].predict_proba(rows.astype(np.float64))[:, 1],
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
    steep = [calibration.line(900.0, 5.0)] * 5
    for one in (ensemble, ensemble.with_tables(blend.tables(steep, steep[0], np.full(5, 0.2)))):
        answers = one.answers(rows * 1e6)[:, :-1]
        assert (answers >= 0).all()
        assert (answers <= 1).all()


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


def broken(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed.flat[-1] = value
    return changed


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("trees", "node", (1 << 62) + (1 << 31)),
        ("trees", "node", (1 << 62) + 1000),
        ("trees", "tree", 10**6),
        ("trees", "first_tree", 10**6),
        ("nets", "layers", 7),
        ("tables", "first", 10**6),
        ("tables", "first", 0),
    ],
)
def test_numbers_that_point_outside_are_refused(
    part: str, field: str, value: int, ensemble: Ensemble
) -> None:
    good = getattr(ensemble.parts, part)
    bad = good._replace(**{field: broken(getattr(good, field), value)})
    with pytest.raises(DataError, match="not well formed"):
        Ensemble(ensemble.names, FEATURES, ensemble.parts._replace(**{part: bad}), CARD)


@pytest.mark.parametrize("what", ["features", "nodes"])
def test_what_a_node_cannot_name_is_refused(what: str) -> None:
    feature, left = np.array([2000, 0]), np.array([1, 2**23])
    with pytest.raises(DataError, match=f"more {what}"):
        forest.pack(
            np.zeros(2, np.float32), left if what == "nodes" else left * 0, feature * (what == "features")
        )


@pytest.mark.parametrize("threshold", [0.0, -0.0])
def test_zero_is_zero_whatever_its_sign(threshold: float) -> None:
    tree = forest.Tree(
        [0, 0, 0], np.array([threshold, 0, 0], np.float32), [1, -1, -1], [2, -1, -1], [0.0, 1.0, 2.0]
    )
    said = model.raw([forest.Member("one", [tree])], ("x",), CARD)
    asked = np.array([[-0.0], [0.0], [1e-45], [-1e-45]], dtype=np.float32)
    assert said.log_odds(asked)[:, 0].tolist() == [1.0, 1.0, 2.0, 1.0]


def test_packed_nodes_come_back_bit_for_bit() -> None:
    threshold = np.array([-np.inf, -1.5, -1e-45, 0.0, 1e-45, 2.5, np.inf], dtype=np.float32)[:-1]
    left, feature = np.arange(6) * 600_000, np.arange(6) * 200
    back = forest.unpack(forest.pack(threshold, left, feature))
    for found, expected in zip(back, (threshold, left, feature), strict=True):
        assert found.tolist() == expected.tolist()


def test_a_side_needs_the_probability_and_more_votes_for_it_than_against() -> None:
    votes = np.array([[0.9, 0.4, 0.4], [0.9, 0.5, 0.5], [0.1, 0.2, 0.6], [0.6, 0.6, 0.6], [0.5, 0.5, 0.5]])
    assert sides(votes, np.array([0.7, 0.7, 0.3, 0.64, 0.9]), 0.65).tolist() == [0, 1, -1, 0, 0]


def test_one_row_is_judged_like_many(ensemble: Ensemble, rows: np.ndarray) -> None:
    answers = ensemble.answers(rows[:300])
    many = sides(answers[:, :-2], answers[:, -2], 0.6)
    one = [ensemble.side(ensemble.answer(row.astype(np.float64)), 0.6) for row in rows[:300]]
    assert one == many.tolist()
    assert {1, -1, 0} == set(one)


def test_the_arithmetic_on_arrays_is_that_of_the_desk(ensemble: Ensemble, rows: np.ndarray) -> None:
    label = (rows[:, 0] > 0).astype(np.int8)
    odds = ensemble.log_odds(rows)
    found, _ = blend.calibrate(
        odds, label, np.full(len(label), 0.05), [], np.array([0.3, 0.0, 0.2, 0.4, 0.1])
    )
    served = ensemble.with_tables(found).answers(rows)
    assert np.array_equal(served[:, :-1], blend.answers(odds, found))
    for member in range(5):
        table = found.knot[:, found.first[member] : found.first[member + 1]]
        by_hand = 1 / (1 + np.exp(-calibration.believed(table, odds[:, member])))
        assert np.allclose(served[:, member], by_hand, rtol=0, atol=1e-14)


@pytest.mark.parametrize("limit", [(0.01, 50.0), (50.0, 0.01), (0.2, 2.0)])
def test_strangeness_is_the_larger_of_both_measures_in_units_of_its_limit(
    limit: tuple[float, float], ensemble: Ensemble, rows: np.ndarray
) -> None:
    space = ensemble.parts.space._replace(limit=np.array(limit))
    strict = Ensemble(ensemble.names, FEATURES, ensemble.parts._replace(space=space), CARD)
    measured = guard.strangeness(3 * rows, space) / space.limit
    assert strict.answers(3 * rows)[:, -1].tolist() == measured.max(axis=1).tolist()
