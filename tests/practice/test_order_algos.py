"""Icebergs and IB's algos at work over market time, through the real client."""

from __future__ import annotations

from ib_async import Contract, LimitOrder, MarketOrder, TagValue

from robo_trader.core.events import SECOND_NS
from tests.practice.conftest import Desk
from tests.practice.order_desk import bids, opened, traded


async def test_an_iceberg_shows_one_slice_at_a_time_at_the_back_of_the_queue(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    price = bids(desk)[0].price
    trade = ib.placeOrder(stock, LimitOrder("BUY", 200, price, displaySize=50))
    await desk.settle()
    key, sizes = trade.order.permId, set()
    for _ in range(120):
        book = desk.gateway.exchange.book("AAPL")
        assert book is not None
        if key in book:
            sizes.add(book.remaining(key))
        await desk.advance(5)
        if trade.isDone():
            break
    assert max(sizes) == 50
    assert (trade.orderStatus.status, traded(trade)) == ("Filled", 200)
    assert all(fill.execution.shares <= 50 for fill in trade.fills if fill.execution.price == price)


async def test_adaptive_starts_at_the_midpoint_and_takes_when_its_patience_ends(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    urgent, patient = (
        ib.placeOrder(
            stock,
            MarketOrder("BUY", 5, algoStrategy="Adaptive", algoParams=[TagValue("adaptivePriority", name)]),
        )
        for name in ("Urgent", "Patient")
    )
    await desk.settle()
    assert (urgent.fills, patient.fills) == ([], [])
    await desk.advance(15)
    assert urgent.orderStatus.status == "Filled"
    await desk.advance(240)
    assert patient.orderStatus.status == "Filled"


async def test_adaptive_never_trades_beyond_its_limit(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    limit = bids(desk)[0].price
    trade = ib.placeOrder(stock, LimitOrder("BUY", 300, limit, algoStrategy="Adaptive"))
    await desk.advance(600)
    assert trade.fills
    assert all(fill.execution.price <= limit for fill in trade.fills)


async def test_twap_spreads_an_order_evenly_over_its_time(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    params = [TagValue("startTime", "09:31:00 US/Eastern"), TagValue("endTime", "20260113-14:41:00")]
    trade = ib.placeOrder(stock, MarketOrder("BUY", 200, algoStrategy="Twap", algoParams=params))
    done = []
    for _ in range(6):
        await desk.advance(120)
        done.append(traded(trade))
    assert done == [30, 70, 110, 150, 190, 200]
    assert (trade.orderStatus.status, {fill.execution.orderId for fill in trade.fills}) == (
        "Filled",
        {trade.order.orderId},
    )


async def test_twap_gives_up_at_its_end_what_it_could_not_do(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    over = [TagValue("endTime", "09:32:00")]
    past = [*over, TagValue("allowPastEndTime", "1"), TagValue("strategyType", "Matching Same Side")]
    gives_up = ib.placeOrder(stock, LimitOrder("BUY", 50, 150.0, algoStrategy="Twap", algoParams=over))
    goes_on = ib.placeOrder(stock, LimitOrder("BUY", 50, 150.0, algoStrategy="Twap", algoParams=past))
    await desk.advance(180)
    assert (gives_up.orderStatus.status, goes_on.orderStatus.status) == ("Cancelled", "Submitted")


async def test_vwap_follows_the_volume_and_never_is_too_much_of_it(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    params = [TagValue("maxPctVol", "0.01"), TagValue("endTime", "09:40:00"), TagValue("noTakeLiq", "1")]
    trade = ib.placeOrder(stock, MarketOrder("SELL", 1_500, algoStrategy="Vwap", algoParams=params))
    exchange = desk.gateway.exchange
    for _ in range(20):
        await desk.advance(30)
        volume = sum(traded.volume for traded in exchange.so_far("AAPL"))
        assert traded(trade) <= 0.01 * volume
    assert traded(trade) > 0
    assert trade.orderStatus.status == "Cancelled"


async def test_an_algo_survives_a_restart(restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        params = [TagValue("endTime", "09:40:00")]
        ib.placeOrder(stock, MarketOrder("BUY", 200, algoStrategy="Twap", algoParams=params))
        await desk.advance(120)
        before = desk.gateway.orders.books.quantity("AAPL")
        assert 0 < before < 200
    async with restart() as desk:
        await desk.gateway.advance_to(desk.gateway.exchange.now + 600 * SECOND_NS)
        assert desk.gateway.orders.books.quantity("AAPL") == 200
