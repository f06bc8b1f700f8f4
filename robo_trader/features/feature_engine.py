"""The one feature engine: a vector a bar while trading, a matrix of the same numbers for training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar, Quote, Trade
from robo_trader.core.protocols import Calendar, Session, Vector
from robo_trader.features import compose, cross_section, kernels, microstructure, session, step
from robo_trader.features.base import Bars, Floats, Ints, Quotes, Trades
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES

WIDTH = len(NAMES)
FIRST = np.zeros(1, dtype=np.int64)
NO_PANEL, NO_BOOK = cross_section.new_panel(0), np.empty(0)
COLUMNS = ("open", "high", "low", "close", "volume")
NO_QUOTES = Quotes(np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
NO_TRADES = Trades(np.empty(0, np.int64), np.empty(0), np.empty(0))
YEAR_NS = 252 * 390 * MINUTE_NS  # trading time: 252 sessions of 390 minutes


COMPILED = (
    (step.run, step.RUN_SIGNATURE),
    (cross_section.survey, cross_section.SURVEY_SIGNATURE),
    (microstructure.open_book, microstructure.OPEN_BOOK_SIGNATURE),
    (microstructure.on_quote, microstructure.ON_QUOTE_SIGNATURE),
    (microstructure.on_trade, microstructure.ON_TRADE_SIGNATURE),
    (microstructure.replay, microstructure.REPLAY_SIGNATURE),
)


def kernels_cached() -> bool:
    """Tell whether an earlier start left the compiled step, so that this one need not compile it."""
    source = compose.STEP.stat().st_mtime
    found = Path(step.run.stats.cache_path or "").glob("step.run-*.nbi")
    return any(index.stat().st_mtime >= source for index in found)


def compile_kernels() -> None:
    """Load the step from numba's cache or compile it, once per process. Any later call costs nothing.

    Raises DataError where a room of features was changed and the step was not written anew.
    """
    for kernel, signature in COMPILED:
        if not kernel.signatures:
            if compose.fingerprint() != step.FINGERPRINT:
                raise DataError(
                    "the features were changed: write their step anew with `python -m robo_trader.features.compose`"
                )
            kernel.compile(signature)
            # From here on whole numbers are converted; a second version of the step could round otherwise.
            kernel.disable_compile()


def schema_version(interval_ns: int) -> str:
    """Name the meaning of a vector: 12 hex digits over names, order, periods, bar size and arithmetic."""
    columns = [(f.name, f.lookback, f.warmup, f.sessions, f.model) for f in CATALOGUE]
    schema = json.dumps([columns, interval_ns, step.ARITHMETIC])
    return hashlib.sha256(schema.encode()).hexdigest()[:12]


class _Place(NamedTuple):
    """When each bar closed (UTC seconds, NaN to pass it over), the sessions (`session.DAY`), and each bar's one."""

    seconds: Floats
    days: Floats
    day_of: Ints


class _Track:
    """What is kept of one symbol: the kernel's state, its book, its row of the panel, the last bar's time and session."""

    __slots__ = ("bars", "book", "close", "context", "days", "row", "sector", "state", "ts")

    def __init__(self, state: Floats, book: Floats, row: int) -> None:
        self.state = state
        self.book = book
        self.row = row
        self.sector = -1
        self.ts = -1
        self.close = 0
        self.bars = np.empty((1, 6))
        self.days = np.zeros((1, len(session.DAY)))
        self.context = np.full((1, microstructure.CONTEXT), np.nan)


class FeatureEngine:
    """Turns the bars of any number of symbols into vectors; see `technical_indicators.CATALOGUE` for the columns.

    Bars of one size only (`interval_ns`). A bar is passed over, and gives None, where it is not newer than the symbol's
    last, closes outside a regular session, or is impossible (NaN, infinite, a price not above zero, high below low).
    `market` is the symbol that others are compared with, `sectors` names for any symbol the one of its sector.
    """

    def __init__(
        self,
        calendar: Calendar,
        interval_ns: int = MINUTE_NS,
        market: str = "SPY",
        sectors: Mapping[str, str] | None = None,
    ) -> None:
        self.names = NAMES
        self.model_names = MODEL_NAMES
        self.interval_ns = interval_ns
        self.version = schema_version(interval_ns)
        self._calendar = calendar
        self._market = market
        self._sectors = dict(sectors or {})
        self._market_row = -1
        self._tracks: dict[str, _Track] = {}
        self._panel = cross_section.new_panel(0)
        compile_kernels()

    def update(self, bar: Bar) -> Vector | None:
        """Take one closed bar of its symbol; return its fresh (n_features,) vector, NaN where a feature is warming.

        Raises ValueError on a bar of another size than the engine's.
        """
        if bar.interval_ns != self.interval_ns:
            raise ValueError(
                f"{bar.symbol}: a bar of {bar.interval_ns} ns, the features are of {self.interval_ns} ns"
            )
        track = self._tracks.get(bar.symbol) or self._new_track(bar.symbol)
        ts = bar.ts
        if ts <= track.ts:
            return None
        track.ts = ts
        if ts > track.close and not self._enter_session(track, ts):
            return None
        out = np.empty((1, WIDTH))
        track.bars[0] = ts / SECOND_NS, bar.open, bar.high, bar.low, bar.close, bar.volume
        seen = step.run(
            track.state, track.book, self._panel, track.row, self._market_row, track.sector, track.bars, track.days,
            FIRST, track.context, out,
        )  # fmt: skip
        return out[0] if seen else None

    def on_quote(self, quote: Quote) -> None:
        """Take a quote for the bar in whose time it falls; see `microstructure`. Outside sessions it says nothing."""
        track = self._tracks.get(quote.symbol) or self._new_track(quote.symbol)
        seconds = float(quote.ts) / SECOND_NS
        told = seconds, quote.bid, quote.ask, quote.bid_size, quote.ask_size
        if not microstructure.on_quote(track.book, *told) and self._open_book(track, quote.ts):
            microstructure.on_quote(track.book, *told)

    def on_trade(self, trade: Trade) -> None:
        """Take a trade, as `on_quote` takes a quote."""
        track = self._tracks.get(trade.symbol) or self._new_track(trade.symbol)
        told = float(trade.ts) / SECOND_NS, trade.price, trade.size
        if not microstructure.on_trade(track.book, *told) and self._open_book(track, trade.ts):
            microstructure.on_trade(track.book, *told)

    def matrix(self, bars: Bars) -> Floats:
        """Return the (n, n_features) matrix of one symbol's bars by themselves, see `matrices`.

        >>> from robo_trader.core.protocols import Session
        >>> class AlwaysOpen:
        ...     def session(self, ts): return Session("2026-01-05", 0, 10**15)
        >>> closes = np.array([10.0, 11.0, 12.0, 13.0, 14.0, 12.0])
        >>> bars = Bars(np.arange(1, 7) * MINUTE_NS, closes, closes + 1, closes - 1, closes, np.full(6, 100.0))
        >>> engine = FeatureEngine(AlwaysOpen())
        >>> engine.matrix(bars)[:, engine.names.index("sma_5")]
        array([ nan,  nan,  nan,  nan, 12. , 12.4])
        >>> engine.matrix(bars)[:, engine.names.index("obv")]
        array([  0., 100., 200., 300., 400., 300.])
        """
        return self.matrices({"": bars})[""]

    def matrices(
        self,
        bars: Mapping[str, Bars],
        quotes: Mapping[str, Quotes] | None = None,
        trades: Mapping[str, Trades] | None = None,
    ) -> dict[str, Floats]:
        """Return each symbol's (n, n_features) matrix from a fresh start, bit-equal to `update` in order of time.

        Quotes come before trades of their time, both before a bar that closes then. Rows hold NaN where a feature is
        warming, and throughout for bars that `update` passes over.
        """
        places = {symbol: self._place(one.ts) for symbol, one in bars.items()}
        contexts = self._survey(bars, places)
        for symbol in {*(quotes or ()), *(trades or ())} & bars.keys():
            told = (quotes or {}).get(symbol, NO_QUOTES), (trades or {}).get(symbol, NO_TRADES)
            self._replay(*told, bars[symbol], places[symbol], contexts[symbol])
        return {symbol: self._scan(one, places[symbol], contexts[symbol]) for symbol, one in bars.items()}

    def bytes_per_symbol(self) -> int:
        """Return the memory one symbol takes, constant however many bars it has seen."""
        return self._new_state().nbytes + self._new_book().nbytes + cross_section.new_panel(1).nbytes

    def _new_state(self) -> Floats:
        state = np.zeros(step.SIZE)
        state[kernels.YEAR] = math.sqrt(YEAR_NS / self.interval_ns)
        return state

    def _new_book(self) -> Floats:
        return microstructure.new_book(self.interval_ns / SECOND_NS)

    def _new_track(self, symbol: str) -> _Track:
        self._panel = np.concatenate((self._panel, cross_section.new_panel(1)))
        track = self._tracks[symbol] = _Track(self._new_state(), self._new_book(), len(self._tracks))
        rows = {symbol: track.row for symbol, track in self._tracks.items()}
        self._market_row = rows.get(self._market, -1)
        for name, one in self._tracks.items():
            one.sector = rows.get(self._sectors.get(name), -1)
        return track

    def _enter_session(self, track: _Track, ts: int) -> bool:
        found = self._calendar.session(ts)
        if found is None:
            return False
        track.close = found.close
        track.days[0] = session.day_of(found, self._calendar)
        return True

    def _open_book(self, track: _Track, ts: int) -> bool:
        """Begin the session of a quote or trade; an earlier one, or none, is not begun."""
        found = self._calendar.session(ts)
        if found is None or found.open <= track.book[microstructure.OPEN] * SECOND_NS:
            return False
        microstructure.open_book(track.book, found.open / SECOND_NS, found.close / SECOND_NS)
        return True

    def _scan(self, bars: Bars, place: _Place, context: Floats) -> Floats:
        out = np.empty((len(bars.ts), WIDTH))
        columns = np.column_stack([place.seconds, *(getattr(bars, name) for name in COLUMNS)])
        step.run(
            self._new_state(), NO_BOOK, NO_PANEL, -1, -1, -1, columns, place.days, place.day_of, context, out
        )  # fmt: skip
        return out

    def _survey(self, bars: Mapping[str, Bars], places: Mapping[str, _Place]) -> dict[str, Floats]:
        """Return what each bar's symbol could know of the others, (n, CONTEXT) by symbol."""
        symbols = list(bars)
        seconds = np.concatenate([places[symbol].seconds for symbol in symbols])
        labels = np.concatenate(
            [places[symbol].days[places[symbol].day_of, session.DAY.LABEL] for symbol in symbols]
        )
        columns = [np.concatenate([getattr(bars[symbol], name) for symbol in symbols]) for name in COLUMNS]
        row = np.repeat(np.arange(len(symbols)), [len(bars[symbol].ts) for symbol in symbols])
        order = np.argsort(seconds, kind="stable")
        order = order[~np.isnan(seconds[order]) & _possible(*columns)[order]]
        _, high, low, close, volume = (column[order] for column in columns)
        seen = np.full((len(order), microstructure.CONTEXT), np.nan)
        cross_section.survey(
            cross_section.new_panel(len(symbols)),
            row[order],
            symbols.index(self._market) if self._market in symbols else -1,
            np.array([symbols.index(s) if (s := self._sectors.get(x)) in symbols else -1 for x in symbols]),
            seconds[order],
            close,
            (high + low + close) / 3.0,
            volume,
            labels[order],
            seen,
        )
        context = np.full((len(row), microstructure.CONTEXT), np.nan)
        context[order] = seen
        return {symbol: context[row == i] for i, symbol in enumerate(symbols)}

    def _replay(self, quotes: Quotes, trades: Trades, bars: Bars, place: _Place, context: Floats) -> None:
        """Write what quotes and trades tell of each bar to `context`."""
        quoted, some = self._told(quotes.ts, quotes.bid, quotes.ask, quotes.bid_size, quotes.ask_size)
        traded, more = self._told(trades.ts, trades.price, trades.size)
        sessions = np.array(sorted(some | more), dtype=np.int64).reshape(-1, 2) / SECOND_NS
        can_be = _possible(bars.open, bars.high, bars.low, bars.close, bars.volume)
        seconds = np.where(can_be, place.seconds, np.nan)
        microstructure.replay(self._new_book(), quoted, traded, sessions, seconds, context)

    def _told(self, ts: Ints, *columns: Floats) -> tuple[Floats, set[tuple[int, int]]]:
        """Return what was told within sessions, a row each with its time first, and the sessions' bounds."""
        if (np.diff(ts) < 0).any():
            raise ValueError(
                "quotes and trades come in order of time: sort them by `ts`, equal ones as they arrived"
            )
        found = list(self._sessions(ts))
        inside = np.concatenate([np.empty(0, np.int64), *(np.arange(i, end) for _, i, end in found)])
        rows = np.column_stack((ts / SECOND_NS, *columns))[inside]
        return rows, {(one.open, one.close) for one, _, _ in found}

    def _place(self, ts: Ints) -> _Place:
        """Say when each bar closed and in which session; those to be passed over close at NaN."""
        seconds, day_of = np.full(len(ts), np.nan), np.zeros(len(ts), dtype=np.int64)
        days = [np.zeros(len(session.DAY))]
        newest = np.maximum.accumulate(np.concatenate(([-1], ts[:-1])))
        newer = np.flatnonzero(ts > newest)
        times = ts[newer]
        for found, i, end in self._sessions(times):
            seconds[newer[i:end]] = times[i:end] / SECOND_NS
            day_of[newer[i:end]] = len(days)
            days.append(session.day_of(found, self._calendar))
        return _Place(seconds, np.array(days), day_of)

    def _sessions(self, times: Ints) -> Iterator[tuple[Session, int, int]]:
        """Find the sessions of rising times, each with where its times begin and end."""
        i = 0
        while i < len(times):
            found = self._calendar.session(int(times[i]))
            if found is None:
                i += 1
                continue
            end = int(np.searchsorted(times, found.close, side="right"))
            yield found, i, end
            i = end


def _possible(open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> NDArray[np.bool_]:
    """Tell which bars can be, as `kernels.is_possible` does of one."""
    fits = (low > 0) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high) & (high < np.inf)
    return fits & (volume >= 0) & (volume < np.inf)
