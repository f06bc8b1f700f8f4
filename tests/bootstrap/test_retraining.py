"""The night comes by the clock of the exchange, once however long the daemon was down, and fails aloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robo_trader.alerts import AlertOptions, Alerts
from robo_trader.bootstrap import retraining
from robo_trader.bootstrap.retraining import Retraining
from robo_trader.config import load
from robo_trader.core.events import DAY_NS, MINUTE_NS, Retrained
from robo_trader.core.inbox import Inbox
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ml import roles
from robo_trader.storage import queries, trainings
from robo_trader.storage.database import Database
from robo_trader.storage.trainings import Began, Ended
from tests.bootstrap.models import NAME, keep
from tests.bootstrap.test_appointments import plan_of

FRIDAY = XnysCalendar().before("2026-01-12", 1)[0]
MONDAY = XnysCalendar().after("2026-01-10")


class Told(Alerts):
    """Alerts that are kept."""

    def __init__(self) -> None:
        super().__init__(AlertOptions())
        self.kept: list[str] = []

    def tell(self, key: str, *words: Any, **more: Any) -> None:
        self.kept.append(f"{key}: {words[-1]}")


class Nights:
    """Retraining beside no desk, on a market whose clock a test sets."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home, self.database, self.now = home, database, FRIDAY.close - MINUTE_NS
        self.inbox, self.alerts = Inbox(), Told()
        self.inbox.start(self.now)
        self.version = keep(home, 5)

    def new(self, **settings: Any) -> Retraining:
        link = SimpleNamespace(market_now=lambda: self.now, inbox=self.inbox)
        chosen = load(ml_models_dir=self.home, ml_retrain_after_min=30, **settings)
        return Retraining(chosen, plan_of(self.home, self.version), link, self.database, self.alerts)

    def job(self) -> dict[str, Any]:
        with closing(queries.connect_readonly(self.database.path)) as connection:
            row = queries.job(connection, "retraining")
        assert row is not None
        return row

    def told(self) -> list[Retrained]:
        found: list[Any] = []
        while (event := self.inbox.of_this_moment()) is not None:
            found.append(event)
        return found

    async def until(self, done: Any, night: Retraining) -> None:
        task = asyncio.create_task(night.run())
        try:
            async with asyncio.timeout(60):
                while not done():
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nights]:
    monkeypatch.setattr(retraining, "LOOK_S", 0.01)
    async with await Database.open(tmp_path / "practice-DUP1.db") as database:
        yield Nights(tmp_path, database)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (FRIDAY.open, FRIDAY.close + 30 * MINUTE_NS),
        (FRIDAY.close + 29 * MINUTE_NS, FRIDAY.close + 30 * MINUTE_NS),
        (FRIDAY.close + 30 * MINUTE_NS, MONDAY.close + 30 * MINUTE_NS),
        (FRIDAY.close + DAY_NS, MONDAY.close + 30 * MINUTE_NS),
        (XnysCalendar().after("2026-11-26").open, XnysCalendar().after("2026-11-26").close + 30 * MINUTE_NS),
    ],
)
async def test_the_next_night_follows_the_next_close_of_the_exchange(
    nights: Nights, now: int, due: int
) -> None:
    assert nights.new()._next(now) == due


async def test_a_night_that_fails_is_told_in_the_journal_and_by_an_alert_and_the_next_is_planned(
    nights: Nights,
) -> None:
    night = nights.new()
    nights.now = FRIDAY.close + 30 * MINUTE_NS
    night._due = nights.now
    await night._night()
    job = nights.job()
    assert (job["state"], job["next_run_ns"]) == ("failed", MONDAY.close + 30 * MINUTE_NS)
    ((retrained),) = nights.told()
    assert (retrained.result, retrained.version) == ("failed", "")
    assert "no 60-second bars of AAPL" in retrained.reason
    assert nights.alerts.kept == [
        f"retraining: {retrained.reason}; the old model goes on, the next attempt is tomorrow night"
    ]
    with closing(queries.connect_readonly(nights.database.path)) as connection:
        assert connection.execute("SELECT by, result FROM trainings").fetchall() == [("night", "failed")]


async def test_nights_that_were_missed_are_made_up_for_once(nights: Nights) -> None:
    await nights.database.record_job("retraining", None, FRIDAY.close + 30 * MINUTE_NS, "running", "cut off")
    nights.now = MONDAY.open
    await nights.until(lambda: nights.job()["state"] == "failed", nights.new())
    assert nights.job()["next_run_ns"] == MONDAY.close + 30 * MINUTE_NS
    assert len(nights.told()) == 1
    again = nights.new()
    await nights.until(lambda: again._due, again)
    assert again._due == MONDAY.close + 30 * MINUTE_NS
    assert nights.told() == []


async def test_from_its_start_on_a_newer_version_does_not_just_take_over(nights: Nights) -> None:
    night = nights.new()
    await nights.until(lambda: night._due, night)
    keep(nights.home, 6)
    assert roles.champion(nights.home, NAME) == nights.home / NAME / nights.version


async def test_switched_off_it_plans_nothing(nights: Nights) -> None:
    await nights.new(ml_retrain="off").run()
    assert (nights.job()["state"], nights.job()["next_run_ns"]) == ("off", None)
    assert roles.read(nights.home / NAME) is None


async def test_a_challenger_that_waits_for_more_bars_is_not_replaced_by_another(nights: Nights) -> None:
    challenger = keep(nights.home, 6)
    roles.crown(nights.home, NAME, nights.version, "first", "test")
    roles.challenge(nights.home, NAME, challenger)
    number, _ = await trainings.begin(nights.database, Began(NAME, "test", 1, 7))
    await trainings.end(
        nights.database, number, Ended(2, "trained", "", challenger, 1, 2, nights.version, 900, 0.6, 0.7)
    )
    night = nights.new()
    night._due = nights.now
    await night._night()
    ((told),) = nights.told()
    assert (told.result, told.version) == ("waits", challenger)
    assert "0 bars of both" in told.reason
    standing = roles.read(nights.home / NAME)
    assert standing is not None
    assert standing.challenger == challenger
    assert nights.alerts.kept == []
