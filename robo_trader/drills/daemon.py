"""The daemon as a drill runs it: the real command in a process of its own, with a directory of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

KEPT_LINES = 2_000
_PASSED_ON = ("PYTHONPATH", "PATH", "HOME", "NUMBA_CACHE_DIR", "TMPDIR", "LANG", "SYSTEMROOT")


class Home:
    """Where the daemons of one account live, one after another: data, locks and all that they said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> Path:
        """All that its daemons said, each after the line `#### <number> <command>`."""
        return self.path / "daemon.log"

    @property
    def database(self) -> Path | None:
        """The account's database, None before a daemon has made it."""
        found = sorted((self.path / "data").glob("*.db"))
        return found[0] if found else None


class DaemonProcess:
    """One start of the daemon, until it ends or is killed."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.said: deque[dict[str, Any]] = deque(maxlen=KEPT_LINES)
        self.began = time.monotonic()
        self.heard = 0  # lines so far
        self._log = log
        self._spoke = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        home: Home,
        words: Sequence[str],
        settings: Mapping[str, object],
        before: Sequence[str] = ("robo_trader",),
    ) -> DaemonProcess:
        """Start `python -m <before> <words>`; `settings` become its environment, and nothing else of ours does."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
            "XDG_RUNTIME_DIR": str(home.path),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "MONITORING_LOG_FORMAT": "json",
        }
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        command = [sys.executable, "-m", *before, *words]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=home.path, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        with home.log.open("a") as log:
            log.write(f"#### {process.pid} {' '.join(command[1:])}\n")
        return cls(process, home.log)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return not self._reading.done() and self.process.returncode is None

    async def until(self, event: str, budget_s: float) -> bool:
        """Wait until it has said a line of this event; False where it ended or the time was up before."""
        return await self.until_lines(event, 1, budget_s)

    async def until_lines(self, event: str, times: int, budget_s: float) -> bool:
        """Wait until it has said that many lines of this event, of those kept; False where it never did."""
        deadline = time.monotonic() + budget_s
        while sum(line.get("event") == event for line in self.said) < times:
            self._spoke.clear()
            left = deadline - time.monotonic()
            if self._reading.done() or left <= 0:
                return False
            speaking = asyncio.create_task(self._spoke.wait())
            await asyncio.wait({speaking, self._reading}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            speaking.cancel()
        return True

    def signal(self, number: int) -> None:
        """Send a signal, if there still is somebody to hear it."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, budget_s: float | None = None) -> int | None:
        """Wait for its end and return its exit code, -9 after SIGKILL; None where it lives on after that time."""
        try:
            async with asyncio.timeout(budget_s):
                await asyncio.shield(self._reading)
                return await self.process.wait()
        except TimeoutError:
            return None

    def last_words(self, lines: int = 3) -> str:
        """Return what it said last, for a message."""
        return " | ".join(str(line.get("text") or line) for line in list(self.said)[-lines:])

    async def _read(self) -> None:
        assert self.process.stdout is not None, "its output is piped"
        with self._log.open("ab", buffering=0) as log:
            while line := await self._line(self.process.stdout):
                log.write(line)
                self.said.append(_decoded(line))
                self.heard += 1
                self._spoke.set()

    async def _line(self, output: asyncio.StreamReader) -> bytes:
        try:
            return await output.readline()
        except ValueError:  # a line longer than the reader holds
            return b"...\n"


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"event": "", "text": line.decode(errors="replace").rstrip()}
