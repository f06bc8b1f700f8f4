"""Tapes of real ticks: trades with quotes or with a deep book, replayed print by print.

A tick tape is one Parquet or CSV file, oldest row first for each symbol. Its columns:

* `ts`: when it happened, a timestamp with time zone; `symbol`; `kind`: `trade` or `quote`.
* `price` and `size` of a trade, USD and whole shares. Optional: `exchange` and `conditions` (letters apart by spaces;
  `O` marks the opening and `6` the closing auction).
* Of a tape of **quotes and trades**: `bid`, `bid_size`, `ask`, `ask_size`, the best of all exchanges.
* Of a tape of **depth** (LOBSTER's messages and book, side by side): `bid1`, `bid1_size`, `ask1`, `ask1_size` and so on,
  down to ten levels, standing after the row; executions are trades, all other messages quotes.

A side without a number in a row stands as before; a level without a number or of 0 shares is not there. Rows outside
regular trading hours are not replayed, but the quotes before the open stand at the open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.flow import Passage, Print, TouchAt
from robo_trader.simulation.limit_book import DEPTH, Ladder
from robo_trader.simulation.rows import Rows
from robo_trader.simulation.tape import (
    HOUR_NS,
    SLICE_NS,
    Floats,
    Integers,
    Minutes,
    MinuteSource,
    Slices,
    TapeMarket,
    reach,
    read_columns,
    sha256_of,
    wanted_rows,
)

_OVERNIGHT_NS = 14 * HOUR_NS  # a quote from longer before the open does not stand at it
_SIDES = ("bid", "ask")


def open_tape(
    path: Path, symbols: Sequence[str] | None = None, calendar: XnysCalendar | None = None
) -> MinuteSource:
    """Read a tape of bars or, where it has a column `kind`, of ticks. Raises DataError."""
    market = TickTape if "kind" in _names(path) else TapeMarket
    return market(path, symbols, calendar)


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of a symbol's book: the rows that told it, and its levels (n, depth) there in cents and shares.

    `latest` has for each row of the tape how many rows up to it have told this side.
    """

    told: Integers
    latest: Integers
    cents: Integers
    sizes: Integers
    best: Integers  # which level is the first with shares

    def after(self, row: int, first: int) -> Ladder:
        """Return the levels that stand after a row, best first; none that were told before the row `first`."""
        at = self._at(row, first)
        if at < 0:
            return ()
        pairs = zip(self.cents[at].tolist(), self.sizes[at].tolist(), strict=True)
        return [(cents, size) for cents, size in pairs if size > 0]

    def touch_after(self, row: int, first: int) -> tuple[int, int]:
        """Return the best of these levels, 0 and 0 where there is none."""
        at = self._at(row, first)
        best = self.best[at]
        size = self.sizes[at, best].item() if at >= 0 else 0
        return (self.cents[at, best].item(), size) if size > 0 else (0, 0)

    def _at(self, row: int, first: int) -> int:
        """Return which of the rows that told this side stands after a row of the tape, -1 for none."""
        at = int(self.latest[row]) - 1 if row >= 0 else -1
        return at if at >= 0 and self.told[at] >= first else -1


@dataclass(frozen=True, eq=False)
class _Ticks:
    """One symbol's tape; all columns of one length but those of the sides."""

    ts: Integers
    trade: NDArray[np.bool_]
    price: Floats
    size: Integers
    exchange: NDArray[Any]
    conditions: NDArray[Any]
    bid: _Side
    ask: _Side
    told: NDArray[np.bool_]  # rows that tell a side
    spread: float  # USD, the median

    def rows(self, begin: int, end: int) -> tuple[int, int]:
        first, last = np.searchsorted(self.ts, [begin, end])
        return int(first), int(last)

    def morning(self, session: Session) -> int:
        """Return the first row that may stand at the open of a session."""
        return self.rows(session.open - _OVERNIGHT_NS, session.open)[0]

    def touch(self, ts: int, row: int, morning: int) -> TouchAt:
        """Return the touch that stands after a row, and from `ts` on."""
        (bid, bid_size), (ask, ask_size) = (side.touch_after(row, morning) for side in (self.bid, self.ask))
        return TouchAt(ts, bid, ask, bid_size, ask_size, row)


class TickTape:
    """A market of real ticks: its bars are made of its trades, its prints and quotes are those of the tape.

    It is both a source of minutes and the flow inside them; nothing can be laid over it but halts.
    """

    real = True

    def __init__(
        self, path: Path, symbols: Sequence[str] | None = None, calendar: XnysCalendar | None = None
    ) -> None:
        """Read and check the whole file. Raises DataError that says which row, why and how to mend it."""
        names = _names(path)
        levels = _levels(path, names)
        numbers = ["price", "size"] + [name for pair in levels["bid"] + levels["ask"] for name in pair]
        words = ["kind", *(name for name in ("exchange", "conditions") if name in names)]
        columns = read_columns(path, numbers, words)
        columns.setdefault("exchange", np.full(len(columns["ts"]), ""))
        columns.setdefault("conditions", np.full(len(columns["ts"]), ""))
        self._ticks = {
            symbol: _ticks(path, symbol, rows, columns, levels)
            for symbol, rows in wanted_rows(path, columns["symbol"], symbols).items()
        }
        self.symbols: tuple[str, ...] = tuple(self._ticks)
        self.identity = f"tape:{sha256_of(path)}"
        traded = np.concatenate([ticks.ts[ticks.trade] for ticks in self._ticks.values()])
        closes = np.unique(traded // MINUTE_NS) * MINUTE_NS + MINUTE_NS
        self.first, self.last = reach(path, closes, calendar or XnysCalendar())

    def knows(self, symbol: str) -> bool:
        return symbol in self._ticks

    def spread(self, symbol: str, price: float) -> float:
        return self._ticks[symbol].spread if symbol in self._ticks else 0.01

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return the session's minutes with a trade; none for a symbol or day that is not on the tape."""
        return Minutes(*self._bars(symbol, session, MINUTE_NS))

    def slices(self, symbol: str, session: Session, minutes: Minutes) -> Slices:
        """Return the session's 5-second slices with a trade."""
        return Slices(*self._bars(symbol, session, SLICE_NS))

    def passage(self, symbol: str, session: Session, rows: Rows, k: int) -> Passage:
        """Return the tape's own prints and quotes in slice k of a session."""
        begin = session.open + k * SLICE_NS
        ticks = self._ticks[symbol]
        morning = ticks.morning(session)
        first, last = ticks.rows(begin, begin + SLICE_NS)
        events = list[Print | TouchAt]()
        for row in range(first, last):
            ts = int(ticks.ts[row])
            if ticks.trade[row]:
                where, marks = str(ticks.exchange[row]), str(ticks.conditions[row])
                events.append(Print(ts, float(ticks.price[row]), int(ticks.size[row]), where, marks))
            if ticks.told[row]:
                events.append(ticks.touch(ts, row, morning))
        return Passage(ticks.touch(begin, first - 1, morning), events, [event.ts for event in events])

    def levels(self, symbol: str, session: Session, rows: Rows, touch: TouchAt) -> tuple[Ladder, Ladder]:
        """Return the tape's own levels behind a touch, as many as it has."""
        ticks = self._ticks[symbol]
        morning = ticks.morning(session)
        return ticks.bid.after(touch.at, morning), ticks.ask.after(touch.at, morning)

    def _bars(self, symbol: str, session: Session, length: int) -> tuple[Any, ...]:
        """Return the columns of a session's bars of that length (ns), made of its trades."""
        ticks = self._ticks.get(symbol)
        first, last = ticks.rows(session.open, session.close) if ticks is not None else (0, 0)
        traded = np.flatnonzero(ticks.trade[first:last]) + first if ticks is not None else np.empty(0, int)
        if ticks is None or not len(traded):
            none = np.empty(0)
            return np.empty(0, np.int64), none, none, none, none, none
        price, start = ticks.price[traded], ticks.ts[traded] // length * length
        cuts = np.flatnonzero(np.diff(start, prepend=start[0] - 1))
        ends = np.append(cuts[1:], len(start)) - 1
        high, low = np.maximum.reduceat(price, cuts), np.minimum.reduceat(price, cuts)
        volume = np.add.reduceat(ticks.size[traded], cuts).astype(np.float64)
        return start[cuts], price[cuts], high, low, price[ends], volume


def _names(path: Path) -> list[str]:
    """Return the names of a tape's columns, none where it cannot be read: reading it says why."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".csv":
            with path.open() as file:
                return [name.strip().strip('"') for name in file.readline().split(",")]
        return list(pyarrow.parquet.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return []


def _levels(path: Path, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of each side's prices and sizes, best level first."""
    if "bid" in names:
        return {side: [(side, f"{side}_size")] for side in _SIDES}
    depth = next((n for n in range(DEPTH, 0, -1) if f"bid{n}" in names and f"ask{n}" in names), 0)
    if not depth:
        raise DataError(f"{path}: it has ticks but neither `bid` and `ask` nor `bid1` and `ask1`; add quotes")
    return {side: [(f"{side}{n}", f"{side}{n}_size") for n in range(1, depth + 1)] for side in _SIDES}


def _ticks(
    path: Path,
    symbol: str,
    rows: Integers,
    columns: dict[str, NDArray[Any]],
    levels: dict[str, list[tuple[str, str]]],
) -> _Ticks:
    """Check one symbol's rows and return them."""
    ts, price, size = (columns[name][rows] for name in ("ts", "price", "size"))
    trade = columns["kind"][rows] == "trade"
    whole = np.isfinite(size) & (np.floor(size) == size) & (size > 0)
    defects = (
        (~trade & (columns["kind"][rows] != "quote"), "`kind` is neither trade nor quote", "say which it is"),
        (trade & ~(np.isfinite(price) & (price > 0)), "the trade has no price", "drop or repair the row"),
        (trade & ~whole, "the trade's size is not a whole number above 0", "drop or repair the row"),
        (np.diff(ts, prepend=ts[0]) < 0, "it is older than the row before it", "sort each symbol by `ts`"),
    )
    for wrong, why, cure in defects:
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DataError(f"{path}: row {int(rows[at]) + 1} ({symbol}): {why}; {cure}")
    bid, ask = (_side(rows, columns, levels[side]) for side in _SIDES)
    if not trade.any() or not len(bid.told) or not len(ask.told):
        raise DataError(f"{path}: {symbol} lacks trades, bids or asks; give a tape of bars instead")
    known = np.intersect1d(bid.told, ask.told)
    best = [side.cents[np.isin(side.told, known), 0] for side in (bid, ask)]
    wide = max(1, int(np.median(best[1] - best[0]))) if len(known) else 1
    shares = np.where(trade, size, 0).astype(np.int64)
    where, marks = columns["exchange"][rows], columns["conditions"][rows]
    told = np.zeros(len(ts), dtype=bool)
    told[np.union1d(bid.told, ask.told)] = True
    return _Ticks(ts, trade, price, shares, where, marks, bid, ask, told, wide / 100)


def _side(rows: Integers, columns: dict[str, NDArray[Any]], levels: list[tuple[str, str]]) -> _Side:
    """Return what the rows tell of one side."""
    prices = np.stack([columns[name][rows] for name, _ in levels], axis=1)
    sizes = np.stack([columns[name][rows] for _, name in levels], axis=1)
    told = np.flatnonzero(np.isfinite(sizes).any(axis=1) | np.isfinite(prices).any(axis=1))
    there = np.isfinite(prices[told]) & (prices[told] > 0) & (np.nan_to_num(sizes[told]) > 0)
    cents = np.rint(np.where(there, prices[told], 0.0) * 100).astype(np.int64)
    latest = np.searchsorted(told, np.arange(len(rows)), side="right")
    best = there.argmax(axis=1)
    return _Side(told, latest, cents, np.where(there, sizes[told], 0).astype(np.int64), best)
