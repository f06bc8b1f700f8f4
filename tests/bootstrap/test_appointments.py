"""Who has which role on disk is who has it at the desk within seconds, and a replay gets the very same versions."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from robo_trader.alerts import AlertOptions, Alerts
from robo_trader.bootstrap.appointments import Appointments
from robo_trader.bootstrap.plan import Plan, Shelf, build_engine, build_plan
from robo_trader.bootstrap.training import challenger_of
from robo_trader.config import load
from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, ModelChanged, Role
from robo_trader.core.inbox import Inbox
from robo_trader.ml import registry, roles
from robo_trader.storage import queries
from robo_trader.storage.database import Database
from tests.bootstrap.models import NAME, keep


def plan_of(home: Path, version: str, challenger: str = "") -> Plan:
    return build_plan(
        load(ml_models_dir=home, ml_max_age_days=30), session_id="s", account="DUP1", traded=("AAPL",),
        ticks={"AAPL": Decimal("0.01")}, bar_s=60, interval_s=60, use_ml=True, model=home / NAME / version,
        challenger=home / NAME / challenger if challenger else None,
    )  # fmt: skip


class Watched:
    """Appointments over real files, and what reached the inbox."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home, self.database, self.inbox = home, database, Inbox()
        self.alerts = Alerts(AlertOptions())
        self.first = keep(home, 5)
        self.plan = plan_of(home, self.first)
        self.shelf = Shelf(self.plan)
        self.inbox.start(1)
        self.appointments = Appointments(self.plan, self.shelf, self.inbox, database, self.alerts)

    async def changes(self) -> list[tuple[Role, str, str, str]]:
        """Look twice, for nothing may be told again; return what is new."""
        await self.appointments.look()
        await self.appointments.look()
        found: list[Any] = []
        while (event := self.inbox.of_this_moment()) is not None:
            found.append(event)
        return [(event.role, event.version, event.reason, event.by) for event in found]

    def job(self) -> tuple[str, str]:
        with queries.connect_readonly(self.database.path) as connection:
            row = queries.job(connection, "model")
        assert row is not None
        return row["state"], row["detail"]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with await Database.open(tmp_path / "desk.db") as database:
        yield Watched(tmp_path, database)


async def test_a_role_that_is_given_is_told_once_with_who_gave_it_and_why(watched: Watched) -> None:
    assert await watched.changes() == []
    second = keep(watched.home, 6)
    assert await watched.changes() == []
    roles.settle(watched.home, NAME, "night")  # the newest: what a start would take now
    assert await watched.changes() == [
        (Role.CHAMPION, second, "the newest when a daemon began to retrain", "night")
    ]
    roles.challenge(watched.home, NAME, watched.first)
    assert [change[:2] for change in await watched.changes()] == [(Role.CHALLENGER, watched.first)]
    assert watched.job() == ("in use", f"{second}, challenged by {watched.first}")
    roles.crown(watched.home, NAME, watched.first, "it was better", "night")
    assert [change[:3] for change in await watched.changes()] == [
        (Role.CHAMPION, watched.first, "it was better"),
        (Role.CHALLENGER, "", "nobody challenges any more"),
    ]


async def test_a_version_that_must_not_be_used_changes_nothing_and_is_told(watched: Watched) -> None:
    second = keep(watched.home, 6)
    (watched.home / NAME / second / registry.ARRAYS).write_bytes(b"something else")
    roles.crown(watched.home, NAME, second, "blindly", "operator")
    assert await watched.changes() == []
    assert watched.job()[1] == watched.first
    roles.crown(watched.home, NAME, watched.first, "back", "operator")
    assert await watched.changes() == []
    (watched.home / NAME / roles.CHAMPION).write_text("{")
    assert await watched.changes() == []


async def test_an_expired_champion_is_an_alarm_until_it_is_renewed(watched: Watched) -> None:
    last = registry.read_manifest(watched.home / NAME / watched.first).split["test"].last
    watched.inbox.start(last + 30 * DAY_NS)
    await watched.appointments.look()
    assert watched.alerts.known("model_expired") == []
    watched.inbox.start(last + 31 * DAY_NS)
    await watched.appointments.look()
    assert watched.alerts.known("model_expired") == ["model_expired"]
    assert watched.job() == ("EXPIRED", watched.first)


async def test_a_desk_goes_over_to_what_the_journal_names_and_to_nothing_else(watched: Watched) -> None:
    second = keep(watched.home, 6)
    sha256 = watched.shelf.fetch(second)
    engine = build_engine(watched.plan)
    engine.on_event(ModelChanged(1, Role.CHALLENGER, second, sha256, "", "test"))
    engine.on_event(ModelChanged(1, Role.CHAMPION, second, sha256, "", "test"))
    with pytest.raises(DataError, match="is another one"):
        build_engine(watched.plan).on_event(ModelChanged(1, Role.CHAMPION, second, "0" * 64, "", "test"))
    shutil.rmtree(watched.home / NAME / second)
    with pytest.raises(DataError, match=rf"went over to model {second}, which is not in .* any more"):
        build_engine(watched.plan).on_event(ModelChanged(1, Role.CHAMPION, second, sha256, "", "test"))


async def test_a_session_begins_with_the_challenger_there_is(watched: Watched) -> None:
    second = keep(watched.home, 6)
    champion = watched.home / NAME / watched.first
    settings = load(ml_models_dir=watched.home)
    assert challenger_of(settings, champion, 60) is None
    roles.crown(watched.home, NAME, watched.first, "first", "test")
    roles.challenge(watched.home, NAME, second)
    assert challenger_of(settings, champion, 60) == watched.home / NAME / second
    (watched.home / NAME / second / registry.ARRAYS).write_bytes(b"something else")
    assert challenger_of(settings, champion, 60) is None
