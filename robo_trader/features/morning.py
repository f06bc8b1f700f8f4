"""A session that opened far from the last price, kept from its beginning on: it may have been a split that is told later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.features import kernels
from robo_trader.features.base import Floats

JUMP = math.log(1.04)  # of the open from the close before; a split of 21 for 20 is 0.049


def jumps(state: Floats, opened: float) -> bool:
    """Whether a session's first price is so far from the last one that it is worth remembering."""
    return bool(state[kernels.COUNT]) and opened > 0 and abs(_night(state, opened)) > JUMP


def _night(state: Floats, opened: float) -> float:
    return math.log(opened / state[kernels.LAST_CLOSE])


class Morning:
    """The state of a symbol before a session, its bars since, and what could be known at each."""

    def __init__(self, state: Floats, before: int) -> None:
        """Copy the state as it is; `before` is when the last bar before the session closed (UTC ns)."""
        self.state = state.copy()
        self.before = before
        self._bars: list[Floats] = []
        self._context: list[Floats] = []

    def add(self, bars: Floats, context: Floats) -> None:
        """Take the newest bars, (n, 6) as the step takes them, and what could be known, (n, CONTEXT)."""
        self._bars.append(bars.copy())
        self._context.append(context.copy())

    def told(self) -> tuple[Floats, Floats]:
        """Return the bars so far and what could be known at each."""
        return np.concatenate(self._bars), np.concatenate(self._context)

    def opened_split(self, ratio: float) -> bool:
        """Whether the open is nearer to the close before divided by a split's ratio than to that close itself."""
        night = _night(self.state, float(self._bars[0][0, 1]))
        return abs(night + math.log(ratio)) < abs(night)

    def saved(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return it as arrays, each with a name of its own."""
        bars, context = self.told()
        kept = {"state": self.state, "before": np.array(self.before), "bars": bars, "context": context}
        return {prefix + name: array for name, array in kept.items()}

    @staticmethod
    def restored(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Morning | None:
        """Return what was `saved`, None where nothing was."""
        if prefix + "state" not in arrays:
            return None
        morning = Morning(arrays[prefix + "state"], int(arrays[prefix + "before"]))
        morning.add(arrays[prefix + "bars"], arrays[prefix + "context"])
        return morning
