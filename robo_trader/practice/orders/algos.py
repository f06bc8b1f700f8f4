"""How an order stands in the market from moment to moment: what it takes, where it waits, and IB's algos."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from robo_trader.core.events import SECOND_NS, Side
from robo_trader.core.protocols import Session
from robo_trader.practice.account.tickets import Terms, Ticket
from robo_trader.practice.protocol.moments import moment

_CENT = Decimal("0.01")
_SLICE_NS = 30 * SECOND_NS  # the algos send a child order every thirty seconds
_PATIENCE = {"Urgent": 10 * SECOND_NS, "Normal": 60 * SECOND_NS, "Patient": 240 * SECOND_NS}
_STYLES = ("Marketable", "Matching Midpoint", "Matching Same Side", "Matching Last")
_SPAN = frozenset({"startTime", "endTime", "allowPastEndTime"})
PARAMETERS = {
    "Adaptive": frozenset({"adaptivePriority"}),
    "Twap": _SPAN | {"strategyType"},
    "Vwap": _SPAN | {"maxPctVol", "noTakeLiq", "speedUp"},
}


class Sight(NamedTuple):
    """What an order sees of its market: UTC ns, best prices in USD, shares traded since it was first worked."""

    now: int
    session: Session
    bid: Decimal
    ask: Decimal
    traded: int


class Stance(NamedTuple):
    """What an order does now: have `quantity` shares at work, take them up to `limit`, let the others wait at `rest`.

    A limit of None takes at any price, a rest of None waits nowhere. `over` says that it gives up what is left.
    """

    quantity: int
    limit: Decimal | None
    rest: Decimal | None
    takes: bool = True
    over: bool = False


NOTHING = Stance(0, None, None, takes=False)


def algo_flaw(terms: Terms, kind: str) -> tuple[int, str] | None:
    """Return TWS's code and text for algo parameters that make no sense, None without an algo or for good ones."""
    if not terms.algo:
        return None
    known = PARAMETERS.get(terms.algo)
    if known is None:
        return 439, f"Order processing failed. Algorithm definition not found. {terms.algo}"
    if kind not in ("MKT", "LMT"):
        return 442, "Specified algorithm is not allowed for this order."
    for name, value in terms.algo_params:
        if name not in known:
            return 443, f"Order processing failed. Unknown algo attribute. {name}"
        if not _is_good(name, value):
            return 441, f"Algo attributes validation failed: {name}={value}"
    return None


def _is_good(name: str, value: str) -> bool:
    if name == "adaptivePriority":
        return value in _PATIENCE
    if name == "strategyType":
        return value in _STYLES
    if name in ("allowPastEndTime", "noTakeLiq", "speedUp"):
        return value in ("0", "1", "")
    try:
        if name in ("startTime", "endTime"):
            return value == "" or moment(value, 0) >= 0
        return 0.01 <= float(value) <= 0.5
    except ValueError:
        return False


def stance(ticket: Ticket, sight: Sight) -> Stance:
    """Return how a triggered and released order stands in an open market."""
    if ticket.terms.algo:
        return _ALGOS[ticket.terms.algo](ticket, sight)
    if ticket.type == "MIDPRICE":
        return _pegged(ticket, (sight.bid + sight.ask) / 2)
    limit = ticket.priced_at
    waits = ticket.tif not in ("IOC", "FOK", "OPG") and not ticket.terms.all_or_none
    return Stance(ticket.workable, limit, limit if waits else None)


def _pegged(ticket: Ticket, price: Decimal, quantity: int | None = None, takes: bool = True) -> Stance:
    """Stand at a price on the cent that is no worse than wanted, nor than the order's own limit."""
    price = price.quantize(_CENT, ROUND_FLOOR if ticket.side is Side.BUY else ROUND_CEILING)
    if ticket.limit and (price - ticket.limit) * ticket.side.sign > 0:
        price = ticket.limit
    return Stance(ticket.workable if quantity is None else quantity, price, price, takes)


def _adaptive(ticket: Ticket, sight: Sight) -> Stance:
    """Move from the midpoint to the far touch within the patience of the priority, then take."""
    patience = _PATIENCE[dict(ticket.terms.algo_params).get("adaptivePriority", "Normal")]
    progress = Decimal(sight.now - ticket.since) / patience
    if progress >= 1:
        limit = ticket.priced_at
        return Stance(ticket.workable, limit, limit)
    middle, far = (sight.bid + sight.ask) / 2, sight.ask if ticket.side is Side.BUY else sight.bid
    return _pegged(ticket, middle + (far - middle) * progress)


def _twap(ticket: Ticket, sight: Sight) -> Stance:
    """Have as large a part of the order done as of its time has passed."""
    params = dict(ticket.terms.algo_params)
    begin, end = _span(ticket, sight, params)
    if (away := _outside(sight, begin, end, params)) is not None:
        return away
    share = Decimal(1) if sight.now >= end else Decimal(_upcoming(sight.now, begin) - begin) / (end - begin)
    return _worked(ticket, sight, min(share, Decimal(1)), params.get("strategyType", "Marketable"))


def _vwap(ticket: Ticket, sight: Sight) -> Stance:
    """Have as large a part of the order done as of a day's usual volume has passed, and never too much of the volume."""
    params = dict(ticket.terms.algo_params)
    begin, end = _span(ticket, sight, params)
    if (away := _outside(sight, begin, end, params)) is not None:
        return away
    first, last = _usual(sight.session, begin), _usual(sight.session, end)
    past = _usual(sight.session, min(_upcoming(sight.now, begin), end))
    share = (past - first) / (last - first) if last > first else Decimal(1)
    style = "Matching Same Side" if params.get("noTakeLiq") == "1" else "Marketable"
    wanted = _worked(ticket, sight, share, style)
    most = int(float(params.get("maxPctVol") or 0.5) * sight.traded) - ticket.filled
    return wanted._replace(quantity=max(0, min(wanted.quantity, most)))


_ALGOS = {"Adaptive": _adaptive, "Twap": _twap, "Vwap": _vwap}


def _span(ticket: Ticket, sight: Sight, params: dict[str, str]) -> tuple[int, int]:
    """Return when an algo begins and ends, UTC ns; by default from now to the close."""
    begin, end = params.get("startTime"), params.get("endTime")
    first = moment(begin, sight.now) if begin else ticket.since
    return max(first, ticket.since), moment(end, sight.now) if end else sight.session.close


def _outside(sight: Sight, begin: int, end: int, params: dict[str, str]) -> Stance | None:
    if sight.now < begin:
        return NOTHING
    if sight.now >= end and params.get("allowPastEndTime") != "1":
        return NOTHING._replace(over=True)
    return None


def _upcoming(now: int, begin: int) -> int:
    return begin + ((now - begin) // _SLICE_NS + 1) * _SLICE_NS


def _worked(ticket: Ticket, sight: Sight, share: Decimal, style: str) -> Stance:
    due = min(ticket.workable, max(0, int(ticket.quantity * share) - ticket.filled))
    if style == "Marketable":
        return Stance(due, ticket.priced_at, ticket.priced_at)
    if style == "Matching Midpoint":
        return _pegged(ticket, (sight.bid + sight.ask) / 2, due)
    return _pegged(ticket, sight.bid if ticket.side is Side.BUY else sight.ask, due)


def _usual(session: Session, at: int) -> Decimal:
    """Return the part of a usual day's volume traded by a time: much at the open and the close, little at noon."""
    x = Decimal(min(max(at - session.open, 0), session.close - session.open)) / (session.close - session.open)
    return Decimal("0.6") * x + Decimal("0.2") * ((2 * x - 1) ** 3 + 1)
