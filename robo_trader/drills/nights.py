"""`robo-trader drill nights`: a daemon that retrains each night, is killed in the midst of it, and goes back to a model."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from robo_trader.core.events import Event, ModelChanged, Retrained, Role, decode_event
from robo_trader.drills.daemon import DaemonProcess
from robo_trader.drills.ledger import NOT_READY, Finding
from robo_trader.drills.report import note, say
from robo_trader.drills.round import ENDS_S, replays
from robo_trader.drills.stage import Stage, StageOptions
from robo_trader.drills.verdict import DIED
from robo_trader.ml import registry, roles
from robo_trader.storage import queries

SYMBOLS = ("AAPL", "NVDA")
# Weak for having seen hardly anything, so that the first night has something to better.
WEAK_DAYS = 8
SETTINGS = {
    "ml_retrain_after_min": 0,
    "ml_shadow_bars": 200,
    "ibkr_logins_per_hour": 3600,
    "risk_max_price_age_s": 3_600,
}
PATIENCE_S, POLL_S = 900.0, 0.1
NOT_PROMOTED, NOT_REFUSED, NOT_ROLLED_BACK = "not_promoted", "not_refused", "not_rolled_back"
LOST, NOT_SERVED, TWICE = "lost", "not_served", "run_twice"


@dataclass(frozen=True)
class Wish:
    """What a user asked of the drill: nights (the last is killed in the midst), sessions to learn from, speed, seed."""

    nights: int = 3
    days: int = 60
    speed: float = 600.0
    seed: int = 1
    as_json: bool = False


@dataclass
class Nights:
    """One daemon over some nights, and what was wrong with them."""

    wish: Wish
    stage: Stage
    findings: list[Finding] = field(default_factory=list)

    async def run(self) -> None:
        """Go through it all; what is missing in the end is a finding."""
        await self._start()
        weak = await self._weaken()
        for night in range(1, self.wish.nights + 1):
            await self._trade()
            await (self._killed_night() if night == self.wish.nights else self._night())
        await self._roll_back(weak)
        await self._end()

    # ------------------------------------------------------------------------------------------ the steps

    async def _start(self) -> None:
        daemon = await self.stage.spawn()
        if not await daemon.until("ready", PATIENCE_S):
            raise _Over(Finding(NOT_READY, "start", daemon.last_words()))
        note(f"ready, trading on {self._champion}")

    async def _weaken(self) -> str:
        """Train a model on next to nothing and give it the champion's role by hand; return its version."""
        home = self.stage.home.path
        await self._command(
            "robo_trader.train_models", "--db", str(self._database), "--name", self._models.name, "--models",
            str(home / "trained_models"), "--symbols", ",".join(SYMBOLS), "--days", str(WEAK_DAYS),
        )  # fmt: skip
        newest = registry.latest(home / "trained_models", self._models.name)
        assert newest is not None, "it was just trained"
        await self._command(
            "robo_trader", "models", "promote", newest.name, "--reason", "a weak one to begin with"
        )
        await self._until(lambda: self._adopted == newest.name, NOT_SERVED, "it is not traded on")
        note(f"went over to {newest.name}, which knows {WEAK_DAYS} sessions")
        return newest.name

    async def _trade(self) -> None:
        """Let the market run to its close and stand there."""
        market = self.stage.market
        market.closed.clear()
        market.let_go()
        await asyncio.wait_for(market.closed.wait(), PATIENCE_S)

    async def _night(self) -> None:
        """Wait until the night is over."""
        close = self.stage.market.now
        await self._until(lambda: self._is_over(close), NOT_READY, "the night does not end")
        await self._until(
            self._all_adopted, NOT_SERVED, "the desk does not go over to what the night came to"
        )
        note(f"night of {self.stage.market.days[-1]}: {self._job['detail']}")

    async def _killed_night(self) -> None:
        """Kill the daemon in the midst of the training; the next must trade on the same model and begin again, once."""
        await self._until(lambda: "training: folds" in self._job["detail"], NOT_READY, "no training began")
        daemon, before, standing = self.stage.daemon, self._versions, roles.read(self._models)
        assert daemon is not None, "it runs"
        assert standing is not None, "it retrains"
        begun = self._begun
        await daemon.kill()
        if self._versions != before:
            self.findings.append(Finding(LOST, "versions", f"{before} became {self._versions}"))
        again = await self.stage.spawn()
        if not await again.until("ready", PATIENCE_S):
            raise _Over(Finding(NOT_READY, "restart", again.last_words()))
        if self._champion != standing.champion:
            what = f"after the kill {self._champion} is traded on, not {standing.champion}"
            self.findings.append(Finding(NOT_SERVED, standing.champion, what))
        await self._night()
        if self._begun != begun + 1:
            self.findings.append(
                Finding(TWICE, "training", f"{self._begun - begun} trainings after the kill, not 1")
            )
        if len(self._versions) != len(before) + 1:
            self.findings.append(
                Finding(LOST, "version", f"{before} became {self._versions} by one training")
            )
        note(f"killed in the midst of training and started again: {len(self._versions)} versions")

    async def _roll_back(self, weak: str) -> None:
        standing = roles.read(self._models)
        before = standing.predecessor if standing else ""
        if not before:
            self.findings.append(
                Finding(NOT_ROLLED_BACK, weak, "no model was promoted that could be rolled back")
            )
            return
        await self._command("robo_trader", "models", "rollback", "--reason", "to show that it can be done")
        await self._until(
            lambda: self._adopted == before, NOT_ROLLED_BACK, f"it does not go back to {before}"
        )
        note(f"rolled back to {before} without a restart")

    async def _end(self) -> None:
        daemon = self.stage.daemon
        assert daemon is not None, "it runs"
        daemon.signal(signal.SIGTERM)
        code = await daemon.ended(ENDS_S)
        if code != 0:
            self.findings.append(Finding(DIED, "end", f"asked to end it ended with {code}"))
        told = self.told
        results = [event.result for event in told if isinstance(event, Retrained)]
        for result, counter in (("promoted", NOT_PROMOTED), ("refused", NOT_REFUSED)):
            if result not in results:
                self.findings.append(Finding(counter, result, f"of {results} none is {result}"))
        self.findings += replays(self.stage.home)

    # ------------------------------------------------------------------------------------------ what is seen

    @property
    def told(self) -> list[Event]:
        """What the journal has of models, in order."""
        with closing(queries.connect_readonly(self._database)) as connection:
            rows = connection.execute(
                'SELECT event FROM journal WHERE event LIKE \'{"kind":"ModelChanged%\' '
                'OR event LIKE \'{"kind":"Retrained%\' ORDER BY rowid'
            ).fetchall()
        return [decode_event(event.encode()) for (event,) in rows]

    @property
    def _database(self) -> Path:
        found = self.stage.home.database
        assert found is not None, "the daemon made it"
        return found

    @property
    def _models(self) -> Path:
        (found,) = (self.stage.home.path / "trained_models").iterdir()
        return found

    @property
    def _versions(self) -> list[str]:
        return [entry.version for entry in roles.listing(self._models.parent, self._models.name)]

    @property
    def _champion(self) -> str:
        with closing(queries.connect_readonly(self._database)) as connection:
            session = queries.session_row(connection)
        return Path(session["config"]["model"]).name if session else ""

    @property
    def _adopted(self) -> str:
        return self._heard(Role.CHAMPION, "")

    def _heard(self, role: Role, at_start: str) -> str:
        """Return who has a role as the present session was told last, and before that as it began."""
        changes = [one for one in self.told if isinstance(one, ModelChanged) and one.role is role]
        return changes[-1].version if changes else at_start

    def _all_adopted(self) -> bool:
        standing = roles.read(self._models)
        return standing is None or self._heard(Role.CHALLENGER, "") == standing.challenger

    @property
    def _begun(self) -> int:
        with closing(queries.connect_readonly(self._database)) as connection:
            found: int = connection.execute("SELECT count(*) FROM trainings").fetchone()[0]
        return found

    @property
    def _job(self) -> dict[str, Any]:
        with closing(queries.connect_readonly(self._database)) as connection:
            return queries.job(connection, "retraining") or {"state": "", "detail": "", "next_run_ns": 0}

    def _is_over(self, close: int) -> bool:
        job = self._job
        return job["state"] in ("waiting", "failed") and (job["next_run_ns"] or 0) > close

    async def _until(self, done: Callable[[], bool], counter: str, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        daemon = self.stage.daemon
        while not done():
            if daemon is None or not daemon.running or time.monotonic() > deadline:
                raise _Over(
                    Finding(counter, what, f"{what}: {daemon.last_words() if daemon else 'no daemon'}")
                )
            await asyncio.sleep(POLL_S)

    async def _command(self, *words: str) -> None:
        """Run a command of ours where the daemon runs."""
        process = await DaemonProcess.start(self.stage.home, words[1:], self.stage.settings, words[:1])
        code = await process.ended(PATIENCE_S)
        if code != 0:
            raise _Over(
                Finding(DIED, words[0], f"{' '.join(words)} ended with {code}: {process.last_words()}")
            )


class _Over(Exception):
    """The drill cannot go on: its first argument is the finding."""


def run(wish: Wish, directory: Path) -> bool:
    """Drill the nights in a directory and print what the journal has of them; return whether all went as it should."""
    told, findings = asyncio.run(_drill(wish, directory))
    if wish.as_json:
        events = [msgspec.to_builtins(event) for event in told]
        found = [finding._asdict() for finding in findings]
        say(json.dumps({"drill": "nights", "seed": wish.seed, "told": events, "findings": found}, indent=2))
    else:
        say("\n".join([*map(_words, told), "", *(f"* {f.counter}: {f.what}" for f in findings)]))
    return not findings


async def _drill(wish: Wish, directory: Path) -> tuple[Sequence[Event], list[Finding]]:
    settings = {**SETTINGS, "ml_history_days": wish.days}
    options = StageOptions(
        wish.seed, wish.speed, SYMBOLS, settings=settings, words=("--no-dashboard", "--use-ml")
    )
    async with Stage(directory, options) as stage:
        nights = Nights(wish, stage)
        try:
            await nights.run()
        except _Over as over:
            nights.findings.append(over.args[0])
        return nights.told if stage.home.database else (), nights.findings


def _words(event: Event) -> str:
    match event:
        case ModelChanged():
            return f"{event.role} {event.version or 'none'} by {event.by}: {event.reason}"
        case Retrained():
            return f"night: {event.result} {event.version}: {event.reason}"
    return ""
