"""What cannot be ordered or changed, each with the code of TWS, through the real client."""

from __future__ import annotations

from typing import Any

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Order, PriceCondition, TagValue

from tests.practice.conftest import Desk
from tests.practice.order_desk import cash, codes, offers, opened


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (MarketOrder("BUY", 0), 434),
        (MarketOrder("BUY", 0, cashQty=1_000.0), 10244),
        (MarketOrder("BUY", -5), 201),
        (MarketOrder("BUY", 1.5), 10243),
        (MarketOrder("BUY", 1e12), 201),
        (MarketOrder("HOLD", 1), 201),
        (LimitOrder("BUY", 1, 0.0), 110),
        (LimitOrder("BUY", 1, -3.0), 110),
        (LimitOrder("BUY", 1, 100.005), 110),
        (LimitOrder("BUY", 1, float("nan")), 110),
        (LimitOrder("BUY", 1, 1.7976931348623157e308), 110),
        (Order(action="BUY", totalQuantity=1, orderType="REL"), 201),
        (Order(action="BUY", totalQuantity=1, orderType="MKT", tif="AUC"), 201),
        (Order(action="BUY", totalQuantity=1, orderType="MOC", tif="GTC"), 201),
        (Order(action="SELL", totalQuantity=1, orderType="STP"), 110),
        (Order(action="SELL", totalQuantity=1, orderType="STP", auxPrice=100.005), 110),
        (Order(action="SELL", totalQuantity=1, orderType="STP", auxPrice=100.0, tif="IOC"), 201),
        (Order(action="SELL", totalQuantity=1, orderType="STP", auxPrice=100.0, triggerMethod=5), 201),
        (Order(action="SELL", totalQuantity=1, orderType="TRAIL"), 321),
        (Order(action="SELL", totalQuantity=1, orderType="TRAIL", auxPrice=1.0, trailingPercent=1.0), 321),
        (Order(action="SELL", totalQuantity=1, orderType="TRAIL", trailingPercent=100.0), 321),
        (Order(action="SELL", totalQuantity=1, orderType="TRAIL LIMIT", auxPrice=1.0), 321),
        (MarketOrder("BUY", 1, tif="GTD"), 334),
        (MarketOrder("BUY", 1, tif="GTD", goodTillDate="20200101 10:00:00"), 334),
        (MarketOrder("BUY", 1, goodAfterTime="soon"), 337),
        (MarketOrder("BUY", 1, goodAfterTime="20260113 10:00:00 Nowhere/City"), 337),
        (MarketOrder("BUY", 1, goodAfterTime="20260113 10:00:00 America"), 337),
        (MarketOrder("BUY", 1, parentId=77), 135),
        (MarketOrder("BUY", 1, ocaGroup="a", ocaType=4), 342),
        (MarketOrder("BUY", 1, algoStrategy="DarkIce"), 439),
        (MarketOrder("BUY", 1, algoStrategy="Twap", algoParams=[TagValue("hurry", "1")]), 443),
        (MarketOrder("BUY", 1, algoStrategy="Vwap", algoParams=[TagValue("maxPctVol", "2")]), 441),
        (MarketOrder("BUY", 1, algoStrategy="Vwap", algoParams=[TagValue("maxPctVol", "nan")]), 441),
        (Order(action="SELL", totalQuantity=1, orderType="STP", auxPrice=1.0, algoStrategy="Twap"), 442),
        (MarketOrder("BUY", 1, displaySize=-1), 201),
        (MarketOrder("BUY", 1, conditions=[PriceCondition(1, "a", True, 180.0, 7, "SMART")]), 201),
        (MarketOrder("BUY", 1, account="DU1234567"), 201),
        (MarketOrder("BUY", 2_001), 201),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_its_code(
    desk: Desk, stock: Contract, order: Order, code: int
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    ib.placeOrder(stock, order)
    await desk.settle()
    assert heard == [code]
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


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": "SELL"}, 105),
        ({"orderType": "MKT"}, 329),
        ({"lmtPrice": 100.001}, 110),
        ({"totalQuantity": 100_000}, 201),
        ({"tif": "IOC"}, 201),
        ({"ocaGroup": "late"}, 201),
        ({"algoStrategy": "Twap"}, 440),
    ],
)
async def test_a_bad_modification_leaves_the_order_as_it_was(
    desk: Desk, stock: Contract, changes: dict[str, Any], code: int
) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    trade = ib.placeOrder(stock, LimitOrder("BUY", 40, 150.0))
    await desk.settle()
    wrong = Order(
        orderId=trade.order.orderId, action="BUY", totalQuantity=40, orderType="LMT", lmtPrice=150.0
    )
    for name, value in changes.items():
        setattr(wrong, name, value)
    ib.client.placeOrder(wrong.orderId, stock, wrong)
    await desk.settle()
    assert heard == [code]
    (alive,) = await ib.reqAllOpenOrdersAsync()
    assert (alive.order.lmtPrice, alive.order.totalQuantity, alive.order.action) == (150.0, 40, "BUY")


async def test_an_order_id_is_used_once(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    done = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.client.placeOrder(done.order.orderId, stock, MarketOrder("BUY", 1))
    await desk.settle()
    assert heard == [103]
    assert [p.position for p in ib.positions()] == [1]


async def test_a_filled_order_cannot_be_modified(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    done = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.client.placeOrder(done.order.orderId, stock, MarketOrder("BUY", 2))
    await desk.settle()
    assert heard == [104]
    assert [p.position for p in ib.positions()] == [1]


async def test_an_order_cannot_shrink_below_what_is_filled(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard = codes(ib)
    order = LimitOrder("BUY", 1_000, offers(desk)[0].price)
    had = offers(desk)[0].size
    trade = ib.placeOrder(stock, order)
    await desk.settle()
    order.totalQuantity = had
    ib.placeOrder(stock, order)
    await desk.settle()
    assert heard == [110]
    order.totalQuantity = had + 1
    ib.placeOrder(stock, order)
    await desk.settle()
    assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Submitted", 1)


async def test_a_holding_is_not_yet_a_contract_to_order_or_to_ask_data_of(
    desk: Desk, stock: Contract
) -> None:
    """Positions name the exchange of the listing, portfolio items none: TWS wants one in each request."""
    ib = await opened(desk)
    ib.placeOrder(stock, MarketOrder("BUY", 10))
    await desk.advance(5)
    (held,), (item,) = ib.positions(), ib.portfolio()
    assert (held.contract.exchange, item.contract.exchange) == ("NASDAQ", "")
    told = codes(ib)
    ib.placeOrder(item.contract, MarketOrder("SELL", 10))
    ib.reqMktData(item.contract)
    await desk.settle()
    assert told == [321, 321]
    sold = ib.placeOrder(held.contract, MarketOrder("SELL", 10))
    await desk.advance(5)
    assert sold.orderStatus.status == "Filled"
