"""What the gateway says of orders: openOrder, orderStatus, execDetails, commissionReport and completedOrder."""

from __future__ import annotations

from decimal import Decimal

from robo_trader.core.events import Side
from robo_trader.practice.account.margin import Impact
from robo_trader.practice.account.tickets import FILLED, TRAILING, Execution, Terms, Ticket
from robo_trader.practice.market.contracts import fields_of
from robo_trader.practice.market.stamps import stamp
from robo_trader.practice.protocol.wire import UNSET_DOUBLE, UNSET_INT, Field, frame, plain

_FREE_PERCENTAGES: tuple[Field, ...] = ("", "", "", "", "")  # start, stock ref, delta, range low, range high
_PEG_OFFSETS: tuple[Field, ...] = ("", "", "", "", "")
_NO_MARGINS: tuple[Field, ...] = (UNSET_DOUBLE,) * 9


def _price(price: Decimal | None, unset: str = "0") -> str:
    return plain(price) if price is not None else unset


def _whole(value: int | None, unset: str = "") -> Field:
    return unset if value is None else value


def open_order(
    version: int, ticket: Ticket, with_commission: bool = False, impact: Impact | None = None
) -> bytes:
    """Encode openOrder (5); with an `impact` the answer to a what-if order, which is no order."""
    terms = ticket.terms
    fee = plain(ticket.commission) if with_commission else UNSET_DOUBLE
    margins, what_if = _NO_MARGINS, impact is not None
    if impact is not None:
        margins = tuple(plain(getattr(impact, name)) for name in Impact.__struct_fields__[:9])
        fee = plain(impact.commission)
    return frame(
        5, ticket.order_id, *fields_of(ticket.symbol), *_head(ticket), ticket.client_id, ticket.perm_id,
        terms.outside_rth, terms.hidden, 0, terms.good_after,
        f"{ticket.perm_id}.0/{ticket.account}/{ticket.quantity}", "", "", "", *_profile(version), "",
        terms.good_till, terms.rule_80a, _price(terms.percent_offset, ""), terms.settling_firm,
        terms.short_sale_slot, terms.designated_location, _whole(terms.exempt_code), 0, *_FREE_PERCENTAGES,
        terms.display_size or UNSET_INT, terms.block, terms.sweep, terms.all_or_none, "", ticket.oca_type, False,
        False, "", ticket.terms.parent_id, terms.trigger_method, "", 0,
        "None", "", 0, "", "", "", "?", False, 0, "",  # delta neutral: the word None counts as set
        False, 0, *_trail(ticket), "", "", "", 0, 0, 0, "", "", "", "", terms.opt_out_smart,
        terms.clearing_account, terms.clearing_intent or "IB", terms.not_held, False, *_algo(terms),
        terms.solicited, what_if, ticket.status, *margins, fee, "", "",
        "USD" if with_commission or what_if else "", "", terms.randomize_size, terms.randomize_price, 0,
        "None", UNSET_DOUBLE, _trail(ticket)[0] or UNSET_DOUBLE, _price(terms.limit_offset, UNSET_DOUBLE),
        *([UNSET_DOUBLE] * 3), 0, terms.soft_dollar_name, terms.soft_dollar_value, "", 0,
        True, terms.oms_container, terms.discretionary_up_to_limit, terms.price_management,
        *((_whole(terms.duration, UNSET_INT),) if version >= 158 else ()),
        *((_whole(terms.post_to_ats, UNSET_INT),) if version >= 160 else ()),
        *((terms.auto_cancel_parent,) if version >= 162 else ()),
        *(_PEG_OFFSETS if version >= 170 else ()),
    )  # fmt: skip


def completed_order(version: int, ticket: Ticket) -> bytes:
    """Encode completedOrder (101). It carries no order id and no client id."""
    terms = ticket.terms
    said = f"Filled Size: {ticket.filled}" if ticket.status == FILLED else ticket.reason
    return frame(
        101, *fields_of(ticket.symbol), *_head(ticket), ticket.perm_id, terms.outside_rth, terms.hidden, 0,
        terms.good_after, "", "", "", *_profile(version), "", terms.good_till, terms.rule_80a,
        _price(terms.percent_offset, ""), terms.settling_firm, terms.short_sale_slot, terms.designated_location,
        _whole(terms.exempt_code), *_FREE_PERCENTAGES, terms.display_size or UNSET_INT, terms.sweep,
        terms.all_or_none, "", ticket.oca_type, terms.trigger_method, "", 0, "None", "", 0, False, 0, "",
        False, 0, *_trail(ticket), "", 0, 0, 0, "", "", "", "", terms.clearing_account,
        terms.clearing_intent or "IB", terms.not_held, False, *_algo(terms), terms.solicited, ticket.status,
        terms.randomize_size, terms.randomize_price, 0, _trail(ticket)[0], _price(terms.limit_offset, ""), 0,
        True, terms.oms_container, "", ticket.filled, 0, terms.auto_cancel_parent, "", False,
        False, ticket.parent, stamp(version, ticket.done_ts), said,
        *(_PEG_OFFSETS if version >= 170 else ()),
    )  # fmt: skip


def order_status(_version: int, ticket: Ticket) -> bytes:
    """Encode orderStatus (3)."""
    return frame(
        3, ticket.order_id, ticket.status, ticket.filled, ticket.remaining, plain(ticket.average),
        ticket.perm_id, ticket.terms.parent_id, plain(ticket.last_price), ticket.client_id,
        "" if ticket.done else ticket.why_held, 0,
    )  # fmt: skip


def execution(version: int, fill: Execution, request: int = -1) -> bytes:
    """Encode execDetails (11) for a live fill, or in answer to `request`."""
    side = "BOT" if fill.side is Side.BUY else "SLD"
    return frame(
        11, request, fill.order_id, *fields_of(fill.symbol), fill.exec_id, stamp(version, fill.ts), fill.account,
        fill.exchange, side, fill.quantity, plain(fill.price), fill.perm_id, fill.client_id, 0, fill.cumulative,
        plain(fill.average), fill.ref, "", "", "", fill.liquidity, *((False,) if version >= 178 else ()),
    )  # fmt: skip


def commission_report(_version: int, fill: Execution) -> bytes:
    """Encode commissionReport (59)."""
    realised = _price(fill.realised, UNSET_DOUBLE)
    return frame(59, 1, fill.exec_id, plain(fill.commission), "USD", realised, UNSET_DOUBLE, "")


def order_bound(_version: int, ticket: Ticket) -> bytes:
    """Encode orderBound (100): an order made by hand has got an order id."""
    return frame(100, ticket.perm_id, ticket.client_id, ticket.order_id)


def _head(ticket: Ticket) -> tuple[Field, ...]:
    """Return the fields from the side to the reference, which both order messages share."""
    terms = ticket.terms
    return (
        ticket.side, ticket.quantity, ticket.type, _price(ticket.limit), _price(terms.aux), ticket.tif, ticket.oca,
        ticket.account, terms.open_close, terms.origin, ticket.ref,
    )  # fmt: skip


def _profile(version: int) -> tuple[Field, ...]:
    return ("",) if version < 177 else ()


def _trail(ticket: Ticket) -> tuple[Field, Field]:
    """Return where a trailing stop stands and by which percentage it trails, both empty for other orders."""
    if ticket.type not in TRAILING:
        return "", ""
    return _price(ticket.stop, ""), _price(ticket.terms.trailing_percent, "")


def _algo(terms: Terms) -> tuple[Field, ...]:
    if not terms.algo:
        return ("",)
    pairs = [text for pair in terms.algo_params for text in pair]
    return (terms.algo, len(terms.algo_params), *pairs)
