"""`robo-trader drill kill`: every way to stop the desk, in every bad night, measured at the broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robo_trader.core.errors import ConfigurationError, RoboTraderError
from robo_trader.drills.ledger import BrokerOrder, Finding, Ledger
from robo_trader.drills.report import Row, line, note
from robo_trader.drills.stage import Stage, StageOptions
from robo_trader.drills.switches import NIGHTS, REASON, WAYS, Broken, Night, Way, free_port, say, tell

SPEED, DEPTH = 120.0, 0.0002  # so thin that an order works for minutes of the market
QUIET_S = (
    3.0  # wall seconds without an order that opens, after which the desk counts as stopped: 6 market minutes
)
STOPPED_WITHIN_S = 40.0
CAUGHT_WITHIN_S = 40.0  # wall seconds to wait for an order that opens, to be caught with it
FLAT_WITHIN_S, AGAIN_WITHIN_S, ENDS_WITHIN_S = 20.0, 40.0, 20.0
POLL_S = 0.02
NOT_STOPPED, NOT_KEPT, NOT_REDUCED = "not_stopped", "not_kept", "not_reduced"
RESUMED_UNASKED, NOT_RESUMED = "resumed_without_reason", "not_resumed"
WRONGS: Mapping[str, str] = {
    NOT_STOPPED: "an order that opens worked, or was sent, long after the stop",
    NOT_KEPT: "the daemon started again, and was not stopped any more",
    NOT_REDUCED: "a stopped desk did not close its positions when told to",
    RESUMED_UNASKED: "trading was resumed without a reason",
    NOT_RESUMED: "trading was not resumed with a reason",
}


@dataclass(frozen=True)
class KillOptions:
    """Which ways and nights, all of them by default."""

    ways: tuple[str, ...] = ()
    nights: tuple[str, ...] = ()
    seed: int = 1


@dataclass
class Pull:
    """One night, one way, and what came of it. Times in wall seconds."""

    night: str
    way: str
    working: int = 0  # orders that opened when it was pulled
    quiet_s: float | None = None  # until none worked any more
    ended: int | None = None  # the daemon's exit code, where it ended of the night
    flat_s: float | None = None
    wrongs: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)


@dataclass
class KillResult:
    """All pulls, and what was wrong in the books."""

    ledger: Ledger = field(default_factory=Ledger)
    pulls: list[Pull] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The wrongs of the switch itself, all of them named."""
        counted = Counter(wrong for pull in self.pulls for wrong in pull.wrongs)
        return {name: counted[name] for name in WRONGS}

    @property
    def is_clean(self) -> bool:
        return self.ledger.is_clean and not any(self.counts.values())

    def rows(self) -> list[Row]:
        """Return the pulls as rows of the JSON."""
        return [
            Row(f"{pull.night} / {pull.way}", 1, int(NOT_STOPPED not in pull.wrongs), found=pull.found)
            for pull in self.pulls
        ]


def table(pulls: Iterable[Pull]) -> str:
    """Write the pulls as a table in Markdown."""
    head = ["night", "way", "at work", "none after s", "daemon ended", "flat after s", "wrong"]
    lines = [line(head), line(["---", "---", *["---:"] * 4, "---"])]
    for pull in pulls:
        wrong = ", ".join([*pull.wrongs, *(finding.counter for finding in pull.found)])
        figures = [pull.working, _rounded(pull.quiet_s), pull.ended, _rounded(pull.flat_s)]
        lines.append(line([pull.night, pull.way, *figures, wrong]))
    return "\n".join(lines)


async def kill(options: KillOptions, directory: Path) -> KillResult:
    """Pull each switch in each night; what the daemons wrote is in `directory`. Raises ConfigurationError."""
    result = KillResult()
    nights = [night for night in NIGHTS if not options.nights or night.name in options.nights]
    ways = [way for way in WAYS if not options.ways or way.name in options.ways]
    if not nights or not ways:
        known = [*(night.name for night in NIGHTS), *(way.name for way in WAYS)]
        raise ConfigurationError(f"there is no such night or way; there are: {', '.join(known)}")
    for night in nights:
        for way in ways:
            if way.by_page and not night.pages:
                continue
            home = directory / f"{night.name}-{way.name}".replace(" ", "-")
            pull = await Attempt(night, way, home, options.seed).run()
            result.ledger.add(pull.found)
            result.pulls.append(pull)
            note(table([pull]).splitlines()[-1])
    return result


class Attempt:
    """One way pulled in one night, on an account of its own."""

    def __init__(self, night: Night, way: Way, home: Path, seed: int) -> None:
        self._night = night
        self._way = way
        self._pull = Pull(night.name, way.name)
        self._broken = Broken()
        self._opened: dict[int, float] = {}  # orders that open, and when each was first seen
        pages = {"dashboard_port": free_port(), "hub_port": free_port()}
        self._stage = Stage(
            home,
            StageOptions(seed, SPEED, depth=DEPTH, settings=pages | dict(night.settings), words=night.words),
        )

    async def run(self) -> Pull:
        """Return what came of it."""
        async with self._stage as stage:
            try:
                if await stage.start() is None:
                    raise RoboTraderError(
                        f"{stage.home.path}: the daemon did not get ready: {stage.died().what}"
                    )
                await self._caught()
                await self._stop()
                await self._look_after()
            finally:
                self._broken.mend()
        return self._pull

    # ------------------------------------------------------------------------------------------- before and at it

    async def _caught(self) -> None:
        """Wait until an order that opens is at work, and something is held that must stay protected."""
        self._stage.go()
        patience = CAUGHT_WITHIN_S if self._night.opens else QUIET_S
        held = self._stage.market.gateway.books.held
        await self._until(lambda: self._is_opening() and len(held()) > 1, patience)

    def _is_opening(self) -> bool:
        """Whether an order that opens is at work, or one of a schedule was sent just now."""
        working, now = self._working(), time.monotonic()
        return bool(working) or (
            self._night.slices and any(now - seen < QUIET_S / 10 for seen in self._opened.values())
        )

    async def _stop(self) -> None:
        """Break what the night breaks, pull the switch, and watch until no order that opens has been seen for long."""
        night = self._night
        night.begin(self._stage, self._broken)
        self._pull.working, began = len(self._working()), time.monotonic()
        pulling = asyncio.create_task(self._way.pull(self._stage))
        last = now = began
        while not pulling.done() or (
            min(now - last, now - began) < QUIET_S and now - began < STOPPED_WITHIN_S
        ):
            await asyncio.sleep(POLL_S)
            now = time.monotonic()
            if self._working():
                last = now
            last = max([last, *self._opened.values()])
            if pulling.done() and now - began > QUIET_S / 2 and not night.ends:
                self._broken.mend()
        pulling.result()
        self._pull.quiet_s = last - began
        if last - began >= STOPPED_WITHIN_S - QUIET_S:
            self._pull.wrongs.append(NOT_STOPPED)
        if night.ends:
            await self._until(lambda: self._stage.is_dead, ENDS_WITHIN_S)

    def _working(self) -> list[BrokerOrder]:
        """Return the orders at work that would open a position; note when each that opened one was seen first."""
        truth, now = self._stage.market.gateway.truth(), time.monotonic()
        for order in truth.orders.values():
            if opens(order, order.held, order.quantity):
                self._opened.setdefault(order.perm_id, now)
        held = truth.positions
        return [
            o for o in truth.orders.values() if o.workable and opens(o, held.get(o.symbol, 0), o.workable)
        ]

    # ------------------------------------------------------------------------------------------------ afterwards

    async def _look_after(self) -> None:
        """With the night over: is it stopped still, are the books right, does it reduce, and resume with a reason only."""
        self._broken.mend()
        if not self._stage.is_dead:
            try:
                await self._examine()
            except RoboTraderError:
                if not self._stage.is_dead:
                    raise
            else:
                return
        # It ended of the night, at the latest when it was to do something.
        daemon = self._stage.daemon
        assert daemon is not None, "it was started"
        self._pull.ended = daemon.process.returncode
        if not self._night.ends:
            self._pull.found = [self._stage.died()]
        elif await self._comes_back():
            await self._examine()

    async def _examine(self) -> None:
        self._pull.found = await self._stage.settle()
        if self._stage.is_dead:
            raise RoboTraderError("it ended meanwhile")
        self._stage.go()
        await self._reduces()
        await self._resumes()

    async def _comes_back(self) -> bool:
        """Start the daemon again after it ended of the night. Return whether it is stopped; what was to last must be."""
        stage = self._stage
        stage.stand()
        await stage.kill()
        if await stage.start() is None:
            self._pull.found = [stage.died()]
            return False
        deadline = time.monotonic() + (ENDS_WITHIN_S if self._way.lasts else QUIET_S)
        while time.monotonic() < deadline:
            if await self._state() == "halted":
                return True
            await asyncio.sleep(POLL_S)
        if self._way.lasts:
            self._pull.wrongs.append(NOT_KEPT)
        self._pull.found = await stage.settle()
        return False

    async def _reduces(self) -> None:
        began, gateway = time.monotonic(), self._stage.market.gateway
        if not gateway.books.held():
            return
        await tell(self._stage, {"do": "flatten", "all": True, "reason": REASON})
        if await self._until(lambda: not gateway.books.held(), FLAT_WITHIN_S):
            self._pull.flat_s = time.monotonic() - began
        else:
            self._pull.wrongs.append(NOT_REDUCED)

    async def _resumes(self) -> None:
        stage = self._stage
        if await say(stage, "resume", "--reason", " ") == 0 or await self._state() != "halted":
            self._pull.wrongs.append(RESUMED_UNASKED)
        await say(stage, "resume", "--reason", REASON)
        self._working()
        known = len(self._opened)

        def trades_again() -> bool:
            self._working()
            return len(self._opened) > known

        if await self._state() != "active" or (
            self._night.opens and not await self._until(trades_again, AGAIN_WITHIN_S)
        ):
            self._pull.wrongs.append(NOT_RESUMED)

    async def _state(self) -> object:
        return (await tell(self._stage, {"do": "status"}))["state"]

    async def _until(self, done: Callable[[], bool], budget_s: float) -> bool:
        deadline = time.monotonic() + budget_s
        while not done():
            if time.monotonic() > deadline or self._stage.is_dead:
                return False
            await asyncio.sleep(POLL_S)
        return True


def opens(order: BrokerOrder, held: int, shares: int) -> bool:
    """Return whether so many shares of an order would open or turn a position of `held`; stops do not."""
    return not order.stop and not (order.sign * held < 0 and shares <= abs(held))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
