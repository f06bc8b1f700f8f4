"""One order of ours as we and TWS know it, and the words TWS uses."""

from __future__ import annotations

import re

import msgspec
from ib_async.contract import Contract
from ib_async.order import Order as IbOrder

from robo_trader.core.events import Order, OrderStatus, OrderType, Side
from robo_trader.core.orders import LIVE
from robo_trader.ibkr.values import owned_price, whole_shares

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
    # Rejected, or held until shares can be borrowed: only an error, or asking, tells which.
    "Inactive": S.UNKNOWN,
}
ENDS = frozenset(S) - LIVE
# Words of caution about an order that lives on.
NOTICES = frozenset({*range(2100, 2200), 165, 399, 404, 10167, 10349})
# What TWS says of a change alone: the order as it was lives on.
OF_CHANGES = frozenset({104, 105, 329, 440, 10006})
# The answers to a cancel; every other error, where it ends an order, rejects it.
OF_CANCELS = frozenset({202, 161, 10147, 10148})
NOT_FOUND = 10147
NO_PARENT = 135
_CHILD = re.compile(r".+-\d+\.\d+")


class Ticket:
    """One order of ours: `order` as TWS works it, `change` as we want it where that has yet to be confirmed."""

    def __init__(self, order: Order, contract: Contract | None = None) -> None:
        self.order = order
        self.contract = contract
        self.status = S.INTENT
        self.perm_id = 0
        self.client_id = -1  # of the API client that TWS says it belongs to
        self.filled = 0
        self.executed = 0  # by executions; `filled` may run ahead by words
        self.acknowledged = False  # whether TWS ever said a word of it
        self.error_code = 0
        self.reason = ""
        self.is_inactive = self.is_over = False  # by TWS's last word; over as soon as its executions are in
        self.ended_ts = 0  # UTC ns
        self.ended_at = 0  # the last question about open orders before it ended
        # What is wanted of it, and whether that has yet to be sent in this session.
        self.change: Order | None = None
        self.cancelling = False
        self.unsent = False
        # Of this session alone.
        self.tws_id = 0  # where we may touch it
        self.parent_tws_id = 0  # as TWS shows it, also once the parent has ended
        self.is_detached = False  # whether TWS said that the parent is no more
        self.named = 0  # the last question about open orders since which TWS spoke of it as alive
        self.disowned = False  # TWS was told to take it back and says it has none such
        # What is being done to find out.
        self.confirming = False
        self.asks = 0
        self.tries = 0
        self.told: tuple[OrderStatus, int, int, int, str] | None = None

    def begin_session(self) -> None:
        """Forget what was numbered in the session before; what was wanted and not seen done is to be sent again."""
        if self.is_unanswered:
            self.status = S.UNKNOWN
        self.tws_id = self.parent_tws_id = self.asks = self.tries = 0
        self.disowned = False
        self.unsent = not self.has_ended and (self.cancelling or self.change is not None)

    def show(self, found: IbOrder) -> bool:
        """Take over how TWS works it: a change it refused is not ours to believe in. Say whether one was confirmed."""
        shown = _figures(self.order, found)
        self.order = msgspec.structs.replace(self.order, **shown)
        return self._is_changed()

    def show_quantity(self, quantity: int) -> bool:
        """Do so where only the quantity is told, which confirms a change of nothing else."""
        if self.change is None or quantity != self.change.quantity or quantity == self.order.quantity:
            return False
        self.order = msgspec.structs.replace(self.order, quantity=quantity)
        return self._is_changed()

    def _is_changed(self) -> bool:
        wanted, now = self.change, self.order
        if wanted is None:
            return False
        same = (wanted.quantity, wanted.limit_price, wanted.stop_price) == (
            now.quantity,
            now.limit_price,
            now.stop_price,
        )
        if same:
            self.order, self.change = wanted, None
        return same

    @property
    def has_ended(self) -> bool:
        return self.status in ENDS

    @property
    def was_thought_unsent(self) -> bool:
        """Whether we concluded from TWS's silence that it never got the order, which a word of it disproves."""
        return self.status is S.NEVER_SENT

    @property
    def is_unanswered(self) -> bool:
        """Whether it was sent in this session and nothing has been heard of it."""
        return bool(self.tws_id) and not self.acknowledged and not self.has_ended

    @property
    def is_doubtful(self) -> bool:
        """Whether there is something about it that only asking can settle."""
        wanted = self.cancelling or self.change is not None
        awaited = self.filled > self.executed or self.status is S.UNKNOWN or self.is_unanswered
        return not self.has_ended and (wanted or awaited or bool(self.error_code))

    def is_ghost(self, number: int) -> bool:
        """Whether TWS, asked after it had ended, shows it alive in answer to that question."""
        is_full = self.executed >= self.order.quantity
        return self.has_ended and not is_full and self.ended_at < number <= self.named

    @property
    def left(self) -> int:
        """Shares that may still trade."""
        return max(self.order.quantity - self.filled, 0)

    @property
    def working(self) -> OrderStatus:
        return S.PARTIAL if self.filled else S.WORKING

    @property
    def shown(self) -> OrderStatus:
        """Where it is while TWS shows it alive."""
        return S.UNKNOWN if self.is_inactive else self.working

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
    """Return the order as it is sent; here owned prices become floats."""
    sent = IbOrder(
        action=order.side.value,
        totalQuantity=order.quantity,
        orderType=order.type.value,
        tif=order.tif,
        orderRef=order.id,
        account=account,
        transmit=True,
    )
    if order.limit_price is not None:
        sent.lmtPrice = float(order.limit_price)
    if order.stop_price is not None:
        sent.auxPrice = float(order.stop_price)
    return sent


def order_of(contract: Contract, found: IbOrder) -> Order:
    """Return an order found alive at the broker as the desk would have written it."""
    order = Order(
        id=found.orderRef,
        parent_id=found.orderRef.rpartition(".")[0],
        symbol=symbol_of(contract),
        side=Side(found.action),
        quantity=0,
        type=OrderType(found.orderType),
        reason="found at the broker",
        tif=found.tif or "DAY",
    )
    return msgspec.structs.replace(order, **_figures(order, found))


def _figures(order: Order, found: IbOrder) -> dict[str, object]:
    """Return what a change may alter, as TWS shows it."""
    figures: dict[str, object] = {}
    if shown := whole_shares(float(found.totalQuantity)):
        figures["quantity"] = shown
    if order.type is OrderType.LIMIT and (limit := owned_price(float(found.lmtPrice or 0))) is not None:
        figures["limit_price"] = limit
    if order.type is OrderType.STOP and (stop := owned_price(float(found.auxPrice or 0))) is not None:
        figures["stop_price"] = stop
    return figures
