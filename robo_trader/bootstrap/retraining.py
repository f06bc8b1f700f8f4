"""Trains a challenger each night, and decides whether the last one replaces the model that is traded on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import structlog

from robo_trader.alerts import Alerts
from robo_trader.bootstrap import contest
from robo_trader.bootstrap.contest import Result, Verdict
from robo_trader.bootstrap.link import Link
from robo_trader.bootstrap.plan import Plan
from robo_trader.bootstrap.training import trainer_of
from robo_trader.config import Settings
from robo_trader.core.errors import DataError, RoboTraderError
from robo_trader.core.events import MINUTE_NS, Retrained
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ml import registry, roles
from robo_trader.ml.model import too_old
from robo_trader.storage import queries, trainings
from robo_trader.storage.database import Database

log = structlog.get_logger()
JOB, BY = "retraining", "night"
LOOK_S = 1.0
_STAGE = "training: "


class Retraining:
    """One night after the other: its time is that of the exchange, and is kept on disk should the daemon be down then."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        link: Link,
        database: Database,
        alerts: Alerts,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """`show` hears in a line how it goes, for the page."""
        self._settings = settings
        self._plan = plan
        self._link = link
        self._database = database
        self._alerts = alerts
        self._show = show
        self._home = Path(plan.model).parent
        self._calendar = XnysCalendar()
        self._due = 0
        self._last: int | None = None
        self._stage = ""
        self._heard: list[str] = []

    async def run(self) -> None:
        """Wait for the nights, until cancelled; a training that runs then is broken off, and the next start begins anew."""
        if self._settings.ml_retrain == "off":
            await self._database.record_job(JOB, None, None, "off")
            return
        # From now on a version that somebody trains challenges the one that is traded on, and does not just replace it.
        roles.settle(self._home.parent, self._home.name, BY)
        self._due = self._next(self._link.market_now())
        with closing(queries.connect_readonly(self._database.path)) as connection:
            kept = queries.job(connection, JOB)
        if kept is not None and kept["next_run_ns"] is not None:
            self._last = kept["last_run_ns"]
            self._due = min(self._due, kept["next_run_ns"])  # once, however many nights the daemon was down
        await self._note("waiting", kept["detail"] if kept is not None and kept["state"] != "off" else "")
        while True:
            await asyncio.sleep(LOOK_S)
            if self._link.market_now() >= self._due:
                await self._night()

    def _next(self, now: int) -> int:
        """Return when the next night begins: so long after the close of a session, UTC ns."""
        after_ns = self._settings.ml_retrain_after_min * MINUTE_NS
        today = date.fromisoformat(self._calendar.label_of(now))
        for session in self._calendar.sessions(today, today):
            if session.close + after_ns > now:
                return session.close + after_ns
        return self._calendar.after(today.isoformat()).close + after_ns

    async def _night(self) -> None:
        began = self._link.market_now()
        await self._note("running", "judging the challenger")
        try:
            verdict = await self._judge()
            if verdict is None or verdict.result is not Result.WAITS:
                verdict = await self._train()
        except RoboTraderError as error:
            verdict = self._tell("", Verdict(Result.FAILED, str(error)))
        if verdict.result is Result.FAILED:
            text = f"{verdict.why}; the old model goes on, the next attempt is tomorrow night"
            self._alerts.tell("retraining", "no new model this night", text)
        self._last, self._due = began, self._next(max(self._link.market_now(), self._due))
        await self._note(
            "failed" if verdict.result is Result.FAILED else "waiting", f"{verdict.result}: {verdict.why}"
        )

    async def _judge(self) -> Verdict | None:
        """Decide about the challenger, None where there is none."""
        root, name = self._home.parent, self._home.name
        standing = roles.read(self._home)
        if standing is None or not standing.challenger:
            return None
        champion, challenger = standing.champion, standing.challenger
        least, path = self._settings.ml_shadow_bars, self._database.path
        idle = self._why_idle(champion)
        verdict = await asyncio.to_thread(contest.judge, path, self._home, champion, challenger, least, idle)
        if verdict.result is Result.PROMOTED:
            roles.crown(root, name, challenger, verdict.why, BY)
        elif verdict.result is Result.REFUSED:
            roles.challenge(root, name, "")
        return self._tell(challenger, verdict)

    def _why_idle(self, champion: str) -> str:
        """Say why the champion enters nothing, empty where it does. Raises DataError where it is damaged."""
        manifest = registry.read_manifest(self._home / champion)
        if not (manifest.proven or self._settings.ml_allow_unproven):
            return f"{champion} is unproven"
        last, most = manifest.split["test"].last, self._settings.ml_max_age_days
        return too_old(champion, last, self._link.market_now(), most)

    async def _train(self) -> Verdict:
        """Train in a process that gives way to all others; the desk goes on."""
        gives_way = ("--nice", "19", "--workers", "1")
        about = (self._home.name, self._plan.traded, self._plan.bar_s)
        trainer = trainer_of(self._settings, self._database, *about, BY, *gives_way)
        self._stage, self._heard = "starting", []
        try:
            await trainer.start(heard=self._hear)
            waiting = asyncio.ensure_future(trainer.wait())
            shown = ""
            while not waiting.done():
                if shown != self._stage:
                    shown = self._stage
                    await self._note("running", f"training: {shown}")
                await asyncio.wait({waiting}, timeout=LOOK_S)
            code = waiting.result()
        finally:
            await trainer.stop()
        if code:
            raise DataError(
                f"training ended with code {code}: {' '.join(self._heard[-3:]) or 'it said nothing'}"
            )
        return self._tell(*self._found())

    def _hear(self, line: str) -> None:
        if line.startswith(_STAGE):
            self._stage = line.removeprefix(_STAGE)
            log.info("retraining", what=self._stage)
        elif line.strip():
            self._heard.append(line.strip())

    def _found(self) -> tuple[str, Verdict]:
        """Return the version that was trained, and what it is now."""
        with closing(queries.connect_readonly(self._database.path)) as connection:
            ended = trainings.last(connection, self._home.name)
        if ended is None:
            raise DataError(f"the training was not written down in {self._database.path}")
        standing = roles.read(self._home)
        if standing is not None and standing.challenger == ended.version:
            return ended.version, Verdict(
                Result.CHALLENGER, f"it votes in shadow from now on: {ended.reason}"
            )
        return ended.version, Verdict(Result.REFUSED, f"it has proven nothing: {ended.reason}")

    def _tell(self, version: str, verdict: Verdict) -> Verdict:
        """Write down in the journal what the night came to."""
        self._link.inbox.put(Retrained(self._link.inbox.now, version, verdict.result, verdict.why))
        return verdict

    async def _note(self, state: str, detail: str) -> None:
        """Keep when the next night is; while one runs that is still it, so that a start after a crash begins it again."""
        if self._show is not None:
            self._show(f"Retraining {state}{f', {detail}' if detail else ''}")
        await self._database.record_job(JOB, self._last, self._due, state, detail)
