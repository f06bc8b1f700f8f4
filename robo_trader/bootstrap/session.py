"""One trading session: the engine at work on its inbox and its journals, watched over, and an orderly end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from robo_trader.alerts import Alerts, Severity
from robo_trader.bootstrap import endings
from robo_trader.bootstrap.kill_switch import KillFile
from robo_trader.bootstrap.link import Link
from robo_trader.bootstrap.link_state import Phase
from robo_trader.bootstrap.plan import Plan, Shelf, Warmth, build_engine, to_json, write_warmth
from robo_trader.bootstrap.pulse import Pulse, settle
from robo_trader.bootstrap.watch import AlertJournal, Look, Watch
from robo_trader.core.errors import ConnectionLost, DeskHalted
from robo_trader.core.events import OPERATOR, AccountSnapshot, Bar, Event, Halt, Resume
from robo_trader.core.protocols import Listener, View
from robo_trader.core.recovery import Stored, recover
from robo_trader.core.running import run
from robo_trader.core.steps import Step
from robo_trader.data.quality import Quality
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.logger import DeskLog
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

log = structlog.get_logger()
BEAT_S, COMMITS_A_BEAT = 1.0, 10
BEATS_A_PULSE = 5
COMPARE_S, DOUBTS_S = 60.0, 2.0
FORGET_S, A_WHILE_S = 600.0, 0.05  # between two looks for what is too old to keep, and between two deletions
CANCEL_BUDGET_S, LAST_WILL_S = 2.5, 1.5
POLL_S = 0.05
KILL_FILE = "KILL file"  # by whom the desk is halted
_CONNECTED = frozenset({Phase.SYNCHRONISING, Phase.READY, Phase.DEGRADED})


class FirstBars:
    """A listener that notes when every symbol has had its first live bar."""

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

    def __init__(
        self,
        plan: Plan,
        warmth: Warmth,
        link: Link,
        database: Database,
        alerts: Alerts,
        kill_file: KillFile,
        blind_s: float,
        keep_ns: int = 0,
    ) -> None:
        """Build the desk of `plan`; its features go on from `warmth`, and what is older than `keep_ns` (0: nothing) goes."""
        self._plan = plan
        self._link = link
        self._inbox = link.inbox
        self._database = database
        self._warmth = warmth
        self._keep_ns = keep_ns
        self.shelf = Shelf(plan)
        self._engine = build_engine(plan, warmth, self.shelf)
        self._book = SqliteJournal(database, plan.session_id)
        self._first_bars = FirstBars(plan.traded)
        self._alerts = alerts
        self._heard = AlertJournal(alerts, blind_s)
        self._watch = Watch(alerts, self._heard, blind_s)
        self._pulse = Pulse()
        self._kill_file = kill_file
        self._killed = ""
        # They hear of a step once it is on disk and on its way.
        self.listeners: list[Listener] = [DeskLog(), self._first_bars, self._heard, link]
        self.chores: list[Callable[[], Coroutine[Any, Any, None]]] = []  # of others, beside the desk
        self._stop = asyncio.Event()
        self._outcome = ""
        self._qualities: list[Quality] = []  # as they were written down last

    @property
    def view(self) -> View:
        """What may be seen of the desk."""
        return self._engine.desk

    def stop(self, outcome: str) -> None:
        """Begin the end."""
        self._outcome = self._outcome or outcome
        self._stop.set()

    def halt(self, reason: str, by: str) -> None:
        """Stop new exposure."""
        self._inbox.put(Halt(self._inbox.now, reason, by))

    async def begin(self) -> None:
        """Write down that the session is, what it is made of, and what its features know."""
        plan = self._plan
        await self._database.start_session(
            plan.session_id, time.time_ns(), plan.mode, plan.account, tuple(plan.ticks), to_json(plan)
        )
        state = await asyncio.to_thread(write_warmth, self._warmth)
        await self._database.keep_feature_state(
            plan.session_id, plan.features, self._engine.desk.feature_names, state
        )

    def open(self, stored: Stored, account: AccountSnapshot, last: Sequence[Bar], resume: str) -> None:
        """Put before the engine what it needs to know first; `resume` lifts a halt, but not that of a KILL file.

        Of the past, which its features know already, that is the last bar of each symbol, for its price.

        Not a coroutine: whatever the broker says after `account` was taken must find the opening in the inbox.
        """
        self._inbox.start(account.ts)
        for event in recover(stored, account):
            self._inbox.put(event)
        if resume:
            self._inbox.put(Resume(account.ts, resume, OPERATOR))
        self._obey_kill_file(account.ts)
        for bar in last:
            self._inbox.put(bar)

    async def work(self, once: bool, run_for_s: float | None) -> None:
        """Trade until stopped, the time is up or, with `once`, every symbol has had a bar. Errors climb."""
        outcome = "failed"
        settle()
        try:
            async with asyncio.TaskGroup() as group:
                desk = group.create_task(
                    run(self._engine, self._inbox, self._link.broker, self._book, self.listeners)
                )
                others = [group.create_task(task) for task in self._chores(once, run_for_s)]
                await self._stop.wait()
                await self._take_back()
                for task in others:
                    task.cancel()
                self._inbox.close()
                await desk
            outcome = self._outcome
        except BaseException as error:
            outcome = endings.reason(error)
            await self._last_will()
            raise
        finally:
            await self._close_books(outcome)

    def _chores(self, once: bool, run_for_s: float | None) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on beside the desk while it trades."""
        return [
            self._link.keep(self._engine.desk.orders),
            self._commit(),
            self._beat(),
            self._tell_link(),
            self._look_after(),
            self._forget(),
            self._pulse.run(),
            self._until(once, run_for_s),
            *(chore() for chore in self.chores),
        ]

    # -------------------------------------------------------------------------------------------------- the ends

    async def _until(self, once: bool, run_for_s: float | None) -> None:
        if once:
            await self._first_bars.complete.wait()
            while endings.works(self._engine.desk.orders.live()):  # noqa: ASYNC110 the engine knows no waiters
                await asyncio.sleep(POLL_S)
            self.stop("one bar of each symbol")
        elif run_for_s is not None:
            await asyncio.sleep(run_for_s)
            self.stop(f"ran for {run_for_s:g} s")

    async def _take_back(self) -> None:
        """Cancel what still works: its schedule ends with this process. Positions and their stops stay as they are."""
        self._link.stop_listening()
        self._inbox.forget_market()
        # Without a session nothing can be taken back; the next start does that first.
        budget = CANCEL_BUDGET_S if self._is_connected else 0.0
        desk = self._engine.desk

        def waiting() -> int:
            return len(self._inbox) + len(endings.unsettled(desk))

        left = await endings.take_back(self._link.broker, desk.orders.live, waiting, budget)
        if left:
            log.warning("orders_left", orders=[order.id for order in left])
        if bare := endings.unsettled(desk):
            text = f"{', '.join(bare)}: its stop was being changed, and the broker did not say that it was; look there"
            self._alerts.tell("stops", "stopped with a stop in doubt", text, Severity.CRITICAL)

    async def _last_will(self) -> None:
        """Nothing is sent any more and nobody would hear of a fill: take back what would open a position."""
        desk = self._engine.desk
        left = [order.id for order in endings.opens(desk.orders.live(), desk)]
        await endings.last_will(self._link.broker, self._inbox, left, LAST_WILL_S)

    async def _close_books(self, outcome: str) -> None:
        session = self._plan.session_id
        try:
            await self._book.flush()
            await self._keep_quality()
            await self._database.end_session(session, time.time_ns(), outcome)
        except DeskHalted as error:
            # Where that ended the session it is told already, and must not be hidden behind this.
            log.error("books_not_closed", session=session, why=str(error))
            if outcome == self._outcome:
                raise
        if kept := endings.kept(self._engine.desk):
            log.info("positions_stay", what=kept)
        log.info("session_ended", session=session, outcome=outcome)

    # ----------------------------------------------------------------------------------------- beside the desk

    async def _commit(self) -> None:
        """Write down what is not urgent: an intent waits for all rows recorded before it, so let there never be many."""
        while True:
            await asyncio.sleep(BEAT_S / COMMITS_A_BEAT)
            await self._book.commit()

    async def _beat(self) -> None:
        """Show each second that we live, and look after what nobody else does."""
        beats = thinned = 0
        while True:
            await asyncio.sleep(BEAT_S)
            self._obey_kill_file(self._inbox.now)
            self._watch.look(self._look())
            if self._inbox.thinned > thinned:
                lost = self._inbox.thinned - thinned
                log.warning("thinned", what=f"{lost} quotes, books and trades: the desk did not keep up")
                thinned = self._inbox.thinned
            await self._book.flush()
            now = time.time_ns()
            await self._database.record_job("desk", now, None, "alive", self._plan.session_id)
            if beats % BEATS_A_PULSE == 0:
                state = "blocked" if self._pulse.blocks else "well"
                detail = self._pulse.as_json(
                    inbox=len(self._inbox), inbox_most=self._inbox.most, thinned=thinned
                )
                await self._database.record_job("loop", now, None, state, detail)
                await self._keep_quality()
            beats += 1

    async def _keep_quality(self) -> None:
        """Write down how good the data of each symbol and day were, where that has changed."""
        found = self._link.pipeline.quality()
        new = [one for one in found if one not in self._qualities]
        if new:
            await self._database.keep_qualities(self._plan.session_id, new)
        self._qualities = found

    async def _tell_link(self) -> None:
        """Write down how the link is, each time that changes."""
        changed = asyncio.Event()
        self._link.state.on_change(changed.set)
        while True:
            changed.clear()
            row = self._link.state.as_row()
            await self._database.record_job("link", row.last_run, row.next_run, row.state, row.detail)
            await changed.wait()

    async def _look_after(self) -> None:
        """Ask about orders in doubt, and compare the account: each minute, and at once where it seems to differ.

        Without a session there is nobody to ask; the next one begins with that.
        """
        compared = time.monotonic()
        while True:
            await asyncio.sleep(DOUBTS_S)
            if self._link.lost:
                continue
            try:
                await self._link.resolve_doubts(self._engine.desk.orders)
                is_due = time.monotonic() - compared >= COMPARE_S
                if is_due or (not self._is_simulated and self._engine.doubts(self._link.positions())):
                    await self._link.compare()
                    compared = time.monotonic()
            except (ConnectionLost, RequestRefused) as error:
                log.warning("not_compared", why=str(error))

    async def _forget(self) -> None:
        """Delete what is kept no longer, a little at a time: an order may wait for the disk behind each deletion."""
        while self._keep_ns:
            before = self._inbox.now - self._keep_ns
            gone = await self._database.forget_feature_states(before)
            gone = await self._database.forget_features(before) or gone
            await asyncio.sleep(A_WHILE_S if gone else FORGET_S)

    def _obey_kill_file(self, now: int) -> None:
        """Halt while there is a KILL file, also one left anew within a beat; that it went away lifts nothing."""
        said = self._kill_file.text() or ""
        if said and (said != self._killed or KILL_FILE not in self._engine.desk.holds.by):
            self._inbox.put(Halt(now, said, KILL_FILE))
        self._killed = said

    @property
    def _is_simulated(self) -> bool:
        return self._plan.mode == "dry-run"

    @property
    def _is_connected(self) -> bool:
        return self._link.state.phase in _CONNECTED

    def _look(self) -> Look:
        state = self._link.state
        return Look(
            blind_since=state.blind_since,
            why_blind=f"{state.phase}: {state.why}",
            connected=self._is_connected,
            inbox=len(self._inbox),
            inbox_load=self._inbox.load,
            journal_load=self._book.load,
            blocked_s=self._pulse.worst_since(),
        )
