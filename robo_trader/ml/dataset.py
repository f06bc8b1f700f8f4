"""Rows to learn from: features of every bar beside what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS
from robo_trader.core.protocols import Calendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_pipeline import MatrixOptions, Progress, build_matrix
from robo_trader.ml.labels import LabelOptions, session_numbers, triple_barrier

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Dataset:
    """Labelled rows of several symbols in order of time; all arrays run over the same n rows.

    `rows` (n, n_features) float32, `ts` when a row was known and `known_at` when its label was (UTC ns), `forward` the
    log return that decided it, `nearest` that of the next bar; row i is of `symbols[symbol[i]]`, and all are of so many
    `sessions`. `asked` is what the labels answer. `bars_sha256` fingerprints the bars it was made of, those included that
    only warmed features; `market` and `sectors` are what the symbols were compared with.
    """

    rows: NDArray[np.float32]
    label: NDArray[np.int8]
    ts: Ints
    known_at: Ints
    forward: NDArray[np.float64]
    nearest: NDArray[np.float64]
    feature_names: tuple[str, ...]
    feature_version: str
    symbols: tuple[str, ...]
    symbol: Ints
    asked: LabelOptions
    interval_ns: int
    sessions: int
    bars: int
    bars_sha256: str
    market: str = ""
    sectors: Mapping[str, str] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """The bars that a label looks ahead."""
        return self.asked.horizon

    def part(self, rows: Rows) -> Dataset:
        """Return these rows alone; what describes all of them stays as it is."""
        over_rows = ("rows", "label", "ts", "known_at", "forward", "nearest", "symbol")
        return replace(self, **{name: getattr(self, name)[rows] for name in over_rows})


def build_dataset(
    bars: Mapping[str, Bars],
    calendar: Calendar,
    options: LabelOptions | None = None,
    interval_ns: int = MINUTE_NS,
    matrix_options: MatrixOptions | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Compute features and labels of each symbol's bars (closes ascending, one size) and join them by bar.

    Raises DataError where no bar has both.
    """
    options, matrix_options = options or LabelOptions(), matrix_options or MatrixOptions()
    matrix = build_matrix(bars, calendar, interval_ns, matrix_options, progress)
    keep = np.zeros(len(matrix.ts), dtype=np.bool_)
    label, known_at = np.zeros(len(keep), dtype=np.int8), np.zeros(len(keep), dtype=np.int64)
    forward, nearest = np.zeros((2, len(keep)))
    for number, one in enumerate(bars.values()):
        session = session_numbers(one.ts, calendar)
        found = triple_barrier(one, session, options)
        mine, at = _meet(np.flatnonzero(matrix.symbol == number), matrix.bar, found.row, len(one.ts))
        keep[mine] = True
        label[mine], known_at[mine] = found.label[at], found.known_at[at]
        forward[mine], nearest[mine] = found.forward[at], found.nearest[at]
    if not keep.any():
        longest = max((_longest_session(one, calendar) for one in bars.values()), default=0)
        raise DataError(
            f"no bar of {', '.join(bars) or 'no symbol'} has both features and {options.horizon} more bars in its "
            f"session to be judged by, after {options.sigma_bars} that say how far the price swings; "
            + (
                "fetch more history"
                if longest > options.horizon
                else f"no session has more than {longest} of these bars, and no label spans a night: take smaller bars"
            )
        )
    learnt = np.unique(matrix.symbol[keep])  # and not what those are compared with
    return Dataset(
        rows=matrix.x[keep].astype(np.float32, copy=False),
        label=label[keep],
        ts=matrix.ts[keep],
        known_at=known_at[keep],
        forward=forward[keep],
        nearest=nearest[keep],
        feature_names=matrix.names,
        feature_version=matrix.version,
        symbols=tuple(matrix.symbols[number] for number in learnt),
        symbol=np.searchsorted(learnt, matrix.symbol[keep]),
        asked=options,
        interval_ns=interval_ns,
        sessions=len(np.unique(matrix.ts[keep] // DAY_NS)),  # none of the US reaches over midnight UTC
        bars=sum(len(one.ts) for one in bars.values()),
        bars_sha256=fingerprint(bars),
        market=matrix_options.market,
        sectors=dict(matrix_options.sectors or {}),
    )


def _longest_session(bars: Bars, calendar: Calendar) -> int:
    number = session_numbers(bars.ts, calendar)
    return int(np.bincount(number[number >= 0], minlength=1).max())


def _meet(mine: Rows, bar: Ints, labelled: Ints, bars: int) -> tuple[Rows, Ints]:
    """Return those of the rows `mine` whose bar has a label, and which label that is."""
    position = np.full(bars, -1, dtype=np.int64)
    position[labelled] = np.arange(len(labelled))
    at = position[bar[mine]]
    return mine[at >= 0], at[at >= 0]


def fingerprint(bars: Mapping[str, Bars]) -> str:
    """Return the sha256 over all symbols' columns, symbols in alphabetical order."""
    digest = hashlib.sha256()
    for symbol in sorted(bars):
        one = bars[symbol]
        digest.update(symbol.encode() + b"\0")
        for column in (one.ts, one.open, one.high, one.low, one.close, one.volume):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
