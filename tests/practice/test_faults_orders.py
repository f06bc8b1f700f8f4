"""Faults of orders, and what the real client suffers from each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Trade

from tests.practice.conftest import Desk
from tests.practice.test_faults_connection import SHORT, codes_of, gone

FAR, NEAR = 100.0, 900.0  # limits to buy at: one that rests, one that fills


async def trading(desk: Desk) -> IB:
    ib = await desk.connect()
    await desk.advance(5)
    return ib


def events_of(ib: IB) -> list[str]:
    """Note which events fire, in their order."""
    heard: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: heard.append(name)

    ib.execDetailsEvent += note("execution")
    ib.commissionReportEvent += note("commission")
    ib.openOrderEvent += note("open")
    return heard


def live(desk: Desk) -> list[str]:
    """Return the statuses of the orders that live at the gateway."""
    return [ticket.status for ticket in desk.gateway.orders.working()]


async def test_lose_before_accept_leaves_no_order_behind(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("lose-before-accept")
    trade = ib.placeOrder(stock, LimitOrder("BUY", 1, FAR))
    await gone(ib)
    assert trade.orderStatus.status == "PendingSubmit"  # frozen as it was
    again = await desk.connect(1)
    assert again.openTrades() == []


async def test_accept_then_drop_leaves_an_order_nobody_was_told_of(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("accept-then-drop")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5, orderRef="run-1.1"))
    await gone(ib)
    assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
    again = await desk.connect(1)
    assert [(f.execution.orderRef, f.execution.shares) for f in again.fills()] == [("run-1.1", 5)]
    assert again.positions()[0].position == 5


async def test_delay_ack_leaves_an_order_pending_for_market_seconds(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("delay-ack", seconds=15)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.advance(10)
    assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
    await desk.advance(5)
    assert trade.orderStatus.status == "Filled"
    assert trade.fills[0].commissionReport.commission > 0


async def test_a_late_commission_leaves_the_fill_without_one(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("commission-late", seconds=15)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.advance(5)
    assert trade.orderStatus.status == "Filled"
    assert trade.fills[0].commissionReport.commission == 0
    await desk.advance(15)
    assert trade.fills[0].commissionReport.commission > 0


async def test_commission_first_is_lost_for_ever(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("commission-first")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.advance(30)
    assert trade.orderStatus.status == "Filled"
    assert trade.fills[0].commissionReport.commission == 0


async def test_duplicate_executions_count_once_and_commissions_fire_twice(
    desk: Desk, stock: Contract
) -> None:
    ib = await trading(desk)
    heard = events_of(ib)
    desk.gateway.plant("duplicate")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert (trade.filled(), len(trade.fills)) == (5, 1)
    assert (heard.count("execution"), heard.count("commission")) == (1, 2)


async def test_reorder_tells_the_end_before_the_beginning(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    heard: list[tuple[str, int]] = []
    desk.gateway.plant("reorder")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    trade.statusEvent += lambda t: heard.append((t.orderStatus.status, len(t.fills)))
    await desk.settle()
    assert heard[0] == ("Filled", 0)  # full, and not one fill known
    assert trade.orderStatus.status != "Filled"  # what was told last is what was true first
    assert len(trade.fills) == 1


async def test_a_missing_status_leaves_a_full_order_submitted(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("missing-status", status="Filled")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.advance(10)
    assert (trade.filled(), trade.remaining()) == (5, 0)
    assert not trade.isDone()


async def test_a_missing_open_order_silences_commissions(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    heard = events_of(ib)
    desk.gateway.plant("missing-open-order")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert "commission" not in heard
    assert "execution" in heard
    assert trade.fills[0].commissionReport.commission > 0  # the figures are there, the event never fires


async def test_partial_fills_add_up_to_the_whole(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("partial-fills", pieces=6)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 50))
    await desk.settle()
    executed = desk.gateway.orders.executed()
    sizes = [f.execution.shares for f in trade.fills]
    assert len(sizes) == len({f.execution.execId for f in trade.fills}) == 6 * len(executed)
    assert [f.execution.cumQty for f in trade.fills] == list(accumulate(sizes))
    assert (sum(sizes), trade.remaining()) == (50, 0)
    told = sum(Decimal(str(f.commissionReport.commission)) for f in trade.fills)
    assert told == sum(fill.commission for fill in executed)
    again = await desk.connect(2)
    assert len(await again.reqExecutionsAsync()) == len(sizes)


@pytest.mark.parametrize(
    ("code", "status", "done"),
    [
        (10349, "Cancelled", True),
        (10148, "Cancelled", True),
        (399, "ValidationError", False),
        (110, "ValidationError", False),
        (404, "ValidationError", False),
    ],
)
async def test_error_on_live_gives_a_live_order_a_false_end(
    desk: Desk, stock: Contract, code: int, status: str, done: bool
) -> None:
    ib = await trading(desk)
    desk.gateway.plant("error-on-live", code=code)
    await desk.settle()
    trade = ib.placeOrder(stock, LimitOrder("BUY", 5, FAR))
    trade.statusEvent += lambda t: statuses.append(t.orderStatus.status)
    statuses: list[str] = []
    await desk.settle()
    assert status in statuses
    assert done == ("Cancelled" in statuses)
    assert live(desk) == ["Submitted"]


async def test_an_error_after_the_last_status_stays(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 5, FAR))
    await desk.settle()
    desk.gateway.plant("error-on-live", code=10148)
    trade.order.totalQuantity = 6
    ib.placeOrder(stock, trade.order)
    await desk.settle()
    assert (trade.orderStatus.status, trade.isDone()) == ("Cancelled", True)
    assert live(desk) == ["Submitted"]


@pytest.mark.parametrize(("code", "status"), [(399, "ValidationError"), (201, "Filled")])
async def test_error_after_fill_may_take_the_fill_back(
    desk: Desk, stock: Contract, code: int, status: str
) -> None:
    ib = await trading(desk)
    codes = codes_of(ib)
    desk.gateway.plant("error-after-fill", code=code)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert trade.orderStatus.status == status
    assert (trade.filled(), code in codes) == (5, True)


async def test_a_ghost_inactive_order_still_fills(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("ghost-inactive")
    trade = ib.placeOrder(stock, LimitOrder("BUY", 5, FAR))
    await desk.settle()
    assert (trade.orderStatus.status, trade.isDone()) == ("Inactive", True)
    assert live(desk) == ["Submitted"]
    trade.order.lmtPrice = NEAR
    ib.client.placeOrder(trade.order.orderId, stock, trade.order)  # IB.placeOrder asserts that it is not done
    await desk.advance(10)
    assert trade.orderStatus.status == "Filled"


@pytest.mark.parametrize(
    ("sequence", "passed", "last"),
    [
        ("error-first", "Cancelled", "Inactive"),
        ("status-first", "Inactive", "Inactive"),
        ("cancelled-first", "Cancelled", "Cancelled"),
    ],
)
async def test_reject_passes_through_its_statuses_in_any_order(
    desk: Desk, stock: Contract, sequence: str, passed: str, last: str
) -> None:
    ib = await trading(desk)
    codes, statuses = codes_of(ib), list[str]()
    desk.gateway.plant("reject", sequence=sequence, reason="No trading permissions.")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    trade.statusEvent += lambda t: statuses.append(t.orderStatus.status)
    await desk.settle()
    assert codes == [201]
    assert (statuses[0], trade.orderStatus.status) == (passed, last)
    assert live(desk) == []
    desk.gateway.lift()
    assert ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert ib.positions()[0].position == 5


async def resting(desk: Desk, ib: IB, stock: Contract) -> Trade:
    trade = ib.placeOrder(stock, LimitOrder("BUY", 5, FAR))
    await desk.settle()
    assert trade.orderStatus.status == "Submitted"
    return trade


async def make_it_fill(desk: Desk, ib: IB, stock: Contract, trade: Trade) -> None:
    """Let the order fill behind the back of the library: it holds it for done."""
    order = LimitOrder("BUY", 5, NEAR, orderId=trade.order.orderId, clientId=1)
    ib.client.placeOrder(trade.order.orderId, stock, order)
    await desk.advance(10)


async def test_an_ignored_cancel_is_pending_for_ever(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = await resting(desk, ib, stock)
    desk.gateway.plant("cancel-ignored")
    ib.cancelOrder(trade.order)
    await desk.advance(60)
    assert trade.orderStatus.status == "PendingCancel"
    assert live(desk) == ["Submitted"]


async def test_cancel_fill_race_shows_cancelled_and_then_fills(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = await resting(desk, ib, stock)
    desk.gateway.plant("cancel-fill-race")
    codes = codes_of(ib)
    ib.cancelOrder(trade.order)
    await desk.settle()
    assert (codes, trade.orderStatus.status, trade.isDone()) == ([10148], "Cancelled", True)
    assert live(desk) == ["Submitted"]
    await make_it_fill(desk, ib, stock, trade)
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 5)


async def test_fill_after_cancel_fills_an_order_that_was_confirmed_as_cancelled(
    desk: Desk, stock: Contract
) -> None:
    ib = await trading(desk)
    trade = await resting(desk, ib, stock)
    desk.gateway.plant("fill-after-cancel")
    codes, cancelled = codes_of(ib), list[Trade]()
    trade.cancelledEvent += cancelled.append
    ib.cancelOrder(trade.order)
    await desk.settle()
    assert (codes, cancelled, trade.orderStatus.status) == ([202], [trade], "Cancelled")
    await make_it_fill(desk, ib, stock, trade)
    assert trade.filled() == 5
    assert ib.positions()[0].position == 5


@pytest.mark.parametrize("name", ["whatif-silent", "whatif-unset"])
async def test_whatif_is_never_answered(desk: Desk, stock: Contract, name: str) -> None:
    ib = await trading(desk)
    desk.gateway.plant(name)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.whatIfOrderAsync(stock, MarketOrder("BUY", 5)), SHORT)
    desk.gateway.lift()
    state = await asyncio.wait_for(ib.whatIfOrderAsync(stock, MarketOrder("BUY", 5)), 5)
    assert float(state.initMarginChange) > 0


async def test_only_the_next_order_is_refused_where_one_strike_was_asked_for(
    desk: Desk, stock: Contract
) -> None:
    ib = await trading(desk)
    codes = codes_of(ib)
    desk.gateway.plant("reject", times=1, reason="Just this once.")
    first, second = (ib.placeOrder(stock, LimitOrder("BUY", 5, FAR)) for _ in range(2))
    await desk.settle()
    assert (first.orderStatus.status, second.orderStatus.status) == ("Inactive", "Submitted")
    assert "Just this once." in first.log[-2].message + first.log[-1].message
    assert (codes, desk.gateway.planted()) == ([201], [])


async def test_a_refused_question_what_an_order_would_cost_is_done_with(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    codes = codes_of(ib)
    desk.gateway.plant("reject", times=1)
    ib.client.placeOrder(ib.client.getReqId(), stock, MarketOrder("BUY", 5, whatIf=True))
    await desk.settle()
    assert (codes, desk.gateway.planted()) == ([201], [])


async def test_only_the_next_execution_is_cut_up_where_one_strike_was_asked_for(
    desk: Desk, stock: Contract
) -> None:
    ib = await trading(desk)
    desk.gateway.plant("partial-fills", times=1)
    first, second = (ib.placeOrder(stock, MarketOrder("BUY", 6)) for _ in range(2))
    await desk.settle()
    assert (len(first.fills), len(second.fills)) == (3, 1)
    assert all(fill.commissionReport.commission for fill in (*first.fills, *second.fills))


@pytest.mark.parametrize("strikes", [{}, {"times": 1}])
async def test_an_execution_is_told_in_the_same_pieces_for_ever_and_an_earlier_one_whole(
    desk: Desk, stock: Contract, strikes: dict[str, int]
) -> None:
    ib = await trading(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 6))
    await desk.settle()
    desk.gateway.plant("partial-fills", **strikes)
    ib.placeOrder(stock, MarketOrder("BUY", 6))
    await desk.settle()
    booked = {fill.execution.execId for fill in ib.fills()}
    assert len(booked) == 4
    for name in ("", "partial-fills", "all"):
        if name:
            assert desk.gateway.lift(name) == (name != "all")
        again = {fill.execution.execId for fill in await ib.reqExecutionsAsync()}
        assert again == booked
    assert desk.gateway.planted() == []
    fresh = await desk.connect(2)
    assert {f.execution.execId for f in await fresh.reqExecutionsAsync()} == booked
    ib.placeOrder(stock, MarketOrder("BUY", 6))
    await desk.settle()
    assert len(ib.fills()) == 5


async def test_a_malformed_order_under_a_fault_is_answered_and_harms_nothing(desk: Desk) -> None:
    ib = await trading(desk)
    codes = codes_of(ib)
    desk.gateway.plant("reject")
    desk.gateway.plant("data-refused")
    ib.client.send(3, 5)
    ib.client.send(20)
    await desk.settle()
    assert codes == [320, 320]
