"""Lets a strategy speak only every so often, whatever the size of the bars it watches."""

from __future__ import annotations

from collections.abc import Sequence

from robo_trader.core.events import Bar
from robo_trader.core.protocols import Strategy, View
from robo_trader.core.steps import Fact, Signal


class Cadence:
    """Passes on the bars that close on a multiple of `interval_ns`; wraps a strategy and is one."""

    def __init__(self, strategy: Strategy, interval_ns: int) -> None:
        self._strategy = strategy
        self._interval_ns = interval_ns
        self.name = strategy.name

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        """Ask the strategy when its time has come."""
        return self._strategy.on_bar(bar, view) if bar.ts % self._interval_ns == 0 else ()

    def forget(self, symbol: str) -> None:
        """Pass it on."""
        self._strategy.forget(symbol)
