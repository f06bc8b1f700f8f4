"""Every model learns, keeps to its seed, weighs its rows, and looks only back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robo_trader.ml import dense, forest, guard, members, model
from robo_trader.ml.members import MEMBERS, MemberOptions, Sample
from tests.ml.conftest import CARD, clipped

NAMES = tuple(f"f{i}" for i in range(8))
OPTIONS = MemberOptions(forest_trees=30, boosted_trees=60, leaf_rows=40, forest_leaf_rows=40, net_rounds=30)
ROWS = 3000


def sample(seed: int = 1, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8)).astype(np.float32)
    return x, (rng.random(rows) < 1 / (1 + np.exp(-1.5 * x[:, 0]))).astype(np.int8)


def grown(name: str, weight: np.ndarray | None = None, seed: int = 1, **changes: Any) -> Any:
    x, label = sample(seed)
    weight = np.ones(ROWS) if weight is None else weight
    return MEMBERS[name].fit(x, label, weight, NAMES, MemberOptions(**{**vars(OPTIONS), **changes}))


def log_loss(label: np.ndarray, said: np.ndarray) -> float:
    return float(-np.log(np.where(label == 1, said, 1 - said)).mean())


@pytest.fixture(scope="module")
def all_grown() -> dict[str, Any]:
    return {name: grown(name) for name in MEMBERS}


@pytest.mark.parametrize("name", MEMBERS)
def test_each_learns_and_repeats_itself_under_its_seed(name: str, all_grown: dict[str, Any]) -> None:
    fresh, label = sample(seed=9)
    said = MEMBERS[name].says(all_grown[name], fresh)
    assert log_loss(label, clipped(said)) < 0.6
    assert np.array_equal(MEMBERS[name].says(grown(name), fresh), said)


def test_all_together_answer_in_arrays_what_their_libraries_say(all_grown: dict[str, Any]) -> None:
    x, _ = sample()
    wild = np.vstack([x, sample(seed=9)[0] * 1e4])  # past the bound of the nets too
    flat = [kind.flat(all_grown[name]) for name, kind in MEMBERS.items()]
    ensemble = model.raw(flat, NAMES, CARD, guard.learn(x, *dense.standard(all_grown["logit"])))
    assert ensemble.names == tuple(MEMBERS)
    native = members.native_probabilities(all_grown, wild)
    native[:, 0] = clipped(native[:, 0])
    assert np.abs(ensemble.votes_many(wild) - native).max() < 1e-6


@pytest.mark.parametrize("name", MEMBERS)
def test_rows_that_weigh_nothing_are_not_learnt_from(name: str) -> None:
    x, label = sample()
    weight = np.where(np.arange(ROWS) % 2 == 0, 1.0, 1e-9)
    turned = np.where(np.arange(ROWS) % 2 == 0, label, 1 - label).astype(np.int8)
    misled = MEMBERS[name].fit(x, turned, weight, NAMES, OPTIONS)
    fresh, truth = sample(seed=9)
    assert log_loss(truth, clipped(MEMBERS[name].says(misled, fresh))) < 0.62


@pytest.mark.parametrize("name", MEMBERS)
def test_both_outcomes_weigh_the_same(name: str) -> None:
    x, label = sample()
    rare = (label == 0) | (np.arange(ROWS) % 8 == 0)
    found = MEMBERS[name].fit(x[rare], label[rare], np.ones(rare.sum()), NAMES, OPTIONS)
    assert label[rare].mean() < 0.15
    assert MEMBERS[name].says(found, sample(seed=9)[0]).mean() == pytest.approx(0.5, abs=0.1)


def contradicted() -> tuple[np.ndarray, np.ndarray]:
    """Rows whose rule is turned around in those that say when to stop."""
    x, label = sample()
    x[int(ROWS * 0.85) :, 0] *= -1
    return x, label


@pytest.mark.parametrize("name", ["xgb", "lgb"])
def test_trees_that_the_later_rows_do_not_confirm_are_not_kept(name: str) -> None:
    kind = MEMBERS[name]
    x, label = contradicted()
    hasty, sure = (
        kind.flat(kind.fit(rows, label, np.ones(ROWS), NAMES, OPTIONS)) for rows in (x, sample()[0])
    )
    assert isinstance(hasty, forest.Member)
    assert isinstance(sure, forest.Member)
    assert len(hasty.trees) < 5
    assert len(sure.trees) > 20


def test_the_net_goes_back_to_the_round_that_spoke_best_of_the_later_rows() -> None:
    kind, (x, label) = MEMBERS["mlp"], contradicted()
    patient, hasty = (
        kind.fit(x, label, np.ones(ROWS), NAMES, replace(OPTIONS, net_patience=rounds)) for rounds in (25, 3)
    )
    assert np.array_equal(kind.says(patient, x), kind.says(hasty, x))
    assert kind.says(hasty, x).std() < 0.7 * kind.says(grown("mlp"), x).std()


def test_the_earlier_and_the_later_rows_are_apart_by_the_reach_of_a_label() -> None:
    x, label = sample(rows=1000)
    whole = Sample(x, label, np.ones(1000), NAMES)
    earlier, later = members.earlier_and_later(whole, MemberOptions(later_share=0.2, pause_rows=30))
    assert (len(earlier.label), len(later.label)) == (770, 200)
    assert np.array_equal(later.rows, x[800:])
    assert np.array_equal(earlier.rows, x[:770])


def test_balanced_weights_keep_proportions_within_an_outcome() -> None:
    label = np.array([0, 0, 0, 1], dtype=np.int8)
    found = members.balanced(label, np.array([0.1, 0.2, 0.1, 7.0]))
    assert found.tolist() == pytest.approx([0.5, 1.0, 0.5, 2.0])
    assert members.balanced(np.ones(2, dtype=np.int8), np.array([1.0, 3.0])).tolist() == [0.5, 1.5]


@pytest.mark.parametrize("name", ["mlp", "logit"])
def test_an_absurd_value_counts_for_no_more_than_eight_deviations(
    name: str, all_grown: dict[str, Any]
) -> None:
    far, absurd = sample()[0][:200], sample()[0][:200]
    far[:, 3], absurd[:, 3] = 9, 1e30
    said = [MEMBERS[name].says(all_grown[name], rows) for rows in (far, absurd)]
    assert np.array_equal(*said)


def test_the_forest_is_as_good_as_scikit_learns() -> None:
    from sklearn.ensemble import RandomForestClassifier

    x, label = sample(rows=6000)
    fresh, truth = sample(seed=9, rows=6000)
    ours = MEMBERS["rf"].fit(x, label, np.ones(6000), NAMES, MemberOptions())
    theirs = RandomForestClassifier(
        100, max_depth=6, min_samples_leaf=100, max_samples=0.5, class_weight="balanced", random_state=7
    ).fit(x, label)
    mine = log_loss(truth, clipped(MEMBERS["rf"].says(ours, fresh)))
    assert mine < log_loss(truth, theirs.predict_proba(fresh)[:, 1]) + 0.002
