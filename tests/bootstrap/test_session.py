"""The disorderly ends of a session: nothing more is sent, what would open is taken back, the stops stay, and it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from robo_trader.bootstrap.daemon import Daemon, Request
from robo_trader.config import load
from robo_trader.core.errors import DeskHalted, InboxFull
from robo_trader.core.events import Event, OrderStatus
from robo_trader.core.steps import OrderChanged, Step
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.market import SyntheticMarket
from tests.mail_server import Hook, serving

PATIENCE_S = 30.0


def first(error: BaseException) -> BaseException:
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class Breaks:
    """A listener with a bug that shows once an order that opens a position has traded in part."""

    def __init__(self, desk: Any, error: Exception) -> None:
        self._desk = desk
        self._error = error
        self.order_id = ""

    async def record(self, event: Event, step: Step) -> None:
        for fact in step.facts:
            if isinstance(fact, OrderChanged) and fact.status is OrderStatus.PARTIAL:
                order = self._desk.orders.get(fact.order_id)
                if order.side.sign * self._desk.position(order.symbol) > 0 and not order.protects:
                    self.order_id = order.id
                    raise self._error


class Desk:
    """The real daemon in the test's own loop, against a practice gateway, with a webhook that it tells."""

    def __init__(self, gateway: PracticeGateway, port: int, hook: Hook, home: Path) -> None:
        self.gateway = gateway
        self.hook = hook
        self.home = home
        settings = load(
            ibkr_port=port,
            execution_algorithm="market",
            alert_webhook_url=hook.url,
            ibkr_restart_window="",
            robo_data_dir=home / "data",
        )
        self.daemon = Daemon(Request(settings, ("AAPL", "NVDA"), dashboard=False))
        self.task = asyncio.create_task(self.daemon.run())

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                assert not self.task.done(), self.task.exception()
                await asyncio.sleep(0.005)

    async def session(self) -> Any:
        await self.until(lambda: self.daemon._session is not None)
        return self.daemon._session

    async def ended(self) -> BaseException:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self.task})
        error = self.task.exception()
        assert error is not None
        return first(error)

    def stops(self) -> list[str]:
        """Return our ids of the stops that work at the broker."""
        return [ticket.ref for ticket in self.gateway._orders.working() if ticket.type == "STP"]

    def opening(self) -> list[str]:
        """Return our ids of what works at the broker and would open or add to a position."""
        held = {
            symbol: position.quantity for symbol, position in self.gateway._orders.books.positions.items()
        }
        works = [ticket for ticket in self.gateway._orders.working() if ticket.type != "STP"]
        return [t.ref for t in works if t.side.sign * held.get(t.symbol, 0) >= 0]

    def ends(self, ids: list[str]) -> set[str]:
        """Return how these orders ended at the broker."""
        return {ticket.status for ticket in self.gateway._orders.completed() if ticket.ref in ids}

    def told(self, key: str) -> dict[str, Any]:
        """Return the alert of a matter; fail where none comes."""
        while (post := self.hook.wait())["key"] != key:
            pass
        return post

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        (path,) = (self.home / "data").glob("*.db")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with AsyncExitStack() as stack:
        hook = stack.enter_context(serving(Hook()))
        # Little depth: orders are worked for a while, so that something works when the end comes.
        options = PracticeOptions(speed=600, flow=FlowOptions(depth=0.00001))
        gateway = PracticeGateway(options, SyntheticMarket(7))
        port = await gateway.start()
        stack.push_async_callback(gateway.stop)
        desk = Desk(gateway, port, hook, tmp_path)
        try:
            yield desk
        finally:
            desk.task.cancel()
            await asyncio.gather(desk.task, return_exceptions=True)


async def test_a_bug_takes_back_what_would_open_at_the_broker_leaves_the_stop_and_is_told(desk: Desk):
    session = await desk.session()
    bug = Breaks(session.view, ValueError("a bug of ours"))
    session.listeners.append(bug)
    assert isinstance(await desk.ended(), ValueError)
    assert desk.opening() == []
    assert desk.ends([bug.order_id]) == {"Cancelled"}
    assert desk.stops()
    assert "a bug of ours" in desk.told("ended")["text"]
    assert desk.rows("SELECT outcome FROM sessions")[0][0] == "ValueError: a bug of ours"


async def test_an_inbox_that_overflows_ends_it_the_same_way_over_the_session_that_is_still_good(desk: Desk):
    session = await desk.session()
    await desk.until(desk.opening)
    opening = desk.opening()
    session._inbox._capacity = -1  # whatever comes next finds no room
    assert isinstance(await desk.ended(), InboxFull)
    assert desk.opening() == []
    assert desk.ends(opening) == {"Cancelled"}
    assert "InboxFull" in desk.told("ended")["text"]


async def test_a_journal_that_cannot_write_sends_nothing_more_and_takes_back_what_would_open(desk: Desk):
    session = await desk.session()
    await desk.until(desk.opening)
    sent = len(desk.gateway._orders.working()) + len(desk.gateway._orders.completed())
    opening = desk.opening()
    session._database._failure = "the disk is full"
    assert isinstance(await desk.ended(), DeskHalted)
    assert desk.opening() == []
    assert desk.ends(opening) == {"Cancelled"}
    assert len(desk.gateway._orders.working()) + len(desk.gateway._orders.completed()) == sent
    assert "the disk is full" in desk.told("ended")["text"]


async def test_a_halt_by_signal_while_it_starts_is_not_lifted_by_the_resume_it_was_started_with(desk: Desk):
    desk.daemon._request = dataclasses.replace(desk.daemon._request, resume="checked")
    desk.daemon._on_halt()
    session = await desk.session()
    await desk.until(lambda: session.view.day_start_equity() is not None)
    assert "SIGUSR1" in session.view.stopped
