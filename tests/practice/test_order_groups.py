"""OCA groups and brackets, through the real client."""

from __future__ import annotations

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Order, Trade

from tests.practice.conftest import Desk
from tests.practice.order_desk import codes, offers, opened, traded


def place_all(ib: IB, stock: Contract, orders: list[Order]) -> list[Trade]:
    return [ib.placeOrder(stock, order) for order in orders]


def states(trades: list[Trade]) -> list[str]:
    return [trade.orderStatus.status for trade in trades]


def oca(price: float, quantity: int = 10, kind: int = 1, **also: object) -> LimitOrder:
    return LimitOrder("BUY", quantity, price, ocaGroup="one", ocaType=kind, **also)


# ------------------------------------------------------------------------------------------------ OCA groups


@pytest.mark.parametrize("kind", [1, 2, 3])
async def test_one_order_filled_cancels_all_of_its_group(desk: Desk, stock: Contract, kind: int) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    trades = place_all(
        ib, stock, [oca(150.0, kind=kind), oca(151.0, kind=kind), oca(offers(desk)[0].price, kind=kind)]
    )
    apart = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, ocaGroup="two"))
    await desk.settle()
    assert (states(trades), apart.orderStatus.status) == (["Cancelled", "Cancelled", "Filled"], "Submitted")
    assert heard == [202, 202]
    reasons = {ticket.reason for ticket in desk.gateway.orders.completed() if ticket.status == "Cancelled"}
    assert reasons == {"OCA group filled"}


async def test_one_order_cancelled_cancels_all_of_its_group(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trades = place_all(ib, stock, [oca(150.0), oca(151.0), oca(152.0)])
    ib.cancelOrder(trades[1].order)
    await desk.settle()
    assert states(trades) == ["Cancelled"] * 3


async def test_a_partial_fill_cancels_a_group_of_type_1(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    trades = place_all(ib, stock, [oca(150.0, 1_000), oca(best.price, 1_000)])
    await desk.settle()
    assert states(trades) == ["Cancelled", "Submitted"]


@pytest.mark.parametrize("kind", [2, 3])
async def test_a_partial_fill_reduces_groups_of_types_2_and_3_in_proportion(
    desk: Desk, stock: Contract, kind: int
) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    trades = place_all(ib, stock, [oca(150.0, 500, kind), oca(best.price, 1_000, kind)])
    await desk.settle()
    assert states(trades) == ["Submitted", "Submitted"]
    left = 500 * (1_000 - best.size) // 1_000
    assert trades[0].orderStatus.remaining == trades[0].order.totalQuantity == left
    ib.cancelOrder(trades[1].order)
    await desk.settle()
    assert states(trades) == ["Cancelled", "Cancelled"]


async def test_a_group_never_fills_twice_even_where_both_rest_at_one_price(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    deep = offers(desk)[0].price - 0.1
    trades = place_all(ib, stock, [oca(round(deep, 2), 30), oca(round(deep, 2), 30)])
    await desk.advance(600)
    assert sum(traded(trade) for trade in trades) == 30
    assert sorted(states(trades)) == ["Cancelled", "Filled"]


# -------------------------------------------------------------------------------------------------- brackets


async def test_a_bracket_waits_until_its_last_order_is_transmitted(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    bracket = ib.bracketOrder("BUY", 10, offers(desk)[0].price, 250.0, 150.0)
    trades = place_all(ib, stock, list(bracket)[:2])
    await desk.settle()
    assert states(trades) == ["PendingSubmit", "PendingSubmit"]
    assert await ib.reqAllOpenOrdersAsync() == []
    trades.append(ib.placeOrder(stock, bracket.stopLoss))
    await desk.settle()
    assert states(trades) == ["Filled", "Submitted", "PreSubmitted"]
    assert trades[2].orderStatus.whyHeld == "trigger"
    assert trades[1].orderStatus.parentId == bracket.parent.orderId


async def test_children_wait_for_their_parent(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 10, 150.0, 250.0, 140.0)))
    await desk.advance(60)
    assert states(trades) == ["Submitted", "PreSubmitted", "PreSubmitted"]
    assert [trade.orderStatus.whyHeld for trade in trades] == ["", "child", "child,trigger"]


async def test_one_exit_of_a_bracket_cancels_the_other(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    entry = offers(desk)[0].price
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 10, entry, round(entry + 0.3, 2), 150.0)))
    await desk.advance(600)
    assert states(trades) == ["Filled", "Filled", "Cancelled"]
    assert ib.positions() == []
    known = {ticket.perm_id: ticket for ticket in desk.gateway.orders.completed()}
    exits = [known[trade.order.permId] for trade in trades[1:]]
    assert {ticket.oca for ticket in exits} == {str(trades[0].order.permId)}


async def test_the_stop_of_a_bracket_protects_the_position(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    entry = offers(desk)[0].price
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 10, entry, 300.0, round(entry - 0.3, 2))))
    await desk.advance(600)
    assert states(trades) == ["Filled", "Cancelled", "Filled"]
    assert ib.positions() == []


async def test_cancelling_the_parent_cancels_its_children(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 10, 150.0, 250.0, 140.0)))
    await desk.settle()
    ib.cancelOrder(trades[0].order)
    await desk.settle()
    assert states(trades) == ["Cancelled"] * 3


async def test_exits_work_as_many_shares_as_the_entry_has_traded(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 1_000, best.price, best.price + 50, 140.0)))
    await desk.settle()
    assert states(trades) == ["Submitted", "Submitted", "PreSubmitted"]
    book = desk.gateway.exchange.book("AAPL")
    assert book is not None
    assert book.remaining(trades[1].order.permId) == best.size
    ib.cancelOrder(trades[0].order)
    await desk.settle()
    assert states(trades) == ["Cancelled", "Submitted", "PreSubmitted"]
    assert [trade.orderStatus.remaining for trade in trades[1:]] == [best.size, best.size]


async def test_partly_traded_entries_and_exits_never_turn_the_position(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    entry = offers(desk)[0].price
    trades = place_all(
        ib, stock, list(ib.bracketOrder("BUY", 1_500, entry, round(entry + 0.05, 2), round(entry - 0.4, 2)))
    )
    for _ in range(120):
        await desk.gateway.advance(5)
        assert 0 <= desk.gateway.orders.books.quantity("AAPL") <= 1_500
    await desk.settle()
    bought, *sold = (traded(trade) for trade in trades)
    assert bought >= sum(sold)


async def test_a_rejected_parent_takes_its_children_with_it(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trades = place_all(ib, stock, list(ib.bracketOrder("BUY", 9_000, 199.0, 250.0, 140.0)))
    await desk.settle()
    assert states(trades) == ["Inactive", "Cancelled", "Cancelled"]
    assert desk.gateway.orders.working() == []


async def test_a_child_needs_a_parent_that_lives_or_has_filled(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    parent = ib.placeOrder(stock, MarketOrder("BUY", 10))
    gone = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0))
    await desk.settle()
    ib.cancelOrder(gone.order)
    late = ib.placeOrder(stock, LimitOrder("SELL", 10, 250.0, parentId=parent.order.orderId))
    lost = ib.placeOrder(stock, LimitOrder("SELL", 10, 250.0, parentId=gone.order.orderId))
    await desk.settle()
    assert (late.orderStatus.status, heard) == ("Submitted", [202, 135])
    assert lost.orderStatus.status == "Cancelled"


async def test_a_family_has_no_more_than_three_generations(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard, above = codes(ib), 0
    for _ in range(4):
        trade = ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, parentId=above))
        above = trade.order.orderId
    await desk.settle()
    assert heard == [201]


async def test_an_untransmitted_order_can_be_changed_cancelled_and_sent(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    kept = LimitOrder("BUY", 10, 150.0, transmit=False)
    dropped = LimitOrder("BUY", 10, 150.0, transmit=False)
    trades = place_all(ib, stock, [kept, dropped])
    await desk.settle()
    ib.cancelOrder(dropped)
    kept.lmtPrice, kept.transmit = 151.0, True
    ib.placeOrder(stock, kept)
    await desk.settle()
    assert states(trades) == ["Submitted", "Cancelled"]
    assert [ticket.limit for ticket in desk.gateway.orders.working()] == [151]


async def test_global_cancel_ends_brackets_groups_and_what_was_never_sent(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    place_all(ib, stock, [oca(150.0), oca(151.0)])
    place_all(ib, stock, list(ib.bracketOrder("BUY", 10, 150.0, 250.0, 140.0)))
    ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, transmit=False))
    await desk.settle()
    ib.reqGlobalCancel()
    await desk.settle()
    assert desk.gateway.orders.working() == []
    assert len(desk.gateway.orders.completed()) == 6
