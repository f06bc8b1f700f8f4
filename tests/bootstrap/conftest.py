"""A link to a practice gateway over a real loopback socket, and somebody who reads its inbox as the desk does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from robo_trader.bootstrap.link import Link, LinkOptions
from robo_trader.bootstrap.reach import Approach
from robo_trader.core.events import AccountSnapshot, Bar, Event, Fill, Halt, Resume, Side
from robo_trader.core.inbox import Inbox
from robo_trader.core.orders import OrderBook
from robo_trader.ibkr.connection import Connection, ConnectionOptions
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.processes import Child
from robo_trader.simulation.market import SyntheticMarket

SPEED = 600.0  # a market minute in a tenth of a second
PATIENCE_S = 8.0


class Line:
    """One link at work: what it told the desk, and the states it went through."""

    def __init__(self, gateway: PracticeGateway, port: int, symbols: tuple[str, ...], **options: Any) -> None:
        self.gateway = gateway
        wire = {"heartbeat_s": 0.05, "heartbeat_timeout_s": 0.5, "connect_timeout_s": 5.0}
        wire |= {name: options.pop(name) for name in list(options) if name in wire}
        connection = Connection(ConnectionOptions(port=port, **wire))
        self.approach = Approach(connection, Child("robo_trader.practice", []), logins_per_hour=3600)
        self.link = Link(self.approach, Inbox(), symbols, bar_s=60, options=LinkOptions(**options))
        self.state = self.link.state
        self.orders = OrderBook()
        self.events: list[Event] = []
        self.states: list[str] = []
        self.state.on_change(lambda: self.states.append(f"{self.state.phase}: {self.state.why}"))

    async def run(self, stack: AsyncExitStack) -> None:
        """Open it as the daemon does, and keep it up."""
        await self.approach.connect()
        stack.push_async_callback(self.close)
        await self.link.ticks()
        await self.link.opening_account(dry_run=False)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self.link.keep(self.orders))]
        await self.until(lambda: self.state.phase == "ready")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.connection.close()
        assert self.link.connection.opened == self.link.connection.closed

    async def until(self, done: Callable[[], Any]) -> None:
        """Wait for it; what broke the link is the failure then, not the waiting."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not done():
                    for task in getattr(self, "_tasks", []):
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"states {self.states}\nevents {self.said()[-30:]}") from None

    async def until_state(self, phase: str, why: str = "") -> None:
        await self.until(lambda: any(s.startswith(f"{phase}:") and why in s for s in self.states))

    async def again(self) -> None:
        """Wait until it is ready and trading may go on."""
        await self.until(lambda: self.state.phase == "ready" and self.gate() == "open")

    def gate(self) -> str:
        told = [event for event in self.events if isinstance(event, Halt | Resume) and event.by == "session"]
        return "shut" if told and isinstance(told[-1], Halt) else "open"

    def bars(self, symbol: str, history: bool | None = None) -> list[Bar]:
        bars = [event for event in self.events if isinstance(event, Bar) and event.symbol == symbol]
        return [bar for bar in bars if history is None or bar.history is history]

    def said(self) -> list[str]:
        """Return stops, permissions and accounts in the order in which the desk heard of them."""
        words = []
        for event in self.events:
            if isinstance(event, Halt | Resume):
                words.append(f"{'stop' if isinstance(event, Halt) else 'go'} {event.by}: {event.reason}")
            elif isinstance(event, AccountSnapshot):
                words.append("account")
        return words

    async def _read(self) -> None:
        async for event in self.link.inbox:
            self.events.append(event)


@pytest.fixture
async def line() -> AsyncIterator[Callable[..., Any]]:
    """Make lines, each with a gateway of its own; `speed`, and `symbols`, else options of the link or its session."""
    async with AsyncExitStack() as stack:

        async def make(
            speed: float = SPEED, symbols: tuple[str, ...] = ("AAPL", "NVDA"), **options: Any
        ) -> Line:
            gateway = PracticeGateway(PracticeOptions(speed=speed), SyntheticMarket(7))
            port = await gateway.start()
            stack.push_async_callback(gateway.stop)
            made = Line(gateway, port, symbols, **options)
            await made.run(stack)
            return made

        yield make


@pytest.fixture
def make_fill() -> Callable[[str], Fill]:
    def make(symbol: str) -> Fill:
        return Fill(1, "manual:7", "0001.01", symbol, Side.BUY, 10, Decimal(100))

    return make
