"""One account under drill: its market, its daemons one after another, and the look at both books when all is at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from robo_trader.core.errors import DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.drills.daemon import DaemonProcess, Home
from robo_trader.drills.ledger import FILLS_LOST, NOT_READY, Books, Finding, Truth, compare
from robo_trader.drills.market import HeldMarket
from robo_trader.drills.stored import progress, read_books
from robo_trader.simulation.flow import FlowOptions

READY_WITHIN_S, AWAKE_WITHIN_S = 60.0, 30.0
# After a start the market goes on for so long, that the first bars may find what waits for a price.
WAKE_S = 130.0
MORE_S = 70.0  # where both sides do not agree yet: another bar
LOOKS = 4
LATE_S = 120.0  # market seconds by which the latest event may lag: a bar is told when it closes
POLL_S = 0.005
NIGHT_S = 3_600.0  # a step of the clock longer than this is one
QUIET_WITHIN_S = 8.0  # wall seconds both sides get to agree while the market stands
BETWEEN_LOOKS_S = 0.05
# Trades as much as it can: short averages, both ways, schedules and plain orders, and no limit that would end it.
BUSY: Mapping[str, object] = {
    "strategy_fast": 5,
    "strategy_slow": 10,
    "strategy_allow_short": True,
    "execution_twap_duration_s": 150,
    "execution_twap_above": 0.02,
    "risk_position_sizing": "fixed",
    "risk_target_fraction": 0.08,
    "risk_max_daily_loss_fraction": 1,
    "risk_max_heat_fraction": 10,
    "risk_max_price_age_s": 3_600,
}
SYMBOLS = ("AAPL", "NVDA", "MSFT", "TSLA", "AMD", "META")


@dataclass(frozen=True)
class StageOptions:
    """What is traded in a drill, how fast its market goes, and how thin it is."""

    seed: int = 1
    speed: float = 600.0
    symbols: tuple[str, ...] = SYMBOLS
    depth: float = 0.002  # of a slice's volume, what the touch shows: orders fill in parts
    settings: Mapping[str, object] = field(default_factory=dict)
    words: tuple[str, ...] = ("--no-dashboard",)  # further arguments of the daemon


class Stage:
    """Everything of one account. Its market stands still unless it is told to go."""

    def __init__(self, path: Path, options: StageOptions = StageOptions()) -> None:
        self.home = Home(path)
        self.market = HeldMarket(options.seed, options.speed, FlowOptions(depth=options.depth))
        self.daemon: DaemonProcess | None = None
        self.market.stops_at_the_close = True
        self._options = options
        self._opened = 0  # sessions that had books before the present daemon was started
        self._going = False
        self._night: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.market.__aenter__()
        self._night = asyncio.create_task(self._nights())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        if self._night is not None:
            self._night.cancel()
            await asyncio.gather(self._night, return_exceptions=True)
        await self.market.__aexit__(kind, error, trace)

    # ------------------------------------------------------------------------------------------- the daemon

    @property
    def settings(self) -> dict[str, object]:
        """What the daemons are told by their environment."""
        return {**BUSY, "ibkr_port": self.market.port, **self._options.settings}

    async def spawn(self, victim: Sequence[str] = ()) -> DaemonProcess:
        """Start the daemon; `victim` are arguments of `robo_trader.drills.victim`, which ends it at a step."""
        options = self._options
        before = ("robo_trader.drills.victim", *victim, "--") if victim else ("robo_trader",)
        words = ("run", "--symbols", ",".join(options.symbols), "--practice", "never", *options.words)
        self._opened = progress(database).opened if (database := self.home.database) is not None else 0
        self.daemon = await DaemonProcess.start(self.home, words, self.settings, before)
        return self.daemon

    async def start(self, victim: Sequence[str] = ()) -> float | None:
        """Start the daemon and wait until it is ready; return the seconds that took, None where it did not come to it."""
        daemon = await self.spawn(victim)
        if await daemon.until("ready", READY_WITHIN_S):
            return time.monotonic() - daemon.began
        if not daemon.running:
            await daemon.ended()
        return None

    async def kill(self) -> None:
        """End the daemon with SIGKILL, if there is one."""
        if self.daemon is not None:
            await self.daemon.kill()
        self.daemon = None

    @property
    def is_dead(self) -> bool:
        """Whether the daemon has ended, though nobody killed it."""
        return self.daemon is not None and not self.daemon.running

    def died(self) -> Finding:
        """Say how a daemon ended that should not have, or that it is silent."""
        daemon = self.daemon
        assert daemon is not None, "it was started"
        code = daemon.process.returncode
        how = "is silent" if code is None else f"ended with code {code}"
        return Finding(NOT_READY, str(daemon.pid), f"process {daemon.pid} {how}: {daemon.last_words()}")

    # ------------------------------------------------------------------------------------------- the market

    def go(self) -> None:
        """Let the market go on; from a close only once the day's last trades are booked."""
        self._going = True
        if not self.market.closed.is_set():
            self.market.let_go()

    def stand(self) -> None:
        """Let the market stand still."""
        self._going = False
        self.market.hold()

    async def pass_time(self, market_s: float) -> None:
        """Let the market go on for so long, a night not counted, and stand. Without a daemon no night begins."""
        market = self.market
        left, last = market_s, market.now
        self.go()
        while left > 0 and not (market.closed.is_set() and (self.daemon is None or self.is_dead)):
            await asyncio.sleep(POLL_S)
            if self._night is not None and self._night.done():
                self._night.result()
            passed, last = (market.now - last) / SECOND_NS, market.now
            left -= passed if passed < NIGHT_S else 0.0
        self.stand()

    async def _nights(self) -> None:
        """Begin the next day once the last trades of this one are booked: of yesterday's no broker tells."""
        while True:
            await self.market.closed.wait()
            await asyncio.sleep(POLL_S)
            if self._going and self.daemon is not None and self.daemon.running and self._all_booked():
                self.market.let_go()

    def _all_booked(self) -> bool:
        return not any(finding.counter == FILLS_LOST for finding in compare(*self.look()))

    # ---------------------------------------------------------------------------------------- the comparison

    async def settle(self, known: Collection[tuple[str, str]] = ()) -> list[Finding]:
        """Return what differs between both books once all is at rest; the market stands when this returns.

        What is `known` (counter and key) to be wrong is waited for no more, and left out.
        """
        if not await self._wake():
            if self.is_dead:
                return [self.died()]
            return [Finding(NOT_READY, self._told(), f"the desk does not follow the market: {self._told()}")]
        for look in range(LOOKS):
            if look:
                await self.pass_time(MORE_S)
            found = await self._at_rest(known)
            if not found:
                return []
        return found

    async def _wake(self) -> bool:
        """Let the market go on until the daemon has come to its time; return whether it has."""
        deadline = time.monotonic() + AWAKE_WITHIN_S
        await self.pass_time(WAKE_S)
        while not self.is_awake:
            if self.is_dead or time.monotonic() > deadline:
                return False
            await self.pass_time(WAKE_S / 10)
        return True

    async def _at_rest(self, known: Collection[tuple[str, str]]) -> list[Finding]:
        """Look until two looks in a row show the same, and nothing wrong; return what is wrong after all."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        before: tuple[Truth, Books] | None = None
        while True:
            await asyncio.sleep(BETWEEN_LOOKS_S)
            seen = self.look()
            found = [finding for finding in compare(*seen) if finding[:2] not in known]
            if before == seen and not found:
                return []
            if self.is_dead:
                return [self.died(), *found]
            if time.monotonic() > deadline:
                return found or [
                    Finding(NOT_READY, self._told(), f"the desk did not come to rest: {self._told()}")
                ]
            before = seen

    @property
    def is_awake(self) -> bool:
        """Whether the present daemon has opened its books and come to the market's time, as far as that goes on."""
        database = self.home.database
        if database is None:
            return False
        come = progress(database)
        session, now = self.market.gateway.exchange.session, self.market.now
        began = now - session.open < LATE_S * SECOND_NS
        return come.opened > self._opened and (
            began or come.ts >= min(now, session.close) - LATE_S * SECOND_NS
        )

    def look(self) -> tuple[Truth, Books]:
        """Return both sides as they are now. Raises DataError where there is no database."""
        database = self.home.database
        if database is None:
            raise DataError(f"{self.home.path}: the daemon made no database: {self._told()}")
        return self.market.gateway.truth(), read_books(database)

    def _told(self) -> str:
        return "no daemon" if self.daemon is None else self.daemon.last_words()
