"""The market behind the gateway: its clock in 5-second steps, what traded in each, and the standing quotes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import numpy as np

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.protocols import Market, Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import SLICE_NS, Minutes, MinuteSource, slice_session, standing_quote

SYNTHETIC_START = "2026-01-05"
_CACHED_DAYS = 256
_LOOK_BACK = 10  # sessions searched for a close before the first trade of a day


class Slice(NamedTuple):
    """Five seconds of trading: prices in USD, volume in shares, `start` UTC ns. Without volume it stands still."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int


class Exchange:
    """Steps through the sessions of a market. Time is `now` (UTC ns) and always lies between two slices.

    It begins five seconds before the open of the first session and skips the nights: from a close it steps to five
    seconds before the next open. A slice is known once it has ended; its opening price is what the standing quote
    is made of while it lasts.
    """

    def __init__(
        self,
        source: MinuteSource,
        calendar: XnysCalendar,
        start: str | None,
        available: Callable[[float], int],
    ) -> None:
        """Stand before the open of `start`, by default where `first_session` says. Raises ConfigurationError."""
        self.source = source
        self.calendar = calendar
        self._available = available  # shares to be had of a traded volume
        self.session = first_session(source, calendar, start)
        self.now = self.session.open - SLICE_NS
        self._minutes: OrderedDict[tuple[str, str], Minutes] = OrderedDict()
        self._days: dict[str, list[Slice]] = {}
        self._taken: dict[str, int] = {}

    @property
    def is_open(self) -> bool:
        return self.session.open <= self.now < self.session.close

    def step(self) -> bool:
        """Move to the next border between slices. Return False, and stay, where the market ends."""
        if self.now >= self.session.close:
            following = self.calendar.after(self.session.label)
            if self.source.last is not None and following.label > self.source.last:
                return False
            self.session, self.now = following, following.open - SLICE_NS
            self._days.clear()
        else:
            self.now += SLICE_NS
        self._taken.clear()
        return True

    def seek(self, ts: int) -> None:
        """Stand at the border `ts`, as a saved clock said."""
        label = self.calendar.label_of(ts)
        (self.session,) = self.calendar.sessions(date.fromisoformat(label), date.fromisoformat(label))
        self.now = ts
        self._days.clear()

    def closed(self, symbol: str) -> Slice | None:
        """Return the slice that ends now, None where none does or nothing has traded yet."""
        k = (self.now - self.session.open) // SLICE_NS - 1
        day = self._day(symbol)
        return day[k] if day and 0 <= k < len(day) else None

    def market(self, symbol: str) -> Market | None:
        """Return the standing quote and the shares still to be had of it, None while the market is closed."""
        day = self._day(symbol)
        if not day or not self.is_open:
            return None
        now = day[(self.now - self.session.open) // SLICE_NS]
        bid, ask = standing_quote(now.open, self.source.spread(symbol, now.open))
        left = self._available(now.volume) - self._taken.get(symbol, 0)
        return Market(self.now, bid, ask, max(0, left))

    def take(self, symbol: str, shares: int) -> None:
        """Count shares as gone from the standing quote."""
        self._taken[symbol] = self._taken.get(symbol, 0) + shares

    def last(self, symbol: str) -> float | None:
        """Return the price of the last trade up to now, None where there has been none."""
        if (ended := self.closed(symbol)) is not None:
            return ended.close
        day = self._day(symbol)
        if day and self.now >= self.session.close:
            return day[-1].close
        if day and self.now == self.session.open:
            return day[0].open
        return self.close_before(symbol)

    def close_before(self, symbol: str) -> float | None:
        """Return the last close before today, None where there was no trade in the ten sessions before."""
        label = self.session.label
        for _ in range(_LOOK_BACK):
            if label <= self.source.first:
                return None
            (before,) = self.calendar.before(label, 1)
            minutes = self.minutes(symbol, before)
            if len(minutes):
                return float(minutes.close[-1])
            label = before.label
        return None

    def so_far(self, symbol: str) -> list[Slice]:
        """Return today's slices that have ended, the silent ones included."""
        return self._day(symbol)[: max(0, (self.now - self.session.open) // SLICE_NS)]

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return a whole session's minutes, kept for the next time."""
        key = (symbol, session.label)
        if key in self._minutes:
            self._minutes.move_to_end(key)
        else:
            self._minutes[key] = self.source.minutes(symbol, session)
            if len(self._minutes) > _CACHED_DAYS:
                self._minutes.popitem(last=False)
        return self._minutes[key]

    def _day(self, symbol: str) -> list[Slice]:
        day = self._days.get(symbol)
        if day is None:
            day = self._days[symbol] = self._cut_day(symbol)
        return day

    def _cut_day(self, symbol: str) -> list[Slice]:
        """Return all slices of today, silent ones at the price before them; none for a share that never traded."""
        minutes = self.minutes(symbol, self.session)
        before = self.close_before(symbol)
        if before is None:
            if not len(minutes):
                return []
            before = float(minutes.open[0])
        cut = slice_session(minutes)
        count = (self.session.close - self.session.open) // SLICE_NS
        at = (cut.start - self.session.open) // SLICE_NS
        latest = np.full(count, -1)
        latest[at] = np.arange(len(cut))
        latest = np.maximum.accumulate(latest)
        prices = np.repeat(np.append(cut.close, before)[latest][:, None], 4, axis=1)
        prices[at] = np.stack([cut.open, cut.high, cut.low, cut.close], axis=1)
        volume = np.zeros(count, dtype=np.int64)
        volume[at] = cut.volume
        starts = range(self.session.open, self.session.close, SLICE_NS)
        rows = zip(starts, prices.tolist(), volume.tolist(), strict=True)
        return [Slice(start, o, h, low, c, traded) for start, (o, h, low, c), traded in rows]


def first_session(source: MinuteSource, calendar: XnysCalendar, start: str | None) -> Session:
    """Return the session the market opens with: `start`, or the first one on or after that date.

    By default a market without end opens on 2026-01-05; of a tape the first three quarters are history.
    Raises ConfigurationError where the market has no such session.
    """
    if start is None and source.last is not None:
        held = calendar.sessions(date.fromisoformat(source.first), date.fromisoformat(source.last))
        return held[min(max(1, len(held) * 3 // 4), len(held) - 1)]
    try:
        wanted = date.fromisoformat(start or SYNTHETIC_START).isoformat()
    except ValueError:
        raise ConfigurationError(f"--start {start}: not a date; write it as 2026-01-05") from None
    if wanted < source.first or (source.last is not None and wanted > source.last):
        reach = f"{source.first} to {source.last or 'any later day'}"
        raise ConfigurationError(f"--start {start}: this market has sessions from {reach}")
    day = calendar.sessions(date.fromisoformat(wanted), date.fromisoformat(wanted))
    return day[0] if day else calendar.after(wanted)
