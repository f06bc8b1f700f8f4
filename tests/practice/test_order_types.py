"""Stops, trailing stops, auctions, pegs and times in force, through the real client."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Order, StopLimitOrder, StopOrder

from tests.practice.conftest import Desk
from tests.practice.order_desk import OPEN, bids, codes, offers, opened, statuses, traded

HOUR = 3_600


def at(order_type: str, side: str = "BUY", quantity: int = 10, **also: object) -> Order:
    return Order(action=side, totalQuantity=quantity, orderType=order_type, **also)


def prints(desk: Desk, symbol: str = "AAPL") -> list[float]:
    return [trade.price for trade in desk.gateway.exchange.prints(symbol)]


def last(desk: Desk) -> Decimal:
    price = desk.gateway.exchange.last("AAPL")
    assert price is not None
    return Decimal(repr(price))


# ----------------------------------------------------------------------------------------------------- stops


async def test_a_stop_waits_for_a_trade_at_its_price_and_then_is_a_market_order(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    trigger = float(last(desk)) - 0.3
    trade = ib.placeOrder(stock, StopOrder("SELL", 10, round(trigger, 2)))
    await desk.settle()
    assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("PreSubmitted", "trigger")
    for _ in range(600):
        assert trade.fills == []
        await desk.advance(1)
        if min(prints(desk), default=1e9) <= round(trigger, 2):
            break
    await desk.settle()
    assert (trade.orderStatus.status, traded(trade), trade.orderStatus.whyHeld) == ("Filled", 10, "")
    assert statuses(trade) == ["PendingSubmit", "PreSubmitted", "Submitted", "Filled"]


async def test_a_stop_limit_does_not_trade_beyond_its_limit(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trigger = float(last(desk)) - 0.2
    trade = ib.placeOrder(stock, StopLimitOrder("SELL", 10, round(trigger + 0.9, 2), round(trigger, 2)))
    await desk.advance(480)
    assert (trade.orderStatus.status, trade.fills) == ("Submitted", [])
    await desk.advance(600)
    assert trade.orderStatus.status == "Filled"
    assert all(fill.execution.price >= round(trigger + 0.9, 2) for fill in trade.fills)


@pytest.mark.parametrize("method", [1, 2, 3, 4, 7, 8])
async def test_every_trigger_method_triggers_once_the_market_has_moved_far_enough(
    desk: Desk, stock: Contract, method: int
) -> None:
    ib = await opened(desk)
    order = StopOrder("BUY", 5, float(last(desk)) + 0.2, triggerMethod=method)
    trade = ib.placeOrder(stock, order)
    await desk.settle()
    assert trade.orderStatus.status == "PreSubmitted"
    await desk.advance(600)
    assert trade.orderStatus.status == "Filled"


async def test_an_order_that_waits_for_its_trigger_can_be_moved_and_cancelled(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    order = StopOrder("SELL", 10, 150.0)
    trade = ib.placeOrder(stock, order)
    await desk.settle()
    order.auxPrice = 151.0
    ib.placeOrder(stock, order)
    await desk.settle()
    (known,) = await (await desk.connect(2)).reqAllOpenOrdersAsync()
    assert (known.order.auxPrice, trade.orderStatus.status) == (151.0, "PreSubmitted")
    ib.cancelOrder(order)
    await desk.settle()
    assert trade.orderStatus.status == "Cancelled"


async def test_a_trailing_stop_follows_the_price_and_never_goes_back(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, at("TRAIL", "SELL", auxPrice=1.0, tif="GTC"))
    await desk.settle()
    stops, high = [float(last(desk)) - 1.0], float(last(desk))
    for _ in range(600):
        await desk.gateway.advance(1)
        found = desk.gateway.orders.working()
        if not found or found[0].triggered:
            break
        high = max([high, *prints(desk)])
        assert found[0].stop is not None
        stops.append(float(found[0].stop))
    assert stops == sorted(stops)
    assert max(stops) == pytest.approx(high - 1.0)


async def test_a_trailing_stop_trails_by_a_percentage_too_and_tells_where_it_stands(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    price = float(last(desk))
    ib.placeOrder(stock, at("TRAIL", "SELL", trailingPercent=2.0))
    await desk.settle()
    (known,) = await (await desk.connect(2)).reqAllOpenOrdersAsync()
    assert (known.order.trailStopPrice, known.order.trailingPercent) == (
        pytest.approx(price * 0.98, abs=0.01),
        2.0,
    )


async def test_a_trailing_stop_limit_becomes_a_limit_order_at_its_offset(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    stop = float(last(desk)) - 0.3
    order = at("TRAIL LIMIT", "SELL", auxPrice=0.3, trailStopPrice=round(stop, 2), lmtPriceOffset=0.1)
    trade = ib.placeOrder(stock, order)
    await desk.advance(600)
    assert trade.orderStatus.status == "Filled"
    limit = desk.gateway.orders.completed()[0].limit
    assert limit is not None
    assert all(fill.execution.price >= float(limit) for fill in trade.fills)


# -------------------------------------------------------------------------------------------------- auctions


async def test_an_opening_order_trades_in_the_opening_auction_only(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    market = ib.placeOrder(stock, MarketOrder("BUY", 10, tif="OPG"))
    cheap = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, tif="OPG"))
    await desk.advance(OPEN)
    assert market.fills == []
    await desk.advance(5)
    exchange = desk.gateway.exchange
    opening = next(exchange.prints_between("AAPL", exchange.session.open, exchange.now))
    assert [fill.execution.price for fill in market.fills] == [opening.price]
    assert (market.orderStatus.status, cheap.orderStatus.status) == ("Filled", "Cancelled")


async def test_an_opening_order_after_the_open_waits_for_the_next_one(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    await desk.advance(60)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 10, tif="OPG"))
    await desk.advance(60)
    assert (trade.orderStatus.status, trade.fills) == ("PreSubmitted", [])


async def test_closing_orders_trade_at_the_official_close(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    market = ib.placeOrder(stock, at("MOC"))
    dear = ib.placeOrder(stock, at("LOC", "SELL", lmtPrice=500.0))
    good = ib.placeOrder(stock, at("LOC", lmtPrice=500.0))
    await desk.settle()
    assert market.orderStatus.status == "Submitted"
    exchange = desk.gateway.exchange
    await desk.gateway.advance_to(exchange.session.close)
    await desk.settle()
    assert [fill.execution.price for fill in market.fills] == [exchange.last("AAPL")]
    assert [fill.execution.price for fill in good.fills] == [exchange.last("AAPL")]
    assert dear.orderStatus.status == "Cancelled"


async def test_closing_orders_are_accepted_and_taken_back_until_their_cut_off(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    early = ib.placeOrder(stock, at("MOC"))
    close = desk.gateway.exchange.session.close
    await desk.gateway.advance_to(close - 9 * 60 * 1_000_000_000)
    ib.cancelOrder(early.order)
    ib.placeOrder(stock, at("MOC"))
    on_time = ib.placeOrder(stock, at("LOC", lmtPrice=500.0))
    await desk.settle()
    assert (heard, on_time.orderStatus.status) == ([161, 201], "Submitted")
    await desk.gateway.advance_to(close - 60 * 1_000_000_000)
    ib.placeOrder(stock, at("LOC", lmtPrice=500.0))
    await desk.settle()
    assert heard == [161, 201, 201]


async def test_a_closing_order_placed_in_the_evening_is_for_the_next_day(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    await desk.gateway.advance_to(1 << 62)
    ib.placeOrder(stock, at("MOC"))
    await desk.settle()
    (waiting,) = desk.gateway.orders.working()
    assert waiting.expires > desk.gateway.exchange.now + 20 * HOUR * 1_000_000_000


# ------------------------------------------------------------------------------------------------------ pegs


async def test_a_midprice_order_stands_at_the_midpoint_within_its_cap(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    trade = ib.placeOrder(stock, at("MIDPRICE", quantity=400))
    capped = ib.placeOrder(stock, at("MIDPRICE", quantity=40, lmtPrice=150.0))
    await desk.advance(60)
    assert traded(trade) > 0
    assert capped.fills == []
    await desk.advance(5)
    (best, *_), (offer, *_) = bids(desk), offers(desk)
    book = desk.gateway.exchange.book("AAPL")
    assert book is not None
    if trade.order.permId in book:
        mine = book._resting[trade.order.permId].cents / 100
        assert best.price <= mine <= (best.price + offer.price) / 2 + 1e-9


# ------------------------------------------------------------------------------------------- times in force


async def test_an_immediate_order_takes_what_is_there_and_gives_up_the_rest(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    trade = ib.placeOrder(stock, LimitOrder("BUY", best.size + 7, best.price, tif="IOC"))
    await desk.settle()
    status = trade.orderStatus
    assert (status.status, status.filled, status.remaining) == ("Cancelled", best.size, 7)


async def test_fill_or_kill_is_all_or_nothing(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    best = offers(desk)[0]
    killed = ib.placeOrder(stock, LimitOrder("BUY", best.size + 7, best.price, tif="FOK"))
    await desk.settle()
    assert (killed.orderStatus.status, killed.fills) == ("Cancelled", [])
    filled = ib.placeOrder(stock, LimitOrder("BUY", best.size, best.price, tif="FOK"))
    await desk.settle()
    assert (filled.orderStatus.status, traded(filled)) == ("Filled", best.size)


async def test_all_or_none_waits_until_all_of_it_can_be_had(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    limit = offers(desk)[0].price + 0.05
    shown = sum(level.size for level in offers(desk) if level.price <= limit)
    trade = ib.placeOrder(stock, LimitOrder("BUY", shown + 300, limit, allOrNone=True))
    await desk.settle()
    assert (trade.orderStatus.status, trade.fills) == ("Submitted", [])
    await desk.advance(900)
    assert traded(trade) in (0, shown + 300)
    assert traded(trade) > 0


async def test_good_till_date_ends_at_its_time_and_good_after_begins_at_its(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    until = "20260113 09:31:00 US/Eastern"
    ends = ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, tif="GTD", goodTillDate=until))
    starts = ib.placeOrder(stock, MarketOrder("BUY", 10, goodAfterTime="20260113-14:31:00"))
    await desk.advance(55)
    assert (ends.orderStatus.status, starts.orderStatus.status) == ("Submitted", "PreSubmitted")
    await desk.advance(5)
    assert (ends.orderStatus.status, starts.orderStatus.status) == ("Cancelled", "Filled")
    (ended,) = [o for o in desk.gateway.orders.completed() if o.status == "Cancelled"]
    assert ended.reason == "Expired"


async def test_an_order_for_outside_hours_is_accepted_and_told_back(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    ib.placeOrder(stock, LimitOrder("BUY", 10, 150.0, outsideRth=True, hidden=True))
    await desk.settle()
    (known,) = await (await desk.connect(2)).reqAllOpenOrdersAsync()
    assert (known.order.outsideRth, known.order.hidden, known.order.tif) == (True, True, "DAY")


async def test_orders_keep_through_a_halt_and_what_ends_in_it_stays_ended(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    best = bids(desk)[0].price
    rests = ib.placeOrder(stock, LimitOrder("BUY", 10, best))
    leaves = ib.placeOrder(stock, LimitOrder("BUY", 10, best))
    await desk.settle()
    desk.gateway.exchange.begin_halt("AAPL", "news")
    market = ib.placeOrder(stock, MarketOrder("BUY", 10))
    ib.cancelOrder(leaves.order)
    await desk.advance(60)
    assert (market.orderStatus.status, market.fills) == ("Submitted", [])
    desk.gateway.exchange.end_halt("AAPL")
    await desk.advance(300)
    assert (market.orderStatus.status, rests.orderStatus.status) == ("Filled", "Filled")
    assert (leaves.orderStatus.status, leaves.fills) == ("Cancelled", [])
