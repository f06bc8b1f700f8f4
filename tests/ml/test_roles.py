"""One version is traded on, one may vote in shadow, and who said so, when and why is on disk as a whole or not at all."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.ml import registry, roles
from robo_trader.ml.model import too_old
from robo_trader.ml.trainer import Trained

NAME = "practice-DUP1"


@pytest.fixture(scope="module")
def kept(proven: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("models")
    made = [registry.save(proven, root, NAME, datetime(2026, 1, day, tzinfo=UTC)) for day in (5, 6, 7)]
    return root, [directory.name for directory in made]


@pytest.fixture
def root(kept: tuple[Path, list[str]], tmp_path: Path) -> Path:
    (tmp_path / NAME).mkdir()
    for version in kept[1]:
        (tmp_path / NAME / version).symlink_to(kept[0] / NAME / version)
    return tmp_path


@pytest.fixture
def versions(kept: tuple[Path, list[str]]) -> list[str]:
    return kept[1]


def test_without_roles_the_newest_is_the_champion(root: Path, versions: list[str]) -> None:
    assert roles.read(root / NAME) is None
    assert roles.champion(root, NAME) == root / NAME / versions[2]
    assert next((e.version, e.role) for e in roles.listing(root, NAME)) == (versions[2], "champion")
    assert roles.champion(root, "nobody") is None


def test_settled_a_newer_version_is_no_champion_until_it_is_crowned(
    root: Path, versions: list[str], proven: Trained
) -> None:
    assert roles.settle(root, NAME, "night") is not None
    newer = registry.save(proven, root, NAME, datetime(2026, 1, 8, tzinfo=UTC)).name
    assert roles.champion(root, NAME) == root / NAME / versions[2]
    roles.challenge(root, NAME, newer)
    assert {e.version: e.role for e in roles.listing(root, NAME)}[newer] == "challenger"
    crowned = roles.crown(root, NAME, newer, "it was better", "night")
    assert (crowned.champion, crowned.challenger, crowned.predecessor) == (newer, "", versions[2])
    assert crowned.reign.why == "it was better"
    assert roles.read(root / NAME) == crowned


def test_going_back_twice_goes_back_two_versions(root: Path, versions: list[str]) -> None:
    for version in versions:
        roles.crown(root, NAME, version, "newer", "night")
    for expected in (versions[1], versions[0]):
        standing = roles.read(root / NAME)
        assert standing is not None
        assert standing.predecessor == expected
        roles.crown(root, NAME, expected, "worse than before", "operator")
    standing = roles.read(root / NAME)
    assert standing is not None
    assert standing.predecessor == ""
    assert len(standing.reigns) == 5


def test_a_version_that_is_not_there_gets_no_role(root: Path) -> None:
    with pytest.raises(DataError, match="no version 20200101"):
        roles.crown(root, NAME, "20200101", "why not", "operator")
    assert roles.read(root / NAME) is None


@pytest.mark.parametrize("text", ["", "{", '{"reigns": []}', '{"reigns": [], "colour": "red"}', "[]"])
def test_roles_that_cannot_be_read_are_refused_with_a_remedy(root: Path, text: str) -> None:
    (root / NAME / roles.CHAMPION).write_text(text)
    with pytest.raises(DataError, match="remove it"):
        roles.champion(root, NAME)


def test_roles_given_at_the_same_time_are_all_kept_and_always_readable(
    root: Path, versions: list[str]
) -> None:
    roles.settle(root, NAME, "night")

    def give(number: int) -> None:
        for _ in range(10):
            roles.crown(root, NAME, versions[number % 3], f"by {number}", "test")

    giving = [threading.Thread(target=give, args=(number,)) for number in range(4)]
    for one in giving:
        one.start()
    while any(one.is_alive() for one in giving):
        assert roles.read(root / NAME) is not None
    standing = roles.read(root / NAME)
    assert standing is not None
    assert len(standing.reigns) == 41
    assert not list((root / NAME).glob(".roles-*"))


def test_what_a_killed_training_left_is_swept_and_no_version_is(root: Path, versions: list[str]) -> None:
    half, now = root / NAME / ".writing-abc", root / NAME / ".writing-def"
    now.mkdir()
    half.mkdir()
    (half / registry.MANIFEST).write_text("{}")
    os.utime(half, (1.0, 1.0))
    assert half.name not in {entry.version for entry in roles.listing(root, NAME)}
    roles.sweep(root, NAME)
    assert not half.exists()
    assert now.exists()
    assert [entry.version for entry in roles.listing(root, NAME)] == versions[::-1]


def test_a_damaged_version_is_listed_with_what_is_wrong(root: Path, versions: list[str]) -> None:
    (root / NAME / "20260109T000000Z-aa").mkdir()
    (root / NAME / "20260109T000000Z-aa" / registry.MANIFEST).write_text("{")
    first = roles.listing(root, NAME)[0]
    assert first.verdict.startswith("unusable: ")
    assert not first.proven


@pytest.mark.parametrize(("days", "most", "old"), [(30, 30, False), (31, 30, True), (900, 0, False)])
def test_a_model_expires_by_what_it_knows_last(days: int, most: int, old: bool) -> None:
    assert bool(too_old("v1", 7, 7 + days * DAY_NS, most)) is old
