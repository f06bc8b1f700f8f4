"""Orders through the real client: filled, worked, changed, taken back, refused, and booked to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Stock

from tests.practice.conftest import Desk
from tests.practice.order_desk import OPEN, bids, cash, codes, offers, opened, traded


async def test_a_market_order_fills_at_once_at_the_standing_quote(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ticker = ib.reqMktData(stock)
    await desk.settle()
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10, orderRef="run-1.1"))
    await desk.settle()
    assert trade.orderStatus.status == "Filled"
    (fill,) = trade.fills
    assert fill.execution.price == ticker.ask
    assert (fill.execution.shares, fill.execution.cumQty, fill.execution.orderRef) == (10, 10, "run-1.1")
    assert fill.execution.time.isoformat() == "2026-01-13T14:30:00+00:00"
    assert trade.order.permId == fill.execution.permId > 0
    assert fill.commissionReport.commission == 1.0
    assert cash(ib) == 100_000 - 10 * Decimal(str(ticker.ask)) - 1
    (position,) = ib.positions()
    assert (position.position, position.avgCost) == (10, pytest.approx(ticker.ask + 0.1))
    (item,) = ib.portfolio()
    assert item.position == 10


async def test_a_trade_says_whether_it_took_liquidity_or_gave_it(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    taker = ib.placeOrder(stock, MarketOrder("BUY", 10))
    giver = ib.placeOrder(stock, LimitOrder("BUY", 10, bids(desk)[0].price))
    await desk.advance(300)
    assert [trade.fills[0].execution.lastLiquidity for trade in (taker, giver)] == [2, 1]


async def test_the_events_of_a_fill_come_in_the_order_of_a_real_gateway(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    told: list[str] = []
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10))
    trade.statusEvent += lambda t: told.append(t.orderStatus.status)
    trade.fillEvent += lambda *_: told.append("fill")
    trade.commissionReportEvent += lambda *_: told.append("commission")
    await desk.settle()
    assert told == ["PreSubmitted", "fill", "Filled", "commission"]


async def test_a_market_order_sweeps_the_book_then_takes_what_the_next_beats_bring(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    shown = offers(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1_500))
    await desk.settle()
    swept = [(fill.execution.price, fill.execution.shares) for fill in trade.fills]
    assert swept == [(level.price, level.size) for level in shown]
    assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Submitted", 1_500 - traded(trade))
    await desk.advance(60)
    assert (trade.orderStatus.status, traded(trade)) == ("Filled", 1_500)
    assert trade.fills[-1].execution.cumQty == 1_500
    fees = [Decimal(str(fill.commissionReport.commission)) for fill in trade.fills]
    assert (fees[0], sum(fees)) == (1, Decimal("7.5"))  # the minimum is paid once
    spent = sum(Decimal(str(f.execution.price)) * int(f.execution.shares) for f in trade.fills)
    assert cash(ib) == 100_000 - spent - Decimal("7.5")
    assert trade.orderStatus.avgFillPrice == pytest.approx(float(spent / 1_500))


async def test_what_one_order_took_the_next_cannot_have(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best, second = offers(desk)[:2]
    first = ib.placeOrder(stock, MarketOrder("BUY", best.size))
    other = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert {fill.execution.price for fill in first.fills} == {best.price}
    assert {fill.execution.price for fill in other.fills} == {second.price}


async def test_a_round_trip_realises_its_loss_net_of_commission(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    buy = ib.placeOrder(stock, MarketOrder("BUY", 20))
    await desk.settle()
    sell = ib.placeOrder(stock, MarketOrder("SELL", 20))
    await desk.settle()
    bought, sold = buy.fills[0].execution.price, sell.fills[0].execution.price
    assert sold < bought
    expected = Decimal(20) * (Decimal(str(sold)) - Decimal(str(bought))) - 2
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
    assert traded(trade) == 50
    assert all(fill.execution.price < 205 for fill in trade.fills)


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
    trade = ib.placeOrder(stock, LimitOrder("BUY", 1_500, offers(desk)[0].price))
    had = offers(desk)[0].size
    await desk.settle()
    ib.cancelOrder(trade.order)
    await desk.settle()
    status = trade.orderStatus
    assert (status.status, status.filled, status.remaining) == ("Cancelled", had, 1_500 - had)
    (completed,) = await ib.reqCompletedOrdersAsync(False)
    assert (completed.orderStatus.status, completed.order.filledQuantity) == ("Cancelled", had)


async def test_cancelling_what_cannot_be_cancelled_is_refused(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    done = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.client.cancelOrder(done.order.orderId)
    ib.client.cancelOrder(987_654)
    other = await desk.connect(2)
    resting = other.placeOrder(stock, LimitOrder("BUY", 1, 1.0))
    await desk.settle()
    ib.client.cancelOrder(resting.order.orderId)
    await desk.settle()
    assert heard[0] == 10148
    assert heard[1:] in ([10147, 10147], [10147, 10148])
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


async def test_a_resting_limit_order_waits_for_the_queue_before_it(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best = bids(desk)[0]
    trade = ib.placeOrder(stock, LimitOrder("BUY", 30, best.price))
    await desk.settle()
    book = desk.gateway.exchange.book("AAPL")
    assert book is not None
    assert book.ahead(trade.order.permId) == best.size
    await desk.advance(120)
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", best.price)


async def test_an_order_that_shrinks_keeps_its_place_and_one_that_grows_or_moves_loses_it(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    deep = bids(desk)[5].price
    order = LimitOrder("BUY", 30, deep)
    trade = ib.placeOrder(stock, order)
    await desk.settle()
    behind = ib.placeOrder(stock, LimitOrder("BUY", 30, deep))
    await desk.settle()

    def line() -> list[int]:
        book = desk.gateway.exchange.book("AAPL")
        assert book is not None
        return [key for key in book._resting if key in (trade.order.permId, behind.order.permId)]

    first, second = trade.order.permId, behind.order.permId
    order.totalQuantity = 20
    ib.placeOrder(stock, order)
    await desk.settle()
    assert line() == [first, second]
    order.totalQuantity = 25
    ib.placeOrder(stock, order)
    await desk.settle()
    assert line() == [second, first]
    behind.order.lmtPrice = deep - 0.01
    ib.placeOrder(stock, behind.order)
    await desk.settle()
    assert line() == [first, second]


async def test_exposure_counts_what_still_works_and_reductions_always_pass(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    bid = [ib.placeOrder(stock, LimitOrder("BUY", 900, 150.0)) for _ in range(3)]
    await desk.settle()
    assert [trade.orderStatus.status for trade in bid] == ["Submitted", "Submitted", "Inactive"]
    ib.cancelOrder(bid[0].order)
    ib.placeOrder(stock, MarketOrder("BUY", 100))
    await desk.advance(5)
    assert [p.position for p in ib.positions()] == [100]
    ib.placeOrder(stock, LimitOrder("BUY", 700, 150.0))
    ib.placeOrder(stock, MarketOrder("SELL", 100))
    await desk.advance(5)
    assert ib.positions() == []


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
