"""Faults of what is said of orders: errors, refusals and confirmations that are not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from robo_trader.practice.faults.kinds import Fault, Message, cut, message, option
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.wire import UNSET_DOUBLE, error

_STATUS, _ERROR, _OPEN = 3, 4, 5
_PLACE, _CANCEL = 3, 4  # requests
_ACCOUNT = 23  # its place in placeOrder
_STATES = frozenset({"PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive", "PendingSubmit"})
_MARGINS = 12  # figures after the state in openOrder: nine margins, three commissions


@dataclass(eq=False)
class ErrorOnLive(Fault):
    """Send an error about an order that lives, and let it live.

    ib_async shows it as Cancelled and done (10349, 10148), or as ValidationError (399, 110): neither is true.
    """

    code: int = option(10349, "10349, 10148, 399, 404, 110, 105 or any other")
    tells = frozenset({_STATUS})
    times = 1

    def sees(self, message: Message) -> bool:
        return message.fields[2] in ("Submitted", "PreSubmitted")

    def told(self, client: Client, told: Message) -> list[Message]:
        return [told, _about(client, told, self.code)]


@dataclass(eq=False)
class ErrorAfterFill(ErrorOnLive):
    """Send an error about an order that is full.

    A warning (399) turns Filled into ValidationError; an error (201) is only logged.
    """

    code: int = option(399, "399, 201, 10148 or any other")

    def sees(self, message: Message) -> bool:
        return message.fields[2] == "Filled"


@dataclass(eq=False)
class GhostInactive(Fault):
    """Call an order Inactive that goes on working.

    Inactive means refused or held: who takes it for refused and sends again has two orders.
    """

    tells = frozenset({_STATUS})
    times = 1

    def sees(self, message: Message) -> bool:
        return message.fields[2] == "Submitted"

    def told(self, client: Client, told: Message) -> list[Message]:
        return [told, told.but({2: "Inactive", 10: "locate"})]


@dataclass(eq=False)
class Reject(Fault):
    """Refuse an order (201), with its messages in one of the orders TWS has.

    The local status passes through Cancelled, Inactive or both, and the error comes first or last.
    """

    sequence: Literal["error-first", "status-first", "cancelled-first"] = option(
        "error-first",
        "201 before, or after, openOrder and orderStatus; or orderStatus Cancelled and then 201",
    )
    reason: str = option("No trading permissions.", "what TWS says")
    refused: set[str] = field(default_factory=set, init=False, repr=False)
    kept: list[Message] = field(default_factory=list, init=False, repr=False)
    hears = frozenset({_PLACE})
    follows = frozenset({_STATUS, _OPEN, _ERROR})

    @property
    def holds(self) -> bool:
        return bool(self.refused)

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        assert isinstance(fields, list), "a request that can be changed on its way"
        fields[_ACCOUNT] = "NOT-YOURS"  # the gateway refuses it itself, so that all its answers agree
        self.refused.add(fields[1])
        return False

    def sees(self, message: Message) -> bool:
        return _order_of(message) in self.refused

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind == _ERROR:
            self.kept.append(told.but({4: f"Order rejected - reason:{self.reason}"}))
        elif self.sequence != "cancelled-first":
            self.kept.append(told)
        elif told.kind == _STATUS:
            self.kept.append(told.but({2: "Cancelled"}))
        return []

    def flushed(self, client: Client) -> list[Message]:
        kept, self.kept = self.kept, []
        self.refused -= {_order_of(told) for told in kept}
        return sorted(kept, key=lambda m: (m.kind == _ERROR) == (self.sequence != "error-first"))


@dataclass(eq=False)
class CancelIgnored(Fault):
    """Do not react to a cancellation.

    The local status is PendingCancel for ever, the order lives.
    """

    hears = frozenset({_CANCEL})

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        return True


@dataclass(eq=False)
class CancelFillRace(Fault):
    """Refuse a cancellation as too late (10148) and let the order fill when it can.

    ib_async shows Cancelled at once; the order is live, and its fill comes after that.
    """

    hears = frozenset({_CANCEL})
    times = 1

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        text = f"OrderId {fields[2]} that needs to be cancelled cannot be cancelled, state: PendingCancel."
        client.error(int(fields[2]), 10148, text)
        return True


@dataclass(eq=False)
class FillAfterCancel(Fault):
    """Confirm a cancellation (Cancelled, 202) that never reached the exchange.

    The order fills after its end: who released its risk holds more than he thinks.
    """

    hears = frozenset({_CANCEL})
    times = 1

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        for ticket in self.ground.orders.working(client.key):
            if ticket.order_id == int(fields[2]):
                average = format(ticket.average, "f")
                told = message(
                    _STATUS, ticket.order_id, "Cancelled", ticket.filled, ticket.remaining, average, ticket.perm_id,
                    0, 0, ticket.client_id, "", 0,
                )  # fmt: skip
                client.send(told.data)
                client.error(ticket.order_id, 202, "Order Canceled - reason:")
                return True
        return False


@dataclass(eq=False)
class WhatifSilent(Fault):
    """Never answer a question what an order would cost.

    whatIfOrderAsync has no timeout: it waits for ever.
    """

    tells = frozenset({_OPEN})

    def sees(self, message: Message) -> bool:
        return message.fields[_state(message) - 1] == "1"

    def told(self, client: Client, told: Message) -> list[Message]:
        return []


@dataclass(eq=False)
class WhatifUnset(WhatifSilent):
    """Answer what an order would cost with nothing but unset figures (DBL_MAX).

    ib_async takes that for no answer and waits for ever.
    """

    def told(self, client: Client, told: Message) -> list[Message]:
        first = _state(told) + 1
        return [told.but(dict.fromkeys(range(first, first + _MARGINS), UNSET_DOUBLE))]


_TEXTS = {
    105: "Order being modified does not match the original order.",
    110: "The price does not conform to the minimum price variation for this contract.",
    201: "Order rejected - reason:The order is full.",
    399: "Order Message:\nWarning: your order will not be placed at the exchange until the next session",
    404: "Order held while securities are located.",
    10148: "OrderId {} that needs to be cancelled cannot be cancelled, state: Submitted.",
    10349: "Order TIF was set to DAY based on order preset.",
}


def _about(client: Client, told: Message, code: int) -> Message:
    """Return an error about the order of an orderStatus."""
    text = _TEXTS.get(code, f"Order error {code}").format(told.fields[1])
    return cut(error(client.version, int(told.fields[1]), code, text))[0]


def _order_of(told: Message) -> str:
    """Return the order id of an error, openOrder or orderStatus."""
    return told.fields[2 if told.kind == _ERROR else 1]


def _state(told: Message) -> int:
    """Return the place of the order state in openOrder."""
    return next((at for at in range(len(told.fields) - 1, 0, -1) if told.fields[at] in _STATES), 1)


FAULTS: tuple[type[Fault], ...] = (
    ErrorOnLive, ErrorAfterFill, GhostInactive, Reject, CancelIgnored, CancelFillRace, FillAfterCancel,
    WhatifSilent, WhatifUnset,
)  # fmt: skip
