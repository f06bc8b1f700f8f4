"""What the models learn: the sign of the move to come, and when that became known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.protocols import Calendar

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OUTSIDE = -1


@dataclass(frozen=True)
class Labels:
    """Labels of the bars that have one: `row` is the bar's index, the other arrays run beside it."""

    row: Ints
    label: NDArray[np.int8]
    known_at: Ints
    forward: Floats


def session_numbers(ts: Ints, calendar: Calendar) -> Ints:
    """Number the sessions of ascending bar closes `ts` (UTC ns) from 0; bars outside hours get -1."""
    numbers = np.full(len(ts), OUTSIDE, dtype=np.int64)
    at, number = 0, 0
    while at < len(ts):
        session = calendar.session(int(ts[at]))
        if session is None:
            at += 1
            continue
        end = int(np.searchsorted(ts, session.close, side="right"))
        numbers[at:end] = number
        at, number = end, number + 1
    return numbers


def forward_sign(close: Floats, ts: Ints, session: Ints, horizon: int = 30) -> Labels:
    """Label 1 where the log return over the next `horizon` bars is above zero, else 0.

    `close` in USD, `ts` the bars' closes in UTC ns, `session` as `session_numbers` gives it; all (n,). A label never
    spans a night: bars without `horizon` more bars in their own session are dropped. The label of bar t is known at the
    close of bar t + horizon, and `known_at` says so: nothing may learn from it earlier.

    >>> ts = np.arange(5, dtype=np.int64)
    >>> found = forward_sign(np.array([10.0, 11.0, 12.0, 9.0, 9.0]), ts, np.zeros(5, dtype=np.int64), horizon=2)
    >>> found.row.tolist(), found.label.tolist(), found.known_at.tolist()
    ([0, 1, 2], [1, 0, 0], [2, 3, 4])
    """
    last = max(len(close) - horizon, 0)
    row = np.arange(last, dtype=np.int64)
    row = row[(session[:last] == session[horizon:]) & (session[:last] != OUTSIDE)]
    forward = np.log(close[row + horizon] / close[row])
    label = (forward > 0).astype(np.int8)
    return Labels(row=row, label=label, known_at=ts[row + horizon], forward=forward)
