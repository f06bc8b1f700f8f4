"""Starting is recovering: from what we stored and what the broker says, the events that open the books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from robo_trader.core.events import (
    AccountSnapshot,
    Event,
    Fill,
    Halt,
    Holding,
    Lot,
    OpenOrder,
    OrderStatus,
    OrderUpdate,
    TradingState,
)
from robo_trader.core.executions import stem, version

ZERO = Decimal(0)


class Left(msgspec.Struct, frozen=True):
    """Shares at the broker that a person told us to leave alone until a time (ns UTC)."""

    shares: int
    until: int


class Stored(msgspec.Struct, frozen=True):
    """What the database remembers of an account.

    `booked` maps each execution, without its version, to the version that stands; `stops` each symbol to the price at
    which it was last protected; `halts` holds by whom, how far and why new exposure is stopped.
    """

    first: bool = True
    lots: Mapping[str, tuple[Lot, ...]] = {}
    cash: Decimal | None = None
    booked: Mapping[str, Fill] = {}
    unresolved: tuple[OpenOrder, ...] = ()
    stops: Mapping[str, Decimal] = {}
    ignored: Mapping[str, Left] = {}
    halts: tuple[tuple[str, TradingState, str], ...] = ()
    day: str = ""
    day_start: Decimal | None = None


def recover(stored: Stored, broker: AccountSnapshot) -> list[Event]:
    """Return the opening snapshot, then the fills we missed, the ends of orders we missed, and halts that stand.

    The opening has our lots and the broker's cash as it was before the missed fills, so that booking these brings
    both to where the broker is. A position that still differs is opened as ours and quarantined by the engine.
    """
    told = _latest(broker.fills)
    missed = [fill for fill in told if _news(fill, stored)]
    alive = {found.order.id for found in broker.orders}
    lost = [
        msgspec.structs.replace(found, alive=False)
        for found in stored.unresolved
        if found.order.id not in alive
    ]
    cash = broker.cash + sum((_paid(fill, stored) for fill in missed), ZERO)
    opening = msgspec.structs.replace(
        broker,
        # Events wait in order of time, and the books must be open before a missed fill can be booked.
        ts=min([broker.ts, *(fill.ts for fill in missed)]),
        cash=cash,
        holdings=tuple(_holdings(stored, broker, missed)),
        orders=(*(_as_booked(found, stored, missed) for found in broker.orders), *lost),
        fills=tuple(stored.booked[key] for fill in told if (key := stem(fill.exec_id)) in stored.booked),
        day=stored.day,
        day_start=_day_start(stored, cash),
    )
    unbooked = [fill for fill in missed if stem(fill.exec_id) not in stored.booked]
    ends = [end for found in lost if (end := _end(found, unbooked, broker.ts)) is not None]
    halts = [Halt(broker.ts, why, by, state) for by, state, why in stored.halts]
    return [opening, *missed, *ends, *halts]


def _day_start(stored: Stored, cash: Decimal) -> Decimal | None:
    """What the day began with, less what cash came or went by no trade while we were away: that is no result."""
    if stored.day_start is None or stored.cash is None:
        return stored.day_start
    return stored.day_start + cash - stored.cash


def _latest(fills: Iterable[Fill]) -> list[Fill]:
    """Of each execution the latest version, in the order the executions were first told."""
    latest: dict[str, Fill] = {}
    for fill in fills:
        key = stem(fill.exec_id)
        if key not in latest or version(fill.exec_id) >= version(latest[key].exec_id):
            latest[key] = fill
    return list(latest.values())


def _news(fill: Fill, stored: Stored) -> bool:
    """Whether the fill, a correction of it, or its commission is not in our books."""
    known = stored.booked.get(stem(fill.exec_id))
    if known is None or version(fill.exec_id) > version(known.exec_id):
        return True
    return fill.exec_id == known.exec_id and fill.commission not in (None, known.commission)


def _paid(fill: Fill, stored: Stored) -> Decimal:
    """What booking the fill will take from our cash."""
    known = stored.booked.get(stem(fill.exec_id))
    if known is None:
        return _cost(fill) + (fill.commission or ZERO)
    charged = known.commission or ZERO
    return _cost(fill) - _cost(known) + (ZERO if fill.commission is None else fill.commission - charged)


def _cost(fill: Fill) -> Decimal:
    return fill.side.sign * fill.quantity * fill.price


def _as_booked(found: OpenOrder, stored: Stored, missed: Iterable[Fill]) -> OpenOrder:
    """The order as we wrote it, of as many shares as the broker works it, before the fills that are booked next."""
    ours = next((known.order for known in stored.unresolved if known.order.id == found.order.id), None)
    if ours is not None:
        found = msgspec.structs.replace(
            found, order=msgspec.structs.replace(ours, quantity=found.order.quantity)
        )
    coming = sum(_shares(fill, stored) for fill in missed if fill.order_id == found.order.id)
    return msgspec.structs.replace(found, filled=found.filled - coming)


def _holdings(stored: Stored, broker: AccountSnapshot, missed: Iterable[Fill]) -> list[Holding]:
    """Our lots where they and the missed fills explain the broker's position; its own on a first start."""
    moved = _moved(missed, stored)
    if stored.first:
        return [_before(holding, moved.get(holding.symbol, 0)) for holding in broker.holdings]
    theirs = {holding.symbol: holding.broker_quantity for holding in broker.holdings}
    holdings = []
    for symbol in sorted({*theirs, *stored.lots, *stored.ignored}):
        lots = stored.lots.get(symbol, ())
        ours = sum(lot.quantity for lot in lots)
        left = stored.ignored.get(symbol, Left(0, 0))
        broker_quantity = theirs.get(symbol, 0) - moved.get(symbol, 0)
        stop = stored.stops.get(symbol)
        holdings.append(Holding(symbol, ours, lots, broker_quantity, stop, left.shares, left.until))
    return holdings


def _before(holding: Holding, moved: int) -> Holding:
    """On a first start today's executions are in the position already: leave them out, they are booked next."""
    quantity = holding.quantity - moved
    price = holding.lots[0].price if holding.lots else ZERO
    lots = (Lot(quantity, price),) if quantity else ()
    return Holding(holding.symbol, quantity, lots, quantity)


def _moved(missed: Iterable[Fill], stored: Stored) -> dict[str, int]:
    """Signed shares that booking the missed fills will move, by symbol."""
    moved: dict[str, int] = {}
    for fill in missed:
        moved[fill.symbol] = moved.get(fill.symbol, 0) + fill.side.sign * _shares(fill, stored)
    return moved


def _shares(fill: Fill, stored: Stored) -> int:
    """Shares that booking a missed fill will add, or of a correction take back."""
    known = stored.booked.get(stem(fill.exec_id))
    return fill.quantity - (known.quantity if known is not None else 0)


def _end(found: OpenOrder, unbooked: Iterable[Fill], ts: int) -> OrderUpdate | None:
    """How an order ended that the broker no longer works; None where the fills still to book end it themselves."""
    traded = found.filled + sum(fill.quantity for fill in unbooked if fill.order_id == found.order.id)
    if traded >= found.order.quantity:
        return None
    never = found.status is OrderStatus.INTENT and not traded
    status = OrderStatus.NEVER_SENT if never else OrderStatus.CANCELLED
    why = "the broker does not know it; it is not sent again" if never else "ended while we were away"
    return OrderUpdate(ts, found.order.id, status, traded, 0, found.broker_id, why)
