"""Tells whether the bars of today still look like those a model was trained on: PSI, KS and Page-Hinkley by feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.core.protocols import Vector
from robo_trader.ml import kernels

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Columns = NDArray[np.intp]

TESTS = ("psi", "ks", "page_hinkley")
# Whose limits: of all trained symbols in one window, or of any one of them.
TOGETHER, ALONE = 0, 1
AT_ONCE = 64  # rows that wait for one compiled call, at most


@dataclass(frozen=True)
class ReferenceOptions:
    """How a training window is remembered: shares of `bins` quantiles, and limits that it would hardly have crossed.

    `psi_act` is the usual rule (below 0.10 stable, from 0.25 act), `ks_level` the level of the Kolmogorov-Smirnov test,
    `threshold` and `allowance` Page-Hinkley's lambda and delta, in deviations and bars. These are the least limits; a
    statistic that went further while it was trained on has `margin` times that, a distance of distributions `margin`
    times its odds, for it cannot go beyond 1. It is read every `check_bars` bars.
    """

    bins: int = 10
    psi_act: float = 0.25
    ks_level: float = 0.01
    threshold: float = 50.0
    allowance: float = 0.25
    margin: float = 1.2
    check_bars: int = 15


@dataclass(frozen=True)
class Reference:
    """What a model's training window looked like, c columns in `bins` bins each; of fixed size however long it was.

    `edges` (c, bins - 1) are its quantiles, `shares` (c, bins) what lay in each bin, `scale` (2, c) means and inverse
    deviations (0 where a column never moved). `limits` (2, 3, c) are by TOGETHER or ALONE, by TESTS and by column.
    `window` is how many rows of one symbol are compared with it: those of one session.
    """

    names: tuple[str, ...]
    symbols: tuple[str, ...]
    window: int
    edges: Singles
    shares: Floats
    scale: Floats
    limits: Floats
    check_bars: int
    allowance: float

    def save(self, path: Path) -> None:
        """Write it as plain arrays. Raises OSError."""
        np.savez(path, **vars(self))

    @staticmethod
    def load(path: Path) -> Reference:
        """Read one back. Raises DataError where it is not one."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                a = dict(kept)
            return Reference(
                names=tuple(a["names"].tolist()),
                symbols=tuple(a["symbols"].tolist()),
                window=int(a["window"]),
                edges=a["edges"],
                shares=a["shares"],
                scale=a["scale"],
                limits=a["limits"],
                check_bars=int(a["check_bars"]),
                allowance=float(a["allowance"]),
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path} is no reference of a training window ({error}); train again with "
                "`python -m robo_trader.train_models`"
            ) from error


def psi(expected: Floats, actual: Floats) -> Floats:
    """Return the population stability index over the last axis: sum of (actual - expected) ln(actual / expected).

    Both are shares that add up to 1; an empty bin counts as 1e-4, for the index has no value there. Below 0.10 stable,
    from 0.25 act. Source: Siddiqi, Credit Risk Scorecards (2006), ch. 9.

    >>> round(float(psi(np.full(4, 0.25), np.array([0.4, 0.3, 0.2, 0.1]))), 6)
    0.228217
    """
    e, a = np.maximum(expected, 1e-4), np.maximum(actual, 1e-4)
    return np.asarray(((a - e) * np.log(a / e)).sum(axis=-1), dtype=np.float64)


def ks(expected: Floats, actual: Floats) -> Floats:
    """Return the largest distance of two distribution functions over the last axis, seen at the edges of its bins.

    Between two edges it may be larger, by no more than the share of that bin. Source: Kolmogorov (1933), Smirnov (1939).
    """
    distance = np.abs(np.cumsum(actual - expected, axis=-1))[..., :-1]
    return np.asarray(distance.max(axis=-1), dtype=np.float64)


def ks_critical(level: float, n: int, m: int) -> float:
    """Return the distance that two samples of n and m *independent* values exceed with probability `level`.

    Bars are not independent: a feature over 60 bars hardly changes from one to the next, and a day differs from a day.
    Taken as it stands it would alarm nearly always, so it is only the least limit (`ReferenceOptions`).
    Source: Smirnov (1948), c(level) = sqrt(-ln(level / 2) / 2).

    >>> [round(ks_critical(level, 2, 2), 3) for level in (0.10, 0.05, 0.01)]
    [1.224, 1.358, 1.628]
    """
    return math.sqrt(-math.log(level / 2) / 2 * (n + m) / (n * m))


class Drift:
    """Compares the newest rows of some symbols, one session of each, with a reference.

    Memory is fixed: `window` bytes a column and symbol. Page-Hinkley adds, for each column, what a value lies above the
    mean of training by more than the allowance, and takes back what it lies below; the like downwards. Symbols share the
    sum, so that it counts bars and not rows. It cannot grow beyond twice its limit, or it would never come back.
    Source: Page (1954), Biometrika 41; Hinkley (1971), Biometrika 58.
    """

    def __init__(self, reference: Reference, columns: Columns, symbols: Sequence[str]) -> None:
        """`columns` (c,) say where the reference's features stand in the rows; `symbols` are those compared."""
        self.reference = reference
        self._columns = columns
        self._row_of = {symbol: i for i, symbol in enumerate(symbols)}
        together = len(symbols) > 1 and set(symbols) >= set(reference.symbols)
        self.limits = reference.limits[TOGETHER if together else ALONE]
        count, bins = reference.shares.shape
        self._rings = np.zeros((len(symbols), reference.window, count), dtype=np.uint8)
        self._seen = np.zeros(len(symbols), dtype=np.int64)
        self._counts = np.zeros((count, bins), dtype=np.int64)
        self._sums = np.zeros((2, count))
        self._ceiling = 2 * self.limits[TESTS.index("page_hinkley")]
        self._waiting: list[Vector] = []
        self._of: list[int] = []

    @property
    def rows(self) -> int:
        """How many rows are compared now."""
        self._take_waiting()
        return int(np.minimum(self._seen, self.reference.window).sum())

    @property
    def is_full(self) -> bool:
        """Whether enough is there to compare: nine tenths of a window of each symbol that was seen."""
        rows, seen = self.rows, int(np.count_nonzero(self._seen))
        return seen > 0 and rows >= 0.9 * self.reference.window * seen

    def add(self, symbol: str, vector: Vector) -> None:
        """Take the newest row of a symbol, which must not change any more; one that is not complete is left out."""
        # A compiled call costs more than what it does for one row.
        self._waiting.append(vector)
        self._of.append(self._row_of[symbol])
        if len(self._of) == AT_ONCE:
            self._take_waiting()

    def _take_waiting(self) -> None:
        if self._of:
            rows = np.concatenate(self._waiting).reshape(len(self._of), -1)
            self.add_many(rows, np.array(self._of, dtype=np.int64))
            self._waiting.clear()
            self._of.clear()

    def add_many(self, rows: Floats, symbol: Ints) -> int:
        """Take rows (n, any) of the symbols numbered (n,), oldest first; return how many were complete."""
        reference = self.reference
        added: int = kernels.observe(
            rows, self._columns, symbol, reference.edges, reference.scale, self._rings, self._seen, self._counts,
            self._sums, self._ceiling, reference.allowance,
        )  # fmt: skip
        return added

    def correct(self, symbol: str, rows: Floats) -> None:
        """Replace the newest rows of a symbol by these (n, any), as many as are complete; sums of means begin anew."""
        self._take_waiting()
        values = rows[:, self._columns].astype(np.float32)
        values = values[np.isfinite(values).all(axis=1)][-self.reference.window :]
        row = self._row_of[symbol]
        values = values[max(0, len(values) - int(self._seen[row])) :]
        places = (self._seen[row] - len(values) + np.arange(len(values))) % self.reference.window
        ring, column = self._rings[row], np.arange(len(self._columns))
        for place, value in zip(places, values, strict=True):
            self._counts[column, ring[place]] -= 1
            ring[place] = (value[:, None] > self.reference.edges).sum(axis=1)
            self._counts[column, ring[place]] += 1
        self._sums[:] = 0.0

    def readings(self) -> Floats:
        """Return the statistics (3, c) in the order of TESTS."""
        rows = self.rows
        actual = self._counts / max(rows, 1)
        expected = self.reference.shares
        return np.stack([psi(expected, actual), ks(expected, actual), self._sums.max(axis=0)])


def remember(
    rows: Singles, symbol: Ints, ts: Ints, names: Sequence[str], symbols: Sequence[str],
    options: ReferenceOptions | None = None,
) -> Reference:  # fmt: skip
    """Return the reference of a training window: rows (n, c) in order of time, each of `symbols[symbol[i]]` at `ts[i]`.

    A day differs from all days together, and bars from coins, so no textbook says how far a session may go. The window
    is therefore watched once as if it were live, by the very class that watches later, all symbols together and each by
    itself; the furthest each statistic went there, with its margin, is its limit, where that is above the textbook's
    and no more than halfway to where it can go at all.
    """
    options = options or ReferenceOptions()
    window = _rows_of_a_session(symbol, ts)
    edges = np.quantile(rows, np.arange(1, options.bins) / options.bins, axis=0).T.astype(np.float32)
    deviation = rows.std(axis=0, dtype=np.float64)
    inverse = np.divide(1.0, deviation, out=np.zeros(len(deviation)), where=deviation > 0)
    scale = np.stack([rows.mean(axis=0, dtype=np.float64), inverse])
    unlimited = np.full((2, len(TESTS), len(names)), np.inf)
    blank = Reference(
        tuple(names), tuple(symbols), window, np.ascontiguousarray(edges), _shares(rows, edges), scale, unlimited,
        options.check_bars, options.allowance,
    )  # fmt: skip
    furthest = [_furthest(blank, rows, symbol, tuple(symbols))]
    alone = [
        _furthest(blank, rows[symbol == i], np.zeros(int((symbol == i).sum()), np.int64), (name,))
        for i, name in enumerate(symbols)
    ]
    furthest.append(np.max(alone, axis=0))
    least = [_least(options, window * count, len(rows)) for count in (len(symbols), 1)]
    beyond = [_with_margin(far, options.margin, blank.shares) for far in furthest]
    limits = [np.maximum(far, low[:, None]) for far, low in zip(beyond, least, strict=True)]
    return replace(blank, limits=np.stack(limits))


def _rows_of_a_session(symbol: Ints, ts: Ints) -> int:
    """Return how many rows a session of one symbol usually has; no US session reaches over midnight UTC."""
    _, counts = np.unique(np.stack([symbol, ts // DAY_NS]), axis=1, return_counts=True)
    return max(int(np.median(counts)), 1)


def _shares(rows: Singles, edges: Singles) -> Floats:
    """Return the share of rows in each bin, (c, bins): bin i holds what is above i edges."""
    counts = [
        np.bincount(np.searchsorted(edge, column, side="left"), minlength=len(edge) + 1)
        for edge, column in zip(edges, rows.T, strict=True)
    ]
    return np.array(counts, dtype=np.float64) / len(rows)


def _least(options: ReferenceOptions, window: int, rows: int) -> Floats:
    return np.array([options.psi_act, ks_critical(options.ks_level, window, rows), options.threshold])


def _with_margin(furthest: Floats, margin: float, shares: Floats) -> Floats:
    """Return limits (3, c) beyond the furthest readings; that of PSI leaves it room to where the rarest bin has all."""
    index, distance, sums = furthest
    rarest = np.eye(shares.shape[1])[shares.argmin(axis=1)]
    return np.stack(
        [
            np.minimum(margin * index, (index + psi(shares, rarest)) / 2),
            margin * distance / (1 + (margin - 1) * distance),
            margin * sums,
        ]
    )


def _furthest(blank: Reference, rows: Singles, symbol: Ints, symbols: tuple[str, ...]) -> Floats:
    """Return the largest readings (3, c) at the checks of one pass over the rows."""
    drift = Drift(blank, np.arange(len(blank.names)), symbols)
    furthest = np.zeros((len(TESTS), len(blank.names)))
    every = blank.check_bars * len(symbols)
    for start in range(0, len(rows), every):
        chunk = slice(start, start + every)
        drift.add_many(rows[chunk].astype(np.float64), symbol[chunk])
        if drift.is_full:
            np.maximum(furthest, drift.readings(), out=furthest)
    return furthest
