"""What clients ask: placeOrder and reqHistoricalData, read field by field in the order of their version."""

from __future__ import annotations

import msgspec

from robo_trader.practice.contracts import Contract, read_contract
from robo_trader.practice.wire import Cursor, WireError


class PlaceOrder(msgspec.Struct, frozen=True):
    """An order as a client words it, nothing checked yet. `special` names what this market does not do."""

    order_id: int
    contract: Contract
    action: str
    quantity: float
    type: str
    limit: float | None
    tif: str
    account: str
    ref: str
    special: str = ""


def read_place_order(cursor: Cursor, version: int) -> PlaceOrder:
    """Read placeOrder (3) up to its conditions; what follows them does not change how a share trades here."""
    order_id, contract = cursor.integer(), read_contract(cursor)
    cursor.skip(2)  # security id and its type
    action, quantity, kind, limit = cursor.text(), cursor.number() or 0.0, cursor.text(), cursor.number()
    cursor.skip(1)  # auxiliary price
    tif = cursor.text()
    cursor.skip(1)  # OCA group
    account = cursor.text()
    cursor.skip(2)  # open or close, origin
    ref, transmit, parent = cursor.text(), cursor.flag(), cursor.integer()
    cursor.skip(6)  # block, sweep, display size, trigger method, outside hours, hidden
    if contract.sec_type == "BAG":
        return PlaceOrder(
            order_id, contract, action, quantity, kind, limit, tif, account, ref, "combinations of contracts"
        )
    special = _read_tail(cursor, version)
    if not transmit:
        special = "orders that wait to be transmitted"
    elif parent:
        special = "attached orders"
    return PlaceOrder(order_id, contract, action, quantity, kind, limit, tif, account, ref, special)


def _read_tail(cursor: Cursor, version: int) -> str:
    """Return what the rest of a share order asks for that is not done here, empty for a plain order."""
    cursor.skip(2)  # nothing, discretionary amount
    if cursor.text():
        return "orders that start later"
    cursor.skip(4 + (version < 177))  # good till, allocation group, method, percentage, profile
    cursor.skip(7)  # model, short sale, OCA type, rule 80A, settling firm
    if cursor.flag():
        return "all-or-none orders"
    cursor.skip(14)  # minimum quantity, price caps and ranges, overrides, volatility
    cursor.skip(9 if cursor.text() else 1)  # delta neutral
    cursor.skip(6)  # continuous update, reference price, trailing stop, scale sizes
    increment = cursor.number()
    if increment is not None and increment > 0:
        return "scale orders"
    cursor.skip(3)  # scale table, start, stop
    if cursor.text():
        return "hedged orders"
    cursor.skip(4)  # smart routing, clearing account and intent, not held
    if cursor.flag():
        return "delta neutral orders"
    if cursor.text():
        return "algorithmic orders"
    cursor.skip(1)  # algorithm id
    if cursor.flag():
        return "what-if orders"
    cursor.skip(4)  # options, solicited, randomised size and price
    return "conditional orders" if cursor.integer() else ""


class HistoryRequest(msgspec.Struct, frozen=True):
    """A question for past bars, in the client's words."""

    request: int
    contract: Contract
    end: str
    bar_size: str
    duration: str
    what: str
    as_epoch: bool
    keep_up_to_date: bool


def read_history_request(cursor: Cursor) -> HistoryRequest:
    """Read reqHistoricalData (20)."""
    request, contract = cursor.integer(), read_contract(cursor)
    cursor.skip(1)  # include expired
    end, bar_size, duration = cursor.text(), cursor.text(), cursor.text()
    cursor.skip(1)  # this market has regular hours only, asked for or not
    what, format_date = cursor.text(), cursor.integer()
    if contract.sec_type == "BAG":
        raise WireError("combinations of contracts are not traded here")
    return HistoryRequest(request, contract, end, bar_size, duration, what, format_date == 2, cursor.flag())
