"""The one feature engine: a vector a bar while trading, a matrix of the same numbers for training."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from pathlib import Path

import numpy as np

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Calendar, Vector
from robo_trader.features import kernels
from robo_trader.features.base import Bars, Floats, Ints
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES, WARMUP

WIDTH = len(NAMES)
YEAR_NS = 252 * 390 * MINUTE_NS  # trading time: 252 sessions of 390 minutes


def kernels_cached() -> bool:
    """Tell whether an earlier start left compiled kernels, so that this one need not compile (about 5 seconds)."""
    source = Path(inspect.getfile(kernels)).stat().st_mtime
    found = Path(kernels.step.stats.cache_path or "").glob("kernels.step-*.nbi")
    return any(index.stat().st_mtime >= source for index in found)


def compile_kernels() -> None:
    """Load the kernels from numba's cache or compile them, once per process. Any later call costs nothing."""
    for kernel, signature in ((kernels.step, kernels.STEP_SIGNATURE), (kernels.scan, kernels.SCAN_SIGNATURE)):
        if not kernel.signatures:
            kernel.compile(signature)
            # From here on whole numbers are converted; a second version of the step could round otherwise.
            kernel.disable_compile()


def schema_version(interval_ns: int) -> str:
    """Name the meaning of a vector: 12 hex digits over names, order, periods, bar size and kernel revision."""
    columns = [(f.name, f.lookback, f.warmup, f.model) for f in CATALOGUE]
    schema = json.dumps([columns, interval_ns, kernels.REVISION])
    return hashlib.sha256(schema.encode()).hexdigest()[:12]


def _plain(column: Floats) -> Floats:
    """Return the column as the kernel takes it: float64, contiguous, writable; copied only where it is not."""
    return np.require(column, np.float64, ["C", "W"])


class _Track:
    """What is kept of one symbol: the kernel's state, the last bar's time and the session it fell into."""

    __slots__ = ("close", "label", "length", "open", "state", "ts")

    def __init__(self, state: Floats) -> None:
        self.state = state
        self.ts = -1
        self.open = 0
        self.close = 0
        self.length = 1
        self.label = 0.0


class FeatureEngine:
    """Turns the bars of any number of symbols into vectors; see `technical_indicators.CATALOGUE` for the columns.

    Bars of one size only (`interval_ns`). A bar is passed over, and gives None, when it is not newer than the symbol's
    last, closes outside a regular session, or is impossible (NaN, infinite, a price not above zero, high below low).
    """

    def __init__(self, calendar: Calendar, interval_ns: int = MINUTE_NS) -> None:
        self.names = NAMES
        self.model_names = MODEL_NAMES
        self.interval_ns = interval_ns
        self.version = schema_version(interval_ns)
        self._calendar = calendar
        self._tracks: dict[str, _Track] = {}
        compile_kernels()

    def update(self, bar: Bar) -> Vector | None:
        """Take one closed bar of its symbol; return its fresh (n_features,) vector, None while anything is NaN.

        Raises ValueError on a bar of another size than the engine's.
        """
        if bar.interval_ns != self.interval_ns:
            raise ValueError(
                f"{bar.symbol}: a bar of {bar.interval_ns} ns, the features are of {self.interval_ns} ns"
            )
        track = self._tracks.get(bar.symbol)
        if track is None:
            track = self._tracks[bar.symbol] = _Track(self._new_state())
        ts = bar.ts
        if ts <= track.ts:
            return None
        track.ts = ts
        if ts > track.close and not self._enter_session(track, ts):
            return None
        out = np.empty(WIDTH)
        phase = (ts - track.open) / track.length
        seen = kernels.step(
            track.state, bar.open, bar.high, bar.low, bar.close, bar.volume, track.label, phase, out
        )
        return out if seen >= WARMUP else None

    def matrix(self, bars: Bars) -> Floats:
        """Return the (n, n_features) matrix of one symbol's bars from a fresh start, bit-equal to `update` bar by bar.

        Rows hold NaN where a feature is warming, and throughout for bars that `update` passes over.

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
        out = np.empty((len(bars.ts), WIDTH))
        sessions, phases = self._place(bars.ts)
        kernels.scan(
            self._new_state(),
            _plain(bars.open),
            _plain(bars.high),
            _plain(bars.low),
            _plain(bars.close),
            _plain(bars.volume),
            sessions,
            phases,
            out,
        )
        return out

    def bytes_per_symbol(self) -> int:
        """Return the memory one symbol takes, constant however many bars it has seen."""
        return self._new_state().nbytes

    def _new_state(self) -> Floats:
        state = np.zeros(kernels.WARMUPS + WIDTH)
        state[kernels.YEAR] = math.sqrt(YEAR_NS / self.interval_ns)
        state[kernels.WARMEST] = WARMUP
        state[kernels.WARMUPS :] = [feature.warmup for feature in CATALOGUE]
        return state

    def _enter_session(self, track: _Track, ts: int) -> bool:
        session = self._calendar.session(ts)
        if session is None:
            return False
        track.open, track.close, track.length = session.open, session.close, session.close - session.open
        track.label = float(session.open)
        return True

    def _place(self, ts: Ints) -> tuple[Floats, Floats]:
        """Return each bar's session label and the part of the session gone, NaN for bars to be passed over."""
        labels, phases = np.zeros(len(ts)), np.full(len(ts), np.nan)
        newest = np.maximum.accumulate(np.concatenate(([-1], ts[:-1])))
        newer = np.flatnonzero(ts > newest)
        times = ts[newer]
        i = 0
        while i < len(times):
            session = self._calendar.session(int(times[i]))
            if session is None:
                i += 1
                continue
            end = int(np.searchsorted(times, session.close, side="right"))
            labels[newer[i:end]] = session.open
            phases[newer[i:end]] = (times[i:end] - session.open) / (session.close - session.open)
            i = end
        return labels, phases
