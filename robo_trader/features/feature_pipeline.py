"""From bars of many symbols, in a database or a file, to the one matrix that models train on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import DTypeLike, NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Calendar
from robo_trader.data.bars import restate
from robo_trader.features.base import Bars, Floats, Ints, Rows
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.scan import Scan
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES

Progress = Callable[[str], None]

ENOUGH = 0.6  # of each symbol's rows; a column that is known less often is left out, and not the rows with it
DATABASES = (".db", ".sqlite", ".sqlite3")
_BARS = (
    "SELECT ts, open, high, low, close, volume, {} FROM bars WHERE symbol = ? AND interval_ns = ? ORDER BY ts"
)
_KNOWS_SPLITS = "SELECT count(*) FROM sqlite_master WHERE name = 'splits'"
_SPLITS = "SELECT since, new, old FROM splits WHERE symbol = ? AND since IS NOT NULL ORDER BY since, id"
_SYMBOLS = "SELECT DISTINCT symbol FROM bars WHERE interval_ns = ? ORDER BY symbol"

MODEL = [NAMES.index(name) for name in MODEL_NAMES]
# Columns that a symbol's own bars tell within its first session.
EARLY = [i for i, f in enumerate(CATALOGUE[j] for j in MODEL) if not f.optional and not f.sessions]


@dataclass(frozen=True)
class MatrixOptions:
    """How a matrix is built.

    `market` and `sectors` are what symbols are compared with; `of` are the symbols whose rows are wanted, None for all;
    `dtype` is that of the matrix; `workers` are the threads, 0 for one a processor; bars that closed before `since` (ns
    UTC) only warm the features.
    """

    market: str = "SPY"
    sectors: Mapping[str, str] | None = None
    of: Collection[str] | None = None
    dtype: DTypeLike = np.float64
    workers: int = 0
    since: int = 0


class _Part(NamedTuple):
    """The rows of one symbol in which every early column is known: which bars, and all columns models may see."""

    bar: Ints
    x: NDArray[np.floating]


def build_matrix(
    bars: Mapping[str, Bars],
    calendar: Calendar,
    interval_ns: int = MINUTE_NS,
    options: MatrixOptions | None = None,
    progress: Progress | None = None,
) -> Rows:
    """Build the model inputs of all symbols in order of time; bars still warming or passed over give no row.

    Of the columns that need other symbols, or weeks of history, those are taken that most rows know: a market that was
    not watched has none to tell, and two months of bars are not spent on an average of one. Symbols are scanned in
    threads, in blocks of rows: beside the bars it takes twice the memory of the result, and `progress` hears of each
    symbol that is done.
    """
    options = options or MatrixOptions()
    engine = FeatureEngine(calendar, interval_ns, options.market, options.sectors)
    scans = engine.scans(bars)
    parts = _parts(scans, options, progress)
    wanted = _known([part.x for part in parts.values()])
    complete = {s: np.flatnonzero(~np.isnan(part.x[:, wanted]).any(axis=1)) for s, part in parts.items()}
    kept = {symbol: parts[symbol].bar[rows] for symbol, rows in complete.items()}
    number = {symbol: i for i, symbol in enumerate(bars)}
    ts = _joined([bars[symbol].ts[bar] for symbol, bar in kept.items()])
    symbol = np.repeat([number[symbol] for symbol in kept], [len(bar) for bar in kept.values()]).astype(
        np.int64
    )
    order = np.lexsort((symbol, ts))
    return Rows(
        x=_sorted(parts, complete, wanted, order, options.dtype),
        names=tuple(MODEL_NAMES[column] for column in wanted),
        ts=ts[order],
        symbol=symbol[order],
        bar=_joined(list(kept.values()))[order],
        symbols=tuple(bars),
        version=engine.version,
    )


def _parts(scans: Mapping[str, Scan], options: MatrixOptions, progress: Progress | None) -> dict[str, _Part]:
    chosen = [symbol for symbol in scans if options.of is None or symbol in options.of]
    workers = options.workers or os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="features") as pool:
        found = pool.map(lambda symbol: _part(scans[symbol], options), chosen)
        parts = {}
        for symbol, part in zip(chosen, found, strict=True):
            parts[symbol] = part
            if progress is not None:
                progress(f"features of {symbol}")
    return parts


def _part(scan: Scan, options: MatrixOptions) -> _Part:
    bar, x = [np.empty(0, np.int64)], [np.empty((0, len(MODEL)), options.dtype)]
    for start, block in scan.blocks():
        inputs = block[:, MODEL]
        wanted = scan.place.seconds[start : start + len(block)] >= options.since / SECOND_NS
        known = np.flatnonzero(wanted & ~np.isnan(inputs[:, EARLY]).any(axis=1))
        bar.append(start + known)
        x.append(inputs[known].astype(options.dtype))
    return _Part(np.concatenate(bar), np.concatenate(x))


def _known(parts: Sequence[NDArray[np.floating]]) -> list[int]:
    """Return the columns to take: all early ones, and of the others those that enough rows of every symbol know."""
    shares = [np.count_nonzero(~np.isnan(x), axis=0) / len(x) for x in parts if len(x)]
    least = np.min(shares, axis=0) if shares else np.zeros(len(MODEL))
    return [i for i in range(len(MODEL)) if i in EARLY or least[i] >= ENOUGH]


def _sorted(
    parts: dict[str, _Part], complete: Mapping[str, Ints], wanted: list[int], order: Ints, dtype: DTypeLike
) -> Floats:
    """Put the rows of all symbols in order, and let go of each symbol's own as soon as they are."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    x = np.empty((len(order), len(wanted)), dtype)
    start = 0
    for symbol, rows in complete.items():
        part = parts.pop(symbol)
        x[place[start : start + len(rows)]] = part.x[rows][:, wanted]
        start += len(rows)
    return x


def _joined(columns: list[Ints]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *columns])


# ------------------------------------------------------------------------------------------------- bars on disk


def read_bars(path: Path, symbols: Sequence[str] = (), interval_ns: int = MINUTE_NS) -> dict[str, Bars]:
    """Read the bars of symbols (none: all there are) from our database, or from a CSV or Parquet file.

    Raises DataError where it cannot be read, holds none of a symbol, or its bars are of another size.
    """
    read = _from_database if path.suffix in DATABASES else _from_file
    found = read(path, symbols, interval_ns)
    missing = [symbol for symbol, bars in found.items() if not len(bars.ts)]
    if missing or not found:
        raise DataError(
            f"{path} holds no {interval_ns // SECOND_NS}-second bars of {', '.join(missing) or 'any symbol'}; run the "
            "daemon with these symbols once, it stores their history"
        )
    return found


def _from_database(path: Path, symbols: Sequence[str], interval_ns: int) -> dict[str, Bars]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            wanted = symbols or [row[0] for row in connection.execute(_SYMBOLS, (interval_ns,))]
            return {s: _stored(connection, s, interval_ns) for s in wanted}
    except sqlite3.Error as error:
        raise DataError(
            f"{path} cannot be read as a RoboTrader database ({error}); name the file that the daemon writes with --db"
        ) from error


def _stored(connection: sqlite3.Connection, symbol: str, interval_ns: int) -> Bars:
    """Return a symbol's bars in today's shares."""
    names = ("open", "high", "low", "close", "volume")
    layout = np.dtype([("ts", np.int64), *((name, np.float64) for name in names), ("told", np.int64)])
    (knows_splits,) = connection.execute(_KNOWS_SPLITS).fetchone()  # an older database does not
    bars = _BARS.format("coalesce(told, ts)" if knows_splits else "ts")
    table = np.fromiter(connection.execute(bars, (symbol, interval_ns)), dtype=layout)
    ts, *columns = (np.ascontiguousarray(table[name]) for name in ("ts", *names))
    restate(columns, table["told"], connection.execute(_SPLITS, (symbol,)) if knows_splits else ())
    return Bars(ts, *columns)


def _from_file(path: Path, symbols: Sequence[str], interval_ns: int) -> dict[str, Bars]:
    from robo_trader.data.files import open_file  # brings pandas

    file = open_file(path)
    found = {}
    for symbol in symbols or file.symbols:
        reading = file.read(symbol)
        if reading.refused:
            why = "; ".join(str(finding.why) for finding in reading.findings)
            raise DataError(f"{path}: the bars of {symbol} cannot be used: {why}")
        if reading.interval_ns != interval_ns:
            raise DataError(
                f"{path}: the bars of {symbol} are of {reading.interval_ns // SECOND_NS} seconds, "
                f"not of {interval_ns // SECOND_NS}"
            )
        if len(reading.bars) and np.isnan(reading.bars.volume).all():
            raise DataError(
                f"{path}: the bars of {symbol} have no volume, and features need it; add a column volume, in shares"
            )
        found[symbol] = reading.bars
    return found
