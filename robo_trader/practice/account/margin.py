"""What the account must hold against its positions, and which orders it cannot carry.

A margin account under Reg T. While the market is open a position needs its maintenance margin, so that the equity
buys four times its worth; from the close to the next open it needs the initial margin of Regulation T, so twice. An
order is measured by what holds when it arrives; nothing is sold off at the close. Sources: 12 CFR 220.12, FINRA 4210(c).

| | maintenance | overnight |
|---|---|---|
| long | 25 % of its value | 50 % |
| short | 30 %, at least 5 USD a share; below 5 USD all of it, at least 2.50 USD a share | 50 %, at least maintenance |

The proceeds of a short sale are in the cash, so that 50 % here is what brokers call 150 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from robo_trader.core.events import Side
from robo_trader.practice.account.books import Books, Mark, exact
from robo_trader.practice.account.tickets import Ticket
from robo_trader.simulation.costs import ibkr_fixed

_CENT = Decimal("0.01")
_LONG, _SHORT, _OVERNIGHT = Decimal("0.25"), Decimal("0.30"), Decimal("0.50")
_CHEAP = Decimal(5)  # USD a share below which a short needs all of its value
_SHORT_SHARE, _CHEAP_SHARE = Decimal(5), Decimal("2.50")  # USD a share a short needs at least
_TOO_LITTLE = (
    "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE"
    " [{:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{:.2f} USD]"
)

Requirement = Callable[[int, Decimal], Decimal]  # of signed shares at a price, USD


class Impact(msgspec.Struct, frozen=True):
    """What one order would do to margin and equity, USD, in the order in which openOrder (5) tells it."""

    init_before: Decimal
    maint_before: Decimal
    equity_before: Decimal
    init_change: Decimal
    maint_change: Decimal
    equity_change: Decimal
    init_after: Decimal
    maint_after: Decimal
    equity_after: Decimal
    commission: Decimal


def maintenance(quantity: int, price: Decimal) -> Decimal:
    """Return what signed shares need to be kept, USD.

    >>> maintenance(100, Decimal(20)), maintenance(-100, Decimal(20)), maintenance(-100, Decimal(10))
    (Decimal('500.00'), Decimal('600.00'), Decimal('500'))
    """
    if quantity >= 0:
        return quantity * price * _LONG
    share = max(price, _CHEAP_SHARE) if price < _CHEAP else max(price * _SHORT, _SHORT_SHARE)
    return -quantity * share


def overnight(quantity: int, price: Decimal) -> Decimal:
    """Return what signed shares need while the market is closed, USD.

    >>> overnight(100, Decimal(20)), overnight(-100, Decimal(20)), overnight(-100, Decimal(6))
    (Decimal('1000.00'), Decimal('1000.00'), Decimal('500'))
    """
    return max(abs(quantity) * price * _OVERNIGHT, maintenance(quantity, price))


def initial_at(is_open: bool) -> Requirement:
    """Return the initial requirement that holds while the market is open, or while it is not."""
    return maintenance if is_open else overnight


def leverage(is_open: bool) -> int:
    """Return how many dollars of shares one dollar of equity carries, while the market is open or is not."""
    return int(1 / (_LONG if is_open else _OVERNIGHT))


def required(books: Books, mark: Mark, rule: Requirement) -> Decimal:
    """Return what all positions need together, USD; one without a price is taken at its cost."""
    return sum(
        (rule(books.quantity(symbol), _price(books, mark, symbol)) for symbol in books.held()), Decimal(0)
    )


def refusal(ticket: Ticket, working: Iterable[Ticket], books: Books, mark: Mark, is_open: bool = True) -> str:
    """Return why the account cannot carry an order besides those that work, empty where it can.

    What only reduces a position always passes. Otherwise all positions are taken as they would be with every working
    buy, or every working sell, of each symbol filled, whichever needs more; the equity must cover that.
    """
    ordered = {t.perm_id: t for t in working} | {ticket.perm_id: ticket}
    if _only_reduces(ticket, ordered.values(), books):
        return ""
    if mark(ticket.symbol) is None:
        return f"no price is known for {ticket.symbol}"
    rule, equity = initial_at(is_open), books.net_liquidation(mark)
    symbols = {*books.held(), *(t.symbol for t in ordered.values())}
    needed = Decimal(0)
    for symbol in symbols:
        of_symbol = [t for t in ordered.values() if t.symbol == symbol]
        sides = ([t for t in of_symbol if t.side is side] for side in Side)
        needed += max(_after(books, mark, symbol, orders, rule) for orders in sides)
    return "" if needed <= equity else _TOO_LITTLE.format(equity, needed)


def impact(books: Books, mark: Mark, ticket: Ticket, is_open: bool = True) -> Impact:
    """Return what margin and equity would be with one order filled, commission (IBKR fixed) paid, others aside."""
    price, equity = order_price(ticket, books, mark), books.net_liquidation(mark).quantize(_CENT)
    fee = ibkr_fixed(ticket.remaining, ticket.remaining * price).quantize(_CENT)

    def needed(rule: Requirement) -> tuple[Decimal, Decimal, Decimal]:
        before = required(books, mark, rule)
        now, then = (_after(books, mark, ticket.symbol, orders, rule) for orders in ((), (ticket,)))
        after = (before - now + then).quantize(_CENT)
        return before.quantize(_CENT), after - before.quantize(_CENT), after

    initial, kept = needed(initial_at(is_open)), needed(maintenance)
    (init_before, init_change, init_after), (maint_before, maint_change, maint_after) = initial, kept
    return Impact(
        init_before, maint_before, equity, init_change, maint_change, -fee,
        init_after, maint_after, equity - fee, fee,
    )  # fmt: skip


def _only_reduces(ticket: Ticket, ordered: Iterable[Ticket], books: Books) -> bool:
    held = books.quantity(ticket.symbol)
    same_way = sum(t.remaining for t in ordered if t.symbol == ticket.symbol and t.side is ticket.side)
    return held * ticket.side.sign < 0 and same_way <= abs(held)


def _after(books: Books, mark: Mark, symbol: str, orders: Iterable[Ticket], rule: Requirement) -> Decimal:
    """Return what a symbol needs once orders of one side are filled: kept shares at the mark, new ones at their price."""
    kept, opened = books.quantity(symbol), Decimal(0)
    for ticket in orders:
        sign = ticket.side.sign
        closing = min(ticket.remaining, max(0, -sign * kept))
        kept += sign * closing
        opened += rule(sign * (ticket.remaining - closing), order_price(ticket, books, mark))
    return rule(kept, _price(books, mark, symbol)) + opened


def order_price(ticket: Ticket, books: Books, mark: Mark) -> Decimal:
    """Return what an order is measured at, USD a share: its limit, the last price where it has none."""
    return ticket.limit if ticket.limit is not None else _price(books, mark, ticket.symbol)


def _price(books: Books, mark: Mark, symbol: str) -> Decimal:
    price = mark(symbol)
    if price is None:
        return books.positions[symbol].average if symbol in books.positions else Decimal(0)
    return exact(price)
