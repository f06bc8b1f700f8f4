"""The one way out: every order meets every gate here, and an exit waits until no stop could sell the same shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from robo_trader.core.cover import Cover
from robo_trader.core.desk import Desk, Waiting
from robo_trader.core.draft import Draft
from robo_trader.core.events import (
    MINUTE_NS,
    Cancel,
    Command,
    Modify,
    Order,
    OrderStatus,
    OrderUpdate,
    SetTimer,
    Side,
    Submit,
)
from robo_trader.core.protocols import Executor, Refusal, RiskGate
from robo_trader.core.steps import Anomaly, Denied

# The same gate refusing the same side of the same symbol is told again only after this long.
LIFE_OF_A_REFUSAL_NS = 15 * MINUTE_NS


class WayOut:
    """Lets commands out. Cancels pass; what only reduces passes the gates; all else is asked of each gate."""

    def __init__(self, desk: Desk, gates: Sequence[RiskGate], executor: Executor, cover: Cover) -> None:
        self._desk = desk
        self._orders = desk.orders
        self._gates = gates
        self._executor = executor
        self._cover = cover
        self._waiting = desk.waiting
        self._told: dict[tuple[str, Side, str], int] = {}  # refusals already told, and when

    def emit(self, wanted: Iterable[Command], draft: Draft) -> None:
        """Let commands out. Every Submit meets every gate, the tenth slice as the first."""
        for command in wanted:
            match command:
                case Submit():
                    self._emit_order(command.order, draft)
                case Cancel():
                    if not self._gives_up(command.order_id):
                        draft.command(command)
                case Modify() | SetTimer():
                    draft.command(command)
                case _:
                    assert_never(command)

    def close(self, order: Order, draft: Draft) -> None:
        """Let out an order that closes what is held, once nothing else could trade the same shares."""
        self._wait(order, True)
        self.settle(order.symbol, draft)

    def take_back(self, symbol: str, draft: Draft) -> None:
        """Give up all that works or waits on a symbol, its stops aside."""
        for parent, _ in self._executor.working(symbol):
            self.emit(self._executor.stop(parent.id), draft)
        self._waiting.pop(symbol, None)
        for order in self._orders.live():
            if order.symbol == symbol and not order.protects and Cancel(order.id) not in draft.commands:
                draft.command(Cancel(order.id))

    def settle(self, symbol: str, draft: Draft) -> None:
        """Bring the stops in line with the position, and let out what waited for that. Called after every change."""
        waiting = self._waiting.get(symbol, ())
        self._cover.balance(symbol, self._leaving(symbol), draft)
        # What goes out or is dropped changes what the next may do.
        while waiting and self._released(waiting[0], draft):
            self._cover.balance(symbol, self._leaving(symbol), draft)

    # --------------------------------------------------------------------------------------------- in and out

    def _emit_order(self, order: Order, draft: Draft) -> None:
        reduces = self._reduces(order)
        refusal = None if reduces else self._refusal(order)
        if refusal is not None:
            self._deny(order, refusal, draft)
        elif reduces or self._follows(order):
            self._wait(order, reduces)
            self.settle(order.symbol, draft)
        else:
            self._enter(order, draft)

    def _enter(self, order: Order, draft: Draft) -> None:
        """Send what opens, and with it its stop."""
        stop = self._cover.attached(order) if self._cover.is_kept else None
        if stop is None and self._cover.is_kept:
            refusal = Refusal("protective_stop", "no stop price can be known: neither ATR nor price")
            self._deny(order, refusal, draft)
            return
        self._send(order, draft, stop if self._cover.attaches(order.symbol) else None)

    def _send(self, order: Order, draft: Draft, stop: Order | None = None) -> None:
        intents = [order] if stop is None else [order, stop]
        changes = [self._orders.submit(intent) for intent in intents]
        if None in changes:
            draft.fact(Anomaly(self._desk.now, order.symbol, f"{order.id} was about to be sent twice"))
            return
        draft.command(Submit(order, stop))
        for changed in changes:
            if changed is not None:
                draft.fact(msgspec.structs.replace(changed, ts=self._desk.now))

    def _deny(self, order: Order, refusal: Refusal, draft: Draft) -> None:
        key = (order.symbol, order.side, refusal.gate)
        if self._desk.now - self._told.get(key, -LIFE_OF_A_REFUSAL_NS) >= LIFE_OF_A_REFUSAL_NS:
            self._told[key] = self._desk.now
            said = (order.id, order.symbol, refusal.gate, refusal.reason, refusal.value, refusal.limit)
            draft.fact(Denied(self._desk.now, *said))
        refused = OrderUpdate(self._desk.now, order.id, OrderStatus.REJECTED, reason=refusal.reason)
        self.emit(self._executor.on_update(refused), draft)

    def _refusal(self, order: Order) -> Refusal | None:
        for gate in self._gates:
            refusal = gate.check(order, self._desk)
            if refusal is not None:
                return refusal
        return None

    def _reduces(self, order: Order) -> bool:
        """Whether the order only takes exposure away, counting orders that may still fill."""
        held = self._desk.surely_held(order.symbol)
        if held * order.side.sign >= 0:
            return False
        return order.quantity <= abs(held) - self._leaving(order.symbol)

    # ------------------------------------------------------------------------------------------- what waits

    def _wait(self, order: Order, reduces: bool) -> None:
        self._waiting.setdefault(order.symbol, []).append(Waiting(order, reduces))

    def _gives_up(self, order_id: str) -> bool:
        """Drop an order that still waits; False where it is out already."""
        for waiting in self._waiting.values():
            for one in waiting:
                if one.order.id == order_id:
                    waiting.remove(one)
                    return True
        return False

    def _follows(self, order: Order) -> bool:
        """Whether an entry comes behind others: flips close before they open, and what was given up is awaited."""
        held = self._desk.surely_held(order.symbol)
        opposing = self._orders.coming(order.symbol, order.side.other)
        return held * order.side.sign < 0 or opposing > 0 or bool(self._waiting.get(order.symbol))

    def _leaving(self, symbol: str) -> int:
        """Return the shares that exits will trade: those at the broker and those that wait."""
        held = self._desk.surely_held(symbol)
        side = Side.SELL if held > 0 else Side.BUY
        waiting = sum(one.order.quantity for one in self._waiting.get(symbol, ()) if one.reduces)
        return self._orders.coming(symbol, side) + waiting if held else 0

    def _released(self, first: Waiting, draft: Draft) -> bool:
        """Send or drop the first that waits; False where it must wait on."""
        order, symbol = first.order, first.order.symbol
        held = self._desk.surely_held(symbol)
        out = self._orders.coming(symbol, order.side)
        against = held * order.side.sign < 0
        if not first.reduces:
            if (against and out) or self._orders.coming(symbol, order.side.other):
                return False  # its exit is still at work, or an entry the other way not yet taken back
            self._waiting[symbol].pop(0)
            not_closed = Refusal("position", "what it follows was not closed") if against else None
            refusal = not_closed or self._refusal(order)
            if refusal is None:
                self._enter(order, draft)
            else:
                self._deny(order, refusal, draft)
            return True
        left = abs(held) - out if against else 0
        if order.quantity > left and out:
            return False  # other exits are at work, or being taken back
        if left > 0 and self._cover.shares(symbol, order.side) + min(order.quantity, left) > left:
            return False
        self._waiting[symbol].pop(0)
        if left <= 0:
            self._deny(order, Refusal("position", "nothing is left to close"), draft)
            return True
        if order.quantity > left:
            order = msgspec.structs.replace(order, quantity=left)
            self._executor.on_cut(order)
        self._send(order, draft)
        return True
