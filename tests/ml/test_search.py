"""A search finds the same whoever does the work, sees the training block alone, and is counted."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robo_trader.ml import registry, trainer
from robo_trader.ml.crew import Crew, cluster, processes, threads
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.search import KINDS, NETS, Found, SearchOptions, search
from robo_trader.ml.trainer import Trained
from tests.ml.conftest import QUICK, planted

GIVEN = replace(QUICK.members, forest_trees=10)
FOLDS = FoldOptions(groups=3, embargo_bars=30)
FEW = SearchOptions(trials=5, together=3, unpruned=2)
DATA = planted(skill=0.6, sessions=8)
ROWS = np.arange(len(DATA.label) * 3 // 4)


def found(
    crew: Crew | None = None,
    data: Dataset = DATA,
    options: SearchOptions = FEW,
    given: MemberOptions = GIVEN,
    told: Any = lambda stage: None,
) -> Found:
    return search(data, ROWS, given, FOLDS, 0.5, options, crew or threads(2), told)


@pytest.fixture(scope="module")
def one() -> Found:
    return found(threads(1))


def assert_same(other: Found, one: Found) -> None:
    assert (other.members, other.searched) == (one.members, one.searched)
    assert np.array_equal(other.earned, one.earned)


def test_one_thread_and_several_find_the_same(one: Found) -> None:
    assert_same(found(threads(3)), one)


def test_processes_find_what_one_thread_finds(one: Found) -> None:
    assert_same(found(processes(2)), one)


def test_a_cluster_finds_what_one_thread_finds(one: Found) -> None:
    distributed = pytest.importorskip("distributed")
    quiet = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", protocol="tcp://", **quiet) as there:
        assert_same(found(cluster(there.scheduler_address)), one)


def test_another_seed_tries_other_things_and_each_round_is_told(one: Found) -> None:
    told: list[str] = []
    other = found(given=replace(GIVEN, seed=8), told=told.append)
    assert told == ["trials 1 to 3 of 5", "trials 4 to 5 of 5"]
    assert FEW.rounds == len(told)
    assert other.searched.seed == 8
    values = [[tried.values for tried in each.searched.tried] for each in (one, other)]
    assert values[0] != values[1]


def test_rows_that_were_not_given_have_no_say(one: Found) -> None:
    rest = np.setdiff1d(np.arange(len(DATA.label)), ROWS)
    other = replace(DATA, label=DATA.label.copy(), rows=DATA.rows.copy(), forward=DATA.forward.copy())
    other.label[rest] = 1 - other.label[rest]
    other.rows[rest] *= -1
    other.forward[rest] *= -1
    assert_same(found(data=other), one)


def test_the_best_of_each_kind_is_taken_and_never_worse_than_what_was_given(one: Found) -> None:
    whole = [tried for tried in one.searched.tried if len(tried.losses) == one.searched.folds]
    for kind, asked in KINDS.items():
        best, of_kind = one.searched.best[kind], [tried for tried in whole if tried.kind == kind]
        assert best.losses[-1] == min(tried.losses[-1] for tried in of_kind)
        assert of_kind[0].values == {}, "what was given is tried first"
        for name, value in best.values.items():
            taken = getattr(one.members, name)
            assert (NETS.index(taken) if name == "net_layers" else taken) == value
            assert asked.space[name].low <= value <= asked.space[name].high
    assert any(best.values for best in one.searched.best.values()), "something better is there to be found"


def test_what_is_not_searched_stays_as_it_was_given(one: Found) -> None:
    sought = {name for kind in KINDS.values() for name in kind.space}
    assert sought <= {field.name for field in fields(MemberOptions)}
    for field in fields(MemberOptions):
        if field.name not in sought:
            assert getattr(one.members, field.name) == getattr(GIVEN, field.name)


def test_tries_worse_than_the_median_are_given_up_and_all_are_written_down(one: Found) -> None:
    tried = one.searched.tried
    assert len(tried) == FEW.count + len(KINDS)
    given_up = [each for each in tried if len(each.losses) < one.searched.folds]
    assert given_up
    assert one.earned.shape == (6, len(tried) - len(given_up))  # six sessions
    for each in given_up:
        at = len(each.losses) - 1
        before = [other.losses[at] for other in tried if other.kind == each.kind and len(other.losses) > at]
        assert each.losses[-1] > min(before)


def test_when_time_is_up_nothing_more_is_tried() -> None:
    stopped = found(options=replace(FEW, seconds=1e-9))
    assert stopped.members == GIVEN
    assert len(stopped.searched.tried) == len(KINDS)


@pytest.fixture(scope="module")
def searched() -> Trained:
    options = replace(QUICK, members=GIVEN, search=FEW)
    return trainer.train(planted(skill=0.6, sessions=20), options, trials=3)


def test_a_search_does_not_worsen_what_is_said_of_rows_that_nobody_has_seen(searched: Trained) -> None:
    plain = trainer.train(planted(skill=0.6, sessions=20), replace(QUICK, members=GIVEN))
    assert searched.options.members != plain.options.members
    assert searched.report.log_loss < plain.report.log_loss + 0.005


def test_calibration_and_test_block_have_no_say_in_what_is_found() -> None:
    options = replace(QUICK, members=GIVEN, search=replace(FEW, trials=1))
    data = planted(skill=0.6, sessions=12)
    first = trainer.train(data, options)
    later = np.concatenate([first.blocks.calibration, first.blocks.test])
    other = replace(data, label=data.label.copy())
    other.label[later] = np.random.default_rng(5).permutation(other.label[later])
    assert trainer.train(other, options).searched == first.searched


def test_all_that_was_tried_is_declared_to_the_gate(searched: Trained) -> None:
    assert searched.report.trials == 3 + FEW.count
    criteria = {one.name: one for one in searched.report.criteria}
    assert f"DSR, {3 + FEW.count} tried" in criteria
    whole = [one for one in searched.searched.tried if len(one.losses) == 4] if searched.searched else []
    assert f"best of {len(whole)} configurations" in criteria["PBO, search"].meaning


def test_without_an_edge_the_search_finds_something_and_the_gate_lets_nothing_through() -> None:
    options = replace(QUICK, members=GIVEN, search=FEW)
    trained = trainer.train(planted(skill=0.0, sessions=20), options)
    assert trained.searched
    assert any(best.values for best in trained.searched.best.values())
    assert not trained.ensemble.card.proven
    assert trained.report.trials == 1 + FEW.count


def test_the_manifest_keeps_what_was_searched(searched: Trained, tmp_path: Path) -> None:
    saved = registry.save(searched, tmp_path, "file-x", datetime(2026, 1, 5, tzinfo=UTC))
    manifest = registry.read_manifest(saved)
    assert manifest.searched == searched.searched
    assert manifest.options.members == searched.options.members
    assert manifest.options.search == FEW
