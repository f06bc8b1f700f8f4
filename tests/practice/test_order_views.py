"""Who sees which orders: owners, client 0, the master client, and what-if questions that are no orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from ib_async import IB, Contract, ExecutionFilter, LimitOrder, MarketOrder, StopOrder
from ib_async.util import UNSET_DOUBLE

from robo_trader.core.events import Side
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.order_desk import bids, cash, codes, offers, opened, traded

# ------------------------------------------------------------------------------------------- what-if orders


async def test_a_what_if_order_tells_margins_and_commission_and_leaves_no_trace(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    price = desk.gateway.exchange.last("AAPL")
    assert price is not None
    state = await ib.whatIfOrderAsync(stock, MarketOrder("BUY", 100))
    assert float(state.initMarginChange) == pytest.approx(100 * price * 0.25)
    assert float(state.initMarginAfter) == float(state.initMarginBefore) + float(state.initMarginChange)
    assert float(state.equityWithLoanBefore) == 100_000
    assert (state.commission, state.status) == (1.0, "PreSubmitted")
    assert UNSET_DOUBLE not in (float(state.maintMarginAfter), float(state.equityWithLoanAfter))
    assert (await ib.reqAllOpenOrdersAsync(), cash(ib), desk.gateway.orders.completed()) == ([], 100_000, [])


async def test_a_what_if_order_with_a_flaw_is_an_error(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    assert not await ib.whatIfOrderAsync(stock, StopOrder("BUY", 100, 0.0))
    assert heard == [110]


# --------------------------------------------------------------------------------------- orders made by hand


def by_hand(desk: Desk, side: Side = Side.BUY, quantity: int = 10, limit: str | None = "150") -> int:
    """Make an order in TWS and return its permanent id."""
    gateway = desk.gateway
    told = gateway.orders.manual(
        "AAPL", side, quantity, "LMT" if limit else "MKT", Decimal(limit) if limit else None, gateway.now()
    )
    gateway.deliver(told)
    known = [*gateway.orders.working(), *gateway.orders.completed()]
    return max(ticket.perm_id for ticket in known)


async def test_client_0_binds_orders_made_by_hand_and_may_change_and_cancel_them(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk, 0)  # this client binds on connecting
    perm_id = by_hand(desk)
    await desk.settle()
    (trade,) = ib.openTrades()
    assert (trade.order.permId, trade.order.orderId, trade.order.clientId) == (perm_id, -1, 0)
    assert trade.orderStatus.status == "Submitted"
    ib.client.cancelOrder(trade.order.orderId)
    await desk.settle()
    assert (trade.orderStatus.status, desk.gateway.orders.working()) == ("Cancelled", [])


async def test_fills_of_orders_made_by_hand_are_told_to_client_0_and_asked_for_by_all(
    desk: Desk, stock: Contract
) -> None:
    zero, other = await opened(desk, 0), await desk.connect(3)
    by_hand(desk, limit=None)
    await desk.settle()
    assert [fill.execution.shares for fill in zero.fills()] == [10]
    assert other.fills() == []
    (fill,) = await other.reqExecutionsAsync()
    assert (fill.execution.clientId, fill.execution.shares) == (0, 10)
    assert [p.position for p in other.positions()] == [10]


async def test_orders_made_by_hand_before_client_0_came_are_bound_when_it_comes(
    desk: Desk, stock: Contract
) -> None:
    await opened(desk, 5)
    first, second = by_hand(desk), by_hand(desk, limit="151")
    zero = await desk.connect(0)
    assert {t.order.permId: t.order.orderId for t in zero.openTrades()} == {first: -1, second: -2}


async def test_only_client_0_may_bind(desk: Desk) -> None:
    ib = await opened(desk, 4)
    heard = codes(ib)
    ib.reqAutoOpenOrders(True)
    await desk.settle()
    assert heard == [327]


async def test_orders_made_by_hand_are_not_among_the_completed_ones_of_the_api(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    by_hand(desk, limit=None)
    ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    assert (len(await ib.reqCompletedOrdersAsync(False)), len(await ib.reqCompletedOrdersAsync(True))) == (
        2,
        1,
    )


@pytest.mark.parametrize(
    ("kind", "quantity", "limit"),
    [("STP", 1, None), ("LMT", 1, None), ("MKT", 0, None), ("MKT", 1, Decimal(1))],
)
async def test_an_order_by_hand_that_cannot_be_is_refused(
    desk: Desk, kind: str, quantity: int, limit: Decimal | None
) -> None:
    await opened(desk)
    with pytest.raises(ValueError, match="order"):
        desk.gateway.orders.manual("AAPL", Side.BUY, quantity, kind, limit, desk.gateway.now())


# ------------------------------------------------------------------------------------------------ own, all


async def test_a_client_sees_its_own_open_orders_and_on_asking_all(desk: Desk, stock: Contract) -> None:
    first, second = await opened(desk, 1), await desk.connect(2)
    mine = first.placeOrder(stock, LimitOrder("BUY", 1, 150.0))
    theirs = second.placeOrder(stock, LimitOrder("BUY", 2, 150.0))
    first.placeOrder(stock, LimitOrder("BUY", 3, 150.0, transmit=False))
    await desk.settle()
    own = {trade.order.permId for trade in await first.reqOpenOrdersAsync()}
    everybodys = {trade.order.permId for trade in await first.reqAllOpenOrdersAsync()}
    assert own == {mine.order.permId}
    assert everybodys == {mine.order.permId, theirs.order.permId}


async def test_executions_are_filtered_by_all_that_can_be_asked(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    account = desk.gateway.account
    count = [
        len(await ib.reqExecutionsAsync(ExecutionFilter(**question)))
        for question in (
            {"acctCode": account, "secType": "STK", "exchange": "NASDAQ", "side": "BOT", "clientId": 1},
            {"acctCode": "DU1"},
            {"secType": "OPT"},
            {"exchange": "NYSE"},
            {"side": "SLD"},
            {"time": "20260113 09:30:01 US/Eastern"},
            {"time": "20260113-14:30:06"},
        )
    ]
    assert count == [1, 0, 0, 0, 0, 0, 0]
    heard = codes(ib)
    ib.client.reqExecutions(901, ExecutionFilter(time="lately"))
    await desk.settle()
    assert heard == [321]


# --------------------------------------------------------------------------------------------- the master


@pytest.fixture
async def mastered(tape: TapeMarket) -> AsyncIterator[Desk]:
    async with desk_of(PracticeOptions(speed=0, master_client=9), tape) as running:
        yield running


async def test_the_master_client_hears_all_of_the_orders_of_others(mastered: Desk, stock: Contract) -> None:
    ib, master, bystander = await opened(mastered, 1), await mastered.connect(9), await mastered.connect(7)
    resting = ib.placeOrder(stock, LimitOrder("BUY", 5, 150.0))
    filled = ib.placeOrder(stock, MarketOrder("BUY", 3))
    await mastered.settle()
    heard = {trade.order.permId: trade.orderStatus.status for trade in master.trades()}
    assert heard == {resting.order.permId: "Submitted", filled.order.permId: "Filled"}
    (fill,) = master.fills()
    assert (fill.execution.clientId, fill.commissionReport.commission) == (1, 1.0)
    assert (bystander.trades(), bystander.fills()) == ([], [])


async def test_even_the_master_client_cannot_cancel_what_is_not_its_own(
    mastered: Desk, stock: Contract
) -> None:
    ib, master = await opened(mastered, 1), await mastered.connect(9)
    resting = ib.placeOrder(stock, LimitOrder("BUY", 5, 150.0))
    await mastered.settle()
    heard = codes(master)
    master.client.cancelOrder(resting.order.orderId)
    await mastered.settle()
    assert (heard, resting.orderStatus.status) == ([10147], "Submitted")


# ------------------------------------------------------------------------------- what happens from outside


async def filled_one(desk: Desk, stock: Contract) -> tuple[IB, str]:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10))
    await desk.settle()
    return ib, trade.fills[0].execution.execId


async def test_a_correction_replaces_an_execution_in_the_books_and_is_told_as_its_next_version(
    desk: Desk, stock: Contract
) -> None:
    ib, exec_id = await filled_one(desk, stock)
    desk.gateway.deliver(desk.gateway.orders.correct(exec_id, Decimal("190.00"), 10))
    await desk.settle()
    told = [fill.execution.execId for fill in ib.fills()]
    assert told == [exec_id, exec_id[:-2] + "02"]
    assert cash(ib) == 100_000 - 1_900 - 1
    (position,) = ib.positions()
    assert (position.position, position.avgCost) == (10, pytest.approx(190.1))
    (standing,) = await (await desk.connect(2)).reqExecutionsAsync()
    assert (standing.execution.execId, standing.execution.price) == (told[1], 190.0)
    desk.gateway.deliver(desk.gateway.orders.correct(exec_id, Decimal("191.00"), 8))
    await desk.settle()
    assert ([p.position for p in ib.positions()], cash(ib)) == ([8], 100_000 - 8 * 191 - 1)


async def test_a_busted_trade_is_undone(desk: Desk, stock: Contract) -> None:
    ib, exec_id = await filled_one(desk, stock)
    desk.gateway.deliver(desk.gateway.orders.bust(exec_id))
    await desk.settle()
    assert (ib.positions(), cash(ib)) == ([], 100_000)
    assert (ib.fills()[-1].execution.shares, ib.fills()[-1].execution.execId[-3:]) == (0, ".02")
    with pytest.raises(ValueError, match="no execution"):
        desk.gateway.orders.bust(exec_id)


@pytest.mark.parametrize(("price", "quantity"), [("0", 10), ("190", 11), ("190", 0), ("NaN", 5)])
async def test_a_correction_that_cannot_be_is_refused(
    desk: Desk, stock: Contract, price: str, quantity: int
) -> None:
    _, exec_id = await filled_one(desk, stock)
    with pytest.raises(ValueError, match="correct"):
        desk.gateway.orders.correct(exec_id, Decimal(price), quantity)


async def test_the_exchange_may_cancel_an_order_unasked(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0))
    await desk.settle()
    orders = desk.gateway.orders
    desk.gateway.deliver(orders.cancel_at_exchange(trade.order.permId, "Unsolicited", desk.gateway.now()))
    await desk.settle()
    assert trade.orderStatus.status == "Cancelled"
    with pytest.raises(ValueError, match="no live order"):
        orders.cancel_at_exchange(trade.order.permId, "again", desk.gateway.now())


async def test_a_held_order_does_not_trade_until_it_is_released(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    trade = ib.placeOrder(stock, LimitOrder("SELL", 5, offers(desk)[0].price))
    await desk.settle()
    orders, gateway = desk.gateway.orders, desk.gateway
    gateway.deliver(orders.hold(trade.order.permId, "locate"))
    await desk.settle()
    assert (heard, trade.orderStatus.whyHeld) == ([404], "locate")
    await desk.advance(600)
    assert trade.fills == []
    gateway.deliver(orders.release(trade.order.permId, gateway.now()))
    await desk.advance(600)
    assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("Filled", "")


# ------------------------------------------------------------------------------------------- selling short


async def test_a_short_sale_waits_for_shares_to_borrow(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    borrow = desk.gateway.orders.borrow
    borrow.limit("AAPL", 3)
    trade = ib.placeOrder(stock, MarketOrder("SELL", 5))
    await desk.settle()
    assert (heard, trade.orderStatus.status, trade.orderStatus.whyHeld) == (
        [404],
        "ValidationError",
        "locate",
    )
    await desk.advance(30)
    assert trade.fills == []
    borrow.free("AAPL")
    await desk.advance(10)
    assert (trade.orderStatus.status, [p.position for p in ib.positions()]) == ("Filled", [-5])


async def test_a_short_sale_is_refused_where_nothing_can_be_borrowed(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    desk.gateway.orders.borrow.limit("AAPL", None)
    trade = ib.placeOrder(stock, MarketOrder("SELL", 5))
    await desk.settle()
    assert (heard, trade.orderStatus.status) == ([201], "Inactive")


async def test_under_the_price_test_a_short_sale_trades_above_the_best_bid_only(
    desk: Desk, stock: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib = await opened(desk)
    monkeypatch.setattr(
        "robo_trader.practice.account.shorts._FALL", 2.0
    )  # as if every share had fallen far enough
    best = bids(desk)[0]
    trade = ib.placeOrder(stock, MarketOrder("SELL", 5))
    await desk.settle()
    assert (trade.orderStatus.status, trade.fills) == ("Submitted", [])
    await desk.advance(600)
    assert traded(trade) == 5
    assert all(fill.execution.price > best.price for fill in trade.fills)
