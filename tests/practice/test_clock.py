"""The clock of the market, when it runs by itself."""

from __future__ import annotations

import asyncio

import pytest

from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.market.clock import MarketClock
from robo_trader.practice.market.exchange import Exchange
from robo_trader.simulation.tape import TapeMarket


async def test_a_clock_that_cannot_go_on_says_why(tape: TapeMarket) -> None:
    why: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def step() -> bool:
        raise ZeroDivisionError("in the middle of a beat")

    clock = MarketClock(Exchange(tape, XnysCalendar(), None), 1_000_000_000, 1e5, step, why.set_result)
    clock.begin()
    async with asyncio.timeout(5):
        assert isinstance(await why, ZeroDivisionError)
    await clock.stop()


async def test_a_clock_that_is_stopped_has_failed_of_nothing(tape: TapeMarket) -> None:
    failed: list[BaseException] = []
    exchange = Exchange(tape, XnysCalendar(), None)
    clock = MarketClock(exchange, 1_000_000_000, 1.0, lambda: True, failed.append)
    clock.begin()
    await clock.stop()
    assert failed == []


async def test_a_gateway_whose_clock_broke_hangs_up_and_raises_why(
    tape: TapeMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_exchange: Exchange) -> bool:
        raise ZeroDivisionError("in the middle of a beat")

    monkeypatch.setattr(Exchange, "step", step)
    gateway = PracticeGateway(PracticeOptions(speed=60_000), tape)
    reader, writer = await asyncio.open_connection("127.0.0.1", await gateway.start())
    gateway.run_clock()
    async with asyncio.timeout(5):
        with pytest.raises(ZeroDivisionError):
            await gateway.failed()
        assert await reader.read() == b""
    writer.close()
    await gateway.stop()
