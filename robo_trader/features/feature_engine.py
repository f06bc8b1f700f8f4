"""The one feature engine: a vector a bar while trading, a matrix of the same numbers for training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar
from robo_trader.core.protocols import Calendar, Vector
from robo_trader.features import compose, cross_section, kernels, session, state, step
from robo_trader.features.base import Bars, Floats, Ints
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES

WIDTH = len(NAMES)
COLUMNS = ("open", "high", "low", "close", "volume")
YEAR_NS = 252 * 390 * MINUTE_NS  # trading time: 252 sessions of 390 minutes


COMPILED = (
    (step.step, step.STEP_SIGNATURE),
    (step.advance, step.ADVANCE_SIGNATURE),
    (step.scan, step.SCAN_SIGNATURE),
    (cross_section.survey, cross_section.SURVEY_SIGNATURE),
)


def kernels_cached() -> bool:
    """Tell whether an earlier start left the compiled step, so that this one need not compile it."""
    # numba keeps the hash of the source beside what it compiled of it; the time of a file says nothing.
    source = hashlib.sha256(compose.STEP.read_bytes()).digest()
    found = Path(step.step.stats.cache_path or "").glob("step.step-*.nbi")
    return any(source in index.read_bytes() for index in found)


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


def _plain(column: Floats) -> Floats:
    """Return the column as the kernel takes it: float64, contiguous, writable; copied only where it is not."""
    return np.require(column, np.float64, ["C", "W"])


class _Place(NamedTuple):
    """When each bar closed (UTC seconds, NaN to pass it over), the sessions (`session.DAY`), and each bar's one."""

    seconds: Floats
    days: Floats
    day_of: Ints


class _Track:
    """What is kept of one symbol: the kernel's state, its row of the panel, the last bar's time and its session."""

    __slots__ = ("close", "context", "day", "row", "sector", "state", "ts")

    def __init__(self, state: Floats, row: int) -> None:
        self.state = state
        self.row = row
        self.sector = -1
        self.ts = -1
        self.close = 0
        self.day = np.zeros(len(session.DAY))
        self.context = np.full(cross_section.CONTEXT, np.nan)


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
        out = np.empty(WIDTH)
        seen = step.advance(
            track.state, self._panel, track.row, self._market_row, track.sector, bar.open, bar.high, bar.low, bar.close,
            bar.volume, ts / SECOND_NS, track.day, track.context, out,
        )  # fmt: skip
        return out if seen else None

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

    def matrices(self, bars: Mapping[str, Bars]) -> dict[str, Floats]:
        """Return each symbol's (n, n_features) matrix from a fresh start, bit-equal to `update` in order of time.

        Rows hold NaN where a feature is warming, and throughout for bars that `update` passes over.
        """
        places = {symbol: self._place(one.ts) for symbol, one in bars.items()}
        contexts = self._survey(bars, places) if bars else {}
        return {symbol: self._scan(one, places[symbol], contexts[symbol]) for symbol, one in bars.items()}

    def saved(self) -> bytes:
        """Return all that is remembered, for `restore` in an engine of the same schema; an .npz archive, no pickle."""
        tracks = {
            name: [getattr(track, name) for track in self._tracks.values()] for name in _Track.__slots__
        }
        arrays = {f"track_{name}": np.array(each) for name, each in tracks.items()}
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
            for name in _Track.__slots__:
                kept = arrays[f"track_{name}"][i]
                setattr(track, name, kept.copy() if kept.ndim else kept.item())
        self._panel = arrays["panel"]

    def rescale(self, symbol: str, ratio: float) -> None:
        """Restate what is remembered of a symbol for a split before its next bar: `ratio` new shares for an old one.

        From here on as if all its bars had been adjusted, up to rounding. Raises DataError on a symbol without bars and
        on a ratio that no split has.
        """
        if symbol not in self._tracks:
            raise DataError(f"{symbol}: no bar of it was seen, so there is nothing to restate for a split")
        if not 0.0 < ratio < math.inf:
            raise DataError(f"{symbol}: a split gives new shares for an old one, more than none; not {ratio}")
        track = self._tracks[symbol]
        state.split(track.state, self._panel[track.row], ratio)

    def bytes_per_symbol(self) -> int:
        """Return the memory one symbol takes, constant however many bars it has seen."""
        return self._new_state().nbytes + cross_section.new_panel(1).nbytes

    def _schema(self) -> dict[str, object]:
        return {"version": self.version, "market": self._market, "sectors": self._sectors}

    def _new_state(self) -> Floats:
        fresh = np.zeros(step.SIZE)
        fresh[kernels.YEAR] = math.sqrt(YEAR_NS / self.interval_ns)
        return fresh

    def _new_track(self, symbol: str) -> _Track:
        self._panel = np.concatenate((self._panel, cross_section.new_panel(1)))
        track = self._tracks[symbol] = _Track(self._new_state(), len(self._tracks))
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
        track.close = found.close
        track.day = session.day_of(found)
        return True

    def _scan(self, bars: Bars, place: _Place, context: Floats) -> Floats:
        out = np.empty((len(bars.ts), WIDTH))
        columns = (_plain(column) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
        step.scan(self._new_state(), *columns, place.seconds, place.days, place.day_of, context, out)
        return out

    def _survey(self, bars: Mapping[str, Bars], places: Mapping[str, _Place]) -> dict[str, Floats]:
        """Return what each bar's symbol could know of the others, (n, CONTEXT) by symbol."""
        symbols = list(bars)
        rows = {symbol: i for i, symbol in enumerate(bars)}
        seconds = np.concatenate([places[symbol].seconds for symbol in symbols])
        labels = np.concatenate(
            [places[symbol].days[places[symbol].day_of, session.DAY.LABEL] for symbol in symbols]
        )
        columns = [np.concatenate([getattr(bars[symbol], name) for symbol in symbols]) for name in COLUMNS]
        row = np.repeat(np.arange(len(symbols)), [len(bars[symbol].ts) for symbol in symbols])
        order = np.argsort(seconds, kind="stable")
        order = order[~np.isnan(seconds[order]) & _possible(*columns)[order]]
        _, high, low, close, volume = (column[order] for column in columns)
        seen = np.empty((len(order), cross_section.CONTEXT))
        cross_section.survey(
            cross_section.new_panel(len(symbols)),
            row[order],
            rows.get(self._market, -1),
            np.array([rows.get(self._sectors[x], -1) if x in self._sectors else -1 for x in symbols]),
            seconds[order],
            close,
            (high + low + close) / 3.0,
            volume,
            labels[order],
            seen,
        )
        context = np.full((len(row), cross_section.CONTEXT), np.nan)
        context[order] = seen
        return {symbol: context[row == i] for i, symbol in enumerate(symbols)}

    def _place(self, ts: Ints) -> _Place:
        """Say when each bar closed and in which session; those to be passed over close at NaN."""
        seconds, day_of = np.full(len(ts), np.nan), np.zeros(len(ts), dtype=np.int64)
        days = [np.zeros(len(session.DAY))]
        newest = np.maximum.accumulate(np.concatenate(([-1], ts[:-1])))
        newer = np.flatnonzero(ts > newest)
        times = ts[newer]
        i = 0
        while i < len(times):
            found = self._calendar.session(int(times[i]))
            if found is None:
                i += 1
                continue
            end = int(np.searchsorted(times, found.close, side="right"))
            seconds[newer[i:end]] = times[i:end] / SECOND_NS
            day_of[newer[i:end]] = len(days)
            days.append(session.day_of(found))
            i = end
        return _Place(seconds, np.array(days), day_of)


def _possible(open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> NDArray[np.bool_]:
    """Tell which bars can be, as `kernels.is_possible` does of one."""
    fits = (low > 0) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high) & (high < np.inf)
    return fits & (volume >= 0) & (volume < np.inf)
