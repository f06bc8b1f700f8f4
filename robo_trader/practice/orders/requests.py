"""What clients ask of orders: placeOrder, read field by field in the order of its version."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from robo_trader.practice.account.tickets import Terms
from robo_trader.practice.market.contracts import Contract, read_contract
from robo_trader.practice.protocol.wire import UNSET_INT, Cursor, WireError

CASH_QUANTITY = "orders for an amount of cash"
_MAX_ROWS = 100  # legs, parameters or conditions of one order


class PlaceOrder(msgspec.Struct, frozen=True):
    """An order as a client words it, nothing checked yet. `special` names what this market does not do."""

    order_id: int
    contract: Contract
    action: str
    quantity: float
    type: str
    limit: Decimal | None
    tif: str
    account: str
    ref: str
    special: str = ""
    transmit: bool = True
    what_if: bool = False
    terms: Terms = Terms()


def _money(cursor: Cursor) -> Decimal | None:
    value = cursor.number()
    return None if value is None else Decimal(repr(round(value, 8)))  # 200.07000000000002 is 200.07


def _whole(cursor: Cursor) -> int | None:
    value = cursor.integer(default=int(UNSET_INT))
    return None if value == int(UNSET_INT) else value


_Layout = tuple[tuple[str, Callable[[Cursor], Any]], ...]
_TEXT, _FLAG, _COUNT = Cursor.text, Cursor.flag, Cursor.integer

# Names that are no fields of `Terms` are looked at once, to see that nothing is asked for that is not done here.
_HEAD: _Layout = (
    ("aux", _money), ("tif", _TEXT), ("oca_group", _TEXT), ("account", _TEXT), ("open_close", _TEXT),
    ("origin", _COUNT), ("ref", _TEXT), ("transmit", _FLAG), ("parent_id", _COUNT), ("block", _FLAG),
    ("sweep", _FLAG), ("display_size", _COUNT), ("trigger_method", _COUNT), ("outside_rth", _FLAG),
    ("hidden", _FLAG),
)  # fmt: skip
_MIDDLE: _Layout = (
    ("", _TEXT), ("discretionary", _money), ("good_after", _TEXT), ("good_till", _TEXT), ("group", _TEXT),
    ("", _TEXT), ("", _TEXT),
)  # fmt: skip
_CLEARING: _Layout = (
    ("model", _TEXT), ("short_sale_slot", _COUNT), ("designated_location", _TEXT), ("exempt_code", _whole),
    ("oca_type", _COUNT), ("rule_80a", _TEXT), ("settling_firm", _TEXT), ("all_or_none", _FLAG), ("min_qty", _whole),
    ("percent_offset", _money), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT),
    ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("neutral", _TEXT), ("", _TEXT),
)  # fmt: skip
_SCALES: _Layout = (
    ("", _TEXT), ("", _TEXT), ("trail_stop", _money), ("trailing_percent", _money), ("", _TEXT), ("", _TEXT),
    ("scale", Cursor.number),
)  # fmt: skip
_ROUTING: _Layout = (
    ("opt_out_smart", _FLAG), ("clearing_account", _TEXT), ("clearing_intent", _TEXT), ("not_held", _FLAG),
)  # fmt: skip
_FLAGS: _Layout = (
    ("", _TEXT), ("what_if", _FLAG), ("", _TEXT), ("solicited", _FLAG), ("randomize_size", _FLAG),
    ("randomize_price", _FLAG),
)  # fmt: skip
_TAIL: _Layout = (
    ("adjusted", _TEXT), ("", _TEXT), ("limit_offset", _money), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT),
    ("", _TEXT), ("soft_dollar_name", _TEXT), ("soft_dollar_value", _TEXT), ("cash_quantity", _money), ("", _TEXT),
    ("", _TEXT), ("", _TEXT), ("", _TEXT), ("", _TEXT), ("oms_container", _FLAG),
    ("discretionary_up_to_limit", _FLAG), ("price_management", _FLAG),
)  # fmt: skip
_NEWER: tuple[tuple[int, str, Callable[[Cursor], Any]], ...] = (
    (158, "duration", _whole), (160, "post_to_ats", _whole), (162, "auto_cancel_parent", _FLAG),
    (166, "", _TEXT), (169, "", _TEXT),  # overrides of errors, time of an order by hand
)  # fmt: skip
_CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
_TERMS = frozenset(Terms.__struct_fields__)


def read_place_order(cursor: Cursor, version: int) -> PlaceOrder:
    """Read placeOrder (3) whole. Raises WireError where it is too short or a number is none."""
    order_id, contract = cursor.integer(), read_contract(cursor)
    cursor.skip(2)  # security id and its type
    action, quantity, kind = cursor.text(), cursor.number() or 0.0, cursor.text()
    said: dict[str, Any] = {"limit": _money(cursor)} | _read(cursor, _HEAD)
    special = "combinations of contracts" if contract.sec_type == "BAG" else ""
    if not special:
        special = _read_rest(cursor, version, kind, said)
    said["aux"] = said["aux"] or None  # some clients write 0 for no price
    terms = msgspec.convert({name: said[name] for name in _TERMS & said.keys()}, Terms)
    return PlaceOrder(
        order_id, contract, action, quantity, kind, said["limit"], said["tif"], said["account"], said["ref"],
        special, said["transmit"], said.get("what_if", False), terms,
    )  # fmt: skip


def _read(cursor: Cursor, layout: _Layout) -> dict[str, Any]:
    return {name: read(cursor) for name, read in layout}


def _read_rest(cursor: Cursor, version: int, kind: str, said: dict[str, Any]) -> str:
    """Read all after `hidden` into `said`; return what it asks for that is not done here, empty for nothing."""
    said |= _read(cursor, _MIDDLE)
    cursor.skip(version < 177)  # allocation profile
    said |= _read(cursor, _CLEARING)
    cursor.skip(8 if said["neutral"] else 0)
    said |= _read(cursor, _SCALES)
    cursor.skip(7 if (said["scale"] or 0) > 0 else 0)
    cursor.skip(3)  # scale table, start, stop
    hedge = cursor.text()
    cursor.skip(1 if hedge else 0)
    said |= _read(cursor, _ROUTING)
    underlying = cursor.flag()
    cursor.skip(3 if underlying else 0)
    said |= _read_algo(cursor) | _read(cursor, _FLAGS)
    cursor.skip(5 if kind in ("PEG BENCH", "PEGBENCH") else 0)
    conditions = _read_conditions(cursor)
    said |= _read(cursor, _TAIL)
    said |= {name: read(cursor) for since, name, read in _NEWER if version >= since}
    return _special(said, hedge, underlying, conditions)


def _read_algo(cursor: Cursor) -> dict[str, Any]:
    algo = cursor.text()
    count = _rows(cursor) if algo else 0
    return {"algo": algo, "algo_params": tuple((cursor.text(), cursor.text()) for _ in range(count))}


def _read_conditions(cursor: Cursor) -> int:
    count = _rows(cursor)
    for _ in range(count):
        kind = cursor.integer()
        if kind not in _CONDITION_FIELDS:
            raise WireError(f"{kind} is not a kind of condition")
        cursor.skip(_CONDITION_FIELDS[kind])
    cursor.skip(2 if count else 0)
    return count


def _rows(cursor: Cursor) -> int:
    count = cursor.integer()
    if not 0 <= count <= _MAX_ROWS:
        raise WireError(f"{count} rows in one order")
    return count


def _special(said: dict[str, Any], hedge: str, underlying: bool, conditions: int) -> str:
    asked = {
        "delta neutral orders": said["neutral"] not in ("", "None") or underlying,
        "scale orders": (said["scale"] or 0) > 0,
        "hedged orders": hedge,
        "conditional orders": conditions,
        "adjusted orders": said["adjusted"] not in ("", "None"),
        "discretionary amounts": said["discretionary"],
        "minimum quantities": (said["min_qty"] or 0) > 0,
        CASH_QUANTITY: said["cash_quantity"],
        "allocations to groups of accounts": said["group"],
        "model portfolios": said["model"],
    }
    return next((name for name, wanted in asked.items() if wanted), "")
