"""One training as it is written down: a trial in the database that it learns from, and a role for what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from robo_trader.core.errors import DataError
from robo_trader.features.feature_pipeline import DATABASES
from robo_trader.ml import registry, rivals, roles
from robo_trader.ml.rivals import WalkForward
from robo_trader.ml.trainer import Trained
from robo_trader.storage import trainings
from robo_trader.storage.database import Database
from robo_trader.storage.trainings import Began, Ended

T = TypeVar("T")
BY_HAND = "command"


@dataclass
class Lesson:
    """A training of the models called `name`, from its beginning to its end.

    `source` is what is learnt from; where that is no database, or one that cannot be written, only the models themselves
    know of it. `trials` is how many models were tried until this one, it and the `tries` that it searches among included.
    """

    source: Path
    models: Path
    name: str
    by: str = BY_HAND
    seed: int = 7
    promote: bool = False
    trials: int = 1
    tries: int = 0
    _number: int = 0
    _champion: Path | None = None
    _unusable: str = ""
    _tell: Callable[[str], None] = field(default=lambda said: None)

    def begin(self, tell: Callable[[str], None]) -> None:
        """Count the trial, before anything of it can be seen; `tell` hears what a person should know."""
        self._tell = tell
        roles.sweep(self.models, self.name)
        self._champion = roles.champion(self.models, self.name)
        began = Began(self.name, self.by, time.time_ns(), self.seed, 1 + self.tries)
        kept = max(self.trials - 1, _kept_trials(self.models, self.name))
        self.trials = kept + began.trials
        if self.source.suffix in DATABASES and self.source.is_file():
            try:
                self._number, self.trials = self._write(lambda base: trainings.begin(base, began, kept))
            except DataError as error:
                tell(f"this training is not recorded: {error}")
        if self.trials > 1:
            tell(f"trial {self.trials} of {self.name}: the gate asks for more, the more were tried")

    def failed(self, reason: str) -> None:
        """Note that nothing came of it, and why."""
        self._end(Ended(time.time_ns(), "failed", reason))

    def trained(self, trained: Trained, directory: Path) -> None:
        """Note what it led to, compare that with the champion, and give it a role."""
        manifest = registry.read_manifest(directory)
        window = manifest.split["train"].first, manifest.split["test"].last
        champion, compared = self._compare(trained, directory)
        losses = (compared.rows, compared.loss, compared.champion_loss) if compared else (None, None, None)
        self._end(
            Ended(time.time_ns(), "trained", manifest.reason, manifest.version, *window, champion, *losses)
        )
        self._give_role(manifest.version, manifest.proven)

    def _compare(self, trained: Trained, directory: Path) -> tuple[str, WalkForward | None]:
        """Return the champion's version and how both did on rows that neither has learnt from, where that can be said."""
        if self._champion is None:
            return "", None
        mine = registry.read_manifest(directory)
        try:
            theirs = registry.read_manifest(self._champion)
            champion = registry.load(self._champion, mine.feature_version)
        except DataError as error:
            self._unusable = f"the champion before it can be used no more: {error}"
            return self._champion.name, None
        if other := rivals.other_question(mine, theirs):
            self._tell(f"not compared with the champion: {other}")
            return theirs.version, None
        began = mine.split["test"].first, theirs.split["test"].first
        compared = rivals.walk_forward(trained.ensemble, began[0], champion, began[1], trained.dataset)
        if compared is not None:
            self._tell(
                f"on {compared.rows} bars that neither has learnt from it loses {compared.loss:.5f} nats a bar, "
                f"the champion {compared.champion_loss:.5f}"
            )
        return theirs.version, compared

    def _give_role(self, version: str, proven: bool) -> None:
        standing = roles.read(self.models / self.name)
        if self._unusable and standing is not None:
            roles.crown(self.models, self.name, version, self._unusable, self.by)
            self._tell(f"{version} is the champion: {self._unusable}")
        elif self.promote and proven:
            roles.settle(self.models, self.name, self.by)
            roles.crown(self.models, self.name, version, "trained to be promoted", self.by)
            self._tell(f"{version} is the champion: a running daemon goes over to it")
        elif self.promote:
            self._tell(
                "not promoted: it has proven nothing; `robo-trader models promote` would do it all the same"
            )
        elif proven and standing is not None:
            roles.challenge(self.models, self.name, version)
            self._tell(f"{version} is the challenger: the daemon lets it vote in shadow beside the champion")

    def _end(self, ended: Ended) -> None:
        if self._number:
            with suppress(DataError):
                self._write(lambda base: trainings.end(base, self._number, ended))

    def _write(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        async def visit() -> T:
            async with await Database.open(self.source) as database:
                return await work(database)

        return asyncio.run(visit())


def _kept_trials(models: Path, name: str) -> int:
    """Return how many trials the models declare that are there; each counts those before it."""
    return max((entry.trials for entry in roles.listing(models, name)), default=0)
