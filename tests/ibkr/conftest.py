"""A desk's border, wired to a practice gateway over a real loopback socket; its clock stands still unless moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest

from robo_trader.core.events import (
    MINUTE_NS,
    Bar,
    Depth,
    Event,
    FeedStatus,
    Fill,
    Order,
    OrderUpdate,
    Quote,
    SetTimer,
    Side,
    Trade,
)
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.broker import BrokerOptions, IbBroker
from robo_trader.ibkr.connection import Connection, ConnectionOptions
from robo_trader.ibkr.contracts import Contracts
from robo_trader.ibkr.feed import FeedOptions, IbFeed
from robo_trader.ibkr.pacing import Pacer, PacingOptions
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.market import SyntheticMarket

MARKET = SyntheticMarket(7)
UNPACED = PacingOptions(
    messages_per_s=100_000, history_per_10_min=10_000, history_per_contract_2_s=1000, identical_history_s=0.0
)


class ListInbox:
    """An inbox that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def set_timer(self, timer: SetTimer) -> None:
        raise AssertionError(timer)

    def __aiter__(self) -> AsyncIterator[Event]:
        raise AssertionError

    @property
    def fills(self) -> list[Fill]:
        return [event for event in self.events if isinstance(event, Fill)]

    @property
    def updates(self) -> list[OrderUpdate]:
        return [event for event in self.events if isinstance(event, OrderUpdate)]


class ListPipeline:
    """A pipeline that keeps everything."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self.quotes: list[Quote] = []
        self.trades: list[Trade] = []
        self.statuses: list[FeedStatus] = []
        self.filled: list[Bar] = []
        self.missing: list[tuple[str, int, int]] = []
        self.on_bar = self.bars.append
        self.on_quote = self.quotes.append
        self.on_trade = self.trades.append
        self.depths: list[Depth] = []
        self.on_depth = self.depths.append
        self.on_status = self.statuses.append

    def backfill(self, symbol: str, bars: Iterable[Bar]) -> int:
        self.filled += bars
        self.missing = [gap for gap in self.missing if gap[0] != symbol]
        return len(self.filled)

    def gaps(self) -> list[tuple[str, int, int]]:
        return self.missing


class Desk:
    """The rooms of `ibkr` put together as the daemon does, in front of one port."""

    def __init__(self, port: int, interval_ns: int = MINUTE_NS, **connection: Any) -> None:
        options = {"connect_timeout_s": 5.0, "heartbeat_s": 60.0, **connection}
        self.connection = Connection(ConnectionOptions(port=port, **options))
        self.inbox, self.pipeline, self.now = ListInbox(), ListPipeline(), 0
        pacer = Pacer(UNPACED)
        self.contracts = Contracts(self.connection, pacer)
        self.feed = IbFeed(
            self.connection,
            self.contracts,
            pacer,
            self.pipeline,
            XnysCalendar(),
            FeedOptions(interval_ns, quote_interval_s=0.01),
        )
        self.broker = IbBroker(
            self.connection, self.contracts, self.inbox, pacer, lambda: self.now, BrokerOptions(0.0)
        )

    async def open(self) -> None:
        await self.connection.connect()
        await self.broker.snapshot()

    async def settle(self) -> None:
        """Everything TWS said before it answers this has been heard afterwards."""
        await self.connection.ask_time()

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not done():
                await asyncio.sleep(0.001)


class Wire:
    """A cable between desk and gateway that can be cut or blocked."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.blocked = False
        self.opened = 0
        self.closed = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.cut()
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, far_writer]
        tasks = {
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        }
        self._tasks |= tasks
        await asyncio.wait(tasks)
        self.closed += 1

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.blocked:
                    writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


def buy(order_id: str, quantity: int = 10, symbol: str = "AAPL", **more: Any) -> Order:
    return Order(
        order_id,
        quantity=quantity,
        symbol=symbol,
        **{"parent_id": order_id.rpartition(".")[0], "side": Side.BUY, **more},
    )


@pytest.fixture
def order() -> Callable[..., Order]:
    return buy


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[PracticeGateway, int]]:
    practice = PracticeGateway(PracticeOptions(speed=0, flow=FlowOptions(depth=0.005)), MARKET)
    port = await practice.start()
    yield practice, port
    await practice.stop()


@pytest.fixture
async def desks(gateway: tuple[PracticeGateway, int]) -> AsyncIterator[Callable[..., Desk]]:
    """Make desks that are closed at the end."""
    made: list[Desk] = []

    def make(port: int | None = None, **connection: Any) -> Desk:
        made.append(Desk(port or gateway[1], **connection))
        return made[-1]

    yield make
    for desk in made:
        await desk.connection.close()


@pytest.fixture
async def wire(gateway: tuple[PracticeGateway, int]) -> AsyncIterator[Wire]:
    cable = Wire(gateway[1])
    await cable.start()
    yield cable
    await cable.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Callable[..., Awaitable[None]]], Awaitable[int]]]:
    """Run a raw server for the talk a test writes; return its port."""
    servers: list[asyncio.Server] = []

    async def start(talk: Callable[..., Awaitable[None]]) -> int:
        servers.append(await asyncio.start_server(talk, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
