"""Whole sessions under drill: one daemon trades day after day, is disturbed, and its books are compared at each close."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from robo_trader.drills.daemon import DaemonProcess
from robo_trader.drills.expectations import EXPECTATIONS
from robo_trader.drills.ledger import NOT_READY, Finding, compare
from robo_trader.drills.round import pieced, plant
from robo_trader.drills.stage import SYMBOLS, Stage
from robo_trader.storage import queries

SETTLES_S, CALM_S = 120.0, 0.25  # wall seconds
# What a person must put right would end the run; all others may come at any moment.
PASSING = tuple(e for e in EXPECTATIONS if not e.stays)
SESSION_S = 23_400.0  # of the market


class Pulse(msgspec.Struct, frozen=True):
    """What the daemon says of its own loop: how often it was blocked over 100 ms, how often of a busy machine's doing."""

    blocks: int = 0
    starved: int = 0
    max_ms: float = 0.0


@dataclass(frozen=True)
class Day:
    """One market day: what the daemon took of the machine at its close, and what was wrong with the books then."""

    label: str
    faults: tuple[str, ...]
    executions: int
    settled_s: float
    rss_mb: float
    open_files: int
    pulse: Pulse
    findings: tuple[Finding, ...]


@dataclass
class Days:
    """Runs a stage over market days, with passing faults at random moments or none."""

    stage: Stage
    dice: random.Random
    disturbed: bool
    told: Callable[[Day], None]  # hears of each day when it is over
    lived: list[Day] = field(default_factory=list)
    _forgiven: set[str] = field(default_factory=set)

    async def run(self, days: int) -> bool:
        """Trade that many market days; False where the daemon was not ready or ended before."""
        market = self.stage.market
        market.stops_at_the_close = True
        if await self.stage.start() is None or self.stage.daemon is None:
            return False
        while len(self.lived) < days and self.stage.daemon.running:
            began: list[str] = []
            market.let_go()
            await self._trade(self.stage.daemon, began)
            self.lived.append(await self._close(self.stage.daemon, began))
            self.told(self.lived[-1])
        return len(self.lived) == days

    async def _trade(self, daemon: DaemonProcess, began: list[str]) -> None:
        """Let the market run to its close, disturbed."""
        market = self.stage.market
        closed = asyncio.create_task(market.closed.wait())
        disturbing = asyncio.create_task(self.disturb(began)) if self.disturbed else None
        while daemon.running and not closed.done() and not market.has_failed:
            await asyncio.wait({closed}, timeout=CALM_S)
        for task in (closed, disturbing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        market.gateway.lift("all")

    async def disturb(self, began: list[str]) -> None:
        """Plant a fault, lift it, and leave some peace, again and again."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.1, 0.5) * SESSION_S / self.stage.market.speed)
            expectation = self.dice.choice(PASSING)
            began.append(expectation.name)
            self._forgiven.update(expectation.forgives)
            plant(self.stage.market, expectation, self.dice, SYMBOLS)
            await asyncio.sleep(expectation.hold_s * self.dice.uniform(0.3, 1.5))
            self.stage.market.gateway.lift("all")

    async def _close(self, daemon: DaemonProcess, began: Sequence[str]) -> Day:
        start = time.monotonic()
        findings = await self._settled(daemon)
        return Day(
            self.stage.market.days[-1] if self.stage.market.days else "",
            tuple(began),
            self.stage.market.gateway.witness.executions - sum(day.executions for day in self.lived),
            time.monotonic() - start,
            resident_mb(daemon.pid),
            open_files(daemon.pid),
            pulse(self.stage.home.database),
            tuple(findings),
        )

    async def _settled(self, daemon: DaemonProcess) -> list[Finding]:
        """Compare until nothing differs twice in a row, or the time is up; the market stands at its close."""
        deadline, clean = time.monotonic() + SETTLES_S, 0
        while True:
            await asyncio.sleep(CALM_S)
            truth, books = self.stage.look()
            found = [f for f in compare(pieced(truth, books), books) if f.counter not in self._forgiven]
            clean = 0 if found else clean + 1
            if not daemon.running:
                return [*found, Finding(NOT_READY, daemon.last_words(), f"ended: {daemon.last_words()}")]
            if clean == 2 or time.monotonic() > deadline:
                return found


def resident_mb(pid: int) -> float:
    """Return the memory a process holds, MB; 0 where it has ended or the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def open_files(pid: int) -> int:
    """Return how many files and sockets a process has open; 0 where it has ended or the system does not say."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def pulse(database: Path | None) -> Pulse:
    """Return what the daemon last wrote down of its loop."""
    if database is None:
        return Pulse()
    with closing(queries.connect_readonly(database)) as connection:
        details = [job["detail"] for job in queries.jobs(connection) if job["name"] == "loop"]
    return msgspec.json.decode(details[0], type=Pulse) if details else Pulse()
