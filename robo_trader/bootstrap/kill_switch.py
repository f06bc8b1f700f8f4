"""The kill switch: a file that halts, a socket that is asked, a signal for a daemon that does not answer."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from robo_trader.core.command_socket import ask
from robo_trader.core.errors import NobodyAnswers, RoboTraderError
from robo_trader.storage import lock

FILE_NAME = "KILL"  # in the data directory
ANSWER_S = 2.0  # wall seconds the daemon has before it is signalled
LONGEST = 500  # characters of a reason


class KillFile:
    """A file whose being there halts the desk: now where it runs, else from its start on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str | None:
        """Return why to halt, None where there is no such file. What cannot be read halts as well."""
        try:
            # Of a pipe nothing may ever come: it must not hang whoever looks.
            with open(
                self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)
            ) as file:
                said = " ".join((file.read(2 * LONGEST) or b"").decode(errors="replace").split())
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"the file {self.path} cannot be read ({error.strerror or error})"
        return f"{said or 'no reason given'} (file {self.path.name})"

    def write(self, reason: str) -> None:
        """Leave the file with the time and the reason. Raises OSError."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(f"{now} {reason}\n", encoding="utf-8")

    def remove(self) -> bool:
        """Take the file away; return whether it was there. Raises RoboTraderError where it cannot be removed."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RoboTraderError(
                f"the file {self.path} still halts the desk and cannot be removed: {error.strerror or error}; "
                "remove it by hand, then resume"
            ) from error
        return True


@dataclass(frozen=True)
class Address:
    """Where the daemon of an account is reached: its command socket, its lock, and the file that halts it."""

    account: str
    socket: Path
    lock: Path
    kill_file: Path


@dataclass(frozen=True)
class Killed:
    """What a kill achieved: `sure` where the desk decides nothing more before it halts, and what was done, line by line."""

    sure: bool
    said: tuple[str, ...]


# Where nobody can be told, the file is what counts: a daemon looks at it when it starts, and each second.
_NOBODY = Killed(True, ("no daemon runs",))
_NAMELESS = Killed(True, ("a daemon is just starting or ending: it minds the file",))


def kill(address: Address, reason: str, via: str) -> Killed:
    """Halt the desk of an account by every way that still works: the file for good, then the socket, then a signal.

    Never raises: it is for when things are broken.
    """
    left = leave_file(address.kill_file, reason, via)
    told = _ask(address.socket, reason, via)
    if not told.sure:
        signalled = _signal(address.lock)
        nobody = signalled in (_NOBODY, _NAMELESS)
        told = Killed(left.sure if nobody else signalled.sure, told.said * (not nobody) + signalled.said)
    return Killed(told.sure, left.said + told.said)


def leave_file(path: Path, reason: str, via: str) -> Killed:
    """Write the file that halts a desk, as a part of killing it."""
    try:
        KillFile(path).write(f"{reason} ({via})")
    except OSError as error:
        return Killed(False, (f"could not write {path}: {error.strerror or error}",))
    return Killed(True, (f"wrote {path}: the daemon halts on it, and comes up halted",))


def _ask(path: Path, reason: str, via: str) -> Killed:
    try:
        answer = ask(path, {"do": "halt", "reason": reason[:LONGEST], "via": via}, ANSWER_S)
    except RoboTraderError as error:
        return Killed(False, (f"no answer: {error}",))
    said = answer.get("said")
    return Killed(True, tuple(map(str, said)) if isinstance(said, list) else ())


def _signal(path: Path) -> Killed:
    found = lock.holder(path)
    if found is None:
        return _NOBODY
    if not found.pid:
        return _NAMELESS
    try:
        os.kill(found.pid, signal.SIGUSR1)
    except OSError as error:
        return Killed(False, (f"process {found.pid} cannot be signalled: {error.strerror or error}",))
    return Killed(True, (f"signalled process {found.pid} (SIGUSR1)",))


def tell(address: Address, command: dict[str, object]) -> dict[str, object]:
    """Give the daemon of an account a command and return its answer.

    Raises NobodyAnswers naming what to do where none answers, ConfigurationError where it refuses.
    """
    try:
        return ask(address.socket, command)
    except NobodyAnswers as error:
        who = lock.holder(address.lock)
        if who is None:
            raise NobodyAnswers(
                f"no daemon of {address.account} runs; to have the next one come up halted: `robo-trader kill`"
                if command["do"] == "halt"
                else f"no daemon of {address.account} runs: start one with `robo-trader run`"
            ) from error
        raise NobodyAnswers(
            f"the daemon of {address.account} (process {who.pid}) does not take commands yet, or no more: {error}; "
            "`robo-trader kill` halts it in any case"
        ) from error
