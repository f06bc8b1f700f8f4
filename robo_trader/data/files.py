"""Reads bars from CSV, Parquet and SQLite files, repairs what can be repaired and says what was wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.data import cleaning
from robo_trader.data.bars import Bars
from robo_trader.data.cleaning import Reading, ReadOptions

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
# The largest time in seconds, milliseconds and microseconds that is a date before the year 5000.
_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))
_SUSPECTS = 3  # last dates that may have been fetched too early
_PANEL = 5  # symbols from which on their common volume tells


@dataclass(frozen=True)
class BarFile:
    """A file of bars of one symbol or several, in memory as it was found."""

    path: Path
    _table: pd.DataFrame

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
        return cleaning.clean(chosen, _columns(table), self._daily, known, self._early)

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


def open_file(path: Path) -> BarFile:
    """Read a CSV, Parquet or SQLite file. Raises DataError where it is none, or has no bars."""
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
    return BarFile(path, _normal(found, path))


def _load(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in _DATABASES:
            return _from_database(path)
        with path.open() as lines:
            header = lines.readline()
        return pd.read_csv(path, sep=max(",;\t|", key=header.count))
    except (OSError, ValueError, sqlite3.Error, pd.errors.DatabaseError) as error:
        kind = {".parquet": "Parquet"}.get(path.suffix, "SQLite" if path.suffix in _DATABASES else "CSV")
        first = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as {kind}: {first}") from error


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


def _normal(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table with times as datetimes and numbers as floats; what cannot be read is NaT or NaN."""
    import pandas as pd

    numbers = {
        name: pd.to_numeric(table[name], errors="coerce").astype("float64")
        for name in (*_PRICES, "volume")
        if name in table
    }
    symbol = table["symbol"].astype(str).str.strip().str.upper() if "symbol" in table else path.stem.upper()
    table = table.assign(**numbers, symbol=symbol, ts=_times(table["ts"]))
    return table if "volume" in table else table.assign(volume=np.nan)


def _times(column: pd.Series) -> pd.Series:
    """Return UTC times where the file says a zone, else naive wall times; numbers count from 1970 in UTC."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return column if column.dt.tz is None else column.dt.tz_convert("UTC")
    if pd.api.types.is_numeric_dtype(column):
        unit = next((ns for most, ns in _UNITS if column.abs().max() < most), 1)
        return pd.to_datetime(
            (column.astype("float64") if unit == 1 and column.isna().any() else column) * unit, utc=True
        )
    text = column.astype(str).str.strip()
    if text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).mean() > 0.5:
        return pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
    return pd.to_datetime(text, errors="coerce", format="mixed")


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
