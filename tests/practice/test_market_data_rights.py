"""How many market data lines a client may have, and what it may see without paying."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from ib_async import Contract, Stock

from robo_trader.core.errors import ConfigurationError
from robo_trader.practice.data.lines import DataOptions
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.wiretap import errors, tap, ticks


async def test_lines_are_limited_and_a_cancelled_one_makes_room(tape: TapeMarket, stock: Contract) -> None:
    async with desk_of(PracticeOptions(speed=0, data=DataOptions(market_data=2)), tape) as desk:
        ib = await desk.connect()
        told = errors(ib)
        for request in (41, 42, 43):
            ib.client.reqMktData(request, stock, "", False, False, [])
        await desk.settle()
        assert told == [(43, 101)]
        ib.client.cancelMktData(41)
        ib.client.reqMktData(44, stock, "", False, False, [])
        await desk.settle()
        assert told == [(43, 101)]


async def test_an_id_is_not_used_twice_and_a_cancelled_line_is_silent(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    told, heard = errors(ib), tap(ib, instead=True)
    ib.client.reqMktData(41, stock, "", False, False, [])
    ib.client.reqMktData(41, stock, "", False, False, [])
    await desk.advance(5)
    assert told == [(41, 322)]
    ib.client.cancelMktData(41)
    await desk.settle()
    heard.clear()
    await desk.advance(30)
    assert not ticks(heard)


async def test_the_lines_of_a_client_that_left_are_forgotten(desk: Desk, stock: Contract) -> None:
    stays, leaves = await desk.connect(1), await desk.connect(2)
    ticker = stays.reqMktData(stock)
    leaves.reqMktData(stock, "233")
    leaves.reqTickByTickData(stock, "Last")
    leaves.reqMktDepth(stock)
    leaves.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(10)
    leaves.disconnect()
    await desk.advance(10)
    assert ticker.volume == 3_000
    back = await desk.connect(2)
    again = back.reqMktData(stock)
    await desk.settle()
    assert again.volume == 3_000


@pytest.fixture
async def delayed(tape: TapeMarket) -> AsyncIterator[Desk]:
    async with desk_of(PracticeOptions(speed=0, data=DataOptions("delayed")), tape) as desk:
        yield desk


async def test_delayed_data_is_live_data_a_quarter_of_an_hour_later(
    delayed: Desk, desk: Desk, stock: Contract
) -> None:
    now, then = await delayed.connect(), await desk.connect()
    told = errors(now)
    now.reqMarketDataType(3)
    late, live = now.reqMktData(stock), then.reqMktData(stock)
    await delayed.advance(5 + 900 + 60)
    assert [code for _, code in told] == [10167]
    assert late.marketDataType == 3
    for _ in range(5):
        await delayed.advance(5)
    await desk.advance(5 + 60 + 25)
    for name in (
        "last",
        "lastSize",
        "volume",
        "open",
        "high",
        "low",
        "close",
        "bid",
        "ask",
        "bidSize",
        "askSize",
    ):
        assert getattr(late, name) == getattr(live, name), name
    assert late.delayedLastTimestamp == live.lastTimestamp


async def test_delayed_data_may_be_asked_for_late(delayed: Desk, stock: Contract) -> None:
    early, late = await delayed.connect(1), await delayed.connect(2)
    early.reqMarketDataType(3)
    first = early.reqMktData(stock)
    await delayed.advance(5 + 900 + 62)
    late.reqMarketDataType(4)
    second = late.reqMktData(stock)
    await delayed.settle()
    for name in ("last", "lastSize", "volume", "open", "high", "low", "bid", "askSize"):
        assert getattr(second, name) == getattr(first, name), name


async def test_before_its_quarter_of_an_hour_delayed_data_has_no_day(delayed: Desk, stock: Contract) -> None:
    ib = await delayed.connect()
    ib.reqMarketDataType(3)
    ticker = ib.reqMktData(stock)
    await delayed.advance(5 + 600)
    assert ticker.bid == -1
    assert ticker.last == ticker.close
    assert ticker.volume != ticker.volume  # never told


@pytest.mark.parametrize(
    ("grade", "wanted", "code"),
    [("delayed", 1, 354), ("delayed", 2, 354), ("none", 1, 10168), ("none", 3, 354)],
)
async def test_data_that_is_not_paid_for_is_refused(
    tape: TapeMarket, stock: Contract, grade: str, wanted: int, code: int
) -> None:
    async with desk_of(PracticeOptions(speed=0, data=DataOptions(grade)), tape) as desk:
        ib = await desk.connect()
        told, heard = errors(ib), tap(ib, instead=True)
        ib.reqMarketDataType(wanted)
        ib.client.reqMktData(50, stock, "", False, False, [])
        ib.client.reqMktDepth(51, stock, 5, False, [])
        ib.client.reqTickByTickData(52, stock, "Last", 0, False)
        ib.client.reqRealTimeBars(53, stock, 5, "TRADES", True, [])
        await desk.advance(10)
        assert told == [(50, code), (51, 10089), (52, 10089), (53, 420)]
        assert not ticks(heard)


async def test_a_type_of_data_that_does_not_exist_is_refused(desk: Desk) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ib.reqMarketDataType(9)
    await desk.settle()
    assert told == [(-1, 321)]


async def test_a_share_that_does_not_trade_here_has_no_line(desk: Desk) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ib.reqMktData(Stock("GONE", "SMART", "USD", conId=7))
    await desk.settle()
    assert [code for _, code in told] == [200]


@pytest.mark.parametrize("wrong", [{"grade": "free"}, {"depth": -1}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        DataOptions(**wrong)
