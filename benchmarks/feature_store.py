"""Reading a month of stored vectors: 21 sessions of 50 symbols, minute by minute, all columns, beside pandas.

    python -m benchmarks.feature_store [--sessions 21] [--symbols 50] [--ways matrix parquet …]

The vectors are noise, written through the journal's own statement; then, each in a process of its own, so that its memory is
its own, and with the file in the machine's cache: `matrix` is ours; `parquet`, `csv` are `robo-trader features --out`;
`pandas_sql` is pandas.read_sql of a table with one REAL column a feature, `pandas_parquet` pandas.read_parquet of what
`--out` wrote. `journal_mb_a_day` is what the vectors of a day take in the journal, now and as they were kept before.
Seconds, and the most memory over that of the imports. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from io import StringIO
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

from robo_trader.bootstrap import feature_files
from robo_trader.bootstrap.feature_files import Wanted
from robo_trader.config import load
from robo_trader.core.events import MINUTE_NS, encode
from robo_trader.core.steps import FeatureRow, Step, journaled
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.technical_indicators import NAMES
from robo_trader.storage import feature_rows, queries
from robo_trader.storage import statements as sql
from robo_trader.storage.feature_rows import Asked
from robo_trader.storage.schema import migrate

VERSION = "v1"
MINUTES = 390
BULK = 2_000


def symbols(count: int) -> list[str]:
    """Name that many shares."""
    return [f"S{i:02d}" for i in range(count)]


def write(path: Path, sessions: int, count: int, widely: bool) -> None:
    """Write the vectors into a database of ours and, `widely`, into a wide table beside it."""
    rng = np.random.default_rng(7)
    days = XnysCalendar().before("2026-02-02", sessions)
    stamps = [day.open + (n + 1) * MINUTE_NS for day in days for n in range(MINUTES)]
    rows = ((symbol, ts, rng.normal(size=len(NAMES))) for ts in stamps for symbol in symbols(count))
    named = ", ".join(f"{name} REAL" for name in NAMES)
    with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(wide(path))) as theirs:
        migrate(ours)
        ours.execute(sql.FEATURE_COLUMNS, (VERSION, json.dumps(NAMES)))
        theirs.execute(f"CREATE TABLE wide (ts INTEGER, symbol TEXT, {named}, PRIMARY KEY (ts, symbol))")
        into = f"INSERT INTO wide VALUES ({', '.join('?' * (len(NAMES) + 2))})"
        while block := list(islice(rows, BULK)):
            told = [(symbol, VERSION, ts, x.tobytes(), crc32(x.tobytes())) for symbol, ts, x in block]
            ours.executemany(sql.FEATURES, told)
            if widely:
                theirs.executemany(into, [(ts, symbol, *x.tolist()) for symbol, ts, x in block])
            ours.commit()
            theirs.commit()


def wide(path: Path) -> Path:
    """Name the file with the wide table."""
    return path.with_name("wide.db")


def matrix(path: Path) -> int:
    """Read all into one matrix."""
    with closing(queries.connect_readonly(path)) as connection:
        found = feature_rows.matrix(
            connection, Asked(VERSION, [one.symbol for one in feature_rows.told(connection)])
        )
    return len(found.x)


def exported(path: Path, suffix: str) -> int:
    """Write all to a file as the command does."""
    said = StringIO()
    with redirect_stdout(said):
        feature_files.export(load(), Wanted(), path, path.with_name(f"month.{suffix}"))
    return int(said.getvalue().split()[1].replace(",", ""))


def pandas_sql(path: Path) -> int:
    """Read all from the wide table."""
    import pandas as pd

    with closing(sqlite3.connect(wide(path))) as connection:
        return len(pd.read_sql("SELECT * FROM wide ORDER BY ts, symbol", connection))


def pandas_parquet(path: Path) -> int:
    """Read all from what `--out` wrote."""
    import pandas as pd

    return len(pd.read_parquet(path.with_name("month.parquet")))


WAYS: dict[str, Callable[[Path], int]] = {
    "matrix": matrix,
    "parquet": lambda path: exported(path, "parquet"),
    "csv": lambda path: exported(path, "csv"),
    "pandas_parquet": pandas_parquet,
    "pandas_sql": pandas_sql,
}


def one(way: str, path: Path) -> dict[str, float]:
    """Measure one way, in this process."""
    import pandas  # noqa: F401 imports are nobody's reading
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    rows = WAYS[way](path)
    taken = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": rows, "s": round(taken, 2), "mb": round((most - before) / 1024)}


def journal_mb_a_day(count: int) -> dict[str, float]:
    """Return what a day's vectors take in the journal: as digests, and whole as before."""
    row = FeatureRow(
        1_767_623_460_000_000_000,
        "NVDA",
        "0123456789ab",
        np.random.default_rng(7).normal(size=len(NAMES)).tobytes(),
    )
    step, empty = Step((), (row,)), len(encode(Step()))
    each = {"now": len(journaled(step)) - empty, "before": len(encode(step)) - empty}
    return {name: round(size * MINUTES * count / 1e6, 1) for name, size in each.items()}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=21)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--dir", type=Path, help="where to write; without it where temporary files go")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FILE"), help="measure one way in this process")
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="in this order; default: all"
    )
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one[0], Path(asked.one[1]))))
        return
    found: dict[str, object] = {"journal_mb_a_day": journal_mb_a_day(asked.symbols)}
    with tempfile.TemporaryDirectory(prefix="robo-features-", dir=asked.dir) as made:
        path = Path(made) / "desk.db"
        write(path, asked.sessions, asked.symbols, "pandas_sql" in asked.ways)
        for way in asked.ways:
            words = [sys.executable, "-m", "benchmarks.feature_store", "--one", way, str(path)]
            said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            found[way] = json.loads(said.splitlines()[-1])
        found["file_mb"] = {
            file.name: round(file.stat().st_size / 1e6) for file in sorted(Path(made).iterdir())
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
