"""One order of ours as a session with TWS knows it, and the words TWS uses."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
from ib_async.contract import Contract
from ib_async.objects import Execution
from ib_async.order import Order as IbOrder

from robo_trader.core.events import Fill, Order, OrderStatus, OrderType, Side
from robo_trader.ibkr.values import owned_price, utc_ns, whole_shares

S = OrderStatus

WORDS: dict[str, OrderStatus] = {
    "ApiPending": S.WORKING,
    "PendingSubmit": S.WORKING,
    "PreSubmitted": S.WORKING,
    "Submitted": S.WORKING,
    "PendingCancel": S.WORKING,
    "ApiCancelled": S.CANCELLED,
    "Cancelled": S.CANCELLED,
    "Filled": S.FILLED,
    # Rejected, or held until shares can be borrowed: only an error tells which.
    "Inactive": S.UNKNOWN,
}
ENDS = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.NEVER_SENT})
# Words of caution about an order that lives on.
NOTICES = frozenset({*range(2100, 2200), 105, 165, 399, 404, 10167, 10349})
# The answers to a cancel; every other error, where it ends an order, rejects it.
OF_CANCELS = frozenset({202, 161, 10147, 10148})
SIDES = {"BOT": Side.BUY, "SLD": Side.SELL}
_CHILD = re.compile(r".+-\d+\.\d+")


class Ticket:
    """One order of ours as this session knows it."""

    def __init__(self, order: Order, contract: Contract | None = None) -> None:
        self.order = order
        self.contract = contract
        self.tws_id = 0
        self.perm_id = 0
        self.filled = 0
        self.executed = 0  # by executions; `filled` may run ahead by words
        self.acknowledged = False
        self.confirming = False
        self.error_code = 0
        self.reason = ""
        self.status = S.INTENT
        self.told: tuple[OrderStatus, int, int, str] | None = None

    def show_quantity(self, shown: int | None) -> None:
        """Take over the quantity TWS works: a change it refused is not ours to believe in."""
        if shown and shown != self.order.quantity:
            self.order = msgspec.structs.replace(self.order, quantity=shown)

    @property
    def is_alive(self) -> bool:
        """Whether this session has seen it open and not ended."""
        return bool(self.tws_id) and self.acknowledged and not self.has_ended

    @property
    def has_ended(self) -> bool:
        return self.status in ENDS

    @property
    def is_unanswered(self) -> bool:
        """Whether it was sent and nothing has been heard of it."""
        return bool(self.tws_id) and not self.acknowledged and not self.has_ended

    @property
    def is_rejected(self) -> bool:
        return bool(self.error_code) and self.error_code not in OF_CANCELS and not self.filled

    @property
    def ended(self) -> OrderStatus:
        """How it ended where TWS works it no more."""
        return S.REJECTED if self.is_rejected else S.CANCELLED

    @property
    def inactive(self) -> OrderStatus:
        """What TWS means by inactive: rejected, where an error said so."""
        return S.REJECTED if self.is_rejected else S.UNKNOWN


def is_child(ref: str) -> bool:
    """Return whether an orderRef has the form of our order ids, `<session>-<n>.<k>`."""
    return _CHILD.fullmatch(ref) is not None


def is_readable(order: IbOrder) -> bool:
    """Return whether an order is of a type we use."""
    return order.orderType in {kind.value for kind in OrderType}


def symbol_of(contract: Contract) -> str:
    """Return the desk's symbol: TWS writes the class of a share with a space."""
    return contract.symbol.replace(" ", ".")


def ib_order(order: Order, account: str) -> IbOrder:
    """Return the order as it is sent; here the owned limit becomes a float."""
    sent = IbOrder(
        action=order.side.value,
        totalQuantity=order.quantity,
        orderType=order.type.value,
        tif="DAY",
        orderRef=order.id,
        account=account,
        transmit=True,
    )
    if order.limit_price is not None:
        sent.lmtPrice = float(order.limit_price)
    return sent


def order_of(contract: Contract, found: IbOrder) -> Order:
    """Return an order found alive at the broker as the desk would have written it."""
    kind = OrderType(found.orderType)
    return Order(
        id=found.orderRef,
        parent_id=found.orderRef.rpartition(".")[0],
        symbol=symbol_of(contract),
        side=Side(found.action),
        quantity=whole_shares(float(found.totalQuantity)) or 0,
        type=kind,
        limit_price=owned_price(float(found.lmtPrice or 0)) if kind is OrderType.LIMIT else None,
        reason="found at the broker",
    )


def fill_of(
    contract: Contract, execution: Execution, order_id: str, commission: Decimal | None
) -> Fill | None:
    """Return an execution as the desk knows it, None for what it does not: other than whole shares at a price."""
    price, shares = owned_price(execution.price), whole_shares(execution.shares)
    side = SIDES.get(execution.side)
    if price is None or not shares or side is None or contract.secType != "STK":
        return None
    symbol, ts = symbol_of(contract), utc_ns(execution.time)
    return Fill(ts, order_id, execution.execId, symbol, side, shares, price, commission)
