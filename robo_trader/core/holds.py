"""Who stops new exposure: the desk's own memory of it, and that of those who only hear its facts."""

from __future__ import annotations

from robo_trader.core.events import TradingState
from robo_trader.core.steps import Halted, Resumed


class Holds:
    """What stands of all that was halted: each by whom it was asked for."""

    def __init__(self) -> None:
        self.by: dict[str, Halted] = {}

    def hear(self, fact: Halted | Resumed) -> None:
        """Take one fact."""
        if isinstance(fact, Halted):
            self.by[fact.by] = fact
        elif fact.state is TradingState.ACTIVE:
            self.by.clear()
        else:
            for by in fact.lifted:
                self.by.pop(by, None)

    @property
    def state(self) -> TradingState:
        """What the desk may do."""
        return TradingState.furthest(hold.state for hold in self.by.values())
