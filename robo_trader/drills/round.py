"""One round of `drill faults`: a market, a daemon that trades in it, a fault at a random moment, and what came of it."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.executions import stem
from robo_trader.drills.daemon import DaemonProcess, Home
from robo_trader.drills.expectations import SOON_S, TOLD_WITHIN_S, Expectation
from robo_trader.drills.ledger import (
    NOT_READY,
    REPLAYS_FAILED,
    Books,
    BrokerFill,
    Finding,
    OurFill,
    Truth,
    compare,
)
from robo_trader.drills.market import HeldMarket
from robo_trader.drills.replays import difference
from robo_trader.drills.stage import Stage, StageOptions
from robo_trader.drills.stored import read_books, sessions
from robo_trader.drills.verdict import BY_NAME, Planned, Seen, is_told, may_take, must_tell, wrongs
from robo_trader.practice.faults.catalogue import CATALOGUE
from robo_trader.storage import queries

# Wall seconds we wait for each.
TRADES_S, STRIKES_S, SETTLES_S, COMMAND_S, ENDS_S = 30.0, 5.0, 150.0, 30.0, 6.0
BEFORE = 10  # executions before a fault strikes
# What takes a minute of the wall must not take the market over a close: nobody tells the trades of yesterday.
SLOW = 60.0
LATE_S = 150.0  # a quarantine that is told too late counts, and must be put right all the same
LOOK_S, CALM_S = 0.05, 0.5
FOREVER_S = 1e9  # of market time
log = structlog.get_logger()


class Round:
    """Plays one planned round."""

    def __init__(self, planned: Planned, directory: Path, options: StageOptions) -> None:
        """Plan to play it in a directory of its own below `directory`."""
        self._planned = planned
        self._expected = [BY_NAME[name] for name in planned.faults]
        self._dice = random.Random(planned.seed)
        self._symbols = options.symbols
        self._stage = Stage(directory / f"{planned.number:04d}", replace(options, seed=planned.seed % 1_000))
        self._market, self._home = self._stage.market, self._stage.home
        self._market.stops_at_the_close = False
        self._heard: list[str] = []  # the matters that alerts told of since the fault
        self._struck_at = 0.0

    async def play(self) -> Seen:
        """Play it. The files of a round in which nothing was wrong are taken away."""
        began = time.monotonic()
        async with self._stage as stage:
            ready_s = await stage.start()
            assert stage.daemon is not None, "it has been started"
            if ready_s is None:
                seen = self._failed(stage.daemon, f"not ready: {stage.daemon.last_words()}")
            else:
                seen = await self._with(stage.daemon)
        seen = msgspec.structs.replace(seen, took_s=time.monotonic() - began, kept=str(self._home.path))
        if not wrongs(seen, self._expected):
            shutil.rmtree(self._home.path)
            seen = msgspec.structs.replace(seen, kept="")
        return seen

    async def _with(self, daemon: DaemonProcess) -> Seen:
        self._market.let_go()
        if not await self._within(self._trades, TRADES_S):
            return self._failed(daemon, "it did not begin to trade")
        await asyncio.sleep(self._dice.uniform(0, 3))
        self._strike()
        told_s = await self._hold(daemon)
        struck = self._lift()
        stays = any(e.stays for e in self._expected)
        if stays and told_s is None:
            told_s = await self._until_told(daemon, LATE_S)
        findings = await self._put_right() if stays else []
        resumed_s = await self._resumed(daemon)
        ended_early = not daemon.running
        await self._rest(stays)
        findings += await self._settled(daemon)
        daemon.signal(signal.SIGTERM)
        exit_code = await daemon.ended(ENDS_S)
        findings += replays(self._home)
        return Seen(
            self._planned,
            tuple(findings),
            exit_code,
            ended_early,
            told_s,
            tuple(self._heard),
            resumed_s,
            struck,
        )

    def _failed(self, daemon: DaemonProcess, why: str) -> Seen:
        finding = Finding(NOT_READY, f"round {self._planned.number}", why)
        return Seen(self._planned, (finding,), ended_early=not daemon.running)

    # ------------------------------------------------------------------------------------------------ the fault

    def _strike(self) -> None:
        if any(e.tells or e.within_s > SOON_S for e in self._expected):
            self._market.speed = SLOW
        self._struck_at = time.monotonic()
        for expectation in self._expected:
            plant(self._market, expectation, self._dice, self._symbols)

    async def _hold(self, daemon: DaemonProcess) -> float | None:
        """Leave it in place for its time, or until the user was told; return when he was."""
        alone = len(self._expected) == 1 and bool(self._expected[0].stops)
        if alone:
            return await self._until_told(daemon)
        await asyncio.sleep(max(e.hold_s for e in self._expected) + self._dice.uniform(0, 2))
        await self._within(self._has_struck, STRIKES_S)
        return self._listen(daemon)

    def _has_struck(self) -> bool:
        """Whether each fault that waits for a message has met one; what has struck all it may is gone already."""
        return all(fault["strikes"] for fault in self._market.gateway.planted())

    def _lift(self) -> bool:
        """Take all faults away; return whether they have struck."""
        struck = self._has_struck()
        self._market.gateway.lift("all")
        return struck

    # ------------------------------------------------------------------------------------------- what came of it

    async def _until_told(self, daemon: DaemonProcess, within_s: float = TOLD_WITHIN_S) -> float | None:
        left = self._struck_at + within_s + CALM_S - time.monotonic()
        await self._within(lambda: self._listen(daemon) is not None or not daemon.running, left)
        return self._listen(daemon)

    def _listen(self, daemon: DaemonProcess) -> float | None:
        """Note what alerts there are; return how long after the fault the one came that had to."""
        for line in list(daemon.said):
            matter = line.get("matter") if line.get("event") == "alert" else None
            if isinstance(matter, str) and matter not in self._heard:
                self._heard.append(matter)
        tells = must_tell(self._expected)
        return time.monotonic() - self._struck_at if tells and is_told(self._heard, tells) else None

    async def _put_right(self) -> list[Finding]:
        """Do what a person does about symbols in quarantine: say that the broker is right."""
        findings = []
        await asyncio.sleep(CALM_S)
        for symbol in sorted(self._quarantined()):
            why = await self._command("reconcile", symbol, "--adopt", "--reason", "drill")
            if why:
                findings.append(Finding(NOT_READY, f"round {self._planned.number} {symbol}", why))
        return findings

    def _quarantined(self) -> frozenset[str]:
        database = self._home.database
        return read_books(database).quarantined if database is not None else frozenset()

    async def _resumed(self, daemon: DaemonProcess) -> float | None:
        """Wait until bars come again and a position grows; return how long that took."""
        began, mark = time.monotonic(), self._market.now
        books = self._market.gateway.books
        before = {symbol: books.quantity(symbol) for symbol in self._symbols}
        grown: set[str] = set()

        def is_back() -> bool:
            for symbol in self._symbols:
                quantity = books.quantity(symbol)
                if quantity and (quantity * before[symbol] <= 0 or abs(quantity) > abs(before[symbol])):
                    grown.add(symbol)
                before[symbol] = quantity
            return not daemon.running or (bool(grown) and self._has_bars_since(mark))

        await self._within(is_back, may_take(self._expected))
        back = daemon.running and bool(grown) and self._has_bars_since(mark)
        return time.monotonic() - began if back else None

    def _has_bars_since(self, ts: int) -> bool:
        database = self._home.database
        assert database is not None, "a daemon that is ready has made it"
        connection = queries.connect_readonly(database)
        try:
            rows = connection.execute(
                "SELECT symbol FROM bars WHERE history = 0 AND ts > ? GROUP BY symbol", (ts,)
            )
            return {symbol for (symbol,) in rows} >= set(self._symbols)
        finally:
            connection.close()

    async def _rest(self, moved: bool) -> None:
        """Let nothing trade any more: the clock stands or, where cash moved too, it runs on and the desk is halted.

        Cash that moved without a trade is believed once it has stood for minutes of the market with no order at work.
        """
        if moved:
            await self._command("halt", "--reason", "books are compared")
        else:
            self._market.hold()

    async def _command(self, *words: str) -> str:
        """Give the daemon a command as a user does; return why it failed, empty where it did not."""
        command = await DaemonProcess.start(self._home, words, {})
        code = await command.ended(COMMAND_S)
        await command.kill()
        return "" if code == 0 else f"{' '.join(words)} ended with {code}: {command.last_words()}"

    async def _settled(self, daemon: DaemonProcess) -> list[Finding]:
        """Compare until nothing differs that may not, twice in a row, or the time is up."""
        deadline = time.monotonic() + SETTLES_S
        clean = 0
        while True:
            await asyncio.sleep(CALM_S)
            findings = self._compared()
            wrong = wrongs(Seen(self._planned, tuple(findings), resumed_s=0.0, told_s=0.0), self._expected)
            clean = 0 if wrong else clean + 1
            if clean == 2 or not daemon.running or time.monotonic() > deadline:
                return findings

    def _compared(self) -> list[Finding]:
        database = self._home.database
        if database is None:
            return []
        truth, books = self._stage.look()
        return compare(pieced(truth, books), books)

    # --------------------------------------------------------------------------------------------------- waiting

    def _held(self) -> list[str]:
        return sorted(set(self._market.gateway.books.held()) & set(self._symbols))

    def _trades(self) -> bool:
        return self._market.gateway.witness.executions > BEFORE and len(self._held()) > 1

    async def _within(self, is_so: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not is_so():
            self._market.require_well()
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True


def plant(market: HeldMarket, expectation: Expectation, dice: random.Random, symbols: Sequence[str]) -> None:
    """Plant a fault as its expectation says, about a share that is held where it needs one, until it is lifted."""
    gateway, kind = market.gateway, CATALOGUE[expectation.fault]
    given = dict(expectation.given)
    given |= {name: wall_s * market.speed for name, wall_s in expectation.seconds.items()}
    if kind.lasts_s:
        given.setdefault("for", FOREVER_S)  # its own time is of the market
    if kind.needs_symbol:
        held = sorted(set(gateway.books.held()) & set(symbols))
        given.setdefault("symbol", dice.choice(held or list(symbols)))
    try:
        gateway.plant(expectation.fault, **given)
    except ConfigurationError as error:
        log.warning("not_planted", fault=expectation.name, why=str(error))
    if expectation.provoked_by:
        gateway.plant(expectation.provoked_by)


def pieced(truth: Truth, books: Books) -> Truth:
    """Return the broker's executions as they were told: the fault `partial-fills` tells one as several.

    The pieces of `A.01` are `A01.01`, `A02.01` and so on; where ours add up to it they are what the broker did.
    """
    whole = {stem(fill.exec_id): fill for fill in truth.fills}
    parts: dict[str, list[OurFill]] = defaultdict(list)
    for ours in books.fills:
        name = stem(ours.exec_id)
        if ours.standing and name not in whole and name[:-2] in whole:
            parts[name[:-2]].append(ours)
    fills: list[BrokerFill] = []
    for name, fill in whole.items():
        pieces = parts.get(name, [])
        agree = sum(piece.quantity for piece in pieces) == fill.quantity
        fills += [_piece(fill, piece) for piece in pieces] if pieces and agree else [fill]
    return msgspec.structs.replace(truth, fills=tuple(fills))


def _piece(fill: BrokerFill, ours: OurFill) -> BrokerFill:
    paid = ours.commission if ours.commission is not None else fill.commission
    return msgspec.structs.replace(fill, exec_id=ours.exec_id, quantity=ours.quantity, commission=paid)


def replays(home: Home) -> list[Finding]:
    """Replay every session of a home's database; return those that come out otherwise."""
    database = home.database
    told = {session: difference(database, session) for session in sessions(database)} if database else {}
    return [Finding(REPLAYS_FAILED, session, why) for session, why in told.items() if why]
