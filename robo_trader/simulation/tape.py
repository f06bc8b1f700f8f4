"""Minute bars as a market offers them, read from a file of real bars, and cut into 5-second slices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar

HOUR_NS = 60 * MINUTE_NS
SLICES = 12
SLICE_NS = 5 * SECOND_NS
PRICES = ("open", "high", "low", "close")
COLUMNS = ("ts", "symbol", *PRICES, "volume")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_Whole = TypeVar("_Whole", int, Integers)
_MOST_USD, _MOST_SHARES = 10_000_000, 1_000_000_000  # a share, and in a minute


@dataclass(frozen=True, eq=False)
class Columns:
    """Bars of one symbol as columns of equal length.

    `start` is when the bar begins, UTC nanoseconds, ascending. Prices are USD on the whole cent, volume is whole
    shares.
    """

    start: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.start)


class Minutes(Columns):
    """Minute bars; minutes without a trade may simply be absent."""


class Slices(Columns):
    """Consecutive 5-second bars, twelve rows for each minute they were cut from."""


class MinuteSource(Protocol):
    """A market that can be asked for any session of a symbol, in any order, and always answers the same."""

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """The symbols it has, None when it has any."""

    @property
    def identity(self) -> str:
        """What makes this market this market: equal text, equal bars."""

    @property
    def first(self) -> str:
        """Label of the first session it can serve."""

    @property
    def last(self) -> str | None:
        """Label of the last session it can serve, None when it never ends."""

    def knows(self, symbol: str) -> bool: ...

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return the session's bars; none where it has none."""

    def spread(self, symbol: str, price: float) -> float:
        """Return the full bid-ask spread in USD at this price, a whole number of cents."""


def standing_quote(price: float, spread: float) -> tuple[float, float]:
    """Put a bid and an ask of the given spread (USD) around a traded price, on the cent.

    An odd cent goes to the side that the price's own parity names, so that trades print at bid and ask alike.

    >>> standing_quote(100.00, 0.01)
    (100.0, 100.01)
    >>> standing_quote(100.01, 0.01)
    (100.0, 100.01)
    >>> standing_quote(100.01, 0.02)
    (100.0, 100.02)
    """
    wide = max(1, round(spread * 100))
    bid = max(1, bid_below(round(price * 100), wide))
    return bid / 100, (bid + wide) / 100


def bid_below(cents: _Whole, wide: _Whole) -> _Whole:
    """Return the bid of a quote that is so many cents wide around a price in cents; a number or a column of them."""
    return cents - wide // 2 - wide % 2 * (cents % 2)


def slice_session(minutes: Minutes) -> Slices:
    """Cut every minute into twelve 5-second bars that add up to it exactly; (12 n,) columns.

    The price runs open, low, high, close in a rising minute and open, high, low, close in a falling one, in straight
    lines on the cent. That is a drawing, not a process: nothing learned inside a minute carries over to a market.
    A slice without volume does not move. Volume is dealt as evenly as whole shares allow, first slices first, so a
    minute of fewer than twelve shares trades in as many slices as it has shares.
    """
    path = _paths(minutes)
    volume = minutes.volume.astype(np.int64)
    dealt = -(-volume[:, None] * np.arange(SLICES + 1) // SLICES)
    opens, closes = path[:, :-1].copy(), path[:, 1:].copy()
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    for row in np.flatnonzero(volume < SLICES):
        _gather(path[row], np.diff(dealt[row]), opens[row], highs[row], lows[row], closes[row])
    start = minutes.start[:, None] + np.arange(SLICES) * SLICE_NS
    o, h, low, c = ((cents / 100).ravel() for cents in (opens, highs, lows, closes))
    return Slices(start.ravel(), o, h, low, c, np.diff(dealt, axis=1).astype(np.float64).ravel())


def _paths(minutes: Minutes) -> Integers:
    """Return the (n, 13) prices in cents at the slices' borders."""
    o, h, low, c = (np.rint(getattr(minutes, name) * 100).astype(np.int64) for name in PRICES)
    rising = c >= o
    knots = np.stack([o, np.where(rising, low, h), np.where(rising, h, low), c], axis=1)
    step = np.arange(4)
    legs = [(knots[:, [k]] * (4 - step) + knots[:, [k + 1]] * step) // 4 for k in range(3)]
    return np.concatenate([*legs, c[:, None]], axis=1)


def _gather(
    path: Integers, volume: Integers, opens: Integers, highs: Integers, lows: Integers, closes: Integers
) -> None:
    """Move the path between two trading slices into the earlier one; the others stand still. Writes in place."""
    trading = [0, *(np.flatnonzero(volume[1:]) + 1), SLICES]
    for begin, end in pairwise(trading):
        part = path[begin : end + 1]
        for column in (opens, highs, lows, closes):
            column[begin:end] = part[-1]
        opens[begin], highs[begin], lows[begin] = part[0], part.max(), part.min()


class TapeMarket:
    """A market read from one Parquet or CSV file of real minute bars.

    Columns: `ts` (the minute's START, a timestamp with time zone), `symbol`, `open`, `high`, `low`, `close` (USD),
    `volume` (shares); others are ignored, as are rows outside regular trading hours. Prices are rounded to the cent.
    The spread is not on such a tape: it is taken as 1.5 basis points, at least a cent.
    """

    def __init__(
        self, path: Path, symbols: Sequence[str] | None = None, calendar: XnysCalendar | None = None
    ) -> None:
        """Read and check the whole file. Raises DataError that says which row, why and how to mend it."""
        self._bars = _split(path, read_columns(path, (*PRICES, "volume")), symbols)
        self.symbols: tuple[str, ...] = tuple(self._bars)
        self.identity = f"tape:{sha256_of(path)}"
        closes = np.unique(np.concatenate([bars.start for bars in self._bars.values()])) + MINUTE_NS
        self.first, self.last = reach(path, closes, calendar or XnysCalendar())

    def knows(self, symbol: str) -> bool:
        return symbol in self._bars

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return the session's bars; none for a symbol or day that is not on the tape."""
        bars = self._bars.get(symbol)
        if bars is None:
            return _cut(next(iter(self._bars.values())), 0, 0)
        begin, end = np.searchsorted(bars.start, [session.open, session.close])
        return _cut(bars, int(begin), int(end))

    def spread(self, symbol: str, price: float) -> float:
        return max(1, round(price * 0.015)) / 100


def reach(path: Path, closes: Integers, calendar: XnysCalendar) -> tuple[str, str]:
    """Return the labels of the first and last session with a bar that closes at one of these times (UTC ns).

    Raises DataError where there is none, or where the times look like New York's.
    """
    time_of_day = closes % DAY_NS
    if time_of_day.min() <= 13 * HOUR_NS and time_of_day.max() <= 16 * HOUR_NS:
        raise DataError(
            f"{path}: bars from before 13:00 UTC but none after 16:00 UTC look like New York wall time "
            "labelled as UTC; convert `ts` to UTC."
        )
    first, last = _first_session(closes, calendar), _first_session(closes[::-1], calendar)
    if first is None or last is None:
        raise DataError(f"{path}: no bar lies in regular trading hours, 09:30 to 16:00 New York")
    return first, last


def _first_session(closes: Integers, calendar: XnysCalendar) -> str | None:
    for ts in closes:
        session = calendar.session(int(ts))
        if session is not None:
            return session.label
    return None


def sha256_of(path: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_columns(path: Path, numbers: Sequence[str], words: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Return columns of a Parquet or CSV file by name: `ts` as UTC nanoseconds, numbers as float64 with NaN for none.

    `symbol` and `words` are text, empty for none. Raises DataError for what is missing, unreadable or without a zone.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    needed = ("ts", "symbol", *words, *numbers)
    if not path.is_file():
        raise DataError(f"{path}: no such tape file")
    try:
        table = (
            pyarrow.csv.read_csv(path) if path.suffix.lower() == ".csv" else pyarrow.parquet.read_table(path)
        )
        missing = [name for name in needed if name not in table.column_names]
        if missing:
            raise DataError(f"{path}: column {', '.join(missing)} is missing; needed are {', '.join(needed)}")
        kind = table.schema.field("ts").type
        if not (pa.types.is_timestamp(kind) and kind.tz):
            raise DataError(
                f"{path}: `ts` is {kind}, not a time with a zone; write UTC, as in 2026-01-05T14:30:00Z"
            )
        if table.num_rows == 0 or table["ts"].null_count or table["symbol"].null_count:
            raise DataError(f"{path}: it has no rows, or rows without `ts` or `symbol`; drop those")
        columns = {name: table[name].cast(pa.float64()).to_numpy() for name in numbers}
        columns["ts"] = table["ts"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        for name in ("symbol", *words):
            columns[name] = table[name].cast(pa.string()).fill_null("").to_numpy()
    except pa.ArrowException as error:
        raise DataError(f"{path}: cannot be read as a table of bars or ticks: {error}") from error
    return columns


def wanted_rows(path: Path, names: NDArray[Any], symbols: Sequence[str] | None) -> dict[str, Integers]:
    """Return the row numbers of each wanted symbol, in the order asked for, else by name. Raises DataError."""
    present, codes = np.unique(names.astype(str), return_inverse=True)
    known = [str(name) for name in present]
    wanted = list(symbols) if symbols is not None else known
    absent = [symbol for symbol in wanted if symbol not in known]
    if absent or not wanted:
        raise DataError(f"{path}: no bars of {', '.join(absent) or 'any symbol'}; it has {', '.join(known)}")
    return {symbol: np.flatnonzero(codes == known.index(symbol)) for symbol in wanted}


def _split(path: Path, columns: dict[str, NDArray[Any]], symbols: Sequence[str] | None) -> dict[str, Minutes]:
    """Return the checked bars of each wanted symbol."""
    bars = {}
    for symbol, rows in wanted_rows(path, columns["symbol"], symbols).items():
        _check(path, symbol, rows, {name: columns[name][rows] for name in COLUMNS if name != "symbol"})
        o, h, low, c = (np.rint(columns[name][rows] * 100) / 100 for name in PRICES)
        bars[symbol] = Minutes(columns["ts"][rows], o, h, low, c, columns["volume"][rows])
    return bars


def _check(path: Path, symbol: str, rows: Integers, bar: dict[str, NDArray[Any]]) -> None:
    """Raise DataError at the first defect of one symbol's rows."""
    prices = np.stack([bar[name] for name in PRICES])
    back = np.diff(bar["ts"], prepend=bar["ts"][0] - MINUTE_NS)
    top, bottom = np.maximum(bar["open"], bar["close"]), np.minimum(bar["open"], bar["close"])
    whole = np.isfinite(bar["volume"]) & (np.floor(bar["volume"]) == bar["volume"])
    defects = (
        (~np.isfinite(prices).all(axis=0), "a price is missing or not finite", "drop or repair the row"),
        (~(prices >= 0.01).all(axis=0), "a price is below one cent", "drop or repair the row"),
        (
            ~(prices < _MOST_USD).all(axis=0),
            f"a price is {_MOST_USD:,} USD or more",
            "drop or repair the row",
        ),
        (~(whole & (bar["volume"] >= 0)), "the volume is not a whole number >= 0", "drop or repair the row"),
        (bar["volume"] > _MOST_SHARES, f"the volume is above {_MOST_SHARES:,}", "drop or repair the row"),
        (bar["high"] < bar["low"], "high is below low", "swap or drop them"),
        ((bar["high"] < top) | (bar["low"] > bottom), "open or close is outside low..high", "repair the row"),
        (bar["ts"] % MINUTE_NS != 0, "`ts` is not on the minute", "stamp each bar with its minute's start"),
        (back == 0, "the minute is there twice", "drop the duplicate"),
        (back < 0, "it is older than the row before it", "sort each symbol by `ts`"),
    )
    for wrong, why, cure in defects:
        if wrong.any():
            at = int(np.argmax(wrong))
            when = np.datetime_as_string(np.datetime64(int(bar["ts"][at]), "ns"), unit="s")
            raise DataError(f"{path}: row {int(rows[at]) + 1} ({symbol} {when}Z): {why}; {cure}")


def _cut(bars: Minutes, begin: int, end: int) -> Minutes:
    part = slice(begin, end)
    return Minutes(
        bars.start[part],
        bars.open[part],
        bars.high[part],
        bars.low[part],
        bars.close[part],
        bars.volume[part],
    )
