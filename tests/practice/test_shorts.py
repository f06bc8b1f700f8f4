"""Short sales: shares to borrow, and the price test after a fall."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Stock

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.account.shorts import Borrow, Locate, PriceTest
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.practice.market.exchange import Exchange
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import FIRST, LAST, Desk, desk_of
from tests.practice.order_desk import bids, codes, opened
from tests.practice.test_margin import holding, order


@pytest.mark.parametrize(
    ("lendable", "held", "quantity", "found"),
    [
        (None, 0, 1, Locate.REFUSED),
        (0, 0, 1, Locate.HELD),
        (50, 0, 50, Locate.FOUND),
        (50, 0, 51, Locate.HELD),
        (50, 100, 150, Locate.FOUND),  # the first hundred are its own
        (50, 100, 151, Locate.HELD),
        (None, 100, 100, Locate.FOUND),
        (50, -50, 1, Locate.HELD),
    ],
)
def test_a_short_sale_needs_shares_to_borrow(
    lendable: int | None, held: int, quantity: int, found: Locate
) -> None:
    assert Borrow({"A": lendable}).locate(order(Side.SELL, quantity), [], holding(held)) is found


def test_a_purchase_and_a_share_of_which_nothing_is_said_need_no_locate() -> None:
    assert Borrow({"A": None}).locate(order(Side.BUY, 9), [], holding(0)) is Locate.FOUND
    assert Borrow({"A": None}).locate(order(Side.SELL, 9, "B"), [], holding(0)) is Locate.FOUND


def test_other_sells_use_up_what_can_be_borrowed_and_a_changed_order_counts_once() -> None:
    borrow, working = Borrow({"A": 50}), [order(Side.SELL, 30, perm_id=2)]
    assert borrow.locate(order(Side.SELL, 21), working, holding(0)) is Locate.HELD
    assert borrow.locate(order(Side.SELL, 50, perm_id=2), working, holding(0)) is Locate.FOUND
    assert borrow.available("A", holding(-20)) == 30
    borrow.free("A")
    assert borrow.locate(order(Side.SELL, 21), working, holding(0)) is Locate.FOUND


async def test_a_short_sale_waits_for_its_shares_and_trades_when_they_are_there(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    desk.gateway.orders.borrow.limit("AAPL", 0)
    trade = ib.placeOrder(stock, MarketOrder("SELL", 10))
    await desk.advance(5)
    assert (trade.log[1].status, trade.orderStatus.whyHeld) == ("PreSubmitted", "locate")
    assert heard == [404]
    assert [order.orderStatus.status for order in await ib.reqAllOpenOrdersAsync()] == ["PreSubmitted"]
    desk.gateway.orders.borrow.limit("AAPL", 10)
    await desk.advance(10)
    assert trade.orderStatus.status == "Filled"
    assert [p.position for p in ib.positions()] == [-10]


async def test_a_share_that_cannot_be_borrowed_is_not_sold_short(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    desk.gateway.orders.borrow.limit("AAPL", None)
    trade = ib.placeOrder(stock, LimitOrder("SELL", 10, 200.0))
    await desk.settle()
    assert (trade.orderStatus.status, heard) == ("Inactive", [201])


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> TapeMarket:
    """FALL stands at 100 USD until 10:00 on the third day, then a tenth lower; CALM stays."""
    rows = ["ts,symbol,open,high,low,close,volume"]
    for day, session in enumerate(XnysCalendar().sessions(FIRST, LAST)):
        for i, start in enumerate(range(session.open, session.close, MINUTE_NS)):
            ts = datetime.fromtimestamp(start // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            price = max(90, 100 - max(0, i - 30)) if day == 2 else 90 if day > 2 else 100
            rows.append(f"{ts},FALL,{price},{price},{price},{price},6000")
            rows.append(f"{ts},CALM,100,100,91,100,6000")
    path = tmp_path_factory.mktemp("falling") / "tape.csv"
    path.write_text("\n".join(rows) + "\n")
    return TapeMarket(path)


def moved(market: TapeMarket, label: str, minutes: int) -> PriceTest:
    exchange = Exchange(market, XnysCalendar(), label)
    for _ in range(1 + minutes * 12):
        exchange.step()
    return PriceTest(exchange)


def test_a_fall_by_a_tenth_forbids_to_sell_short_at_the_bid_that_day(falling: TapeMarket) -> None:
    before, after = moved(falling, "2026-01-12", 39), moved(falling, "2026-01-12", 42)
    assert not before.restricted("FALL")
    assert before.floor("FALL", 93.0) is None
    assert after.restricted("FALL")
    assert after.floor("FALL", 90.0) == Decimal("90.01")
    assert after.floor("FALL", 0.9) == Decimal("0.9001")
    assert not after.restricted("CALM")


def test_the_test_holds_all_of_the_next_day(falling: TapeMarket) -> None:
    next_day = moved(falling, "2026-01-13", 0)
    assert next_day.restricted("FALL")
    assert not next_day.restricted("CALM")


def test_the_test_begins_while_it_is_watched(falling: TapeMarket) -> None:
    exchange = Exchange(falling, XnysCalendar(), "2026-01-12")
    watched, begun = PriceTest(exchange), []
    while exchange.now < exchange.session.open + 45 * MINUTE_NS:
        exchange.step()
        if watched.restricted("FALL") and not begun:
            begun.append((exchange.now - exchange.session.open) / MINUTE_NS)
    assert 40 <= begun[0] <= 41


async def test_under_the_price_test_a_short_sale_trades_above_the_bid_and_a_long_sale_at_it(
    falling: TapeMarket,
) -> None:
    fall = Stock("FALL", "SMART", "USD")
    async with desk_of(PracticeOptions(speed=0, start="2026-01-13"), falling) as desk:
        ib = await opened(desk)
        best = bids(desk, "FALL")[0].price
        short = ib.placeOrder(fall, MarketOrder("SELL", 5))
        await desk.settle()
        assert not short.fills
        await desk.advance(60)
        assert all(fill.execution.price > best for fill in short.fills)
        ib.cancelOrder(short.order)
        bought = ib.placeOrder(fall, MarketOrder("BUY", 10))
        await desk.advance(5)
        assert bought.orderStatus.status == "Filled"
        long = ib.placeOrder(fall, MarketOrder("SELL", 5))
        await desk.settle()
        assert long.fills[0].execution.price <= bids(desk, "FALL")[0].price + 0.01
