"""Two brokers behind one bench: the simulated one, and the real one in front of a practice gateway over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    AccountSnapshot,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
)
from robo_trader.core.executions import stem
from robo_trader.core.protocols import Broker
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.broker import BrokerOptions, IbBroker
from robo_trader.ibkr.pacing import Pacer
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker
from robo_trader.simulation.tape import TapeMarket
from tests.ibkr.conftest import UNPACED, Desk, ListInbox

S = OrderStatus
LIVE = (S.WORKING, S.PARTIAL)
CASH = Decimal(100_000)
CALENDAR = XnysCalendar()
FIRST, LAST = date(2026, 1, 8), date(2026, 1, 14)
DAY, NEXT_DAY = CALENDAR.sessions(date(2026, 1, 13), LAST)
CALM_MINUTES, FALL = 5, 6.0  # USD in the minute after these
SYMBOL = "AAPL"


class Bench(Protocol):
    """A broker and a market near 200 USD that stands still until it falls by six dollars."""

    broker: Broker
    inbox: ListInbox

    def offer(self) -> tuple[Decimal, int]:
        """Return the best offer that the next order finds: USD and shares."""

    async def settle(self) -> None:
        """Hear all that the broker has to say now."""

    async def meet(self) -> None:
        """Let what was sent meet the offer once."""

    async def step(self) -> None:
        """Let a second of market time pass."""

    async def fall(self) -> None:
        """Come to the moment before the market falls."""

    def provoke(self, fault: str) -> None:
        """Let the broker's messages suffer a fault, where it has messages."""

    async def hear(self, done: Callable[[], Any]) -> None:
        """Wait in real time until the broker has found out and said it; market time stands."""


class SimulatedBench:
    """The simulated broker on quotes of this bench's making."""

    def __init__(self) -> None:
        self.inbox = ListInbox()
        self.broker = SimulatedBroker(self.inbox, Matching(), CALENDAR, "SIM000001", CASH)
        self._now = DAY.open + MINUTE_NS
        self._price = 200.0
        self._falls = 0.0
        self._quote(5)

    def offer(self) -> tuple[Decimal, int]:
        return Decimal("200.02"), 40

    async def settle(self) -> None:
        pass

    async def meet(self) -> None:
        self._quote(40)
        self._quote(0)

    async def step(self) -> None:
        self._price = max(200.0 - FALL, round(self._price - self._falls, 2))
        self._quote(300)

    async def fall(self) -> None:
        self._falls = 0.1

    def provoke(self, fault: str) -> None:
        pass

    async def hear(self, done: Callable[[], Any]) -> None:
        assert done()

    def _quote(self, size: int) -> None:
        self._now += SECOND_NS
        ask = round(self._price + 0.02, 2)
        self.broker.on_event(Quote(SYMBOL, self._now, self._price, ask, float(size), float(size)))


class IbBench:
    """The broker behind TWS, in front of a gateway on a tape."""

    def __init__(self, desk: Desk, gateway: PracticeGateway) -> None:
        self.desk, self.gateway = desk, gateway
        self.inbox, self.broker = desk.inbox, desk.broker

    async def open(self) -> None:
        await self.desk.open()
        await self.desk.feed.subscribe([SYMBOL])
        await self.desk.settle()
        await self.gateway.advance(60)
        await self.desk.settle()

    def offer(self) -> tuple[Decimal, int]:
        book = self.gateway.exchange.book(SYMBOL)
        assert book is not None
        best = book.levels(Side.SELL)[0]
        return Decimal(repr(best.price)), best.size

    async def settle(self) -> None:
        for _ in range(3):  # what an answer made the broker ask is answered too
            await self.desk.settle()

    async def meet(self) -> None:
        await self.settle()

    async def step(self) -> None:
        await self.gateway.advance(1)
        await self.settle()

    async def fall(self) -> None:
        await self.gateway.advance_to(DAY.open + CALM_MINUTES * MINUTE_NS)
        await self.settle()

    def provoke(self, fault: str) -> None:
        self.gateway.plant(fault)

    async def hear(self, done: Callable[[], Any]) -> None:
        await self.desk.until(done)


class Cards:
    """What every card asks of a bench, whichever broker it is."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.broker = bench.broker
        self.inbox = bench.inbox

    async def until(self, done: Callable[[], Any], steps: int = 120) -> None:
        """Let market time pass until it is so; fail where it never comes."""
        for _ in range(steps):
            await self.bench.settle()
            if done():
                return
            await self.bench.step()
        raise AssertionError("the market did not get there")

    def word(self, order_id: str) -> OrderUpdate:
        """Return the last word on an order."""
        return next(update for update in reversed(self.inbox.updates) if update.order_id == order_id)

    def status(self, order_id: str) -> OrderStatus:
        said = [update.status for update in self.inbox.updates if update.order_id == order_id]
        return said[-1] if said else S.INTENT

    def working(self, order_id: str) -> int:
        """Return the quantity that the last word says is worked, filled shares among it."""
        return self.word(order_id).filled + self.word(order_id).remaining

    def fills(self) -> list[Fill]:
        """Return the executions told so far, each once and as it was told last."""
        return list({stem(fill.exec_id): fill for fill in self.inbox.fills}.values())

    def traded(self, order_id: str) -> int:
        return sum(fill.quantity for fill in self.fills() if fill.order_id == order_id)

    def position(self) -> int:
        return sum(fill.side.sign * fill.quantity for fill in self.fills())

    async def agreed(self) -> AccountSnapshot:
        """Return the account after comparing it with all that was told."""
        await self.bench.settle()
        account = await self.broker.snapshot()
        fills = self.fills()
        assert sorted(account.fills, key=lambda f: f.exec_id) == sorted(fills, key=lambda f: f.exec_id)
        assert sum(holding.quantity for holding in account.holdings) == self.position()
        paid = [f.side.sign * f.quantity * f.price + (f.commission or Decimal(0)) for f in fills]
        assert account.cash == CASH - sum(paid)
        last = {update.order_id: update for update in self.inbox.updates}
        told = {
            update.order_id: (update.filled, update.filled + update.remaining)
            for update in last.values() if update.status in LIVE
        }  # fmt: skip
        assert {one.order.id: (one.filled, one.order.quantity) for one in account.orders if one.alive} == told
        for update in last.values():
            assert update.filled == self.traded(update.order_id)
        return account


def market(quantity: int = 10, side: Side = Side.BUY, order_id: str = "s-1.1") -> Order:
    return Order(order_id, order_id.rpartition(".")[0], SYMBOL, side, quantity)


def limit(price: Decimal | str, quantity: int = 10, order_id: str = "s-1.1", tif: str = "DAY") -> Order:
    parent = order_id.rpartition(".")[0]
    return Order(
        order_id, parent, SYMBOL, Side.BUY, quantity, OrderType.LIMIT, Decimal(price), tif=tif
    )  # fmt: skip


def stop(
    price: Decimal | str, quantity: int = 10, attached_to: str = "s-1.1", order_id: str = "s-2.1"
) -> Order:
    return Order(
        order_id, order_id.rpartition(".")[0], SYMBOL, Side.SELL, quantity, OrderType.STOP,
        stop_price=Decimal(price), tif="GTC", attached_to=attached_to,
    )  # fmt: skip


@pytest.fixture(scope="session")
def falling(tmp_path_factory: pytest.TempPathFactory) -> TapeMarket:
    """AAPL at 200 USD, until in the sixth minute of the last session but one it falls by six."""
    rows = ["ts,symbol,open,high,low,close,volume"]
    for session in CALENDAR.sessions(FIRST, LAST):
        for i, start in enumerate(range(session.open, session.close, MINUTE_NS)):
            ts = datetime.fromtimestamp(start // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            fallen = session.label > DAY.label or (session.label == DAY.label and i > CALM_MINUTES)
            o = 200.0 - FALL * fallen
            c = o - FALL * (session.label == DAY.label and i == CALM_MINUTES)
            rows.append(f"{ts},{SYMBOL},{o:.2f},{o + 0.05:.2f},{c - 0.05:.2f},{c:.2f},4000")
    path: Path = tmp_path_factory.mktemp("falling") / "tape.csv"
    path.write_text("\n".join(rows) + "\n")
    return TapeMarket(path)


@asynccontextmanager
async def ib_bench(tape: TapeMarket) -> AsyncIterator[IbBench]:
    gateway = PracticeGateway(PracticeOptions(speed=0, start=DAY.label), tape)
    desk = Desk(await gateway.start())
    # It asks at once, and soon where TWS is silent.
    desk.broker = IbBroker(
        desk.connection, desk.contracts, desk.inbox, Pacer(UNPACED), lambda: desk.now, BrokerOptions(0.0, 0.2)
    )
    bench = IbBench(desk, gateway)
    try:
        await bench.open()
        yield bench
    finally:
        await desk.connection.close()
        await gateway.stop()


@pytest.fixture
async def at_ib(falling: TapeMarket) -> AsyncIterator[IbBench]:
    async with ib_bench(falling) as bench:
        yield bench


@pytest.fixture(params=["simulated", "ib"])
async def cards(request: pytest.FixtureRequest, falling: TapeMarket) -> AsyncIterator[Cards]:
    if request.param == "simulated":
        yield Cards(SimulatedBench())
        return
    async with ib_bench(falling) as bench:
        yield Cards(bench)
