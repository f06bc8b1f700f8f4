"""Bars of the past on their way through the step: placed in their sessions, then stepped over in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import SECOND_NS
from robo_trader.core.protocols import Calendar
from robo_trader.features import session, step
from robo_trader.features.base import Bars, Floats, Ints

BLOCK = 4096  # rows that are in memory at once
WIDTH = len(step.WARMUPS)


class Place(NamedTuple):
    """When each bar closed (UTC seconds, NaN to pass it over), the sessions (`session.DAY`), and each bar's one."""

    seconds: Floats
    days: Floats
    day_of: Ints


def place(ts: Ints, since: int, calendar: Calendar) -> Place:
    """Say when each bar closed and in which session; those to be passed over, not newer than `since`, close at NaN."""
    seconds, day_of = np.full(len(ts), np.nan), np.zeros(len(ts), dtype=np.int64)
    days = [np.zeros(len(session.DAY))]
    newest = np.maximum.accumulate(np.concatenate(([since], ts[:-1])))
    newer = np.flatnonzero(ts > newest)
    times = ts[newer]
    i = 0
    while i < len(times):
        found = calendar.session(int(times[i]))
        if found is None:
            i += 1
            continue
        end = int(np.searchsorted(times, found.close, side="right"))
        seconds[newer[i:end]] = times[i:end] / SECOND_NS
        day_of[newer[i:end]] = len(days)
        days.append(session.day_of(found))
        i = end
    return Place(seconds, np.array(days), day_of)


def possible(open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> NDArray[np.bool_]:
    """Tell which bars can be, as `kernels.is_possible` does of one."""
    fits = (low > 0) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high) & (high < np.inf)
    return fits & (volume >= 0) & (volume < np.inf)


class Scan:
    """One symbol's past before the step: its bars, when they closed, and what could be known of others then."""

    def __init__(self, state: Floats, bars: Bars, place: Place, context: Floats) -> None:
        self.state = state
        self._columns = [
            _plain(column) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)
        ]
        self._place = place
        self._context = context

    def blocks(self, rows: int = BLOCK) -> Iterator[tuple[int, Floats]]:
        """Step over all bars, once; yield where each block begins and its matrix, which the next one overwrites.

        The step holds no interpreter lock: scans of several symbols may run in threads.
        """
        out = np.empty((min(rows, len(self)), WIDTH))
        for start in range(0, len(self), rows):
            part = slice(start, start + rows)
            block = out[: len(self) - start]
            self._step(part, block)
            yield start, block

    def matrix(self) -> Floats:
        """Step over all bars, once; return the whole (n, n_features) matrix."""
        out = np.empty((len(self), WIDTH))
        self._step(slice(None), out)
        return out

    def _step(self, part: slice, out: Floats) -> None:
        open_, high, low, close, volume = (column[part] for column in self._columns)
        seconds, day_of = self._place.seconds[part], self._place.day_of[part]
        context = self._context[part]
        step.scan(
            self.state, open_, high, low, close, volume, seconds, self._place.days, day_of, context, out
        )

    def takes_last(self) -> bool:
        """Tell whether the last bar is one that counts."""
        open_, high, low, close, volume = (column[-1:] for column in self._columns)
        in_time = not math.isnan(self._place.seconds[-1])
        return in_time and bool(possible(open_, high, low, close, volume).all())

    def __len__(self) -> int:
        return len(self._place.seconds)


def _plain(column: Floats) -> Floats:
    """Return the column as the kernel takes it: float64, contiguous, writable; copied only where it is not."""
    return np.require(column, np.float64, ["C", "W"])
