"""Closing what a person wants closed, until it is closed."""

from __future__ import annotations

from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.events import Flatten, Order, Side
from robo_trader.core.protocols import Executor
from robo_trader.core.steps import Anomaly, Decision
from robo_trader.core.way_out import WayOut

TRIES = 3  # exits for one wish


class Flattening:
    """Gives up what works on a symbol and closes what is held: what trades before it is taken back is closed as well."""

    def __init__(self, desk: Desk, executor: Executor, way_out: WayOut) -> None:
        self._desk = desk
        self._executor = executor
        self._way_out = way_out
        self._wishes: dict[str, Flatten] = {}
        self._tries: dict[str, int] = {}

    def begin(self, wish: Flatten, draft: Draft) -> None:
        """Take a wish on, for all that is held where it names no symbol."""
        for symbol in [wish.symbol] if wish.symbol else self._desk.held():
            for parent, _ in self._executor.working(symbol):
                self._way_out.emit(self._executor.stop(parent.id), draft)
            self._wishes[symbol], self._tries[symbol] = wish, 0
            self.go_on(symbol, draft)

    def go_on(self, symbol: str, draft: Draft) -> None:
        """Send the exit once nothing else works on the symbol; called after whatever changes that."""
        wish = self._wishes.get(symbol)
        if wish is None or symbol in self._desk.orders.symbols() or self._desk.waiting.get(symbol):
            return
        held = self._desk.surely_held(symbol)
        if not held or self._tries[symbol] == TRIES:
            del self._wishes[symbol]
            if held:
                draft.fact(Anomaly(self._desk.now, symbol, f"not flattened: {TRIES} exits came to nothing"))
            return
        self._tries[symbol] += 1
        parent_id, side = self._desk.next_parent_id(), Side.SELL if held > 0 else Side.BUY
        order = Order(f"{parent_id}.1", parent_id, symbol, side, abs(held), reason=wish.reason)
        said = (wish.by, parent_id, side, abs(held), order.algorithm, wish.reason)
        draft.fact(Decision(self._desk.now, symbol, *said, regime=self._desk.regime_name(symbol)))
        self._way_out.close(order, draft)
