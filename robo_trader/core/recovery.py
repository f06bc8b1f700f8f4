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
)


class Stored(msgspec.Struct, frozen=True):
    """What the database remembers of an account. `booked` maps execution ids to the commission booked with them."""

    first: bool = True
    lots: Mapping[str, tuple[Lot, ...]] = {}
    booked: Mapping[str, Decimal | None] = {}
    unresolved: tuple[OpenOrder, ...] = ()
    halted: str = ""
    day: str = ""
    day_start: Decimal | None = None


def recover(stored: Stored, broker: AccountSnapshot) -> list[Event]:
    """Return the opening snapshot, then the fills we missed, the ends of orders we missed, and a halt that stood.

    The opening has our lots and the broker's cash as it was before the missed fills, so that booking these brings
    both to where the broker is. A position that still differs is opened as ours and quarantined by the engine.
    """
    missed = [fill for fill in broker.fills if _news(fill, stored)]
    alive = {found.order.id: found for found in broker.orders}
    lost = [
        msgspec.structs.replace(found, alive=False)
        for found in stored.unresolved
        if found.order.id not in alive
    ]
    opening = msgspec.structs.replace(
        broker,
        # Events wait in order of time, and the books must be open before a missed fill can be booked.
        ts=min([broker.ts, *(fill.ts for fill in missed)]),
        cash=broker.cash + sum((_paid(fill, stored) for fill in missed), Decimal(0)),
        holdings=tuple(_holdings(stored, broker, missed)),
        orders=(*broker.orders, *lost),
        fills=tuple(_as_booked(fill, stored) for fill in broker.fills if fill.exec_id in stored.booked),
        day=stored.day,
        day_start=stored.day_start,
    )
    unbooked = [fill for fill in missed if fill.exec_id not in stored.booked]
    ends = [end for found in lost if (end := _end(found, unbooked, broker.ts)) is not None]
    halts = [Halt(broker.ts, stored.halted, "recovery")] if stored.halted else []
    return [opening, *missed, *ends, *halts]


def _news(fill: Fill, stored: Stored) -> bool:
    """Whether the fill, or its commission, is not in our books."""
    if fill.exec_id not in stored.booked:
        return True
    return fill.commission is not None and fill.commission != stored.booked[fill.exec_id]


def _paid(fill: Fill, stored: Stored) -> Decimal:
    """What booking the fill will take from our cash."""
    commission = fill.commission or Decimal(0)
    if fill.exec_id in stored.booked:
        return commission - (stored.booked[fill.exec_id] or Decimal(0))
    return fill.side.sign * fill.quantity * fill.price + commission


def _as_booked(fill: Fill, stored: Stored) -> Fill:
    return msgspec.structs.replace(fill, commission=stored.booked[fill.exec_id])


def _holdings(stored: Stored, broker: AccountSnapshot, missed: Iterable[Fill]) -> list[Holding]:
    """Our lots where they and the missed fills explain the broker's position; its own on a first start."""
    if stored.first:
        return [_before(holding, missed) for holding in broker.holdings]
    theirs = {holding.symbol: holding.broker_quantity for holding in broker.holdings}
    moved = _moved(missed, stored)
    holdings = []
    for symbol in sorted({*theirs, *stored.lots}):
        lots = stored.lots.get(symbol, ())
        ours = sum(lot.quantity for lot in lots)
        holdings.append(Holding(symbol, ours, lots, theirs.get(symbol, 0) - moved.get(symbol, 0)))
    return holdings


def _before(holding: Holding, missed: Iterable[Fill]) -> Holding:
    """On a first start today's executions are in the position already: leave them out, they are booked next."""
    quantity = holding.quantity - _moved(missed, Stored()).get(holding.symbol, 0)
    price = holding.lots[0].price if holding.lots else Decimal(0)
    lots = (Lot(quantity, price),) if quantity else ()
    return Holding(holding.symbol, quantity, lots, quantity)


def _moved(missed: Iterable[Fill], stored: Stored) -> dict[str, int]:
    moved: dict[str, int] = {}
    for fill in missed:
        if fill.exec_id not in stored.booked:
            moved[fill.symbol] = moved.get(fill.symbol, 0) + fill.side.sign * fill.quantity
    return moved


def _end(found: OpenOrder, unbooked: Iterable[Fill], ts: int) -> OrderUpdate | None:
    """How an order ended that the broker no longer works; None where the fills still to book end it themselves."""
    traded = found.filled + sum(fill.quantity for fill in unbooked if fill.order_id == found.order.id)
    if traded >= found.order.quantity:
        return None
    never = found.status is OrderStatus.INTENT and not traded
    status = OrderStatus.NEVER_SENT if never else OrderStatus.CANCELLED
    why = "the broker does not know it; it is not sent again" if never else "ended while we were away"
    return OrderUpdate(ts, found.order.id, status, traded, 0, found.broker_id, why)
