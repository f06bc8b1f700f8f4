"""How a session takes back its orders, in an orderly end and when nothing can be written down; how a task is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import structlog

from robo_trader.core.desk import Desk
from robo_trader.core.events import Event, Order, OrderStatus, OrderUpdate
from robo_trader.core.inbox import Inbox
from robo_trader.core.orders import LIVE
from robo_trader.core.protocols import Broker, View

log = structlog.get_logger()
POLL_S = 0.02
# An order that was on its way when it was asked for back could not be taken back: it is asked for again.
AGAIN_S = 0.5


def works(orders: Iterable[Order]) -> list[Order]:
    """Return what is to be taken back: protective stops stay at the broker, whatever becomes of us."""
    return [order for order in orders if not order.protects]


def opens(orders: Iterable[Order], view: View) -> list[Order]:
    """Return those that add to a position or begin one; an exit and a stop only take away."""
    return [order for order in works(orders) if view.position(order.symbol) * order.side.sign >= 0]


def unsettled(desk: Desk) -> list[str]:
    """Return the symbols with a stop on its way or being changed, or with an order that waits for that.

    An exit goes out when its stop is gone: ended in between, the position would have neither.
    """
    orders = desk.orders
    moving = {
        symbol
        for symbol in orders.stopped_symbols()
        for stop in orders.stops(symbol)
        if stop.wanted is not None or stop.status is OrderStatus.INTENT
    }
    return sorted(moving | {symbol for symbol, waiting in desk.waiting.items() if waiting})


def kept(desk: Desk) -> str:
    """Say what stays open, and for how many shares of it stops stay at the broker."""
    held = {symbol: desk.position(symbol) for symbol in sorted(desk.portfolio.held())}
    # One attached to an entry that was not filled whole covers no more than there is.
    stopped = {
        s: min(abs(sum(state.remaining for state in desk.orders.stops(s))), abs(held[s])) for s in held
    }
    return ", ".join(f"{shares} {symbol} (stops for {stopped[symbol]})" for symbol, shares in held.items())


async def take_back(
    broker: Broker, live: Callable[[], Sequence[Order]], waiting: Callable[[], int], budget_s: float
) -> list[Order]:
    """Cancel all that works but the stops, all at once, until none is left; return what is after `budget_s`.

    `waiting` counts what the desk has yet to hear: it may bring more orders.
    """
    deadline = time.monotonic() + budget_s
    asked: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        cancels: list[asyncio.Task[None]] = []
        while (left := works(live())) or waiting():
            now = time.monotonic()
            if now >= deadline:
                break
            for order in left:
                if now - asked.get(order.id, -AGAIN_S) >= AGAIN_S:
                    asked[order.id] = now
                    cancels.append(group.create_task(broker.cancel(order.id)))
            await asyncio.sleep(POLL_S)
        for cancel in cancels:
            cancel.cancel()
    return left


async def last_will(broker: Broker, inbox: Inbox, order_ids: Iterable[str], budget_s: float) -> list[str]:
    """Take back orders at the broker itself when no desk is left to hear it; return those not known to have ended.

    Never raises an error of ours: whatever ended the session is what must be told.
    """
    left = set(order_ids)
    if not left:
        return []
    log.warning(
        "taking_back", what=f"{len(left)} orders that would open positions", why="nobody would watch them"
    )
    cancels = [asyncio.create_task(broker.cancel(order_id)) for order_id in sorted(left)]
    try:
        async with asyncio.timeout(budget_s):
            # The desk no longer empties the inbox: what the broker answers must still find room in it.
            async for event in inbox:
                left -= _ended(event)
                if not left:
                    break
    except TimeoutError:
        log.warning("orders_left", orders=sorted(left))
    for cancel in cancels:
        cancel.cancel()
    for error in await asyncio.gather(*cancels, return_exceptions=True):
        if error is not None:
            log.warning("cancel_not_sent", why=repr(error))
    return sorted(left)


def _ended(event: Event) -> set[str]:
    return {event.order_id} if isinstance(event, OrderUpdate) and event.status not in LIVE else set()


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def reason(error: BaseException) -> str:
    """Say why a session ended: the first error of a group, by its kind and its words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
