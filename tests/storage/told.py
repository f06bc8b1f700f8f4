"""Events with their steps, as short as a test wants to tell them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

from robo_trader.core.events import (
    AccountSnapshot,
    Command,
    Event,
    Fill,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderType,
    Side,
    Timer,
)
from robo_trader.core.steps import (
    Fact,
    PositionChanged,
    Step,
)

Tell = Callable[..., Awaitable[None]]


def at(ts: int, *said: Command | Fact) -> tuple[Event, Step]:
    commands = tuple(each for each in said if isinstance(each, Command))
    return Timer(ts, "t"), Step(commands, tuple(each for each in said if not isinstance(each, Command)))


def opening(ts: int, *holdings: Holding, orders: tuple[OpenOrder, ...] = (), facts: tuple[Fact, ...] = ()):
    account = AccountSnapshot(ts, "DU1234567", Decimal(1), Decimal(1), holdings, orders)
    return account, Step((), facts)


def stop(
    order_id: str, price: str, side: Side = Side.SELL, quantity: int = 10, attached_to: str = ""
) -> Order:
    return Order(
        order_id, order_id, "AAPL", side, quantity, OrderType.STOP, stop_price=Decimal(price), tif="GTC",
        attached_to=attached_to,
    )  # fmt: skip


def held(ts: int, quantity: int) -> PositionChanged:
    lots = (Lot(quantity, Decimal(1)),) if quantity else ()
    return PositionChanged(ts, "AAPL", quantity, lots, Decimal(0))


def executed(
    ts: int, exec_id: str, quantity: int, price: str = "100", order_id: str = "o-1.1"
) -> tuple[Event, Step]:
    return Fill(ts, order_id, exec_id, "AAPL", Side.BUY, quantity, Decimal(price)), Step()
