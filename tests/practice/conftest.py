"""A tape of four sessions, a gateway on it whose clock the test moves, and the real ib_async as its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from ib_async import IB, Contract, Stock

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.simulation.tape import TapeMarket

# Thursday to Tuesday: three sessions of history, and Tuesday 2026-01-13 live.
FIRST, LAST = date(2026, 1, 8), date(2026, 1, 13)


@pytest.fixture(scope="session")
def tape_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AAPL: 12,000 shares a minute, so 1,000 a slice. THIN: 24 shares a minute, and no trade from 09:40 to 09:45."""
    rows = ["ts,symbol,open,high,low,close,volume"]
    for session in XnysCalendar().sessions(FIRST, LAST):
        for i, start in enumerate(range(session.open, session.close, MINUTE_NS)):
            ts = datetime.fromtimestamp(start // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            cents = 20_000 + 40 * (i % 7) - 30 * (i % 5) + 2 * (i // 10)
            o, c = cents / 100, (cents + 12 * (-1) ** i) / 100
            h, low = max(o, c) + 0.1, min(o, c) - 0.1
            rows.append(f"{ts},AAPL,{o:.2f},{h:.2f},{low:.2f},{c:.2f},12000")
            if not 10 <= i < 15:
                rows.append(f"{ts},THIN,50.00,50.02,49.98,50.01,24")
    path = tmp_path_factory.mktemp("tape") / "tape.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def tape(tape_file: Path) -> TapeMarket:
    return TapeMarket(tape_file)


@pytest.fixture
def options() -> PracticeOptions:
    return PracticeOptions(speed=0)


class Desk:
    """A running gateway, and as many clients as the test wants."""

    def __init__(self, gateway: PracticeGateway, port: int) -> None:
        self.gateway = gateway
        self.port = port
        self._clients: list[IB] = []

    async def connect(self, client_id: int = 1, **also: object) -> IB:
        ib = IB()
        ib.client.MaxRequests = 0
        self._clients.append(ib)
        await ib.connectAsync("127.0.0.1", self.port, clientId=client_id, raiseSyncErrors=True, **also)
        return ib

    async def advance(self, seconds: float) -> None:
        """Move the clock after all requests so far are in, and return when all clients have heard."""
        await self.settle()
        await self.gateway.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        for ib in self._clients:
            if ib.isConnected():
                await ib.reqCurrentTimeAsync()

    def close(self) -> None:
        for ib in self._clients:
            ib.disconnect()


@asynccontextmanager
async def desk_of(options: PracticeOptions, market: TapeMarket) -> AsyncIterator[Desk]:
    gateway = PracticeGateway(options, market)
    desk = Desk(gateway, await gateway.start())
    try:
        yield desk
    finally:
        desk.close()
        await gateway.stop()


@pytest.fixture
async def desk(options: PracticeOptions, tape: TapeMarket) -> AsyncIterator[Desk]:
    async with desk_of(options, tape) as running:
        yield running


@pytest.fixture
def restart(tape: TapeMarket, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Desk]]:
    """Start a gateway on the state that the one before left."""
    return lambda: desk_of(PracticeOptions(speed=0, state=tmp_path / "state"), tape)


@pytest.fixture
def stock() -> Contract:
    return Stock("AAPL", "SMART", "USD", conId=con_id_of("AAPL"))


@pytest.fixture
def thin() -> Contract:
    return Stock("THIN", "SMART", "USD", conId=con_id_of("THIN"))
