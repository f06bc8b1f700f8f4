"""A training is counted before it shows anything, compared with the champion after, and given the role it deserves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from robo_trader.bootstrap.lesson import Lesson
from robo_trader.ml import registry, roles
from robo_trader.storage import trainings
from robo_trader.storage.queries import connect_readonly
from robo_trader.storage.schema import migrate
from tests.bootstrap.models import NAME, keep, trained


@pytest.fixture
def source(tmp_path: Path) -> Path:
    import sqlite3

    path = tmp_path / "practice-DUP1.db"
    with closing(sqlite3.connect(path)) as connection:
        migrate(connection)
    return path


@pytest.fixture
def learn(source: Path, tmp_path: Path) -> Callable[..., tuple[str, list[str]]]:
    """Go through a training but for the training; return the version and what was told."""

    def work(day: int, skill: float = 0.6, **more: object) -> tuple[str, list[str]]:
        told: list[str] = []
        lesson = Lesson(source, tmp_path, NAME, "test", **more)
        lesson.begin(told.append)
        version = keep(tmp_path, day, skill)
        lesson.trained(trained(skill), tmp_path / NAME / version)
        return version, told

    return work


def test_each_training_of_a_name_is_one_more_trial_also_one_that_failed(source: Path, tmp_path: Path) -> None:
    for expected in (1, 2):
        lesson = Lesson(source, tmp_path, NAME)
        lesson.begin(lambda said: None)
        assert lesson.trials == expected
    lesson.failed("too few bars")
    with closing(connect_readonly(source)) as connection:
        assert connection.execute("SELECT result, reason, declared FROM trainings").fetchall() == [
            ("begun", "", 1),
            ("failed", "too few bars", 2),
        ]


def test_a_file_of_bars_counts_by_the_models_that_are_kept(tmp_path: Path) -> None:
    keep(tmp_path, 5)
    told: list[str] = []
    lesson = Lesson(tmp_path / "bars.csv", tmp_path, NAME)
    lesson.begin(told.append)
    assert lesson.trials == trained().report.trials + 1
    assert "trial 2" in told[-1]


def test_a_database_of_somebody_else_is_learnt_from_and_said_not_to_keep_count(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be read as one" * 50)
    told: list[str] = []
    Lesson(tmp_path / "text.db", tmp_path, NAME).begin(told.append)
    assert "not recorded" in told[0]
    Lesson(tmp_path / "none.db", tmp_path, NAME).begin(told.append)
    assert not (tmp_path / "none.db").exists()


def test_before_there_are_roles_the_newest_is_the_champion_as_ever(
    learn: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    version, _ = learn(5)
    assert roles.read(tmp_path / NAME) is None
    assert roles.champion(tmp_path, NAME) == tmp_path / NAME / version


def test_with_roles_a_proven_model_challenges_and_is_compared_on_rows_neither_learnt_from(
    learn: Callable[..., tuple[str, list[str]]], source: Path, tmp_path: Path
) -> None:
    first, _ = learn(5)
    roles.settle(tmp_path, NAME, "test")
    second, told = learn(6)
    standing = roles.read(tmp_path / NAME)
    assert standing is not None
    assert (standing.champion, standing.challenger) == (first, second)
    assert any("neither has learnt from" in line for line in told)
    with closing(connect_readonly(source)) as connection:
        ended = trainings.ended(connection, second)
    assert ended is not None
    assert (ended.result, ended.champion, ended.version) == ("trained", first, second)
    assert ended.compared == len(trained().blocks.test)
    rows = trained().blocks.test
    said = trained().ensemble.predict_many(trained().dataset.rows[rows])
    right = np.where(trained().dataset.label[rows] == 1, said, 1 - said)
    assert ended.loss == ended.champion_loss == pytest.approx(-np.log(right).mean())


def test_an_unproven_model_gets_no_role_not_even_when_it_was_to_be_promoted(
    learn: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    first, _ = learn(5)
    roles.settle(tmp_path, NAME, "test")
    before = roles.read(tmp_path / NAME)
    _, told = learn(6, skill=0.0, promote=True)
    assert roles.read(tmp_path / NAME) == before
    assert any("not promoted" in line for line in told)
    third, _ = learn(7, promote=True)
    standing = roles.read(tmp_path / NAME)
    assert standing is not None
    assert (standing.champion, standing.predecessor) == (third, first)


def test_where_the_champion_can_be_used_no_more_the_new_model_takes_its_place(
    learn: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    first, _ = learn(5)
    roles.settle(tmp_path, NAME, "test")
    (tmp_path / NAME / first / registry.ARRAYS).write_bytes(b"something else")
    second, told = learn(6, skill=0.0)
    assert roles.champion(tmp_path, NAME) == tmp_path / NAME / second
    assert any("can be used no more" in line for line in told)
