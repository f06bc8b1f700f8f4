"""Who stops new exposure: the desk's own memory of it, and that of those who only hear its facts."""

from __future__ import annotations

from robo_trader.core.events import OPERATOR, Halt, Resume, TradingState
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

    def halt(self, wish: Halt) -> Halted | None:
        """Take a halt; None where it is no news, or less than what stands: only to resume makes a halt less."""
        known = self.by.get(wish.by)
        if known is not None:
            is_looser = TradingState.furthest((known.state, wish.state)) is not wish.state
            if is_looser or (known.state, known.reason) == (wish.state, wish.reason):
                return None
        halted = self.by[wish.by] = Halted(wish.ts, wish.reason, wish.by, wish.state)
        return halted

    def resume(self, wish: Resume) -> Resumed | None:
        """Lift what this one asked for, an operator all halts too; None where that is nothing."""
        halts = [by for by, hold in self.by.items() if hold.state is TradingState.HALTED]
        lifted = sorted({wish.by, *(halts if wish.by == OPERATOR else ())} & self.by.keys())
        for by in lifted:
            del self.by[by]
        return Resumed(wish.ts, wish.reason, wish.by, tuple(lifted), self.state) if lifted else None

    @property
    def state(self) -> TradingState:
        """What the desk may do."""
        return TradingState.furthest(hold.state for hold in self.by.values())
