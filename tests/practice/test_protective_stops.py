"""Stops attached to entries, good till cancelled, as a protecting client relies on them, through the real client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Order, StopOrder, Trade

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.order_desk import codes, offers, opened, traded

Restart = Callable[[], AbstractAsyncContextManager[Desk]]
NIGHT_S = 7 * 3_600.0


def protected(ib: IB, stock: Contract, entry: Order, price: float) -> tuple[Trade, Trade]:
    """Send an entry and its stop as one."""
    entry.orderRef, entry.transmit = "run-1.1", False
    first = ib.placeOrder(stock, entry)
    child = StopOrder("SELL", entry.totalQuantity, price, tif="GTC", orderRef="run-2.1")
    child.parentId = first.order.orderId
    return first, ib.placeOrder(stock, child)


def place_stop(ib: IB, stock: Contract, price: float = 150.0, **also: object) -> Trade:
    return ib.placeOrder(stock, StopOrder("SELL", 10, price, tif="GTC", orderRef="run-9.1", **also))


async def half_filled(desk: Desk, stock: Contract) -> tuple[IB, Trade, Trade, int]:
    """Return an entry of which the best offer was taken, its stop, and what was taken."""
    ib = await opened(desk)
    best = offers(desk)[0]
    entry, stop = protected(ib, stock, LimitOrder("BUY", best.size + 50, best.price), 150.0)
    await desk.settle()
    assert (entry.orderStatus.status, traded(entry)) == ("Submitted", best.size)
    return ib, entry, stop, best.size


# ------------------------------------------------------------------------------------------------- attached


async def test_a_stop_stands_the_moment_its_entry_fills(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    entry, stop = protected(ib, stock, MarketOrder("BUY", 10), 150.0)
    await desk.settle()
    assert (entry.orderStatus.status, stop.orderStatus.status) == ("Filled", "PreSubmitted")
    assert (stop.orderStatus.whyHeld, stop.orderStatus.remaining) == ("trigger", 10)


async def test_an_entry_cancelled_half_filled_leaves_a_stop_for_what_was_bought(
    desk: Desk, stock: Contract
) -> None:
    ib, entry, stop, bought = await half_filled(desk, stock)
    ib.cancelOrder(entry.order)
    await desk.settle()
    assert (entry.orderStatus.status, stop.orderStatus.status) == ("Cancelled", "PreSubmitted")
    assert (stop.orderStatus.remaining, stop.order.totalQuantity) == (bought, bought)


async def test_an_entry_for_the_day_that_ends_half_filled_leaves_its_stop_over_night(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    await desk.gateway.advance_to(desk.gateway.exchange.session.close - SECOND_NS)
    entry, stop = protected(ib, stock, LimitOrder("BUY", 1_500, offers(desk)[0].price), 150.0)
    await desk.advance(NIGHT_S)
    bought = traded(entry)
    assert 0 < bought < 1_500
    assert (entry.orderStatus.status, stop.orderStatus.status) == ("Cancelled", "PreSubmitted")
    assert (stop.orderStatus.remaining, stop.orderStatus.whyHeld) == (bought, "trigger")


async def test_a_stop_may_be_made_smaller_while_its_entry_still_trades(desk: Desk, stock: Contract) -> None:
    ib, _entry, stop, _bought = await half_filled(desk, stock)
    stop.order.totalQuantity = 20
    ib.placeOrder(stock, stop.order)
    await desk.settle()
    assert (stop.orderStatus.status, stop.orderStatus.remaining) == ("PreSubmitted", 20)


async def test_a_change_that_names_a_parent_which_has_ended_is_refused_and_the_stop_stands(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    entry, stop = protected(ib, stock, MarketOrder("BUY", 10), 150.0)
    await desk.settle()
    change = StopOrder("SELL", 5, 151.0, tif="GTC", orderId=stop.order.orderId, parentId=entry.order.orderId)
    ib.client.placeOrder(change.orderId, stock, change)
    await desk.settle()
    (alive,) = await ib.reqAllOpenOrdersAsync()
    assert (heard, alive.order.totalQuantity, alive.order.auxPrice) == ([135], 10, 150.0)
    change.parentId = 0
    ib.client.placeOrder(change.orderId, stock, change)
    await desk.settle()
    (alive,) = await ib.reqAllOpenOrdersAsync()
    assert (alive.order.totalQuantity, alive.order.auxPrice) == (5, 151.0)


async def test_a_client_killed_between_entry_and_stop_has_ordered_nothing(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    entry = ib.placeOrder(stock, MarketOrder("BUY", 10, orderRef="run-1.1", transmit=False))
    await desk.settle()
    for client in desk.gateway.clients():
        client.abort()
    await desk.gateway.advance(60)
    again = await desk.connect()
    assert await again.reqAllOpenOrdersAsync() == await again.reqExecutionsAsync() == again.positions() == []
    assert await again.reqCompletedOrdersAsync(False) == []
    late = place_stop(again, stock)
    await desk.advance(60)
    assert late.order.orderId > entry.order.orderId
    assert [ticket.ref for ticket in desk.gateway.orders.working()] == ["run-9.1"]


async def test_a_stop_that_makes_no_sense_keeps_its_entry_from_the_market(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    entry, _stop = protected(ib, stock, MarketOrder("BUY", 10), 150.005)
    await desk.advance(60)
    assert (heard, traded(entry), await ib.reqAllOpenOrdersAsync()) == ([110], 0, [])


# ------------------------------------------------------------------------------------------------- triggered


async def test_a_stop_looks_at_prints_and_then_trades_at_the_market(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    last = desk.gateway.exchange.last("AAPL")
    assert last is not None
    protected(ib, stock, MarketOrder("BUY", 10), round(last - 0.1, 2))
    await desk.settle()
    (stop,) = (trade for trade in ib.trades() if trade.order.orderType == "STP")
    assert stop.order.triggerMethod == 0
    prints: list[float] = []
    while not stop.fills:
        assert all(price > stop.order.auxPrice for price in prints)
        await desk.advance(1)
        prints = [trade.price for trade in desk.gateway.exchange.prints("AAPL")]
    assert min(prints) <= stop.order.auxPrice
    assert (stop.orderStatus.status, ib.positions()) == ("Filled", [])


# --------------------------------------------------------------------------------------- nights and restarts


async def test_a_stop_good_till_cancelled_works_the_next_day_and_one_for_the_day_does_not(
    tape: TapeMarket, stock: Contract
) -> None:
    async with desk_of(PracticeOptions(speed=0, start="2026-01-12"), tape) as desk:
        ib = await opened(desk)
        entry, kept = protected(ib, stock, MarketOrder("BUY", 10), 150.0)
        gone = ib.placeOrder(stock, StopOrder("SELL", 1, 150.0))
        await desk.settle()
        await desk.advance(NIGHT_S)
        assert desk.gateway.exchange.session.label == "2026-01-13"
        assert (entry.orderStatus.status, gone.orderStatus.status) == ("Filled", "Cancelled")
        assert kept.orderStatus.status == "PreSubmitted"
        last = desk.gateway.exchange.last("AAPL")
        assert last is not None
        change = StopOrder("SELL", 10, round(last + 1, 2), tif="GTC", orderId=kept.order.orderId)
        ib.client.placeOrder(change.orderId, stock, change)
        await desk.advance(600)
        assert (kept.orderStatus.status, ib.positions()) == ("Filled", [])


async def test_a_stop_kept_over_a_restart_still_protects_and_belongs_to_its_client(
    restart: Restart, stock: Contract
) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        last = desk.gateway.exchange.last("AAPL")
        assert last is not None
        protected(ib, stock, MarketOrder("BUY", 10), round(last - 0.3, 2))
        await desk.settle()
        (perm_id,) = (t.order.permId for t in ib.openTrades())
    async with restart() as desk:
        ib = await desk.connect()
        (found,) = await ib.reqAllOpenOrdersAsync()
        assert (found.order.permId, found.order.orderRef, found.order.tif) == (perm_id, "run-2.1", "GTC")
        assert found.order.auxPrice == round(last - 0.3, 2)
        await desk.advance(600)
        assert (ib.positions(), await ib.reqAllOpenOrdersAsync()) == ([], [])


async def test_a_restart_on_command_keeps_stops_and_forgets_what_was_never_transmitted(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    protected(ib, stock, MarketOrder("BUY", 10), 150.0)
    ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, transmit=False))
    await desk.settle()
    desk.gateway.plant("restart-keep")
    await desk.gateway.advance(60)
    again = await desk.connect()
    (found,) = await again.reqAllOpenOrdersAsync()
    assert (found.order.orderRef, found.order.clientId) == ("run-2.1", 1)
    assert [ticket.ref for ticket in desk.gateway.orders.working()] == ["run-2.1"]
    change = StopOrder("SELL", 10, 151.0, tif="GTC", orderId=found.order.orderId)
    again.client.placeOrder(change.orderId, stock, change)
    await desk.settle()
    (found,) = await again.reqAllOpenOrdersAsync()
    assert found.order.auxPrice == 151.0
    assert found.order.permId


async def test_a_stop_of_a_client_that_is_gone_is_seen_by_all_and_touched_by_none(
    desk: Desk, stock: Contract
) -> None:
    gone, stays = await opened(desk, 5), await desk.connect(6)
    place_stop(gone, stock)
    await desk.settle()
    gone.disconnect()
    heard = codes(stays)
    (found,) = await stays.reqAllOpenOrdersAsync()
    order = found.order
    assert (order.clientId, order.orderRef, order.tif, order.auxPrice) == (5, "run-9.1", "GTC", 150.0)
    stays.client.cancelOrder(order.orderId, "")
    await desk.settle()
    assert (heard, len(await stays.reqAllOpenOrdersAsync())) == ([10147], 1)
    back = await desk.connect(5)
    back.client.cancelOrder(order.orderId, "")
    await desk.settle()
    assert await stays.reqAllOpenOrdersAsync() == []


# -------------------------------------------------------------------------------------------- fifteen a side


async def test_no_more_than_fifteen_orders_of_a_side_work_in_one_share(
    desk: Desk, stock: Contract, thin: Contract
) -> None:
    ib = await opened(desk)
    heard: list[str] = []
    ib.errorEvent += lambda _about, code, text, *_: heard.append(f"{code} {text}")
    trades = [ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0)) for _ in range(16)]
    others = [
        ib.placeOrder(stock, LimitOrder("SELL", 1, 300.0)),
        ib.placeOrder(thin, LimitOrder("BUY", 1, 40.0)),
    ]
    await desk.settle()
    assert [trade.orderStatus.status for trade in trades[14:]] == ["Submitted", "Inactive"]
    assert [trade.orderStatus.status for trade in others] == ["Submitted", "Submitted"]
    assert heard == [
        "201 Order rejected - reason:Your account has a minimum of 15 orders working on either the buy or sell"
        " side for this particular contract"
    ]
    ib.cancelOrder(trades[0].order)
    again = ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0))
    await desk.settle()
    assert again.orderStatus.status == "Submitted"


async def test_a_crowd_of_stops_leaves_the_next_entry_without_one(tape: TapeMarket, stock: Contract) -> None:
    async with desk_of(PracticeOptions(speed=0, orders_a_side=2), tape) as desk:
        ib = await opened(desk)
        heard = codes(ib)
        for _ in range(2):
            place_stop(ib, stock)
        entry, stop = protected(ib, stock, MarketOrder("BUY", 10), 150.0)
        await desk.settle()
        assert (heard, entry.orderStatus.status, stop.orderStatus.status) == ([201], "Filled", "Inactive")


def test_a_share_takes_at_least_one_order() -> None:
    with pytest.raises(ConfigurationError, match="orders_a_side"):
        PracticeOptions(orders_a_side=0)
