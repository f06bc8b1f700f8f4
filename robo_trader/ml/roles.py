"""Says which version of a model the desk trades on and which it only listens to: `champion.json` beside the versions."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.ml import registry

CHAMPION = "champion.json"
ABANDONED_S = 3_600.0
_LOCK = ".roles.lock"


class Reign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that was traded on: from when (UTC, ISO 8601), why, and by whose word."""

    version: str
    since: str
    why: str
    by: str


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The champion is that of the last reign; the challenger, empty for none, votes in shadow beside it."""

    reigns: tuple[Reign, ...]
    challenger: str = ""

    @property
    def reign(self) -> Reign:
        """The one that lasts."""
        return self.reigns[-1]

    @property
    def champion(self) -> str:
        """The version that is traded on."""
        return self.reign.version

    @property
    def predecessor(self) -> str:
        """The version that a rollback returns to: the one before the champion came first; empty for none."""
        versions = [reign.version for reign in self.reigns]
        first = versions.index(self.champion)
        return versions[first - 1] if first else ""


class Entry(msgspec.Struct, frozen=True):
    """One version as a list of them shows it; `role` is champion, challenger, predecessor or empty."""

    version: str
    role: str
    created: str
    first: int
    last: int
    proven: bool
    verdict: str
    trials: int


def read(home: Path) -> Roles | None:
    """Return the roles of the versions in `home`, None where nobody has given any. Raises DataError where unreadable."""
    path = home / CHAMPION
    try:
        roles = msgspec.json.decode(path.read_bytes(), type=Roles)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): remove it, and the newest version is the champion again"
        ) from error
    if not roles.reigns:
        raise DataError(f"{path} names no champion: remove it, and the newest version is the champion again")
    return roles


def champion(root: Path, name: str) -> Path | None:
    """Return the directory of the version to trade on: the one with that role, else the newest; None without any.

    Raises DataError where `champion.json` cannot be read.
    """
    roles = read(root / name)
    return registry.latest(root, name) if roles is None else root / name / roles.champion


def settle(root: Path, name: str, by: str) -> Roles | None:
    """Write down that the newest version is the champion where no role was given yet, so that the next is not at once."""
    with _held(root / name):
        roles, newest = read(root / name), registry.latest(root, name)
        if roles is None and newest is not None:
            roles = Roles((_reign(newest.name, "the newest when a daemon began to retrain", by),))
            _write(root / name, roles)
        return roles


def crown(root: Path, name: str, version: str, why: str, by: str) -> Roles:
    """Make a version the champion from now on; a challenger of that name is one no more. Raises DataError for no version."""
    home = root / name
    if not (home / version / registry.MANIFEST).is_file():
        raise DataError(f"{home} has no version {version}: `robo-trader models` lists those there are")
    with _held(home):
        before = read(home)
        reigns = before.reigns if before else ()
        challenger = before.challenger if before and before.challenger != version else ""
        roles = Roles((*reigns, _reign(version, why, by)), challenger)
        _write(home, roles)
        return roles


def challenge(root: Path, name: str, version: str) -> None:
    """Let a version vote in shadow beside the champion, or with an empty one nobody."""
    with _held(root / name):
        roles = read(root / name)
        if roles is None:
            raise DataError(f"{root / name} has no champion to challenge")
        _write(root / name, msgspec.structs.replace(roles, challenger=version))


def listing(root: Path, name: str) -> list[Entry]:
    """Return the versions of `name`, newest first; of one that cannot be read the verdict says why."""
    home = root / name
    roles = read(home)
    newest = registry.latest(root, name)
    known = {newest.name: "champion"} if roles is None and newest is not None else {}
    if roles is not None:
        known = {roles.predecessor: "predecessor", roles.challenger: "challenger", roles.champion: "champion"}
    found = sorted((path.parent for path in home.glob(f"[!.]*/{registry.MANIFEST}")), reverse=True)
    return [_entry(directory, known.get(directory.name, "")) for directory in found]


def names(root: Path) -> list[str]:
    """Return the names under which there are models."""
    return sorted({path.parent.parent.name for path in root.glob(f"[!.]*/[!.]*/{registry.MANIFEST}")})


def sweep(root: Path, name: str) -> None:
    """Remove what a training that was killed left half written; what is being written now is not an hour old."""
    for left in (root / name).glob(".writing-*"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _entry(directory: Path, role: str) -> Entry:
    try:
        m = registry.read_manifest(directory)
    except DataError as error:
        return Entry(directory.name, role, "", 0, 0, False, f"unusable: {error}", 0)
    first, last = m.split["train"].first, m.split["test"].last
    return Entry(m.version, role, m.created, first, last, m.proven, m.reason, m.report.trials)


def _reign(version: str, why: str, by: str) -> Reign:
    return Reign(version, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), why, by)


@contextmanager
def _held(home: Path) -> Iterator[None]:
    """Keep others from giving roles meanwhile: the daemon, its training and a person may want to at once."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(home: Path, roles: Roles) -> None:
    """Replace the file as a whole, on disk when this returns."""
    number, name = tempfile.mkstemp(prefix=".roles-", dir=home)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(roles), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(home / CHAMPION)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    directory = os.open(home, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
