"""Every training counts as a trial from the moment it begins, whatever becomes of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from robo_trader.core.steps import Shadow, Step
from robo_trader.storage import trainings
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly
from robo_trader.storage.trainings import Began, Ended
from tests.desks import bar


@pytest.fixture
async def database(tmp_path: Path):
    async with await Database.open(tmp_path / "desk.db") as database:
        yield database


async def test_trials_of_a_name_add_up_and_one_that_was_cut_off_counts(database: Database) -> None:
    first, declared = await trainings.begin(database, Began("m", "command", 1, 7))
    assert declared == 1
    await trainings.end(database, first, Ended(2, "trained", "AUC 0.6", "v1", 10, 20, "v0", 900, 0.6, 0.7))
    _, declared = await trainings.begin(database, Began("m", "night", 3, 7, trials=5))
    assert declared == 6
    third, declared = await trainings.begin(database, Began("m", "night", 4, 7))
    assert declared == 7
    _, others = await trainings.begin(database, Began("other", "night", 5, 7))
    assert others == 1
    await trainings.end(database, third, Ended(6, "failed", "too few bars"))
    with closing(connect_readonly(database.path)) as connection:
        assert trainings.ended(connection, "v1") == Ended(
            2, "trained", "AUC 0.6", "v1", 10, 20, "v0", 900, 0.6, 0.7
        )
        assert trainings.ended(connection, "v9") is None
        last = trainings.last(connection, "m")
        assert last is not None
        assert (last.result, last.reason) == ("failed", "too few bars")
        assert trainings.last(connection, "nobody") is None


async def test_what_the_models_declare_counts_where_another_database_saw_more(database: Database) -> None:
    assert (await trainings.begin(database, Began("m", "command", 1, 7), kept=40))[1] == 41
    assert (await trainings.begin(database, Began("m", "command", 2, 7), kept=41))[1] == 42


async def test_what_was_said_in_shadow_is_kept_by_bar_and_versions(database: Database) -> None:
    await database.start_session("s", 1, "paper", "DU1", ["NVDA"], "{}")
    journal = SqliteJournal(database, "s")
    for minute, symbol, challenger in (
        (2, "NVDA", "b"),
        (1, "NVDA", "b"),
        (1, "AAPL", "b"),
        (3, "NVDA", "c"),
    ):
        at = bar(minute, symbol=symbol)
        await journal.record(at, Step((), (Shadow(at.ts, symbol, "a", challenger, 0.25, minute / 10),)))
    await journal.flush()
    with closing(connect_readonly(database.path)) as connection:
        found = trainings.shadows(connection, "a", "b")
        none = trainings.shadows(connection, "b", "a")
    assert found.ts.tolist() == [bar(1).ts, bar(1).ts, bar(2).ts]
    assert found.symbol.tolist() == ["AAPL", "NVDA", "NVDA"]
    assert found.champion.tolist() == [0.25] * 3
    assert found.challenger.tolist() == [0.1, 0.1, 0.2]
    assert len(none.ts) == 0
