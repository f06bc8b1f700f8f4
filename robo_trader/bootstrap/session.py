"""One trading session: the engine at work on its inbox, its journals, and an orderly end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from robo_trader.bootstrap.link import Link
from robo_trader.bootstrap.plan import Plan, build_engine, to_json
from robo_trader.core.engine import run
from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import AccountSnapshot, Bar, Event, Halt, Resume, Step
from robo_trader.core.protocols import Journal
from robo_trader.core.recovery import Stored, recover
from robo_trader.logger import DeskLog
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

log = structlog.get_logger()
BEAT_S, COMMITS_A_BEAT, COMPARE_S = 1.0, 10, 60.0
CANCEL_BUDGET_S = 1.0
POLL_S = 0.05


class FirstBars:
    """A journal that notes when every symbol has had its first live bar."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._missing = set(symbols)
        self.complete = asyncio.Event()

    async def record(self, event: Event, step: Step) -> None:
        """Cross the bar's symbol off."""
        if isinstance(event, Bar) and not event.history:
            self._missing.discard(event.symbol)
        if not self._missing:
            self.complete.set()


class TradingSession:
    """Runs a plan over a link until it is stopped; what happens is in the database when it has ended."""

    def __init__(self, plan: Plan, link: Link, database: Database) -> None:
        self._plan = plan
        self._link = link
        self._inbox = link.inbox
        self._database = database
        self._engine = build_engine(plan)
        self._book = SqliteJournal(database, plan.session_id)
        self._first_bars = FirstBars(tuple(plan.ticks))
        # They hear of a step once it is on disk and on its way.
        self.listeners: list[Journal] = [DeskLog(), self._first_bars]
        self._stop = asyncio.Event()
        self._outcome = ""

    def stop(self, outcome: str) -> None:
        """Begin the end."""
        self._outcome = self._outcome or outcome
        self._stop.set()

    def halt(self, reason: str, by: str) -> None:
        """Stop new exposure."""
        self._inbox.put(Halt(self._inbox.now, reason, by))

    async def begin(self) -> None:
        """Write down that the session is, and what it is made of."""
        plan = self._plan
        await self._database.start_session(
            plan.session_id, time.time_ns(), plan.mode, plan.account, tuple(plan.ticks), to_json(plan)
        )

    def open(
        self, stored: Stored, account: AccountSnapshot, history: Mapping[str, Sequence[Bar]], resume: str
    ) -> None:
        """Put before the engine what it needs to know first; `resume` lifts a halt.

        Not a coroutine: whatever the broker says after `account` was taken must find the opening in the inbox.
        """
        for event in recover(stored, account):
            self._inbox.put(event)
        if resume:
            self._inbox.put(Resume(account.ts, resume, "operator"))
        for symbol, bars in history.items():
            self._link.pipeline.backfill(symbol, bars)

    async def work(self, once: bool, run_for_s: float | None) -> None:
        """Trade until stopped, the time is up or, with `once`, every symbol has had a bar. Errors climb."""
        outcome = "failed"
        try:
            async with asyncio.TaskGroup() as group:
                desk = group.create_task(
                    run(self._engine, self._inbox, self._link.broker, self._book, self.listeners)
                )
                others = [
                    group.create_task(task)
                    for task in (
                        self._link.keep(self._engine.desk.orders.live),
                        self._flush(),
                        self._compare(),
                        self._until(once, run_for_s),
                    )
                ]
                await self._stop.wait()
                await self._cancel_orders()
                for task in others:
                    task.cancel()
                self._inbox.close()
                await desk
            outcome = self._outcome
        except BaseException as error:
            outcome = repr(error)
            raise
        finally:
            await self._book.flush()
            await self._database.end_session(self._plan.session_id, time.time_ns(), outcome)
            log.info("session_ended", session=self._plan.session_id, outcome=outcome)

    async def _until(self, once: bool, run_for_s: float | None) -> None:
        if once:
            await self._first_bars.complete.wait()
            while self._engine.desk.orders.live():  # noqa: ASYNC110 the engine knows no waiters
                await asyncio.sleep(POLL_S)
            self.stop("one bar of each symbol")
        elif run_for_s is not None:
            await asyncio.sleep(run_for_s)
            self.stop(f"ran for {run_for_s:g} s")

    async def _cancel_orders(self) -> None:
        """Take back what still works: its schedule ends with this process. Positions stay as they are."""
        orders = self._engine.desk.orders
        self._link.stop_listening()
        deadline = time.monotonic() + CANCEL_BUDGET_S
        # What still waits in the inbox may bring more orders, and one on its way to the broker cannot be taken back
        # yet: look and ask again until none is left.
        while (orders.live() or len(self._inbox)) and time.monotonic() < deadline:
            for order in orders.live():
                await self._link.broker.cancel(order.id)
            await asyncio.sleep(2 * POLL_S)
        if orders.live():
            log.warning("orders_left", orders=[order.id for order in orders.live()])

    async def _flush(self) -> None:
        thinned = 0
        while True:
            for _ in range(COMMITS_A_BEAT):
                # An intent waits for all rows recorded before it: let there never be many.
                await asyncio.sleep(BEAT_S / COMMITS_A_BEAT)
                await self._book.commit()
            await self._book.flush()
            if self._inbox.thinned > thinned:
                log.warning(
                    "thinned",
                    what=f"{self._inbox.thinned - thinned} quotes and trades: the desk did not keep up",
                )
                thinned = self._inbox.thinned
            await self._database.record_job("desk", time.time_ns(), None, "alive", self._plan.session_id)

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_S)
            try:
                await self._link.compare()
            except ConnectionLost as error:
                log.warning("not_compared", why=str(error))
