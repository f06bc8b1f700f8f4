"""Which orders make sense, and which this market does: every refusal with the code and words of TWS."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from robo_trader.practice.account.books import price_step
from robo_trader.practice.account.tickets import ON_CLOSE, OPENING, STOPS, TRAILING
from robo_trader.practice.orders.algos import algo_flaw
from robo_trader.practice.orders.requests import CASH_QUANTITY, PlaceOrder
from robo_trader.practice.protocol.moments import moment
from robo_trader.practice.protocol.wire import INVALID

KINDS = ("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MOC", "LOC", "MIDPRICE")
FORCES = ("DAY", "GTC", "IOC", "FOK", "GTD", OPENING)
TRIGGER_METHODS = (0, 1, 2, 3, 4, 7, 8)
MAX_QUANTITY = 10_000_000
_LIMITED = frozenset({"LMT", "STP LMT", "LOC"})
_FINEST = Decimal("0.0001")  # of a limit offset
_MAX_PRICE = Decimal(10_000_000)
_BAD_PRICE = (110, "The price does not conform to the minimum price variation for this contract.")

Flaw = tuple[int, str]


def flaw(request: PlaceOrder, now: int) -> Flaw | None:
    """Return the error code and text for an order that makes no sense, None for one that does."""
    checks: tuple[Callable[[PlaceOrder, int], Flaw | None], ...] = (
        _exchange, _quantity, _prices, _times, _groups,
    )  # fmt: skip
    return next((found for check in checks if (found := check(request, now)) is not None), None)


def _exchange(request: PlaceOrder, _now: int) -> Flaw | None:
    return None if request.contract.exchange else (321, f"{INVALID}Missing order exchange")


def _quantity(request: PlaceOrder, _now: int) -> Flaw | None:
    quantity = request.quantity
    if request.action not in ("BUY", "SELL"):
        return 201, f"Order rejected - reason:'{request.action}' is neither BUY nor SELL"
    if request.special == CASH_QUANTITY:  # such an order names no number of shares
        return 10244, "Cash quantity cannot be used for this order."
    if quantity == 0:
        return 434, "The order size cannot be zero."
    if not 0 < quantity <= MAX_QUANTITY:
        return 201, f"Order rejected - reason:{quantity!r} is not a number of shares one can order"
    if quantity != int(quantity):
        return 10243, "Fractional-sized order cannot be placed via API."
    if request.terms.display_size < 0:
        return 201, "Order rejected - reason:The display size is negative"
    return None


def _prices(request: PlaceOrder, _now: int) -> Flaw | None:
    terms, needed = request.terms, list[Decimal | None]()
    if request.type in _LIMITED:
        needed.append(request.limit)
    if request.type in ("STP", "STP LMT"):
        needed.append(terms.aux)
    if request.type == "MIDPRICE" and request.limit:
        needed.append(request.limit)
    if request.type in TRAILING and (bad := _trail(request)) is not None:
        return bad
    if terms.trail_stop and request.type in TRAILING:
        needed.append(terms.trail_stop)
    return None if all(is_price(price) for price in needed) else _BAD_PRICE


def _trail(request: PlaceOrder) -> Flaw | None:
    terms = request.terms
    amount, percent = terms.aux or None, terms.trailing_percent or None
    if (amount is None) == (percent is None):
        return (
            321,
            f"{INVALID}a trailing stop takes either a trailing amount or a trailing percent",
        )
    if amount is not None and not is_price(amount):
        return _BAD_PRICE
    if percent is not None and not (percent.is_finite() and 0 < percent < 100):
        return 321, f"{INVALID}a trailing percent of {percent} is not between 0 and 100"
    if request.type == "TRAIL LIMIT":
        offset = terms.limit_offset
        if terms.trail_stop is None or offset is None or not offset.is_finite() or offset % _FINEST:
            return (
                321,
                f"{INVALID}TRAIL LIMIT needs a trail stop price and a limit price offset",
            )
    return None


def is_price(price: Decimal | None) -> bool:
    """Say whether one may order at a price: in whole steps."""
    if price is None or not price.is_finite() or not 0 < price < _MAX_PRICE:
        return False
    return not price % price_step(price)


def _times(request: PlaceOrder, now: int) -> Flaw | None:
    terms = request.terms
    try:
        if terms.good_after:
            moment(terms.good_after, now)
    except ValueError:
        return 337, (
            "The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xxx where"
            " yyyymmdd and xxx are optional."
        )
    if request.tif != "GTD":
        return None
    try:
        ends = moment(terms.good_till, now)
    except ValueError:
        return 334, "Invalid Good Till Date order."
    return None if ends > now else (334, "Invalid Good Till Date order.")


def _groups(request: PlaceOrder, _now: int) -> Flaw | None:
    if request.terms.oca_type not in (0, 1, 2, 3):
        return 342, "OCA handling method is invalid."
    return algo_flaw(request.terms, request.type)


def unsupported(request: PlaceOrder, account: str) -> Flaw | None:
    """Return code and text for a well-formed order that this market does not do, None for what it does."""
    terms, tif = request.terms, request.tif or "DAY"
    reason = ""
    if request.account not in ("", account):
        reason = f"the account {request.account} is not this one"
    elif request.special:
        reason = f"{request.special} are not supported here"
    elif request.type not in KINDS:
        reason = f"order type {request.type!r} is not supported here, only {', '.join(KINDS)} are"
    elif tif not in FORCES:
        reason = f"time in force {tif!r} is not supported here, only {', '.join(FORCES)} are"
    elif tif == OPENING and request.type not in ("MKT", "LMT"):
        reason = f"a {request.type} order cannot take part in the opening auction"
    elif request.type in ON_CLOSE and tif != "DAY":
        reason = f"a {request.type} order is good for the day only"
    elif tif in ("IOC", "FOK") and request.type not in ("MKT", "LMT"):
        reason = f"a {request.type} order cannot be {tif}"
    elif request.type in STOPS and terms.trigger_method not in TRIGGER_METHODS:
        reason = f"trigger method {terms.trigger_method} is not supported here"
    return (201, f"Order rejected - reason:{reason}") if reason else None


def modification_flaw(request: PlaceOrder, before: tuple[str | None, str, str], tif: str) -> Flaw | None:
    """Return what forbids to change an order that is `before`: its symbol, side and type, and good for `tif`."""
    symbol, side, kind = before
    if symbol is None or request.action != side:
        return 105, "Order being modified does not match the original order."
    if request.type != kind:
        return 329, "Order modify failed. Cannot change to the new order type."
    changed, swapped = {request.tif or "DAY", tif}, {"DAY", "GTC", "GTD"}
    if len(changed) > 1 and not changed <= swapped:
        return 201, f"Order rejected - reason:time in force {request.tif!r} cannot be taken on later"
    return None
