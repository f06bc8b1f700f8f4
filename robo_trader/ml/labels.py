"""What the models learn: which barrier the price touches first, when that became known, and what each label weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.protocols import Calendar
from robo_trader.features.base import Bars

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OUTSIDE = -1


@dataclass(frozen=True)
class LabelOptions:
    """What is asked of the next `horizon` bars: does the price first rise or fall by `width` standard deviations of them?

    A bar's deviation is that of the `sigma_bars` returns before it. No barrier is nearer than twice `cost_bps`, what a
    round trip costs: the median of five liquid shares for orders of 10,000 USD at IBKR's fixed fees and half the spread
    each way (tests/golden/23_cost_hurdle_lean_minute.csv, 22_fees_ibkr.json: 2.6 SPY to 14.2 BAC).
    """

    horizon: int = 30
    width: float = 1.0
    sigma_bars: int = 60
    cost_bps: float = 4.0


@dataclass(frozen=True)
class Labels:
    """Labels of the bars that have one: `row` is the bar's index, the other arrays run beside it.

    `forward` is the log return of a long position closed at the first touch, `nearest` that of the very next bar.
    """

    row: Ints
    label: NDArray[np.int8]
    known_at: Ints
    forward: Floats
    nearest: Floats


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


def volatility(close: Floats, session: Ints, bars: int) -> Floats:
    """Return the root mean square of the last `bars` log returns up to each bar, nights left out; NaN before there are any.

    >>> volatility(np.exp([0.0, 0.01, 0.0, 0.02]), np.zeros(4, dtype=np.int64), 2).round(4).tolist()
    [nan, nan, 0.01, 0.0158]
    """
    inside = np.zeros(len(close), dtype=np.bool_)
    inside[1:] = (session[1:] == session[:-1]) & (session[1:] != OUTSIDE)
    squares = np.where(inside, np.diff(np.log(close), prepend=0.0) ** 2, 0.0)[inside]
    total = np.concatenate([[0.0], np.cumsum(squares)])
    seen = np.cumsum(inside)
    enough = seen >= bars
    out = np.full(len(close), np.nan)
    out[enough] = np.sqrt(np.maximum(total[seen[enough]] - total[seen[enough] - bars], 0.0) / bars)
    return out


def triple_barrier(bars: Bars, session: Ints, options: LabelOptions) -> Labels:
    """Label 1 where a long position taken at the close first gains its barrier, 0 where it first loses it.

    `session` as `session_numbers` gives it, beside the bars. At the end of the horizon the sign of the return decides. A
    bar that touches both counts as a loss, one that opens beyond a barrier is closed at its open. No label spans a night:
    bars without `horizon` more in their own session are dropped, as are those whose deviation is not known yet. A label is
    known at the close of the bar that decided it. Source: López de Prado, Advances in Financial Machine Learning, 3.3.
    """
    sigma = volatility(bars.close, session, options.sigma_bars)
    row = _labelled(session, sigma, options.horizon)
    width = np.maximum(options.width * sigma[row] * math.sqrt(options.horizon), 2 * options.cost_bps * 1e-4)
    start = np.log(bars.close[row])
    ahead = row[:, None] + np.arange(1, options.horizon + 1)
    gained = _first(np.log(bars.high)[ahead] - start[:, None] >= width[:, None])
    lost = _first(np.log(bars.low)[ahead] - start[:, None] <= -width[:, None])
    at = row + 1 + np.minimum(np.minimum(gained, lost), options.horizon - 1)
    opened = np.log(bars.open[at]) - start
    wins = (gained < lost) | ((gained == lost) & (opened >= width))
    touched = np.where(wins, np.maximum(width, opened), np.minimum(-width, opened))
    neither = (gained == lost) & (gained == options.horizon)
    forward = np.where(neither, np.log(bars.close[at]) - start, touched)
    return Labels(
        row=row,
        label=(forward > 0).astype(np.int8),
        known_at=bars.ts[at],
        forward=forward,
        nearest=np.log(bars.close[row + 1]) - start,
    )


def _labelled(session: Ints, sigma: Floats, horizon: int) -> Ints:
    last = max(len(session) - horizon, 0)
    row = np.arange(last, dtype=np.int64)
    one_session = (session[:last] == session[horizon:]) & (session[:last] != OUTSIDE)
    return np.asarray(row[one_session & np.isfinite(sigma[:last])], dtype=np.int64)


def _first(touched: NDArray[np.bool_]) -> Ints:
    """Return the first column that is true in each row, the number of columns where none is."""
    return np.asarray(np.where(touched.any(axis=1), touched.argmax(axis=1), touched.shape[1]), dtype=np.int64)


def concurrency(first: Ints, last: Ints, slots: int) -> Ints:
    """Return how many spans (inclusive, in slots) cover each of `slots`."""
    begun = np.bincount(first, minlength=slots + 1) - np.bincount(last + 1, minlength=slots + 1)
    return np.asarray(np.cumsum(begun)[:slots], dtype=np.int64)


def uniqueness(first: Ints, last: Ints, held: Ints) -> Floats:
    """Return the mean of 1 / `held` over each span (inclusive, in slots), where `held` (slots,) is how many share a slot.

    With `held` the concurrency of all spans it is their average uniqueness; with 1 + that of those drawn already it is
    what the sequential bootstrap draws the next by. Source: López de Prado, Advances in Financial Machine Learning, 4.4.

    >>> first, last = np.array([0, 2, 4]), np.array([2, 3, 5])
    >>> uniqueness(first, last, concurrency(first, last, 6)).round(4).tolist()
    [0.8333, 0.75, 1.0]
    """
    total = np.concatenate([[0.0], np.cumsum(1.0 / np.maximum(held, 1))])
    return np.asarray((total[last + 1] - total[first]) / (last + 1 - first), dtype=np.float64)


def average_uniqueness(ts: Ints, known_at: Ints, symbol: Ints) -> Floats:
    """Return how much of each row's label is its own among those of its symbol, (n,); 1 each where none overlap."""
    alone = np.empty(len(ts))
    for one in np.unique(symbol):
        mine = symbol == one
        slots = np.unique(np.concatenate([ts[mine], known_at[mine]]))
        first, last = np.searchsorted(slots, ts[mine]) + 1, np.searchsorted(slots, known_at[mine])
        alone[mine] = uniqueness(first, last, concurrency(first, last, len(slots)))
    return alone


def weights(ts: Ints, known_at: Ints, symbol: Ints, oldest: float) -> Floats:
    """Return what each of n rows, in order of time, weighs in learning: its uniqueness, less the older it is; 1 on average.

    The decay falls from 1 for the newest to `oldest`, along the uniqueness gathered since. Source: López de Prado,
    Advances in Financial Machine Learning, 4.4 and 4.7.
    """
    alone = average_uniqueness(ts, known_at, symbol)
    age = np.cumsum(alone) / alone.sum()
    weight = alone * (oldest + (1 - oldest) * age)
    return np.asarray(weight / weight.mean(), dtype=np.float64)
