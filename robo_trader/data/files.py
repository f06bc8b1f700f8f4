"""Reads bars from CSV, Parquet and SQLite files, repairs what can be repaired and says what was wrong."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.data import cleaning, notation
from robo_trader.data.bars import Bars
from robo_trader.data.cleaning import Reading, ReadOptions
from robo_trader.data.findings import Defect, Done, finding

if TYPE_CHECKING:
    import pandas as pd

_DATABASES = (".db", ".sqlite", ".sqlite3")
_NAMES = {
    "ts": ("ts", "timestamp", "datetime", "date_time", "time", "date"),
    "symbol": ("symbol", "ticker", "sym"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "interval_ns": ("interval_ns",),
}
_PRICES = ("open", "high", "low", "close")
_NOTHING = ("", "-", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")  # in place of a number
_SUSPECTS = 3  # last dates that may have been fetched too early
_PANEL = 5  # symbols from which on their common volume tells


@dataclass(frozen=True)
class BarFile:
    """A file of bars of one symbol or several, in memory as it was found."""

    path: Path
    _table: pd.DataFrame
    nameless: int = 0  # rows that were left out because they name no symbol

    @property
    def symbols(self) -> list[str]:
        """The symbols in it; one that names none has the file's name."""
        return sorted(map(str, self._table["symbol"].unique()))

    def read(self, symbol: str = "", options: ReadOptions | None = None) -> Reading:
        """Return the symbol's bars, repaired, and everything that was found wrong with them.

        `symbol` may be empty where the file has one only. Raises DataError for a symbol that is not in the file.
        """
        chosen = self._chosen(symbol)
        table = self._table[self._table["symbol"] == chosen]
        known = options or self._options()
        reading = cleaning.clean(chosen, _columns(table), self._daily, known, self._early)
        if not self.nameless:
            return reading
        nameless = finding(
            Defect.UNREADABLE, Done.DROPPED, (), "rows of the file name no symbol", self.nameless
        )
        return replace(reading, findings=(nameless, *reading.findings))

    def _chosen(self, symbol: str) -> str:
        wanted = symbol.strip().upper()
        known = self.symbols
        if wanted in known:
            return wanted
        if not wanted and len(known) == 1:
            return known[0]
        few = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
        problem = f"there is no {wanted}" if wanted else "it has several symbols: say which"
        raise DataError(f"{self.path}: {problem}; there are {few}")

    def _options(self) -> ReadOptions:
        # Our own database names closes.
        return ReadOptions(zone="UTC", stamped="end") if self.path.suffix in _DATABASES else ReadOptions()

    @cached_property
    def _daily(self) -> bool:
        """Whether rows are days: at most two times of day, as summer makes of one, and no two rows within a day."""
        known = self._table[self._table["ts"].notna()]
        ns = _ns(known)
        days = known.assign(day=ns // DAY_NS)
        return len(np.unique(ns % DAY_NS)) <= 2 and not (days.groupby("symbol")["day"].diff() == 0).any()

    @cached_property
    def _early(self) -> frozenset[int]:
        """The last dates (UTC ns) that symbols have with far less volume than usual, or most symbols do not have."""
        return frozenset(_early_dates(self._table)) if self._daily else frozenset()


def open_file(path: Path, date_order: str = "") -> BarFile:
    """Read a CSV, Parquet or SQLite file. Raises DataError where it is none, has no bars, or can be read in two ways.

    `date_order` is a `notation.DateOrder`, empty where the file's dates tell.
    """
    if path.is_dir():
        raise DataError(f"{path}: a directory; name one file of bars in it")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    table = _load(path)
    named = {str(column).strip().lower(): column for column in table.columns}
    if "date" in named and "time" in named:
        both = table[named["date"]].astype(str) + " " + table[named["time"]].astype(str)
        table = table.drop(columns=[named.pop("date"), named.pop("time")]).assign(ts=both)
        named["ts"] = "ts"
    chosen = {ours: named[n] for ours, names in _NAMES.items() if (n := _first(names, named)) is not None}
    missing = [name for name in ("ts", *_PRICES) if name not in chosen]
    if missing:
        raise DataError(
            f"{path}: no column for {', '.join(missing)}; there are {', '.join(map(str, table.columns))}. "
            "Bars need ts (or date, timestamp, …), open, high, low, close, and should have volume and symbol"
        )
    found = table[list(chosen.values())].set_axis(list(chosen), axis=1)
    if found.empty:
        raise DataError(f"{path}: it holds no bars")
    try:
        normal = _normal(found, path, date_order)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    named_rows = normal[normal["symbol"] != ""]
    if named_rows.empty:
        raise DataError(f"{path}: no row names a symbol; fill the column, or leave it out")
    return BarFile(path, named_rows, len(normal) - len(named_rows))


def _load(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in _DATABASES:
            return _from_database(path)
        return _from_csv(path)
    except (OSError, ValueError, sqlite3.Error, pd.errors.DatabaseError) as error:
        kind = {".parquet": "Parquet"}.get(path.suffix, "SQLite" if path.suffix in _DATABASES else "CSV")
        first = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as {kind}: {first}") from error


def _from_csv(path: Path) -> pd.DataFrame:
    """Return what a CSV file holds: numbers of a file with commas between columns as numbers, all else as text."""
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as lines:
        header = lines.readline()
        mark = max(",;\t|", key=header.count)
        names, values = (
            next(csv.reader([header], delimiter=mark), []),
            next(csv.reader(lines, delimiter=mark), []),
        )
    if any(values[len(names) :]):
        why = (
            "a decimal comma? Write points, or put ; between the columns"
            if mark == ","
            else "is one missing?"
        )
        raise DataError(f"{path}: {len(names)} columns are named and its first row has {len(values)}: {why}")
    words = {*_NAMES["ts"], *_NAMES["symbol"]}
    # Where a comma parts no columns it may be in any number.
    texts = [name for name in names if mark != "," or name.strip().lower() in words]
    return pd.read_csv(
        path,
        sep=mark,
        encoding="utf-8-sig",
        header=0,
        names=[
            *names,
            *(f"beyond {n}" for n in range(len(names), len(values))),
        ],  # rows may end with a separator
        index_col=False,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,  # NA is a ticker
        na_values={name: list(_NOTHING) for name in names if name not in texts},
        low_memory=False,
    )


def _from_database(path: Path) -> pd.DataFrame:
    import pandas as pd

    columns = "ts, symbol, open, high, low, close, volume, interval_ns"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        table = pd.read_sql_query(f"SELECT {columns} FROM bars", connection)
    if table.empty:
        return table
    shortest: pd.DataFrame = table[table["interval_ns"] == table["interval_ns"].min()]
    return shortest


def _first(names: Sequence[str], named: dict[str, Any]) -> str | None:
    return next((name for name in names if name in named), None)


def _normal(table: pd.DataFrame, path: Path, date_order: str) -> pd.DataFrame:
    """Return the table with times as datetimes and numbers as floats; what cannot be read is NaT or NaN."""
    numbers = notation.numbers({name: table[name] for name in (*_PRICES, "volume") if name in table})
    named = table["symbol"].where(table["symbol"].notna(), "") if "symbol" in table else None
    symbol = path.stem.upper() if named is None else named.astype(str).str.strip().str.upper()
    table = table.assign(**numbers, symbol=symbol, ts=notation.times(table["ts"], date_order))
    return table if "volume" in table else table.assign(volume=np.nan)


def _is_aware(table: pd.DataFrame) -> bool:
    return table["ts"].dt.tz is not None


def _ns(table: pd.DataFrame) -> NDArray[np.int64]:
    at = table["ts"].dt.tz_localize(None) if _is_aware(table) else table["ts"]
    return at.to_numpy().astype("datetime64[ns]").astype(np.int64)


def _columns(table: pd.DataFrame) -> Bars:
    opened, high, low, close = (table[name].to_numpy(np.float64) for name in _PRICES)
    unreadable = np.asarray(table["ts"].isna())
    ts = np.where(unreadable, np.int64(cleaning.NEVER), _ns(table.assign(ts=table["ts"].ffill().bfill())))
    return Bars(ts, opened, high, low, close, table["volume"].to_numpy(np.float64))


def _early_dates(table: pd.DataFrame) -> list[int]:
    rows = table.assign(ns=_ns(table), symbol=table["symbol"].astype(str))
    early: list[int] = []
    for date in sorted(rows["ns"].unique())[::-1][:_SUSPECTS]:
        now, before = rows[rows["ns"] == date], rows[rows["ns"] < date]
        usual = before.groupby("symbol")["volume"].apply(lambda volume: volume.tail(20).median())
        if not len(usual) or not usual.gt(0).any():
            break
        ratio = (now.set_index("symbol")["volume"] / usual).dropna()
        ragged = len(usual) >= _PANEL and len(now) < len(usual) / 2
        if not ragged and (not len(ratio) or ratio.median() >= (0.5 if len(usual) >= _PANEL else 0.35)):
            break
        early.append(int(date))
    return early
