"""The one feature engine: a vector a bar while trading, a matrix of the same numbers for training."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping

import numpy as np

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS, Bar, Depth, Quote, Trade
from robo_trader.core.protocols import Calendar, Session, Vector
from robo_trader.features import (
    cross_section,
    kernels,
    market_depth,
    microstructure,
    session,
    state,
    step,
)
from robo_trader.features.base import Bars, Depths, Floats, Ints, Quotes, Trades
from robo_trader.features.compiled import compile_kernels
from robo_trader.features.morning import Morning, jumps
from robo_trader.features.scan import (
    NO_BOOK,
    NO_DEPTHS,
    NO_PANEL,
    NO_QUOTES,
    NO_TRADES,
    WIDTH,
    Place,
    Scan,
    Told,
    place,
    replayed,
)
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES

FIRST = np.zeros(1, dtype=np.int64)
WRITE_BAR = struct.Struct("6d").pack_into  # a third of the time that numpy takes to write a row
YEAR_NS = 252 * 390 * MINUTE_NS  # trading time: 252 sessions of 390 minutes


def schema_version(interval_ns: int, market: str = "SPY", sectors: Mapping[str, str] | None = None) -> str:
    """Name the meaning of a vector: 12 hex digits over names, order, periods, bar size, arithmetic and who is compared."""
    columns = [(f.name, f.lookback, f.warmup, f.sessions, f.model) for f in CATALOGUE]
    compared = [market, sorted((sectors or {}).items())]
    schema = json.dumps([columns, interval_ns, step.ARITHMETIC, compared])
    return hashlib.sha256(schema.encode()).hexdigest()[:12]


class _Track:
    """What is kept of one symbol: the kernel's state, its book, its row of the panel, and a session that began oddly."""

    __slots__ = ("book", "close", "context", "days", "morning", "row", "sector", "state", "ts")

    def __init__(self, state: Floats, book: Floats, row: int) -> None:
        self.state = state
        self.book = book
        self.row = row
        self.sector = -1
        self.ts = -1
        self.close = 0
        self.days = np.zeros((1, len(session.DAY)))
        self.context = np.full((1, microstructure.CONTEXT), np.nan)
        self.morning: Morning | None = None  # of a session that opened far from the last price


KEPT = tuple(name for name in _Track.__slots__ if name != "morning")


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
        self.version = schema_version(interval_ns, market, sectors)
        self._calendar = calendar
        self._market = market
        self._sectors = dict(sectors or {})
        self._market_row = -1
        self._tracks: dict[str, _Track] = {}
        self._panel = cross_section.new_panel(0)
        self._bar = np.empty((1, 6))
        self._found: Session | None = None  # the session that was entered last, and what is known of it
        self._day = np.zeros((1, len(session.DAY)))
        self._load()

    def _load(self) -> None:
        compile_kernels()
        self._run = kernels.entry(step.run, step.RUN_SIGNATURE)

    def __getstate__(self) -> dict[str, object]:
        return {name: kept for name, kept in vars(self).items() if name != "_run"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._load()

    def update(self, bar: Bar) -> Vector | None:
        """Take one closed bar of its symbol; return its fresh (n_features,) vector, NaN where a feature is warming.

        Raises ValueError on a bar of another size than the engine's.
        """
        if bar.interval_ns != self.interval_ns:
            raise ValueError(
                f"{bar.symbol}: a bar of {bar.interval_ns} ns, the features are of {self.interval_ns} ns"
            )
        track = self._tracks.get(bar.symbol) or self._new_track(bar.symbol)
        ts, before = bar.ts, track.ts
        if ts <= before:
            return None
        track.ts = ts
        if ts > track.close:
            if not self._enter_session(track, ts):
                return None
            if jumps(track.state, bar.open):
                track.morning = Morning(track.state, before)
        out = np.empty((1, WIDTH))
        WRITE_BAR(self._bar.data, 0, ts / SECOND_NS, bar.open, bar.high, bar.low, bar.close, bar.volume)
        seen = self._run(
            track.state, track.book, self._panel, track.row, self._market_row, track.sector, self._bar, track.days,
            FIRST, track.context, out,
        )  # fmt: skip
        if track.morning is not None:
            track.morning.add(self._bar, track.context)
        return out[0] if seen else None

    def on_quote(self, quote: Quote) -> None:
        """Take a quote for the bar in whose time it falls; see `microstructure`. Outside sessions it says nothing."""
        track = self._tracks.get(quote.symbol) or self._new_track(quote.symbol)
        seconds = float(quote.ts) / SECOND_NS
        told = seconds, quote.bid, quote.ask, quote.bid_size, quote.ask_size
        if not step.on_quote(track.book, *told) and self._open_book(track, quote.ts):
            step.on_quote(track.book, *told)

    def on_trade(self, trade: Trade) -> None:
        """Take a trade, as `on_quote` takes a quote."""
        track = self._tracks.get(trade.symbol) or self._new_track(trade.symbol)
        told = float(trade.ts) / SECOND_NS, trade.price, trade.size
        if not step.on_trade(track.book, *told) and self._open_book(track, trade.ts):
            step.on_trade(track.book, *told)

    def on_depth(self, depth: Depth) -> None:
        """Take the levels of a book, as `on_quote` takes a quote."""
        track = self._tracks.get(depth.symbol) or self._new_track(depth.symbol)
        told = float(depth.ts) / SECOND_NS, market_depth.ladder(depth.bids, depth.asks)
        if not step.on_depth(track.book, *told) and self._open_book(track, depth.ts):
            step.on_depth(track.book, *told)

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
        depths: Mapping[str, Depths] | None = None,
    ) -> dict[str, Floats]:
        """Return each symbol's (n, n_features) matrix from a fresh start, bit-equal to `update` in order of time.

        Quotes come before trades of their time, both before a bar that closes then, as depths do. Rows hold NaN where a
        feature is warming, and throughout for bars that `update` passes over. Raises ValueError on what is unsorted.
        """
        scans = self.fresh().scans(bars)
        q, t, d = quotes or {}, trades or {}, depths or {}
        for symbol in {*q, *t, *d} & bars.keys():
            told = Told(q.get(symbol, NO_QUOTES), t.get(symbol, NO_TRADES), d.get(symbol, NO_DEPTHS))
            replayed(self._new_book(), told, bars[symbol], scans[symbol], self._calendar)
        return {symbol: scan.matrix() for symbol, scan in scans.items()}

    def warm(self, bars: Mapping[str, Bars]) -> dict[str, Vector]:
        """Take the past of all symbols at once, bit for bit as `update` would in order of time.

        Returns the vector of each symbol's last bar, without those whose last bar `update` would pass over.
        """
        last = {symbol: scan.last() for symbol, scan in self.scans(bars).items()}
        return {symbol: vector for symbol, vector in last.items() if vector is not None}

    def scans(self, bars: Mapping[str, Bars]) -> dict[str, Scan]:
        """Take the bars of all symbols, each oldest first, up to the step; what is returned must be stepped over."""
        tracks = {symbol: self._tracks.get(symbol) or self._new_track(symbol) for symbol in bars}
        places = {symbol: place(one.ts, tracks[symbol].ts, self._calendar) for symbol, one in bars.items()}
        surveyed = self._survey(bars, places)
        found = {s: Scan(tracks[s].state, places[s], *surveyed[s]) for s in bars}
        for symbol, one in bars.items():
            self._arrive(tracks[symbol], one.ts, found[symbol])
        return found

    def fresh(self) -> FeatureEngine:
        """Return an engine like this one that has seen nothing."""
        return FeatureEngine(self._calendar, self.interval_ns, self._market, self._sectors)

    def saved(self) -> bytes:
        """Return all that is remembered, for `restore` in an engine of the same schema; an .npz archive, no pickle."""
        tracks = {name: [getattr(track, name) for track in self._tracks.values()] for name in KEPT}
        arrays = {f"track_{name}": np.array(each) for name, each in tracks.items()}
        for track in self._tracks.values():
            if track.morning is not None:
                arrays |= track.morning.saved(f"morning_{track.row}_")
        return state.packed(
            {**self._schema(), "symbols": list(self._tracks)}, {**arrays, "panel": self._panel}
        )

    def restore(self, data: bytes) -> None:
        """Remember what `saved` returned and forget all else; from here on, bit for bit, as if never interrupted.

        Raises DataError where it is damaged, of another schema, or of another market or other sectors.
        """
        header, arrays = state.unpacked(data)
        for what, ours in self._schema().items():
            if header.get(what) != ours:
                raise DataError(
                    f"the saved features have {what} {header.get(what)!r}, this engine has {ours!r}:"
                    " they cannot go on from there, start from history instead"
                )
        self._tracks.clear()
        self._panel = cross_section.new_panel(0)
        for i, symbol in enumerate(header["symbols"]):
            track = self._new_track(symbol)
            for name in KEPT:
                kept = arrays[f"track_{name}"][i]
                setattr(track, name, kept.copy() if kept.ndim else kept.item())
            track.morning = Morning.restored(arrays, f"morning_{i}_")
        self._panel = arrays["panel"]

    def rescale(self, symbol: str, ratio: float, since: int | None = None) -> Floats:
        """Restate what is remembered of a symbol for a split: `ratio` new shares for an old one.

        Bars that closed after `since` (UTC ns; None: none did) came at the new price: those of this session are stepped
        over anew, and their (n, n_features) vectors returned. From here on as if all its bars had been adjusted, up to
        rounding; where they were, for the session did not open at another price, nothing is done. Raises DataError on a
        symbol without bars, on a ratio that no split has, and where more than this session came at the new price.
        """
        if symbol not in self._tracks:
            raise DataError(f"{symbol}: no bar of it was seen, so there is nothing to restate for a split")
        if not 0.0 < ratio < math.inf:
            raise DataError(f"{symbol}: a split gives new shares for an old one, more than none; not {ratio}")
        track = self._tracks[symbol]
        if since is None or track.ts <= since:
            state.split(track.state, ratio)
            state.split_panel(self._panel[track.row], ratio)
            track.book, track.morning = self._new_book(), None
            return np.empty((0, WIDTH))
        if not self._began_after(track, since):
            raise DataError(
                f"{symbol}: not only bars of this session came at the new price: a restart warms its features anew"
            )
        if track.morning is None or not track.morning.opened_split(ratio):
            return np.empty((0, WIDTH))
        return self._step_again(track, track.morning, ratio)

    def bytes_per_symbol(self) -> int:
        """Return the memory one symbol takes, constant however many bars it has seen.

        One whose session opened far from the last price takes as much again, and its bars, until that is over.
        """
        return self._new_state().nbytes + self._new_book().nbytes + cross_section.new_panel(1).nbytes

    def _schema(self) -> dict[str, object]:
        return {"market": self._market, "sectors": self._sectors, "version": self.version}

    def _new_state(self) -> Floats:
        fresh = np.zeros(step.SIZE)
        fresh[kernels.YEAR] = math.sqrt(YEAR_NS / self.interval_ns)
        return fresh

    def _new_book(self) -> Floats:
        return microstructure.new_book(self.interval_ns / SECOND_NS)

    def _new_track(self, symbol: str) -> _Track:
        self._panel = np.concatenate((self._panel, cross_section.new_panel(1)))
        track = self._tracks[symbol] = _Track(self._new_state(), self._new_book(), len(self._tracks))
        rows = {symbol: track.row for symbol, track in self._tracks.items()}
        self._market_row = rows.get(self._market, -1)
        for name, one in self._tracks.items():
            sector = self._sectors.get(name)
            one.sector = -1 if sector is None else rows.get(sector, -1)
        return track

    def _enter_session(self, track: _Track, ts: int) -> bool:
        found = self._calendar.session(ts)
        if found is None:
            return False
        if found != self._found:
            self._found, self._day = found, session.day_of(found, self._calendar).reshape(1, -1)
        track.close, track.days = found.close, self._day
        track.morning = None
        return True

    def _open_book(self, track: _Track, ts: int) -> bool:
        """Begin the session of a quote or trade; an earlier one, or none, is not begun."""
        found = self._calendar.session(ts)
        if found is None or found.open <= track.book[microstructure.OPEN] * SECOND_NS:
            return False
        step.open_book(track.book, found.open / SECOND_NS, found.close / SECOND_NS)
        return True

    def _began_after(self, track: _Track, since: int) -> bool:
        """Whether all bars of a symbol that closed after `since` are of the session it is in."""
        found = self._calendar.session(track.ts)
        return found is not None and 0 <= found.open - since < DAY_NS

    def _step_again(self, track: _Track, morning: Morning, ratio: float) -> Floats:
        """Go back to before the session, restate, and step over its bars with what could be known at each."""
        bars, context = morning.told()
        again = np.empty((len(bars), WIDTH))
        track.state[:] = morning.state
        state.split(track.state, ratio)
        state.split_panel(self._panel[track.row], ratio, len(bars))
        track.book, track.morning = self._new_book(), None
        of_day = np.zeros(len(bars), np.int64)
        step.run(track.state, NO_BOOK, NO_PANEL, -1, -1, -1, bars, track.days, of_day, context, again)
        return again

    def _arrive(self, track: _Track, ts: Ints, scan: Scan) -> None:
        """Let a symbol stand where its last bar leaves it."""
        before, track.ts = track.ts, max(track.ts, int(ts.max(initial=-1)))
        inside = np.flatnonzero(~np.isnan(scan.place.seconds))
        if not len(inside):
            return
        last = int(ts[inside[-1]])
        is_new = last > track.close
        self._enter_session(track, last)
        rows = inside[scan.place.day_of[inside] == scan.place.day_of[inside[-1]]]
        if is_new and scan.jumps_at(int(rows[0])):
            track.morning = scan.morning_at(int(rows[0]), int(ts[rows[0] - 1]) if rows[0] else before)
            track.morning.add(*scan.rows(rows))

    def _survey(
        self, bars: Mapping[str, Bars], places: Mapping[str, Place]
    ) -> dict[str, tuple[Floats, Floats]]:
        """Return each symbol's bars as the step takes them, and what each could know of the others, (n, CONTEXT).

        The panel moves on.
        """
        ends = np.cumsum([0, *(len(one.ts) for one in bars.values())])
        table = np.empty((ends[-1], 6))
        row, labels = np.empty(len(table), np.int64), np.empty(len(table))
        for (symbol, one), start, end in zip(bars.items(), ends, ends[1:], strict=False):
            place = places[symbol]
            columns = (place.seconds, one.open, one.high, one.low, one.close, one.volume)
            np.stack(columns, axis=1, out=table[start:end])
            row[start:end] = self._tracks[symbol].row
            labels[start:end] = place.days[place.day_of, session.DAY.LABEL]
        contexts = np.full((len(table), microstructure.CONTEXT), np.nan)
        order = np.argsort(table[:, 0], kind="stable")
        sectors = np.array([track.sector for track in self._tracks.values()], dtype=np.int64)
        step.survey(self._panel, order, row, self._market_row, sectors, table, labels, contexts)
        return {
            symbol: (table[start:end], contexts[start:end])
            for symbol, start, end in zip(bars, ends, ends[1:], strict=False)
        }
