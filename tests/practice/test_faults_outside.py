"""What the exchange, the broker and other people do, and what the real client makes of it."""

from __future__ import annotations

import pytest
from ib_async import Contract, LimitOrder, MarketOrder

from robo_trader.core.errors import ConfigurationError
from tests.practice.conftest import Desk
from tests.practice.test_faults_connection import codes_of
from tests.practice.test_faults_orders import FAR, live, resting, trading


async def test_a_manual_order_is_seen_by_client_zero_alone_and_moves_everybodys_position(
    desk: Desk, stock: Contract
) -> None:
    ib, zero = await trading(desk), await desk.connect(0)
    desk.gateway.plant("manual-order", symbol="AAPL", shares=7)
    await desk.advance(10)
    assert ib.trades() == []
    assert [t.order.totalQuantity for t in zero.trades()] == [7]
    assert ib.positions()[0].position == 7


async def test_a_foreign_order_is_seen_on_demand_and_cannot_be_cancelled(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("foreign-order", symbol="AAPL", limit=FAR)
    await desk.settle()
    assert ib.openTrades() == []
    (trade,) = await ib.reqAllOpenOrdersAsync()
    assert trade.order.clientId == 77
    codes = codes_of(ib)
    ib.cancelOrder(trade.order)
    await desk.advance(30)
    assert (trade.orderStatus.status, codes) == ("PendingCancel", [10147])
    assert live(desk) == ["Submitted"]


async def test_a_position_change_has_no_execution(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("position-change", symbol="AAPL", shares=-40)
    await desk.settle()
    assert ib.positions()[0].position == -40
    assert await ib.reqExecutionsAsync() == []


async def test_a_correction_counts_twice(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    assert (trade.filled(), len(trade.fills)) == (5, 1)
    desk.gateway.plant("correction", by=-0.02)
    await desk.settle()
    assert (trade.filled(), trade.remaining()) == (10, -5)
    first, second = (fill.execution.execId.rpartition(".") for fill in trade.fills)
    assert (first[0], first[2], second[2]) == (second[0], "01", "02")
    assert ib.positions()[0].position == 5  # the account knows better


async def test_a_busted_trade_stays_in_the_list_of_fills(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.settle()
    desk.gateway.plant("bust")
    await desk.settle()
    assert trade.filled() == 5
    assert ib.positions() == []


async def test_an_exchange_cancel_comes_out_of_the_blue(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = await resting(desk, ib, stock)
    codes = codes_of(ib)
    desk.gateway.plant("exchange-cancel")
    await desk.settle()
    assert (trade.orderStatus.status, codes) == ("Cancelled", [202])


async def test_a_held_order_waits_and_then_works(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    trade = await resting(desk, ib, stock)
    desk.gateway.plant("held-order", **{"for": 15})
    await desk.settle()
    assert trade.orderStatus.whyHeld == "locate"
    await desk.advance(15)
    assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("Submitted", "")


async def test_unsolicited_completed_orders_raise_inside_the_library(
    desk: Desk, stock: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    ib = await trading(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    desk.gateway.plant("unsolicited-completed")
    await desk.settle()
    assert "completedOrders" in caplog.text
    assert ib.isConnected()


async def test_a_halt_stops_quotes_and_keeps_a_market_order_waiting(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    ticker = ib.reqMktData(stock)
    await desk.advance(5)
    assert ticker.bid > 0
    desk.gateway.plant("halt", symbol="AAPL", **{"for": 30})
    await desk.advance(10)
    assert ticker.bid == -1
    trade = ib.placeOrder(stock, MarketOrder("BUY", 5))
    await desk.advance(5)
    assert not trade.isDone()
    await desk.advance(25)
    assert trade.orderStatus.status == "Filled"


async def test_a_circuit_breaker_stops_every_share_for_a_quarter_of_an_hour(
    desk: Desk, stock: Contract, thin: Contract
) -> None:
    ib = await trading(desk)
    tickers = [ib.reqMktData(share) for share in (stock, thin)]
    desk.gateway.plant("circuit-breaker", level=1)
    await desk.advance(5)
    assert [ticker.bid for ticker in tickers] == [-1, -1]
    assert desk.gateway.planted() == []
    await desk.advance(15 * 60)
    assert all(ticker.bid > 0 for ticker in tickers)
    await desk.gateway.advance_to(desk.gateway.exchange.session.close - 30 * 60 * 1_000_000_000)
    with pytest.raises(ConfigurationError, match="too late"):
        desk.gateway.plant("circuit-breaker", level=2)
    assert desk.gateway.planted() == []


async def test_an_act_can_wait_for_a_request(desk: Desk, stock: Contract) -> None:
    ib = await trading(desk)
    desk.gateway.plant("manual-order", symbol="AAPL", shares=7, on=3, after=1)
    ib.placeOrder(stock, LimitOrder("BUY", 1, FAR))
    await desk.advance(5)
    assert ib.positions() == []
    ib.placeOrder(stock, LimitOrder("BUY", 1, FAR))
    await desk.advance(5)
    assert ib.positions()[0].position == 7
    assert desk.gateway.planted() == []
