"""Knows what kind of market each symbol is in, and says so when that changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Calendar, Reading, Session
from robo_trader.core.steps import Fact, Regime, RegimeChanged
from robo_trader.ml.regimes import Day, RegimeOptions, Track

SPAN_NS = 30 * MINUTE_NS  # in which a fall counts
DAYS = 280  # of the past that all rules together look back on


class _Today(msgspec.Struct):
    """The session of one symbol as far as it is told; `recent` are prices of the last half hour, (ts, USD)."""

    open: int
    close_ts: int
    ts: int
    high: float
    low: float
    price: float
    fall: float
    alarm: str
    recent: list[tuple[int, float]]

    def day(self) -> Day:
        return Day(self.close_ts, self.high, self.low, self.price, self.fall)

    def add(self, bar: Bar) -> None:
        self.ts, self.price = bar.ts, bar.close
        self.high, self.low = max(self.high, bar.high), min(self.low, bar.low)
        recent = self.recent  # prices that no later one has reached, the highest first
        while recent and recent[-1][1] <= bar.close:
            recent.pop()
        recent.append((bar.ts, bar.close))
        while recent[0][0] < bar.ts - SPAN_NS:
            del recent[0]
        self.fall = max(self.fall, 1 - bar.close / recent[0][1])


class _Saved(msgspec.Struct, frozen=True):
    """All that is remembered."""

    market: str
    options: RegimeOptions
    tracks: dict[str, Track]
    today: dict[str, _Today]


class RegimeDetector:
    """Implements `core.protocols.Regimes`: a symbol's regime by its days, a crash at the minute that shows it.

    A day counts once it has closed, and calls of days past are never changed. What a crash is, is looked at on every bar,
    and stays for the session. Bull and bear are those of the `market`, whose crash is everybody's. It decides by bars
    alone, so that a replay says the same.
    """

    def __init__(self, market: str, calendar: Calendar, options: RegimeOptions | None = None) -> None:
        self._market = market
        self._calendar = calendar
        self._options = options or RegimeOptions()
        self._tracks: dict[str, Track] = {}
        self._today: dict[str, _Today] = {}
        self._told: dict[str, Reading] = {}

    def recall(self, days: Mapping[str, Iterable[Bar]]) -> None:
        """Take whole past sessions by symbol, each a bar that closes with its session, oldest first."""
        for symbol, told in days.items():
            for bar in told:
                if _possible(bar):
                    self._track(symbol).add(Day(bar.ts, bar.high, bar.low, bar.close))

    def on_bar(self, bar: Bar) -> Sequence[Fact]:
        """Take a closed bar; return the change of regime it makes. Bars of the past change it and are not told."""
        session, symbol = self._calendar.session(bar.ts), bar.symbol
        if session is not None and bar.ts > self._last(symbol) and _possible(bar):
            self._take(bar, session)
        return () if bar.history or session is None else self._tell(bar)

    def reading(self, symbol: str) -> Reading:
        """Return a symbol's regime now and by which rule."""
        for who, said in ((symbol, ""), (self._market, f"{self._market}: ")):
            today = self._today.get(who)
            if today is not None and today.alarm:
                return Reading(Regime.CRASH, said + today.alarm)
        return self._track(symbol).reading(self._tracks.get(self._market), self._market or "a market")

    def forget(self, symbol: str) -> None:
        """Begin anew with a symbol that was split; the next start asks for its days as they are then."""
        self._tracks.pop(symbol, None)
        self._today.pop(symbol, None)

    def saved(self) -> bytes:
        """Return all that is remembered, for `restore`."""
        return msgspec.msgpack.encode(_Saved(self._market, self._options, self._tracks, self._today))

    def restore(self, data: bytes) -> None:
        """Remember what `saved` returned. Raises DataError where it is damaged, of another market or of other rules."""
        try:
            found = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise DataError(f"what was known of regimes cannot be read: {error}") from error
        if (found.market, found.options) != (self._market, self._options):
            raise DataError(
                f"what was known of regimes is of the market {found.market!r}, or of other rules than those now"
            )
        self._tracks, self._today = found.tracks, found.today

    def _track(self, symbol: str) -> Track:
        found = self._tracks.get(symbol)
        if found is None:
            found = self._tracks[symbol] = Track(self._options)
        return found

    def _last(self, symbol: str) -> int:
        today, days = self._today.get(symbol), self._track(symbol).days
        return today.ts if today is not None else days[-1].ts if days else -1

    def _take(self, bar: Bar, session: Session) -> None:
        track, today = self._track(bar.symbol), self._today.get(bar.symbol)
        if today is not None and today.close_ts != session.close:
            track.add(today.day())  # its last bar never came
            today = None
        if today is None:
            began = [(session.open, bar.open)]
            today = _Today(session.open, session.close, bar.ts, bar.high, bar.low, bar.open, 0.0, "", began)
            self._today[bar.symbol] = today
        today.add(bar)
        today.alarm = today.alarm or track.crash(today.day())
        if bar.ts == session.close:
            track.add(today.day())
            del self._today[bar.symbol]

    def _tell(self, bar: Bar) -> Sequence[Fact]:
        reading, told = self.reading(bar.symbol), self._told.get(bar.symbol)
        if told is not None and (told.regime, told.known) == (reading.regime, reading.known):
            return ()
        self._told[bar.symbol] = reading
        was = "" if told is None else str(told.regime)
        return (RegimeChanged(bar.ts, bar.symbol, reading.regime, was, reading.why, reading.known),)


def _possible(bar: Bar) -> bool:
    return 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high < math.inf
