"""What a desk that followed the votes would have traded, and what was left of it after costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import DAY_NS
from robo_trader.ml.model import sides

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Evidence:
    """Rows that no model had seen when it spoke of them, in order of time; all arrays run over the same n rows.

    `votes` (n, m) are the members' calibrated probabilities, `probability` the ensemble's; the others as in `Dataset`.
    """

    votes: Floats
    probability: Floats
    label: NDArray[np.int8]
    forward: Floats
    ts: Ints
    known_at: Ints
    symbol: Ints

    @property
    def session(self) -> Ints:
        """Which day each row is of; no US session reaches over midnight UTC."""
        return self.ts // DAY_NS

    def and_then(self, later: Evidence) -> Evidence:
        """Return both, the later rows behind these."""
        pairs = ((getattr(self, name), getattr(later, name)) for name in self.__dataclass_fields__)
        return Evidence(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class Trades:
    """Trades in order of time: which rows of the evidence, the side of each (+1, -1) and what it earned, bps net of cost."""

    row: Rows
    side: Ints
    net_bps: Floats


def trade(seen: Evidence, threshold: float, cost_bps: float) -> Trades:
    """Take each vote of `threshold` while nothing is held in its symbol, and hold it until its label is known."""
    side = sides(seen.votes, seen.probability, threshold)
    free: dict[int, int] = {}
    row = []
    for i in np.flatnonzero(side).tolist():
        symbol = int(seen.symbol[i])
        if seen.ts[i] >= free.get(symbol, 0):
            free[symbol] = int(seen.known_at[i])
            row.append(i)
    at = np.array(row, dtype=np.intp)
    taken = side[at].astype(np.int64)
    return Trades(at, taken, taken * seen.forward[at] * 1e4 - cost_bps)


def by_session(session: Ints, at: Rows, amount: Floats) -> Floats:
    """Return the sum of `amount`, of the rows `at`, in each session of all rows; (sessions,) or (sessions, c)."""
    days, place = np.unique(session, return_inverse=True)
    total = np.zeros((len(days), *amount.shape[1:]))
    np.add.at(total, place[at], amount)
    return total
