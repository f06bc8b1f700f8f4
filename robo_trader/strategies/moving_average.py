"""The plain strategy: hold while the fast average is above the slow one, after it has been seen to cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robo_trader.core.events import Bar
from robo_trader.core.protocols import View
from robo_trader.core.steps import Fact, Signal


@dataclass(frozen=True)
class CrossoverOptions:
    """Which simple averages cross, and how many bars to wait after a signal before the next."""

    fast: int = 10
    slow: int = 20
    cool_down_bars: int = 3
    allow_short: bool = False


class _Seen:
    """What is remembered of one symbol: which average was above, and the bars since the last signal."""

    __slots__ = ("above", "waited")

    def __init__(self, above: bool, waited: int) -> None:
        self.above = above
        self.waited = waited


class MovingAverageCrossover:
    """Long on a golden cross, flat (or short where allowed) on a dead cross; a signal is told once per cross.

    A position on the wrong side (an exit that came to nothing, a fill after a cancel, what an earlier session left) is
    asked to go again after each cool-down.
    """

    name = "sma_crossover"

    def __init__(self, options: CrossoverOptions) -> None:
        self._options = options
        self._fast, self._slow = f"sma_{options.fast}", f"sma_{options.slow}"
        self._seen: dict[str, _Seen] = {}

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        """Return one signal when the averages crossed on this bar or a position contradicts them, else nothing."""
        fast, slow = view.feature(bar.symbol, self._fast), view.feature(bar.symbol, self._slow)
        if fast is None or slow is None:
            return ()
        above, seen = fast > slow, self._seen.get(bar.symbol)
        if seen is None:
            self._seen[bar.symbol] = _Seen(above, self._options.cool_down_bars)
            return ()
        seen.waited += 1
        if seen.waited <= self._options.cool_down_bars:
            return ()
        crossed = above != seen.above
        if not crossed and not _contradicts(above, view, bar.symbol):
            return ()
        seen.above, seen.waited = above, 0
        return (self._signal(bar, above, "crossed" if crossed else "is", fast, slow),)

    def forget(self, symbol: str) -> None:
        """Forget which average was above: the next bar shows it anew."""
        self._seen.pop(symbol, None)

    def _signal(self, bar: Bar, above: bool, verb: str, fast: float, slow: float) -> Signal:
        direction = 1 if above else -1 if self._options.allow_short else 0
        where = "above" if above else "below"
        reason = f"{self._fast} {fast:.2f} {verb} {where} {self._slow} {slow:.2f}"
        return Signal(bar.ts, bar.symbol, self.name, direction, min(1.0, abs(fast / slow - 1) * 1000), reason)


def _contradicts(above: bool, view: View, symbol: str) -> bool:
    held = view.position(symbol)
    return bool(held) and (held > 0) != above and not view.working(symbol)
