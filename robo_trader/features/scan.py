"""Bars of the past on their way through the step: placed in their sessions, then stepped over in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import SECOND_NS
from robo_trader.core.protocols import Calendar, Session
from robo_trader.features import cross_section, kernels, market_depth, session, step
from robo_trader.features.base import Bars, Depths, Floats, Ints, Quotes, Trades
from robo_trader.features.morning import Morning, jumps

BLOCK = 4096  # rows that are in memory at once
WIDTH = len(step.WARMUPS)
NO_PANEL, NO_BOOK = cross_section.new_panel(0), np.empty(0)  # the past is told what could be known then
NO_QUOTES = Quotes(np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
NO_TRADES = Trades(np.empty(0, np.int64), np.empty(0), np.empty(0))
NO_DEPTHS = Depths(np.empty(0, np.int64), np.empty((0, market_depth.LADDER)))


class Told(NamedTuple):
    """What was told of one symbol between its bars."""

    quotes: Quotes = NO_QUOTES
    trades: Trades = NO_TRADES
    depths: Depths = NO_DEPTHS


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
    for found, i, end in sessions(times, calendar):
        seconds[newer[i:end]] = times[i:end] / SECOND_NS
        day_of[newer[i:end]] = len(days)
        days.append(session.day_of(found, calendar))
    return Place(seconds, np.array(days), day_of)


def sessions(times: Ints, calendar: Calendar) -> Iterator[tuple[Session, int, int]]:
    """Find the sessions of rising times, each with where its times begin and end."""
    i = 0
    while i < len(times):
        found = calendar.session(int(times[i]))
        if found is None:
            i += 1
            continue
        end = int(np.searchsorted(times, found.close, side="right"))
        yield found, i, end
        i = end


def possible(open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> NDArray[np.bool_]:
    """Tell which bars can be, as `kernels.is_possible` does of one."""
    fits = (low > 0) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high) & (high < np.inf)
    return fits & (volume >= 0) & (volume < np.inf)


class Scan:
    """One symbol's past before the step: its bars, when they closed, and what could be known of others then."""

    def __init__(self, state: Floats, place: Place, bars: Floats, context: Floats) -> None:
        self._state = state
        self._bars = bars
        self.place = place
        self.context = context
        self.seen = 0  # bars that counted so far; 0 where the last one did not
        self._mark: Floats | None = None  # the state before row `_marked`, once stepped over
        self._marked = 0

    def jumps_at(self, row: int) -> bool:
        """Whether a bar opens far from the close of the one before it, or of the last one stepped over."""
        if row:
            last = np.zeros(kernels.LAST_CLOSE + 1)
            last[kernels.COUNT], last[kernels.LAST_CLOSE] = 1, self._bars[row - 1, 4]
            return jumps(last, float(self._bars[row, 1]))
        return jumps(self._state, float(self._bars[row, 1]))

    def morning_at(self, row: int, before: int) -> Morning:
        """Return a morning whose state is filled in by `blocks` when they come to that row."""
        morning = Morning(self._state, before)
        self._mark, self._marked = morning.state, row
        return morning

    def rows(self, which: Ints) -> tuple[Floats, Floats]:
        """Return bars as the step takes them, (n, 6), and what could be known at each, (n, CONTEXT)."""
        return self._bars[which], self.context[which]

    def blocks(self, rows: int = BLOCK) -> Iterator[tuple[int, Floats]]:
        """Step over all bars, once; yield where each block begins and its matrix, which the next one overwrites.

        The step holds no interpreter lock: scans of several symbols may run in threads.
        """
        out = np.empty((min(rows, len(self)), WIDTH))
        begin = 0
        for end in sorted({*range(rows, len(self), rows), self._marked, len(self)} - {0}):
            if self._mark is not None and begin == self._marked:
                self._mark[:] = self._state
            block = out[: end - begin]
            self._step(slice(begin, end), block)
            yield begin, block
            begin = end

    def matrix(self) -> Floats:
        """Step over all bars, once; return the whole (n, n_features) matrix."""
        out = np.empty((len(self), WIDTH))
        self._step(slice(None), out)
        return out

    def last(self) -> Floats | None:
        """Step over all bars, once; return the vector of the last one, None where it does not count."""
        row = np.empty(0)
        for _, block in self.blocks():
            row = block[-1]
        return row.copy() if self.seen else None

    def _step(self, part: slice, out: Floats) -> None:
        bars, day_of, context = self._bars[part], self.place.day_of[part], self.context[part]
        self.seen = step.run(
            self._state, NO_BOOK, NO_PANEL, -1, -1, -1, bars, self.place.days, day_of, context, out
        )

    def __len__(self) -> int:
        return len(self._bars)


def replayed(book: Floats, told: Told, bars: Bars, scan: Scan, calendar: Calendar) -> None:
    """Write what was told of each bar to the context of its scan. Raises ValueError where that is unsorted."""
    q, t, d = told
    quoted, some = _told(calendar, q.ts, q.bid, q.ask, q.bid_size, q.ask_size)
    traded, more = _told(calendar, t.ts, t.price, t.size)
    shown, most = _told(calendar, d.ts, *d.levels.T)
    bounds = np.array(sorted(some | more | most), dtype=np.int64).reshape(-1, 2) / SECOND_NS
    can_be = possible(bars.open, bars.high, bars.low, bars.close, bars.volume)
    seconds = np.where(can_be, scan.place.seconds, np.nan)
    step.replay(book, quoted, traded, shown, bounds, seconds, scan.context)


def _told(calendar: Calendar, ts: Ints, *columns: Floats) -> tuple[Floats, set[tuple[int, int]]]:
    """Return what was told within sessions, a row each with its time first, and the sessions' bounds."""
    if (np.diff(ts) < 0).any():
        raise ValueError(
            "quotes, trades and depths come in order of time: sort them by `ts`, equal ones as they arrived"
        )
    found = list(sessions(ts, calendar))
    inside = np.concatenate([np.empty(0, np.int64), *(np.arange(i, end) for _, i, end in found)])
    rows = np.column_stack((ts / SECOND_NS, *columns)).astype(np.float64)[inside]
    return rows, {(one.open, one.close) for one, _, _ in found}
