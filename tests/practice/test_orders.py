"""Orders through the real client: filled, worked, changed, taken back, refused, and booked to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Order, Stock, StopOrder, Trade

from tests.practice.conftest import Desk

PRE_OPEN, OPEN = 0, 5


def cash(ib: IB) -> Decimal:
    (value,) = (v.value for v in ib.accountValues() if v.tag == "TotalCashValue" and v.currency == "USD")
    return Decimal(value)


def seen(trade: Trade) -> list[str]:
    return [entry.status for entry in trade.log]


async def opened(desk: Desk) -> IB:
    """Connect, and let the market open: AAPL stands at 199.98 to 200.01, 100 shares for each slice."""
    ib = await desk.connect()
    await desk.advance(OPEN)
    return ib


async def test_a_market_order_fills_at_once_at_the_standing_quote(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ticker = ib.reqMktData(stock)
    await desk.settle()
    trade = ib.placeOrder(stock, MarketOrder("BUY", 60, orderRef="run-1.1"))
    await desk.settle()
    assert trade.orderStatus.status == "Filled"
    (fill,) = trade.fills
    assert fill.execution.price == ticker.ask
    assert (fill.execution.shares, fill.execution.cumQty, fill.execution.orderRef) == (60, 60, "run-1.1")
    assert fill.execution.time.isoformat() == "2026-01-13T14:30:00+00:00"
    assert trade.order.permId == fill.execution.permId > 0
    assert fill.commissionReport.commission == 1.0
    assert cash(ib) == 100_000 - 60 * Decimal(str(ticker.ask)) - 1
    (position,) = ib.positions()
    assert (position.position, position.avgCost) == (60, pytest.approx(ticker.ask + 1 / 60))
    (item,) = ib.portfolio()
    assert item.position == 60


async def test_the_events_of_a_fill_come_in_the_order_of_a_real_gateway(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    told: list[str] = []
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10))
    trade.statusEvent += lambda t: told.append(t.orderStatus.status)
    trade.fillEvent += lambda *_: told.append("fill")
    trade.commissionReportEvent += lambda *_: told.append("commission")
    await desk.settle()
    assert told == ["PreSubmitted", "fill", "Filled", "commission"]


async def test_a_large_order_is_worked_slice_by_slice_and_pays_the_minimum_once(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 250))
    await desk.settle()
    assert (trade.orderStatus.status, trade.orderStatus.filled, trade.orderStatus.remaining) == (
        "Submitted",
        100,
        150,
    )
    await desk.advance(5)
    assert trade.orderStatus.filled == 200
    await desk.advance(5)
    assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Filled", 0)
    assert [fill.execution.shares for fill in trade.fills] == [100, 100, 50]
    assert [fill.execution.cumQty for fill in trade.fills] == [100, 200, 250]
    assert [fill.commissionReport.commission for fill in trade.fills] == [1.0, 0.0, 0.25]
    spent = sum(Decimal(str(f.execution.price)) * int(f.execution.shares) for f in trade.fills)
    assert cash(ib) == 100_000 - spent - Decimal("1.25")
    assert trade.orderStatus.avgFillPrice == pytest.approx(float(spent / 250))


async def test_two_orders_share_what_a_slice_offers(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    first = ib.placeOrder(stock, MarketOrder("BUY", 80))
    second = ib.placeOrder(stock, MarketOrder("BUY", 80))
    await desk.settle()
    assert (first.orderStatus.filled, second.orderStatus.filled) == (80, 20)


async def test_a_round_trip_realises_its_loss_net_of_commission(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    buy = ib.placeOrder(stock, MarketOrder("BUY", 50))
    await desk.settle()
    sell = ib.placeOrder(stock, MarketOrder("SELL", 50))
    await desk.settle()
    bought, sold = buy.fills[0].execution.price, sell.fills[0].execution.price
    assert sold < bought
    expected = Decimal(50) * (Decimal(str(sold)) - Decimal(str(bought))) - 2
    assert sell.fills[0].commissionReport.realizedPNL == pytest.approx(float(expected))
    assert cash(ib) == 100_000 + expected
    assert ib.positions() == []


async def test_a_short_position_is_sold_and_covered(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("SELL", 30))
    await desk.settle()
    assert [p.position for p in ib.positions()] == [-30]
    ib.placeOrder(stock, MarketOrder("BUY", 50))
    await desk.settle()
    assert [p.position for p in ib.positions()] == [20]


async def test_a_limit_order_rests_is_moved_and_then_fills_no_worse_than_its_limit(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    order = LimitOrder("BUY", 40, 150.0, tif="GTC")
    trade = ib.placeOrder(stock, order)
    await desk.advance(60)
    assert trade.orderStatus.status == "Submitted"
    order.lmtPrice, order.totalQuantity = 250.0, 50
    assert ib.placeOrder(stock, order) is trade
    await desk.settle()
    assert trade.orderStatus.status == "Filled"
    assert trade.fills[0].execution.shares == 50
    assert trade.fills[0].execution.price < 205


async def test_a_cancelled_order_says_so_and_stays_cancelled(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 40, 150.0))
    await desk.settle()
    ib.cancelOrder(trade.order)
    await desk.settle()
    assert trade.orderStatus.status == "Cancelled"
    assert await ib.reqAllOpenOrdersAsync() == []
    await desk.advance(60)
    assert trade.fills == []


async def test_a_partly_filled_order_keeps_its_fills_when_cancelled(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 150))
    await desk.settle()
    ib.cancelOrder(trade.order)
    await desk.settle()
    assert (trade.orderStatus.status, trade.orderStatus.filled, trade.orderStatus.remaining) == (
        "Cancelled",
        100,
        50,
    )
    (completed,) = await ib.reqCompletedOrdersAsync(False)
    assert (completed.orderStatus.status, completed.order.filledQuantity) == ("Cancelled", 100)


async def test_cancelling_what_cannot_be_cancelled_is_refused(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    done = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.client.cancelOrder(done.order.orderId)
    ib.client.cancelOrder(987_654)
    other = await desk.connect(2)
    resting = other.placeOrder(stock, LimitOrder("BUY", 1, 1.0))
    await desk.settle()
    ib.client.cancelOrder(resting.order.orderId)
    await desk.settle()
    assert codes[0] == 10148
    assert codes[1:] == [10147, 10147] or codes[1:] == [10147, 10148]
    assert resting.orderStatus.status == "Submitted"


async def test_global_cancel_takes_every_clients_orders(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    other = await desk.connect(2)
    trades = [client.placeOrder(stock, LimitOrder("BUY", 1, 100.0)) for client in (ib, other)]
    await desk.settle()
    ib.reqGlobalCancel()
    await desk.settle()
    assert [trade.orderStatus.status for trade in trades] == ["Cancelled", "Cancelled"]


async def test_a_day_order_before_the_open_waits_for_it(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10))
    await desk.settle()
    assert trade.log[-1].errorCode == 399
    assert "2026" in trade.log[-1].message
    assert trade.fills == []
    await desk.advance(OPEN)
    assert trade.orderStatus.status == "Filled"


async def test_a_resting_order_becomes_submitted_at_the_open(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    trade = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0))
    await desk.advance(OPEN)
    assert trade.orderStatus.status == "Submitted"


async def test_day_orders_end_at_the_close_and_others_stay(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    day = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0))
    kept = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, tif="GTC"))
    await desk.settle()
    await desk.gateway.advance_to(1 << 62)
    await desk.settle()
    assert (day.orderStatus.status, kept.orderStatus.status) == ("Cancelled", "Submitted")


async def test_silence_fills_nothing(desk: Desk, thin: Contract) -> None:
    ib = await opened(desk)
    await desk.advance(10 * 60)
    trade = ib.placeOrder(thin, MarketOrder("BUY", 3))
    await desk.advance(4 * 60)
    assert trade.fills == []
    await desk.advance(2 * 60)
    assert [fill.execution.shares for fill in trade.fills] == [
        1,
        1,
        1,
    ]  # two shares a slice: one may be taken


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (MarketOrder("BUY", 0), 434),
        (MarketOrder("BUY", -5), 201),
        (MarketOrder("BUY", 1.5), 10243),
        (MarketOrder("BUY", 1e12), 201),
        (MarketOrder("HOLD", 1), 201),
        (LimitOrder("BUY", 1, 0.0), 110),
        (LimitOrder("BUY", 1, -3.0), 110),
        (LimitOrder("BUY", 1, 100.005), 110),
        (LimitOrder("BUY", 1, float("nan")), 110),
        (LimitOrder("BUY", 1, 1.7976931348623157e308), 110),
        (StopOrder("SELL", 1, 150.0), 201),
        (Order(action="BUY", totalQuantity=1, orderType="MKT", tif="IOC"), 201),
        (Order(action="BUY", totalQuantity=1, orderType="MKT", whatIf=True), 201),
        (MarketOrder("BUY", 1, account="DU1234567"), 201),
        (MarketOrder("BUY", 2_001), 201),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_its_code(
    desk: Desk, stock: Contract, order: Order, code: int
) -> None:
    ib = await opened(desk)
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    ib.placeOrder(stock, order)
    await desk.settle()
    assert codes == [code]
    await desk.advance(60)
    assert (ib.fills(), ib.positions(), cash(ib)) == ([], [], 100_000)
    assert await ib.reqAllOpenOrdersAsync() == []


async def test_a_rejected_order_is_among_the_completed_ones_with_its_reason(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5_000, orderRef="run-1.9"))
    await desk.settle()
    assert trade.orderStatus.status == "Inactive"
    other = await desk.connect(2)
    (rejected,) = await other.reqCompletedOrdersAsync(False)
    assert (rejected.order.orderRef, rejected.orderStatus.status) == ("run-1.9", "Inactive")


async def test_exposure_counts_what_still_works_and_reductions_always_pass(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    bid = [ib.placeOrder(stock, LimitOrder("BUY", 900, 150.0)) for _ in range(3)]
    await desk.settle()
    assert [trade.orderStatus.status for trade in bid] == ["Submitted", "Submitted", "Inactive"]
    ib.placeOrder(stock, MarketOrder("SELL", 700))  # more than what is left: refused
    await desk.settle()
    assert ib.positions() == []
    ib.cancelOrder(bid[0].order)
    ib.placeOrder(stock, MarketOrder("BUY", 100))
    await desk.advance(5)
    assert [p.position for p in ib.positions()] == [100]
    ib.placeOrder(stock, LimitOrder("BUY", 700, 150.0))
    ib.placeOrder(stock, MarketOrder("SELL", 100))
    await desk.advance(5)
    assert ib.positions() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": "SELL"}, 105),
        ({"orderType": "MKT"}, 329),
        ({"lmtPrice": 100.001}, 110),
        ({"totalQuantity": 100_000}, 201),
        ({"tif": "IOC"}, 201),
    ],
)
async def test_a_bad_modification_leaves_the_order_as_it_was(
    desk: Desk, stock: Contract, changes: dict[str, Any], code: int
) -> None:
    ib = await opened(desk)
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 40, 150.0))
    await desk.settle()
    wrong = Order(
        orderId=trade.order.orderId, action="BUY", totalQuantity=40, orderType="LMT", lmtPrice=150.0
    )
    for name, value in changes.items():
        setattr(wrong, name, value)
    ib.client.placeOrder(wrong.orderId, stock, wrong)
    await desk.settle()
    assert codes == [code]
    (alive,) = await ib.reqAllOpenOrdersAsync()
    assert (alive.order.lmtPrice, alive.order.totalQuantity, alive.order.action) == (150.0, 40, "BUY")


async def test_an_order_id_is_used_once(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    done = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.client.placeOrder(done.order.orderId, stock, MarketOrder("BUY", 1))
    await desk.settle()
    assert codes == [103]
    assert [p.position for p in ib.positions()] == [1]


async def test_another_client_sees_orders_executions_and_positions(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    resting = ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0, orderRef="run-1.2"))
    ib.placeOrder(stock, MarketOrder("BUY", 3, orderRef="run-1.1"))
    await desk.settle()
    other = await desk.connect(2)
    assert other.openTrades() == []
    (found,) = await other.reqAllOpenOrdersAsync()
    assert (found.order.permId, found.order.orderRef, found.order.clientId) == (
        resting.order.permId,
        "run-1.2",
        1,
    )
    (fill,) = other.fills()
    assert (fill.execution.orderRef, fill.commissionReport.commission) == ("run-1.1", 1.0)
    assert [p.position for p in other.positions()] == [3]


async def test_executions_can_be_asked_for_by_symbol_side_and_time(desk: Desk, stock: Contract) -> None:
    from ib_async import ExecutionFilter

    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 3))
    await desk.advance(60)
    ib.placeOrder(stock, MarketOrder("SELL", 3))
    await desk.settle()
    count = [
        len(await ib.reqExecutionsAsync(ExecutionFilter(**question)))
        for question in (
            {"symbol": "AAPL"},
            {"symbol": "THIN"},
            {"side": "BUY"},
            {"time": "20260113-14:30:30"},
            {"clientId": 9},
        )
    ]
    assert count == [2, 0, 1, 1, 0]


async def test_account_values_add_up(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 50))
    await desk.advance(175)  # to 09:32:55, and on to the three-minute telling
    await desk.advance(5)
    summary = {row.tag: Decimal(row.value) for row in await ib.accountSummaryAsync() if row.currency == "USD"}
    worth = summary["NetLiquidation"] - summary["TotalCashValue"]
    assert worth == summary["GrossPositionValue"] == summary["StockMarketValue"]
    assert summary["BuyingPower"] == 4 * summary["AvailableFunds"]
    assert summary["UnrealizedPnL"] == pytest.approx(summary["NetLiquidation"] - 100_000)
    told = {v.tag: Decimal(v.value) for v in ib.accountValues() if v.currency == "USD"}
    assert told["NetLiquidation"] == summary["NetLiquidation"]


async def test_two_shares_are_two_positions(desk: Desk, stock: Contract, thin: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 5))
    ib.placeOrder(Stock("THIN", "SMART", "USD"), MarketOrder("BUY", 1))
    await desk.settle()
    assert {p.contract.symbol: p.position for p in ib.positions()} == {"AAPL": 5, "THIN": 1}
