"""`robo-trader drill crash`: the daemon is killed at random moments and at every step, and both books are compared."""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from robo_trader.core.errors import RoboTraderError
from robo_trader.drills.ledger import Finding, Ledger
from robo_trader.drills.replays import all_anomalies, replay_all
from robo_trader.drills.report import Row, note
from robo_trader.drills.stage import Stage, StageOptions
from robo_trader.drills.steps import STEPS, Step

RANDOM, AFTER = "random moment", "all sessions, afterwards"
TRADE_S = 1.5  # wall seconds a daemon lives at most after it is ready: 15 market minutes at speed 600
REACH_S = 12.0  # wall seconds in which a step must be passed, else it counts as not reached
AWAY_S = (0.0, 20.0, 90.0, 400.0)  # market seconds between a death and the next start
MOST_NTH = 4
STARTS = 3  # attempts to get a daemon ready before the drill gives up


@dataclass(frozen=True)
class Round:
    """One death: at a part `u` of the daemon's life, or the n-th time of a step; and how long nobody trades then."""

    name: str
    u: float = 0.0
    step: Step | None = None
    nth: int = 1
    away_s: float = 0.0
    runs_on: bool = False  # whether the market runs while the daemon starts again


@dataclass(frozen=True)
class CrashOptions:
    """How many deaths at random moments, and how many at each step; `workers` accounts are drilled side by side."""

    rounds: int = 500
    at_each_step: int = 10
    seed: int = 1
    workers: int = 1
    speed: float = 600.0


@dataclass
class CrashResult:
    """What came of it."""

    ledger: Ledger = field(default_factory=Ledger)
    rows: dict[str, Row] = field(default_factory=dict)
    executions: int = 0
    orders: int = 0
    replayed: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return how much was looked at."""
        return {"orders": self.orders, "executions": self.executions, "sessions_replayed": self.replayed}

    def row(self, name: str) -> Row:
        """Return the row of that name, made where there is none."""
        return self.rows.setdefault(name, Row(name))

    def blame(self, name: str, found: Sequence[Finding]) -> None:
        """Count what is new under a row, and say so."""
        for finding in self.ledger.add(found):
            self.row(name).found.append(finding)
            note(f"  {name}: {finding.counter}: {finding.what}")


def plan(options: CrashOptions) -> list[Round]:
    """Draw all deaths: the same for the same seed, random moments and steps mixed."""
    chance = random.Random(options.seed)
    deaths: list[tuple[str, Step | None]] = [(RANDOM, None)] * options.rounds
    deaths += [(step.name, step) for step in STEPS for _ in range(options.at_each_step)]
    chance.shuffle(deaths)
    return [
        Round(
            name,
            chance.random(),
            step,
            1 if step is None or step.at_start else chance.randint(1, MOST_NTH),
            chance.choice(AWAY_S),
            chance.random() < 0.5,
        )
        for name, step in deaths
    ]


async def crash(options: CrashOptions, directory: Path) -> CrashResult:
    """Drill; what the daemons wrote is in `directory`. Raises RoboTraderError where a daemon cannot be started at all."""
    result, deaths = CrashResult(), plan(options)
    for name in (RANDOM, *(step.name for step in STEPS)):
        result.row(name)
    homes = [directory / f"account-{number}" for number in range(1, options.workers + 1)]
    async with asyncio.TaskGroup() as group:
        for number, home in enumerate(homes):
            group.create_task(_drill(home, options, number, deaths[number :: options.workers], result))
    note("replaying every session")
    databases = [path for home in homes for path in (home / "data").glob("*.db")]
    result.replayed, failed = await asyncio.to_thread(replay_all, databases)
    result.blame(AFTER, [*failed, *all_anomalies(databases)])
    return result


async def _drill(
    home: Path, options: CrashOptions, number: int, deaths: Sequence[Round], result: CrashResult
) -> None:
    if not deaths:
        return
    async with Stage(home, StageOptions(seed=options.seed + number, speed=options.speed)) as stage:
        await Crashes(stage, result).run(deaths)
        truth, _ = stage.look()
        result.orders += len(truth.orders)
        result.executions += len(truth.fills)


class Crashes:
    """One account's share of the deaths."""

    def __init__(self, stage: Stage, result: CrashResult) -> None:
        self._stage = stage
        self._result = result
        self._starts: list[float] = []

    async def run(self, rounds: Sequence[Round]) -> None:
        """Live through all rounds, each of which ends with a daemon that runs and has been looked at."""
        following: Iterator[Round | None] = iter([*rounds[1:], None])
        await self._come_up(RANDOM, rounds[0])
        for number, (death, then) in enumerate(zip(rounds, following, strict=True), start=1):
            row = self._result.row(death.name)
            row.tried += 1
            died = await self._die(death)  # first, for others count in the same row meanwhile
            row.happened += died
            await self._stage.kill()
            await self._stage.pass_time(death.away_s)
            await self._come_up(death.name, then, death.runs_on)
            if number % 25 == 0:
                note(f"{number} of {len(rounds)} deaths, {len(self._result.ledger.found)} findings")

    # -------------------------------------------------------------------------------------------------- dying

    async def _die(self, death: Round) -> bool:
        """Return whether it died where it was meant to."""
        if death.step is None:
            return await self._die_at(death.u)
        if death.step.at_start:
            await self._stage.kill()
            await self._stage.spawn(_victim(death))
        daemon = self._stage.daemon
        assert daemon is not None, "it was started"
        if not death.step.at_start:
            daemon.signal(signal.SIGUSR2)
        self._stage.go()
        code = await daemon.ended(REACH_S)
        self._stage.stand()
        if code not in (None, -signal.SIGKILL):
            self._result.blame(death.name, [self._stage.died()])
        return code == -signal.SIGKILL

    async def _die_at(self, u: float) -> bool:
        """Kill it at a moment of its life, which begins with its start and ends after TRADE_S of trading."""
        start_s = statistics.median(self._starts)
        moment = u * (start_s + TRADE_S)
        if moment >= start_s:
            moment -= start_s
        else:
            await self._stage.kill()
            await self._stage.spawn()
        self._stage.go()
        await asyncio.sleep(moment)
        if self._stage.is_dead:
            self._result.blame(RANDOM, [self._stage.died()])
        await self._stage.kill()
        self._stage.stand()
        return True

    # ---------------------------------------------------------------------------------------------- coming up

    async def _come_up(self, name: str, then: Round | None, runs_on: bool = False) -> None:
        """Start a daemon, the victim of the next death where that needs one, and compare once all is at rest."""
        victim = (
            _victim(then) if then is not None and then.step is not None and not then.step.at_start else ()
        )
        for _ in range(STARTS):
            if runs_on:
                self._stage.go()
            ready_s = await self._stage.start(victim)
            self._stage.stand()
            if ready_s is not None:
                break
            self._result.blame(name, [self._stage.died()])
            await self._stage.kill()
        else:
            raise RoboTraderError(
                f"{self._stage.home.path}: no daemon gets ready; read {self._stage.home.log}"
            )
        self._starts.append(ready_s)
        self._result.row(name).ready_s.append(ready_s)
        self._result.blame(name, await self._stage.settle(self._result.ledger.found))


def _victim(death: Round) -> tuple[str, ...]:
    return ("--at", death.name, "--nth", str(death.nth))
