"""Ways to make an order trade what it may not, each of which once worked."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Order, Trade

from robo_trader.core.events import SECOND_NS, Side
from robo_trader.practice.account.shorts import Borrow, Locate
from robo_trader.practice.market.exchange import Auction
from tests.practice.conftest import Desk
from tests.practice.order_desk import bids, codes, offers, opened, traded
from tests.practice.test_margin import holding, order

FAR = 150.0
FALL = 7 * 60  # seconds from the open to when the tape falls by two dollars


def own(trade: Trade, desk: Desk) -> int:
    """Return the shares an order has resting in the market's book."""
    book = desk.gateway.exchange.book("AAPL")
    assert book is not None
    return book.remaining(trade.order.permId)


def family(parent: Order, *children: Order, ib: IB, stock: Contract) -> list[Trade]:
    parent.transmit = False
    trades = [ib.placeOrder(stock, parent)]
    for child in children:
        child.parentId, child.transmit = parent.orderId, child is children[-1]
        trades.append(ib.placeOrder(stock, child))
    return trades


# ------------------------------------------------------------------------------------------------ in a halt


async def rests_at_the_bid(desk: Desk, stock: Contract) -> tuple[IB, Trade]:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 1_500, bids(desk)[0].price))
    await desk.settle()
    desk.gateway.halt("AAPL", "news")
    return ib, trade


async def test_an_order_changed_in_a_halt_never_trades_at_its_old_price(desk: Desk, stock: Contract) -> None:
    ib, trade = await rests_at_the_bid(desk, stock)
    trade.order.lmtPrice = FAR
    ib.placeOrder(stock, trade.order)
    await desk.advance(FALL)
    before = traded(trade)
    desk.gateway.resume("AAPL")
    await desk.advance(120)
    assert traded(trade) == before
    assert own(trade, desk) == 1_500 - before


async def test_an_order_held_in_a_halt_does_not_trade_after_it(desk: Desk, stock: Contract) -> None:
    _, trade = await rests_at_the_bid(desk, stock)
    desk.gateway.deliver(desk.gateway.orders.hold(trade.order.permId, "locate"))
    await desk.advance(FALL)
    desk.gateway.resume("AAPL")
    await desk.advance(5)
    assert traded(trade) == own(trade, desk) == 0
    desk.gateway.deliver(desk.gateway.orders.release(trade.order.permId, desk.gateway.now()))
    await desk.advance(120)
    assert traded(trade) > 0


# -------------------------------------------------------------------------------------------- when it may work


async def test_an_order_put_off_until_later_leaves_the_market(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 1_500, bids(desk)[0].price))
    await desk.settle()
    trade.order.goodAfterTime = "20260113 11:00:00 US/Eastern"
    ib.placeOrder(stock, trade.order)
    await desk.settle()
    assert own(trade, desk) == 0
    await desk.advance(120)
    assert traded(trade) == 0


async def test_a_trailing_child_begins_to_trail_when_its_parent_has_traded(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    exit_ = Order(action="SELL", totalQuantity=10, orderType="TRAIL", auxPrice=0.10)
    parent, child = family(LimitOrder("BUY", 10, bids(desk)[0].price - 0.05), exit_, ib=ib, stock=stock)
    await desk.settle()
    ticket = desk.gateway.orders.working()[1]
    assert (ticket.perm_id, ticket.stop) == (child.order.permId, None)
    while not parent.isDone():
        await desk.advance(1)
    assert not child.fills
    await desk.advance(5)
    after = next(t for t in (*desk.gateway.orders.working(), *desk.gateway.orders.completed())
                 if t.perm_id == child.order.permId)  # fmt: skip
    assert after.stop is not None


async def test_a_child_is_not_triggered_by_prints_before_its_parent_traded(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    price = bids(desk)[0].price
    exit_ = Order(action="SELL", totalQuantity=500, orderType="STP", auxPrice=price + 5)
    parent, child = family(LimitOrder("BUY", 500, price), exit_, ib=ib, stock=stock)
    await desk.settle()
    while not parent.fills:
        await desk.advance(1)
    assert child.orderStatus.whyHeld == ("trigger" if parent.isDone() else child.orderStatus.whyHeld)
    assert not child.fills


async def test_what_an_immediate_parent_got_is_protected_by_its_children(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    parent, profit, loss = family(
        LimitOrder("BUY", 10 * best.size, best.price, tif="IOC"),
        LimitOrder("SELL", 10 * best.size, 290.0),
        Order(action="SELL", totalQuantity=10 * best.size, orderType="STP", auxPrice=FAR),
        ib=ib, stock=stock,
    )  # fmt: skip
    await desk.settle()
    assert (parent.orderStatus.status, traded(parent)) == ("Cancelled", best.size)
    for child in (profit, loss):
        assert not child.isDone()
        assert child.orderStatus.remaining == best.size


# ---------------------------------------------------------------------------------------------- all or none


async def test_an_all_or_none_order_never_waits_where_it_could_trade_in_part(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(
        stock, Order(action="BUY", totalQuantity=1_500, orderType="MIDPRICE", allOrNone=True)
    )
    await desk.advance(60)
    assert not trade.fills
    assert own(trade, desk) == 0


def at_the_auction(desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let the next beat end with a closing auction of that size."""
    auction = Auction(opening=False, price=200.0, size=size)
    monkeypatch.setattr(desk.gateway.exchange, "auction", lambda _symbol: auction)


async def test_all_orders_together_get_no_more_than_an_auction_traded(
    desk: Desk, stock: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib = await opened(desk)
    orders = [Order(action="BUY", totalQuantity=60, orderType="MOC") for _ in range(2)]
    whole = Order(action="SELL", totalQuantity=101, orderType="MOC", allOrNone=True)
    trades = [ib.placeOrder(stock, one) for one in (*orders, whole)]
    await desk.settle()
    at_the_auction(desk, monkeypatch, 100)
    await desk.advance(1)
    assert [traded(trade) for trade in trades] == [60, 40, 0]
    assert [trade.orderStatus.status for trade in trades] == ["Filled", "Cancelled", "Cancelled"]


# ------------------------------------------------------------------------------- more than can be carried


async def test_a_child_larger_than_its_parent_is_carried_by_the_account_or_rejected(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    parent, child = family(LimitOrder("BUY", 1, FAR), LimitOrder("SELL", 50_000, 290.0), ib=ib, stock=stock)
    await desk.settle()
    assert (parent.orderStatus.status, child.orderStatus.status) == ("Submitted", "Inactive")
    assert heard == [201]


async def test_a_child_cannot_grow_beyond_what_the_account_carries(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    _, child = family(LimitOrder("BUY", 1, FAR), LimitOrder("SELL", 1, 290.0), ib=ib, stock=stock)
    await desk.settle()
    child.order.totalQuantity = 50_000
    ib.placeOrder(stock, child.order)
    await desk.settle()
    assert heard == [201]
    assert [ticket.quantity for ticket in desk.gateway.orders.working()] == [1, 1]


async def test_of_an_oca_group_the_largest_order_is_carried(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    for quantity in (1, 1_400):
        ib.placeOrder(stock, LimitOrder("BUY", quantity, FAR, ocaGroup="one"))
    other = ib.placeOrder(stock, LimitOrder("BUY", 1_400, FAR))
    await desk.settle()
    assert other.orderStatus.status == "Inactive"


async def test_a_group_that_has_traded_takes_no_further_order(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    first = ib.placeOrder(stock, MarketOrder("BUY", 10, ocaGroup="one", ocaType=1))
    second = ib.placeOrder(stock, MarketOrder("BUY", 10, ocaGroup="one", ocaType=1))
    await desk.settle()
    assert (traded(first), traded(second), heard) == (10, 0, [201])


async def test_a_sale_that_grows_waits_for_the_further_shares(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    desk.gateway.orders.borrow.limit("AAPL", 100)
    trade = ib.placeOrder(stock, LimitOrder("SELL", 100, 290.0))
    await desk.settle()
    assert own(trade, desk) == 100
    trade.order.totalQuantity = 101
    ib.placeOrder(stock, trade.order)
    await desk.settle()
    assert (own(trade, desk), trade.orderStatus.whyHeld, heard) == (0, "locate", [404])
    trade.order.totalQuantity = 90
    ib.placeOrder(stock, trade.order)
    await desk.advance(1)
    assert own(trade, desk) == 90


def test_of_orders_that_exclude_each_other_one_needs_a_locate() -> None:
    pair = [msgspec.structs.replace(order(Side.SELL, 100, perm_id=i), oca="7") for i in (2, 3)]
    waits = msgspec.structs.replace(order(Side.SELL, 100, perm_id=4), parent=1, released=0)
    borrow = Borrow({"A": 0})
    assert borrow.locate(order(Side.SELL, 50), [*pair, waits], holding(150)) is Locate.FOUND
    assert borrow.locate(order(Side.SELL, 51), [*pair, waits], holding(150)) is Locate.HELD


# ---------------------------------------------------------------------------------------------- overnight


async def test_a_split_ends_orders_that_were_not_transmitted_too(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, LimitOrder("BUY", 1, FAR, tif="GTC"))
    ib.placeOrder(stock, LimitOrder("BUY", 2, FAR, tif="GTC", transmit=False))
    await desk.settle()
    gateway = desk.gateway
    told = gateway.orders.end_of({"AAPL"}, "Corporate action", gateway.now() + SECOND_NS)
    gateway.deliver(told)
    await desk.settle()
    assert gateway.orders.working() == []
    assert {t.reason for t in gateway.orders.completed()} == {"Corporate action"}
    assert Decimal(len(gateway.orders.completed())) == 2
