"""Bars of one symbol as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import Bar

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one symbol as (n,) arrays: `ts` closes in UTC ns, prices in USD, volume in shares."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Bars:
        """Return the bars of these rows."""
        prices = (self.open, self.high, self.low, self.close)
        opened, high, low, close = (column[rows] for column in prices)
        return Bars(self.ts[rows], opened, high, low, close, self.volume[rows])


def columns(bars: Sequence[Bar]) -> Bars:
    """Return the bars of one symbol as arrays, in their order."""
    rows = np.array([(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars])
    return Bars(np.array([bar.ts for bar in bars]), *np.ascontiguousarray(rows.T))


def merge(bars: Bars, groups: Ints) -> Bars:
    """Return one bar for each run of equal `groups` (n,): from the first open to the last close and its time.

    >>> two = np.array([1.0, 2.0])
    >>> one = merge(Bars(np.array([60, 120]), two, two, two, two, two), np.array([7, 7]))
    >>> one.ts[0], one.open[0], one.close[0], one.volume[0]
    (np.int64(120), np.float64(1.0), np.float64(2.0), np.float64(3.0))
    """
    if not len(bars):
        return bars
    first = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    last = np.append(first[1:], len(groups)) - 1
    return Bars(
        bars.ts[last],
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )


def restate(columns: Sequence[Floats], told: Ints, splits: Iterable[tuple[int, int, int]]) -> None:
    """Count bars of one symbol in today's shares, in place: prices, and in the last of `columns` the volume, each (n,).

    `told` (n,) is when each was (UTC ns), `splits` are since when (UTC ns), new shares and old ones. A broker that is asked
    after a split tells its past in new shares.

    >>> prices, volume = np.array([100.0, 25.0]), np.array([10.0, 40.0])
    >>> restate([prices, volume], np.array([60, 180]), [(120, 4, 1)])
    >>> prices.tolist(), volume.tolist()
    ([25.0, 25.0], [40.0, 40.0])
    """
    for since, new, old in splits:
        before = told <= since
        for prices in columns[:-1]:
            prices[before] *= old / new
        columns[-1][before] *= new / old
