"""Tells the desk when a version of its model was given a role, and everybody when the champion has expired."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from robo_trader.alerts import Alerts
from robo_trader.bootstrap.plan import Plan, Shelf
from robo_trader.core.errors import DataError
from robo_trader.core.events import ModelChanged, Role
from robo_trader.core.inbox import Inbox
from robo_trader.ml import registry, roles
from robo_trader.ml.model import too_old
from robo_trader.ml.roles import Roles
from robo_trader.storage.database import Database

log = structlog.get_logger()
LOOK_S = 1.0


class Appointments:
    """Looks each second at who has which role: whoever gives one, a person, a training or the night, just writes it."""

    def __init__(self, plan: Plan, shelf: Shelf, inbox: Inbox, database: Database, alerts: Alerts) -> None:
        self._shelf = shelf
        self._inbox = inbox
        self._database = database
        self._alerts = alerts
        self._max_age_days = plan.ml_options.max_age_days
        self._standing = {
            Role.CHAMPION: Path(plan.model).name,
            Role.CHALLENGER: Path(plan.challenger).name,
        }
        self._last = registry.read_manifest(Path(plan.model)).split["test"].last
        self._refused: set[str] = set()
        self._told = ("", "")

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Tell the desk who has another role than before."""
        try:
            given = roles.read(self._shelf.home)
        except DataError as error:
            self._refuse("roles", str(error))
            given = None
        if given is not None:
            await self._compare(given)
        await self._tell()

    async def _compare(self, given: Roles) -> None:
        reign = given.reign
        if given.champion != self._standing[Role.CHAMPION]:
            await self._appoint(Role.CHAMPION, given.champion, reign.why, reign.by)
        if given.challenger != self._standing[Role.CHALLENGER]:
            why = "it has proven itself on the past" if given.challenger else "nobody challenges any more"
            await self._appoint(Role.CHALLENGER, given.challenger, why, "training")

    async def _appoint(self, role: Role, version: str, why: str, by: str) -> None:
        """Have the desk go over to a version that is fit for use; one that is not changes nothing."""
        if version in self._refused:
            return
        sha256 = ""
        if version:
            try:
                sha256 = await asyncio.to_thread(self._shelf.fetch, version)
                manifest = registry.read_manifest(self._shelf.home / version)
            except DataError as error:
                self._refuse(version, f"{error}; {self._standing[Role.CHAMPION]} stays the champion")
                return
            if role is Role.CHAMPION:
                self._last = manifest.split["test"].last
                path, name = self._shelf.home / version, self._shelf.home.name
                await self._database.record_model(
                    name, version, sha256, str(path), manifest.reason, time.time_ns()
                )
        self._standing[role] = version
        self._inbox.put(ModelChanged(self._inbox.now, role, version, sha256, why, by))

    def _refuse(self, what: str, why: str) -> None:
        if what not in self._refused:
            self._refused.add(what)
            self._alerts.tell("model", f"model {what} is not used", why)

    async def _tell(self) -> None:
        """Say that the champion has expired, or has no more, and write down who has which role."""
        champion, challenger = self._standing[Role.CHAMPION], self._standing[Role.CHALLENGER]
        expired = too_old(champion, self._last, self._inbox.now, self._max_age_days)
        if expired:
            text = (
                f"{expired}; nothing is entered on it, exits go on: train a new one, or let ML_RETRAIN do it"
            )
            self._alerts.begin("model_expired", "the model has expired", text)
        else:
            self._alerts.over("model_expired", f"{champion} is recent enough")
        told = f"{champion}{f', challenged by {challenger}' if challenger else ''}"
        if (expired, told) != self._told:
            self._told = (expired, told)
            state = "EXPIRED" if expired else "in use"
            await self._database.record_job("model", self._inbox.now, None, state, told)
