"""What the page is told of stops: what they cover now, not what they will."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from robo_trader.core.events import (
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Side,
    Submit,
)
from robo_trader.core.steps import OrderChanged, Unprotected
from robo_trader.websocket_client.protection import Protection

ENTRY = Order("s-1.1", "s-1", "NVDA", Side.BUY, 100)
STOP = Order(
    "s-2.1", "s-2", "NVDA", Side.SELL, 100, OrderType.STOP,
    stop_price=Decimal("175.00"), tif="GTC", attached_to="s-1.1",
)  # fmt: skip


def row(protection: Protection) -> dict[str, Any]:
    found = protection.row("NVDA")
    assert found is not None
    return found


def changed(order: Order, status: OrderStatus, filled: int = 0) -> OrderChanged:
    return OrderChanged(1, order.id, status, filled)


def entered(filled: int, status: OrderStatus = OrderStatus.PARTIAL) -> Protection:
    """An entry with its stop, of which so much has traded."""
    protection = Protection()
    assert protection.submit(Submit(ENTRY, STOP)) == "NVDA"
    protection.change(changed(ENTRY, status, filled))
    return protection


def test_an_attached_stop_covers_what_its_entry_has_traded() -> None:
    protection = entered(0, OrderStatus.WORKING)
    assert row(protection)["covered"] == 0
    assert protection.change(changed(ENTRY, OrderStatus.PARTIAL, 40)) == "NVDA"
    assert row(protection)["covered"] == 40
    protection.change(changed(ENTRY, OrderStatus.FILLED, 100))
    assert row(protection)["covered"] == 100
    assert row(protection)["stops"] == [{"id": STOP.id, "price": Decimal("175.00"), "shares": 100}]


def test_a_change_counts_once_the_broker_confirms_it_and_not_when_it_refuses() -> None:
    protection = entered(100, OrderStatus.FILLED)
    tighter = msgspec.structs.replace(STOP, quantity=60, stop_price=Decimal("178.00"))
    protection.modify(Modify(tighter))
    assert row(protection)["covered"] == 100
    refused = OrderUpdate(2, STOP.id, OrderStatus.WORKING, 0, 100, reason="104 cannot modify")
    assert protection.update(refused) == "NVDA"
    assert row(protection)["covered"] == 100
    protection.update(OrderUpdate(3, STOP.id, OrderStatus.WORKING, 0, 60))
    assert row(protection)["stops"] == [{"id": STOP.id, "price": Decimal("178.00"), "shares": 60}]


def test_a_stop_that_trades_or_ends_covers_less_and_then_nothing() -> None:
    protection = entered(100, OrderStatus.FILLED)
    protection.change(changed(STOP, OrderStatus.PARTIAL, 30))
    assert row(protection)["covered"] == 70
    protection.change(changed(STOP, OrderStatus.FILLED, 100))
    assert protection.row("NVDA") is None


def test_a_stop_of_an_earlier_session_is_taken_over_and_other_orders_are_none() -> None:
    protection = Protection()
    assert protection.adopt(OpenOrder(STOP, 10)) == "NVDA"
    assert row(protection)["covered"] == 90
    assert protection.adopt(OpenOrder(ENTRY)) == ""
    assert protection.adopt(OpenOrder(msgspec.structs.replace(STOP, id="s-9.1"), alive=False)) == ""
    assert protection.submit(Submit(ENTRY)) == ""
    assert protection.submit(Submit(msgspec.structs.replace(STOP, id="s-3.1", attached_to=""))) == "NVDA"


def test_an_alarm_stands_until_it_is_over() -> None:
    protection = Protection()
    assert protection.bare(Unprotected(1, "NVDA", 25, "no price")) == "NVDA"
    assert (row(protection)["unprotected"], row(protection)["why"]) == (25, "no price")
    protection.bare(Unprotected(2, "NVDA", 0, ""))
    assert protection.row("NVDA") is None
