"""The command that writes stored vectors of shares to a file, as one matrix."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robo_trader.bootstrap.commands import database_of
from robo_trader.bootstrap.shown_features import clock, local, parse_time
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.storage import feature_rows, queries
from robo_trader.storage.feature_rows import FIRST, LAST, Asked, FeatureMatrix, Told

if TYPE_CHECKING:
    import pyarrow as pa

Write = Callable[[sqlite3.Connection, Asked, tuple[str, ...], Path], int]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Wanted:
    """What the user asks for: comma-separated symbols (none: all there are), New York times, a version of the features."""

    symbols: str = ""
    since: str = ""
    until: str = ""
    version: str = ""


def export(settings: Settings, wanted: Wanted, db: Path | None, out: Path) -> int:
    """Write the vectors from `since` to `until`, both included, to a new .parquet, .csv or .npz file.

    A row has ts, symbol and the columns by name; what was not known is empty (NaN in .npz). Raises ConfigurationError
    where a flag is wrong, DataError where there is nothing to write, of several versions, damaged, or not to be written.
    """
    write = _writer(out)
    since = parse_time(wanted.since, "--from") if wanted.since else FIRST
    until = _end(wanted.until)
    path = database_of(settings, db)
    partial = out.with_name(out.name + ".partial")
    with closing(queries.connect_readonly(path)) as connection:
        asked = _chosen(path, feature_rows.told(connection, since, until), wanted, since, until)
        names = feature_rows.columns_of(connection, asked.version)
        if not names:
            raise DataError(f"{path} does not name the columns of version {asked.version}")
        try:
            rows = write(connection, asked, names, partial)
            partial.replace(out)
        except OSError as error:
            raise DataError(f"{out}: cannot be written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
    sys.stdout.write(
        f"{out}: {rows:,} rows of {len(asked.symbols)} symbols, {len(names)} columns of version {asked.version}, "
        f"{out.stat().st_size / 1e6:,.1f} MB\n"
    )
    return 0


def _writer(out: Path) -> Write:
    writers: dict[str, Write] = {".parquet": _parquet, ".csv": _csv, ".npz": _npz}
    write = writers.get(out.suffix.lower())
    if write is None:
        raise ConfigurationError(f"--out {out}: end its name in .parquet, .csv or .npz")
    if out.exists():
        raise ConfigurationError(f"--out {out}: exists already; name a new file")
    if not out.parent.is_dir():
        raise ConfigurationError(f"--out {out}: there is no directory {out.parent}")
    return write


def _end(text: str) -> int:
    """Return the time before which vectors are wanted: a day alone means all of it."""
    if not text:
        return LAST
    last = parse_time(text, "--to")
    if _DATE.fullmatch(text.strip()):
        midnight = local(last) + timedelta(days=1)  # a day may have 23 or 25 hours
        return int(midnight.timestamp()) * SECOND_NS
    return min(last, LAST - 1) + 1


def _chosen(path: Path, told: Sequence[Told], wanted: Wanted, since: int, until: int) -> Asked:
    """Say which vectors are meant, of one version. Raises DataError where that is not clear, or there are none."""
    symbols = [one.strip().upper() for one in wanted.symbols.split(",") if one.strip()]
    found = [one for one in told if not symbols or one.symbol in symbols]
    versions = {one.version for one in found}
    if wanted.version:
        found = [one for one in found if one.version == wanted.version]
    missing = sorted(set(symbols) - {one.symbol for one in found})
    if missing or not found:
        there = ", ".join(sorted({one.symbol for one in told})) or "none of any symbol"
        raise DataError(
            f"{path} holds no features of {', '.join(missing) or 'any symbol'} "
            f"{f'in version {wanted.version} ' if wanted.version else ''}for that time; there are: {there}"
        )
    if not wanted.version and len(versions) > 1:
        each = "\n".join(f"  {_described(version, found)}" for version in sorted(versions))
        raise DataError(
            f"the features changed meanwhile, and vectors of different versions make no matrix:\n{each}\n"
            "take those of one with --version, or of a time that has only one with --from and --to"
        )
    return Asked(found[0].version, sorted({one.symbol for one in found}), since, until)


def _described(version: str, found: Sequence[Told]) -> str:
    of = [one for one in found if one.version == version]
    symbols = sorted({one.symbol for one in of})
    first, last = min(one.first for one in of), max(one.last for one in of)
    return f"{version}: {sum(one.rows for one in of):,} rows of {', '.join(symbols)}, {clock(first)} to {clock(last)}"


def _parquet(connection: sqlite3.Connection, asked: Asked, names: tuple[str, ...], path: Path) -> int:
    import pyarrow.parquet as pq

    schema = _schema(asked, names)
    rows = 0
    with pq.ParquetWriter(path, schema, use_dictionary=["symbol"]) as file:
        for block in feature_rows.blocks(connection, asked):
            file.write_table(_table(block, schema))
            rows += len(block.ts)
    return rows


def _csv(connection: sqlite3.Connection, asked: Asked, names: tuple[str, ...], path: Path) -> int:
    import pyarrow.csv

    schema = _schema(asked, names)
    rows = 0
    with pyarrow.csv.CSVWriter(path, schema) as file:
        for block in feature_rows.blocks(connection, asked):
            file.write_table(_table(block, schema))
            rows += len(block.ts)
    return rows


def _npz(connection: sqlite3.Connection, asked: Asked, names: tuple[str, ...], path: Path) -> int:
    found = feature_rows.matrix(connection, asked)
    with path.open("wb") as file:
        np.savez(
            file, ts=found.ts, symbol=found.symbol, symbols=np.array(found.symbols), x=found.x,
            columns=np.array(names), version=np.array(found.version),
        )  # fmt: skip
    return len(found.ts)


def _schema(asked: Asked, names: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    known = [("ts", pa.timestamp("ns", tz="UTC")), ("symbol", pa.string())]
    return pa.schema(
        [*known, *((name, pa.float64()) for name in names)], metadata={"features": asked.version}
    )


def _table(block: FeatureMatrix, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    symbols = np.array(block.symbols, dtype=object)[block.symbol]
    columns = [pa.array(column, from_pandas=True) for column in block.x.T]  # NaN becomes empty
    return pa.table([pa.array(block.ts).cast(schema.field("ts").type), symbols, *columns], schema=schema)
