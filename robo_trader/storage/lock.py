"""One daemon per account: a lock file that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from robo_trader.core.errors import ConfigurationError, InstanceLocked

# A look at the lock holds it for microseconds; a start that meets one tries again.
_ATTEMPTS = 5
_PAUSE_S = 0.02


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: process id, start in UTC as ISO 8601, and its command line."""

    pid: int
    since: str
    command: str


class InstanceLock:
    """Holds a file from `acquire` to `release`, or to the end of the process however that comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A bare descriptor: nothing closes it, and so lets go, but `release` and the end of the process.
        self._held: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises InstanceLocked naming who has it, ConfigurationError where no file can be made."""
        opened = _open(self.path)
        if not _taken(opened):
            message = _refusal(self.path, _read(opened))
            os.close(opened)
            raise InstanceLocked(message)
        self._held = opened
        me = Holder(os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"), " ".join(sys.argv))
        os.truncate(opened, 0)
        os.write(opened, msgspec.json.encode(me))

    def release(self) -> None:
        """Let go. The file stays: removing it could take away the lock of the next holder."""
        if self._held is not None:
            os.truncate(self._held, 0)
            os.close(self._held)
            self._held = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> Holder | None:
    """Return who holds the lock now, None where nobody does; what a dead process left in the file is no holder."""
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(opened) or Holder(0, "unknown", "unknown")
    finally:
        os.close(opened)
    return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot make the lock file: {error}") from error


def _taken(opened: int) -> bool:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _read(opened: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(opened, 65536, 0), type=Holder)
    except msgspec.DecodeError:
        return None  # the holder is between taking the lock and signing it


def _refusal(path: Path, found: Holder | None) -> str:
    who = "another process" if found is None else f"process {found.pid} ({found.command}) since {found.since}"
    return f"{who} trades this account already and holds {path}; stop it first"
