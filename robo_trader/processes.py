"""The daemon's child processes: started by module name, heard when they are ready, gone when it goes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import structlog

from robo_trader.core.errors import RoboTraderError

log = structlog.get_logger()


class Child:
    """One `python -m module` of ours. It gets our pid, and ends by itself should we be killed."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.module = module
        self._arguments = list(arguments)
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, ready: str = "", budget_s: float = 20.0) -> str:
        """Start it; where `ready` is given wait for the line that contains it and return that line.

        Raises RoboTraderError with what it said where it ends, or stays silent, before it is ready.
        """
        # A session of its own: Ctrl-C in the terminal is for us, and we stop our children in order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *self._arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if ready else None,
            stderr=asyncio.subprocess.STDOUT if ready else None,
            start_new_session=True,
        )
        if not ready:
            return ""
        said: list[str] = []
        try:
            return await asyncio.wait_for(self._heard(ready, said), budget_s)
        except TimeoutError:
            await self.stop()
            raise RoboTraderError(
                f"{self.module} did not get ready in {budget_s:g} s: {_tail(said)}"
            ) from None

    async def wait(self) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None, "started before it is waited for"
        return await self._process.wait()

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def stop(self, budget_s: float = 1.5) -> None:
        """End it politely, then for certain."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), budget_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _heard(self, ready: str, said: list[str]) -> str:
        assert self._process is not None, "started before it is heard"
        assert self._process.stdout is not None, "its output is piped"
        while line := (await self._process.stdout.readline()).decode(errors="replace").rstrip():
            said.append(line)
            if ready in line:
                self._drain = asyncio.create_task(self._pass_on(self._process.stdout))
                return line
        code = await self._process.wait()
        raise RoboTraderError(f"{self.module} ended with code {code}: {_tail(said)}")

    async def _pass_on(self, output: asyncio.StreamReader) -> None:
        # Left unread, a full pipe would stop the child.
        while line := await output.readline():
            log.info(self.module.rpartition(".")[2], said=line.decode(errors="replace").rstrip())


def _tail(said: Sequence[str]) -> str:
    return " | ".join(said[-5:]) or "it said nothing"
