"""An order as the gateway keeps it, an execution, and the wire forms of both."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from robo_trader.core.events import Order, OrderType, Side
from robo_trader.practice.contracts import fields_of
from robo_trader.practice.wire import UNSET_DOUBLE, UNSET_INT, Field, frame

PRE_SUBMITTED, SUBMITTED, FILLED = "PreSubmitted", "Submitted", "Filled"
CANCELLED, INACTIVE = "Cancelled", "Inactive"
DONE = frozenset({FILLED, CANCELLED, INACTIVE})


class Ticket(msgspec.Struct, frozen=True):
    """One client's order and what has become of it. Prices and money in USD; `notional` is filled shares x price."""

    perm_id: int
    client_id: int
    order_id: int
    symbol: str
    side: Side
    quantity: int
    type: OrderType
    limit: Decimal | None
    tif: str
    ref: str
    account: str
    status: str = PRE_SUBMITTED
    filled: int = 0
    notional: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    fills: int = 0
    reason: str = ""
    done_ts: int = 0

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def done(self) -> bool:
        return self.status in DONE

    @property
    def average(self) -> Decimal:
        """The average price of what was filled, 0 while nothing was."""
        return (self.notional / self.filled).quantize(Decimal("0.00000001")) if self.filled else Decimal(0)

    def order(self) -> Order:
        """Return the order as the fill model knows it."""
        name = str(self.perm_id)
        return Order(name, name, self.symbol, self.side, self.quantity, self.type, self.limit)


class Execution(msgspec.Struct, frozen=True):
    """Shares that changed hands. `ts` UTC ns; `realised` None where the trade only opened a position."""

    exec_id: str
    perm_id: int
    client_id: int
    order_id: int
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal
    realised: Decimal | None
    cumulative: int
    average: Decimal
    ref: str
    account: str
    ts: int


def _plain(value: Decimal) -> str:
    """Write a Decimal without exponent and without the zeros that a division left behind."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price(limit: Decimal | None) -> str:
    return _plain(limit) if limit is not None else "0"


_FREE_PERCENTAGES: tuple[Field, ...] = ("", "", "", "", "")  # start, stock ref, delta, range low, range high
_PEG_OFFSETS: tuple[Field, ...] = ("", "", "", "", "")


def open_order(version: int, ticket: Ticket, with_commission: bool = False) -> bytes:
    """Encode openOrder (5)."""
    fee = _plain(ticket.commission) if with_commission else UNSET_DOUBLE
    return frame(
        5, ticket.order_id, *fields_of(ticket.symbol), ticket.side, ticket.quantity, ticket.type,
        _price(ticket.limit), "0", ticket.tif, "", ticket.account, "", 0, ticket.ref, ticket.client_id,
        ticket.perm_id, False, False, 0, "", f"{ticket.perm_id}.0/{ticket.account}/{ticket.quantity}",
        "", "", "", *(("",) if version < 177 else ()), "", "", "", "", "", 0, "", -1, 0,
        *_FREE_PERCENTAGES, UNSET_INT, False, False, False, "", 3, False, False, "", 0, 0, "", 0,
        "None", "", 0, "", "", "", "?", False, 0, "",  # delta neutral: the word None counts as set
        False, 0, "", "", "", "", "", 0, 0, 0, "", "", "", "", False, "", "IB", False, False, "",
        False, False, ticket.status, *([UNSET_DOUBLE] * 9), fee, "", "", "USD" if with_commission else "", "",
        False, False, 0, "None", *([UNSET_DOUBLE] * 6), 0, "", "", "", 0, True, False, False, 0,
        *((UNSET_INT,) if version >= 158 else ()), *((UNSET_INT,) if version >= 160 else ()),
        *((False,) if version >= 162 else ()), *(_PEG_OFFSETS if version >= 170 else ()),
    )  # fmt: skip


def completed_order(version: int, ticket: Ticket, completed: str) -> bytes:
    """Encode completedOrder (101); `completed` is the time it ended. It carries no order id and no client id."""
    said = f"Filled Size: {ticket.filled}" if ticket.status == FILLED else ticket.reason
    return frame(
        101, *fields_of(ticket.symbol), ticket.side, ticket.quantity, ticket.type, _price(ticket.limit), "0",
        ticket.tif, "", ticket.account, "", 0, ticket.ref, ticket.perm_id, False, False, 0, "",
        "", "", "", *(("",) if version < 177 else ()), "", "", "", "", "", 0, "", -1,
        *_FREE_PERCENTAGES, UNSET_INT, False, False, "", 3, 0, "", 0, "None", "", 0, False, 0, "",
        False, 0, "", "", "", 0, 0, 0, "", "", "", "", "", "IB", False, False, "", False, ticket.status,
        False, False, 0, "", "", 0, True, False, "", ticket.filled, 0, False, "", False, False, 0, completed, said,
        *(_PEG_OFFSETS if version >= 170 else ()),
    )  # fmt: skip


def order_status(_version: int, ticket: Ticket) -> bytes:
    """Encode orderStatus (3)."""
    return frame(
        3, ticket.order_id, ticket.status, ticket.filled, ticket.remaining, _plain(ticket.average),
        ticket.perm_id, 0, _plain(ticket.last_price), ticket.client_id, "", 0,
    )  # fmt: skip


def execution(version: int, fill: Execution, request: int, when: str) -> bytes:
    """Encode execDetails (11); `request` is -1 for a live fill, `when` its time with a zone name."""
    side = "BOT" if fill.side is Side.BUY else "SLD"
    return frame(
        11, request, fill.order_id, *fields_of(fill.symbol), fill.exec_id, when, fill.account, "NASDAQ", side,
        fill.quantity, _plain(fill.price), fill.perm_id, fill.client_id, 0, fill.cumulative,
        _plain(fill.average), fill.ref, "", "", "", 1, *((False,) if version >= 178 else ()),
    )  # fmt: skip


def commission_report(_version: int, fill: Execution) -> bytes:
    """Encode commissionReport (59)."""
    realised = _plain(fill.realised) if fill.realised is not None else UNSET_DOUBLE
    return frame(59, 1, fill.exec_id, _plain(fill.commission), "USD", realised, UNSET_DOUBLE, "")
