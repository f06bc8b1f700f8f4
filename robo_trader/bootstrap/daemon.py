"""The daemon: lock, connect, recover, supervise, stop. It decides nothing about trading."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from robo_trader.alerts import Alerts, Severity
from robo_trader.bootstrap import books, places, plan, reach, screens, training
from robo_trader.bootstrap.appointments import Appointments
from robo_trader.bootstrap.control import Control
from robo_trader.bootstrap.endings import end_task, reason
from robo_trader.bootstrap.kill_switch import KillFile
from robo_trader.bootstrap.link import Link, link_options
from robo_trader.bootstrap.past import take, warm_desk
from robo_trader.bootstrap.plan import Plan, Warmth
from robo_trader.bootstrap.retraining import Retraining
from robo_trader.bootstrap.session import TradingSession
from robo_trader.bootstrap.watch import alert_options
from robo_trader.config import Settings
from robo_trader.core.errors import InstanceLocked, RoboTraderError
from robo_trader.core.events import DAY_NS, OPERATOR, Bar
from robo_trader.core.inbox import Inbox
from robo_trader.features.compiled import compile_kernels, kernels_cached
from robo_trader.processes import Child
from robo_trader.storage.database import Database
from robo_trader.storage.lock import InstanceLock

log = structlog.get_logger()
STOP_BUDGET_S = 4.5
LAST_ALERT_S, FAREWELL_S = 2.0, 0.5
TICK_S = 1.0


@dataclass(frozen=True)
class Request:
    """What one run of the daemon was asked to do, beside the settings."""

    settings: Settings
    symbols: tuple[str, ...]
    use_ml: bool = False
    bar_s: int = 60
    interval_s: int = 60
    once: bool = False
    run_for_s: float | None = None
    dashboard: bool = True
    confirm_live: str = ""
    resume: str = ""
    db: Path | None = None


class Daemon:
    """One run, from the lock to the last flush. Whatever was opened is closed in the reverse order."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._settings = request.settings
        self._began = time.monotonic()
        self._session: TradingSession | None = None
        self._stopping = False
        self._halted = False
        self._alerts = Alerts(alert_options(request.settings))

    async def run(self) -> None:
        """Trade until told to stop. Raises RoboTraderError with the reason where it cannot go on."""
        work = asyncio.ensure_future(self._run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, work)
        loop.add_signal_handler(signal.SIGUSR1, self._on_halt)
        try:
            await work
        except asyncio.CancelledError:
            log.info("stopped")
        except BaseException as error:
            # It is the last line of the log as well.
            self._alerts.tell("ended", "the daemon ended", reason(error), Severity.CRITICAL, logged=True)
            await self._alerts.drain(LAST_ALERT_S)
            raise
        await self._alerts.drain(FAREWELL_S)

    def _on_stop(self, work: asyncio.Future[None]) -> None:
        """Stop in stages; should one hang, the process is gone within the budget all the same."""
        if self._stopping:
            return
        self._stopping = True
        log.info("stopping")
        asyncio.get_running_loop().call_later(STOP_BUDGET_S, os._exit, RoboTraderError.exit_code)
        if self._session is None:
            work.cancel()
        else:
            self._session.stop("stopped")

    def _on_halt(self) -> None:
        self._halted = True
        if self._session is not None:
            self._session.halt("SIGUSR1", OPERATOR)

    async def _tick(self) -> None:
        """Tell alerts whose time has come, from before there is a session to after its end."""
        while True:
            await asyncio.sleep(TICK_S)
            self._alerts.tell_due()

    async def _reach(self, gateway: Child) -> reach.Approach:
        """Get the first session; the user is told where that takes long."""
        self._alerts.begin(
            "blind",
            "not trading",
            "there is no session with TWS since the start; the log says why",
            Severity.CRITICAL,
            self._settings.alert_blind_s,
        )
        approach = await reach.reach(self._settings, gateway)
        self._alerts.over("blind", "there is a session with TWS")
        return approach

    async def _run(self) -> None:
        settings = self._settings
        async with AsyncExitStack() as stack:
            where = f"{settings.ibkr_host}-{settings.ibkr_port}-{settings.ibkr_client_id}"
            practises = {"always": True, "never": False}.get(
                settings.practice_mode, not settings.names_a_broker
            )
            stack.enter_context(sole(places.lock_path(where), settings, practises))
            if self._request.dashboard:
                screens.require_free_ports(settings)
            stack.push_async_callback(end_task, asyncio.create_task(self._tick()))
            if not kernels_cached():
                log.info("compiling", what="the features, once per machine: half a minute")
            await asyncio.to_thread(compile_kernels)  # a session with TWS would not outlive it
            gateway = reach.practice_gateway(settings)
            stack.push_async_callback(gateway.stop)
            approach = await self._reach(gateway)
            connection = approach.connection
            stack.push_async_callback(connection.close)
            places.require_permitted(settings, connection.account, self._request.confirm_live)
            practises = places.kind_of(connection.account) == "practice"
            stack.enter_context(sole(places.lock_path(connection.account), settings, practises))
            path = self._request.db or places.database_path(settings, connection.account)
            self._alerts.label = f"RoboTrader {connection.account}"
            greet(self._request, connection.account, path, practising=gateway.started)
            database = await stack.enter_async_context(await Database.open(path))
            symbols = self._request.symbols
            link = Link(approach, Inbox(), symbols, self._request.bar_s, link_options(settings, symbols))
            await self._trade(stack, link, database)

    async def _trade(self, stack: AsyncExitStack, link: Link, database: Database) -> None:
        settings, request = self._settings, self._request
        dry_run = settings.execution_mode == "dry-run"
        ticks = await link.ticks()
        model = challenger = None
        if request.use_ml:
            model = await training.trained_model(settings, link, database, request.bar_s)
            challenger = training.challenger_of(settings, model, request.bar_s)
        account_name = link.account_name(dry_run)
        books.require_own(database.path, account_name)
        the_plan = plan.build_plan(
            settings,
            session_id=f"{time.strftime('%y%m%d%H%M%S', time.gmtime())}{secrets.token_hex(2)}",
            account=account_name,
            traded=request.symbols,
            ticks=ticks,
            bar_s=request.bar_s,
            interval_s=request.interval_s,
            use_ml=request.use_ml,
            model=model,
            challenger=challenger,
            split=books.splits_of(database.path),
        )
        warmth, last = await self._warm(link, database, the_plan)
        at = places.address_of(settings.robo_data_dir, account_name)
        kill_file = KillFile(at.kill_file)
        session = TradingSession(
            the_plan,
            warmth,
            link,
            database,
            self._alerts,
            kill_file,
            settings.alert_blind_s,
            settings.features_keep_days * DAY_NS,
        )
        show = None
        if request.dashboard:
            # Of a gateway that somebody else runs we know no speed; the slowest never calls the fresh stale.
            speed = settings.practice_speed if link.practising else 1.0
            screen = await screens.open_screens(stack, settings, database.path, the_plan, speed)
            screens.show_link(screen, link.state)
            session.listeners.append(screen)
            show = partial(screens.show_learning, screen)
        if the_plan.model:
            appointments = Appointments(the_plan, session.shelf, link.inbox, database, self._alerts)
            retraining = Retraining(settings, the_plan, link, database, self._alerts, show)
            session.chores += [appointments.run, retraining.run]
        await session.begin()
        account = await link.opening_account(dry_run)
        session.open(books.stored_books(database.path, account), account, last, request.resume)
        self._session = session
        if self._halted:  # while there was no session yet to be halted
            self._on_halt()
        about = {
            "account": account_name,
            "session": the_plan.session_id,
            "pid": os.getpid(),
            "simulated": dry_run,
        }
        control = Control(at.socket, link.inbox, session.view, link, kill_file, about)
        session.listeners.append(control)
        await stack.enter_async_context(control)
        log.info(
            "ready",
            what=f"after {time.monotonic() - self._began:.1f} s",
            session=the_plan.session_id,
            trading=",".join(request.symbols),
            page=page_of(request),
        )
        await session.work(request.once, request.run_for_s)

    async def _warm(self, link: Link, database: Database, the_plan: Plan) -> tuple[Warmth, list[Bar]]:
        """Return what the desk knows as the session begins, and each symbol's last bar; the rest is let go."""
        history = await link.history(database, self._settings.features_sessions)
        past = await take(history, link.pipeline, database)
        last = [bars[-1] for bars in past.values() if bars]
        return await asyncio.to_thread(warm_desk, the_plan, past, await link.days()), last


@contextmanager
def sole(path: Path, settings: Settings, practises: bool) -> Iterator[None]:
    """Hold a lock. Raises InstanceLocked naming who has it, on the practice market with what a second desk needs."""
    lock = InstanceLock(path)
    try:
        lock.acquire()
    except InstanceLocked as error:
        raise InstanceLocked(f"{error}{_own_market(settings) if practises else ''}") from error
    try:
        yield
    finally:
        lock.release()


def _own_market(settings: Settings) -> str:
    s = settings
    own = {
        "PRACTICE_SEED": s.practice_seed,
        "IBKR_PORT": s.ibkr_port or 7497,
        "DASHBOARD_PORT": s.dashboard_port,
    }
    words = " ".join(f"{name}={value + 1}" for name, value in {**own, "HUB_PORT": s.hub_port}.items())
    return f", or give this desk a practice market and ports of its own: PRACTICE_MODE=always {words}"


def greet(request: Request, account: str, database: Path, practising: bool) -> None:
    """Say what is traded here and where to look, and loudly where it is not real."""
    settings = request.settings
    kind = places.kind_of(account)
    if kind == "practice":
        for line in practice_banner(settings, practising):
            log.warning("practice", what=line)
    log.info("account", what=account, kind=kind, mode=settings.execution_mode, config=settings.fingerprint())
    log.info("database", what=str(database))
    if request.dashboard:
        log.info("page", what=f"{page_of(request)} once trading begins")


def practice_banner(settings: Settings, practising: bool) -> list[str]:
    """Say that nothing here is real, and how predictable the market was made; `practising` with our own gateway."""
    lines = ["PRACTICE MARKET: prices and fills are simulated, no real money moves"]
    if not practising:
        return [
            *lines,
            f"whoever started the gateway on port {settings.ibkr_port} chose its market and its edge",
        ]
    lines.append("RoboTrader started this gateway itself; no TWS is involved")
    if settings.practice_turn:
        lines.append(f"planted turn {settings.practice_turn}: from that day on it is so many times as loud")
    if settings.practice_edge == 0:
        return [*lines, "no planted edge: there is nothing to learn, honest models abstain"]
    return [
        *lines,
        f"planted edge, strength {settings.practice_edge:g}: stretched prices lean back to their 20-bar mean",
        "so profits here mean nothing; PRACTICE_EDGE=0 takes the edge out",
    ]


def page_of(request: Request) -> str:
    """Return the address of the page, empty without one."""
    return f"http://127.0.0.1:{request.settings.dashboard_port}" if request.dashboard else ""
