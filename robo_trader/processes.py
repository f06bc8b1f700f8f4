"""The daemon's child processes: started by module name, heard when they are ready, gone when it goes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence

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
        self._drain: asyncio.Task[None] | None = None

    async def start(
        self, ready: str = "", budget_s: float = 20.0, heard: Callable[[str], None] | None = None
    ) -> str:
        """Start it; where `ready` is given wait for the line that contains it and return that line.

        Without it, all that is said goes where ours goes, or line by line to `heard`.
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
            stdout=asyncio.subprocess.PIPE if ready or heard else None,
            stderr=asyncio.subprocess.STDOUT if ready or heard else None,
            start_new_session=True,
        )
        if not ready:
            if heard:
                assert self._process.stdout is not None, "its output is piped"
                self._drain = asyncio.create_task(self._pass_on(self._process.stdout, heard))
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
        code = await self._process.wait()
        if self._drain is not None:
            await self._drain
        return code

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

    async def _pass_on(
        self, output: asyncio.StreamReader, heard: Callable[[str], None] | None = None
    ) -> None:
        # Left unread, a full pipe would stop the child.
        tell = heard or (lambda said: log.info(self.module.rpartition(".")[2], said=said))
        while line := await output.readline():
            tell(line.decode(errors="replace").rstrip())


def _tail(said: Sequence[str]) -> str:
    return " | ".join(said[-5:]) or "it said nothing"
