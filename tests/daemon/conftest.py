"""The real daemon as a process, against a practice gateway in the test's own loop, with everything in tmp_path."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ib_async import IB

from robo_trader.features.compiled import compile_kernels
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import MinuteSource

PATIENCE_S = 30.0


class Run:
    """One daemon process: what it said, how it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said.append(line.decode(errors="replace").rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    async def until(self, words: str, times: int = 1) -> None:
        """Wait for a line with these words; fail with all that was said where the process ends first."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while self.text.count(words) < times:
            assert not self._reading.done(), f"ended before {words!r}:\n{self.text}"
            assert asyncio.get_running_loop().time() < deadline, (
                f"no {words!r} in {PATIENCE_S} s:\n{self.text}"
            )
            await asyncio.sleep(0.01)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def end(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            await self._reading
            return await self.process.wait()


class Desk:
    """Starts daemons and gateways; the directory is the test's own."""

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        self.home = home
        self._stack = stack
        self._runs: list[Run] = []

    async def gateway(
        self, source: MinuteSource | None = None, speed: float = 1200.0, **options: Any
    ) -> tuple[PracticeGateway, int]:
        market = source or SyntheticMarket(7)
        gateway = PracticeGateway(PracticeOptions(speed=speed, **options), market)
        port = await gateway.start()
        self._stack.push_async_callback(gateway.stop)
        return gateway, port

    async def command(self, *words: str, **settings: object) -> Run:
        """Run `python -m robo_trader …` with settings as environment."""
        kept = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "NUMBA_CACHE_DIR")
        }
        environment = kept | {
            "XDG_RUNTIME_DIR": str(self.home),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", "robo_trader", *words,
            cwd=self.home, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        run = Run(process)
        self._runs.append(run)
        return run

    async def daemon(self, port: int, *words: str, symbols: str = "AAPL,NVDA", **settings: object) -> Run:
        settings = {"ibkr_port": port, "execution_algorithm": "market"} | settings
        return await self.command("run", "--symbols", symbols, "--no-dashboard", *words, **settings)

    def database(self) -> Path:
        (path,) = (self.home / "data").glob("*.db")
        return path

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.database()}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    async def killed(self) -> None:
        for run in self._runs:
            if run.process.returncode is None:
                run.signal(signal.SIGKILL)
            await run.end()


class Account:
    """The account as the broker tells it to another client."""

    def __init__(self, cash: Decimal, positions: dict[str, int], executions: dict[str, int]) -> None:
        self.cash = cash
        self.positions = positions
        self.executions = executions


async def account_at(port: int) -> Account:
    ib = IB()
    try:
        await ib.connectAsync("127.0.0.1", port, clientId=99, raiseSyncErrors=True)
        (cash,) = [v.value for v in ib.accountValues() if v.tag == "TotalCashValue" and v.currency == "USD"]
        positions = {p.contract.symbol: int(p.position) for p in ib.positions() if p.position}
        fills = await ib.reqExecutionsAsync()
        return Account(Decimal(cash), positions, {f.execution.execId: int(f.execution.shares) for f in fills})
    finally:
        ib.disconnect()


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile the features before a daemon has to: nobody waits for one as long as that takes."""
    compile_kernels()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        desk = Desk(tmp_path, stack)
        stack.push_async_callback(desk.killed)
        yield desk
