"""What traded on each day of a market, once splits, dividends and halts have been laid over it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.market.overlays import Action, Halt, adjust, halted_at, may_pause, pauses
from robo_trader.simulation.flow import Flow, Passage, Print, TouchAt
from robo_trader.simulation.limit_book import Ladder
from robo_trader.simulation.rows import Rows, fill_session
from robo_trader.simulation.tape import SLICE_NS, SLICES, Integers, Minutes, MinuteSource, Slices

_CACHED = 2048  # symbol days of each kind; 190 kB each with all its slices, which last for a session only
_LOOK_BACK = 10  # sessions searched for a close before the first trade of a day

_Key = tuple[str, str]
_T = TypeVar("_T")


class Days:
    """Serves any session of any symbol: as minutes, as 5-second slices, and as what happened inside a slice."""

    def __init__(self, source: MinuteSource, calendar: XnysCalendar, flow: Flow) -> None:
        self._source = source
        self._calendar = calendar
        self._flow = flow
        self._halts: tuple[Halt, ...] = ()
        self._actions: tuple[Action, ...] = ()
        self._today = ""
        self._minutes: OrderedDict[_Key, Minutes] = OrderedDict()
        self._rows: OrderedDict[_Key, Rows | None] = OrderedDict()
        self._paused: OrderedDict[_Key, list[Halt]] = OrderedDict()
        self._left: OrderedDict[_Key, tuple[Rows | None, Minutes]] = OrderedDict()

    def halt(self, halts: Sequence[Halt]) -> None:
        """Take over all halts on command there are."""
        self._halts = tuple(halts)
        self._left.clear()

    def act(self, actions: Sequence[Action], today: str) -> None:
        """Begin the session `today`, with all splits and dividends there are, oldest first."""
        self._actions, self._today = tuple(actions), today
        self._rows.clear()
        for cache in (self._minutes, self._rows, self._paused, self._left) if actions else ():
            cache.clear()

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return a session's minutes, without what halts kept from trading."""
        halted = self.halts(symbol, session)
        return self._halted(symbol, session)[1] if halted else self._whole_minutes(symbol, session)

    def rows(self, symbol: str, session: Session) -> Rows | None:
        """Return all 5-second slices of a session; None for a share that never traded."""
        halted = self.halts(symbol, session)
        return self._halted(symbol, session)[0] if halted else self._whole_rows(symbol, session)

    def slices(self, symbol: str, session: Session) -> Slices:
        """Return a session's 5-second slices, those of its minutes and none that a halt kept silent."""
        cut = self._flow.slices(symbol, session, self._whole_minutes(symbol, session))
        halts = self.halts(symbol, session)
        rows = self.rows(symbol, session) if halts else None
        if rows is None:
            return cut
        k = (cut.start - session.open) // SLICE_NS
        k = k[(rows.volume[k] > 0) | ~_reach(halts, cut.start, SLICE_NS)]
        o, h, low, c = rows.prices[k].T
        return Slices(session.open + k * SLICE_NS, o, h, low, c, rows.volume[k].astype(np.float64))

    def halts(self, symbol: str, session: Session) -> list[Halt]:
        """Return every halt that touches a symbol's session, pauses by rule included."""
        commanded = [halt for halt in self._halts if halt.touches(symbol, session)]
        return [*self.pauses(symbol, session), *commanded]

    def pauses(self, symbol: str, session: Session) -> list[Halt]:
        """Return the pauses by rule of a symbol's session."""

        def find() -> list[Halt]:
            if self._flow.real or not may_pause(self._whole_minutes(symbol, session)):
                return []
            return pauses(symbol, self._whole_rows(symbol, session) or ())

        return _kept(self._paused, (symbol, session.label), find)

    def passage(self, symbol: str, session: Session, k: int) -> Passage | None:
        """Return what happens in a slice, halted or not; None for a share that never traded."""
        rows = self._whole_rows(symbol, session)
        return None if rows is None else self._flow.passage(symbol, session, rows, k)

    def levels(self, symbol: str, session: Session, touch: TouchAt) -> tuple[Ladder, Ladder]:
        """Return bids and asks, best first, at a touch that a passage of that session has told."""
        rows = self._whole_rows(symbol, session)
        return ((), ()) if rows is None else self._flow.levels(symbol, session, rows, touch)

    def close_before(self, symbol: str, session: Session) -> float | None:
        """Return the last close before a session, None where there was no trade in the ten sessions before."""
        return self._last_close(symbol, session, self.minutes)

    # ------------------------------------------------------------------------------------------- without halts

    def _whole_minutes(self, symbol: str, session: Session) -> Minutes:
        def read() -> Minutes:
            minutes = self._source.minutes(symbol, session)
            ours = [action for action in self._actions if action.symbol == symbol]
            return adjust(minutes, ours, session.label, self._today) if ours else minutes

        return _kept(self._minutes, (symbol, session.label), read)

    def _whole_rows(self, symbol: str, session: Session) -> Rows | None:
        def cut() -> Rows | None:
            slices = self._flow.slices(symbol, session, self._whole_minutes(symbol, session))
            # The halts of the days before are left out here, or each day would need all days before it.
            return fill_session(session, slices, self._last_close(symbol, session, self._whole_minutes))

        return _kept(self._rows, (symbol, session.label), cut)

    def _last_close(
        self, symbol: str, session: Session, minutes_of: Callable[[str, Session], Minutes]
    ) -> float | None:
        label = session.label
        for _ in range(_LOOK_BACK):
            if label <= self._source.first:
                return None
            (before,) = self._calendar.before(label, 1)
            minutes = minutes_of(symbol, before)
            if len(minutes):
                return float(minutes.close[-1])
            label = before.label
        return None

    # ---------------------------------------------------------------------------------------------- with halts

    def _halted(self, symbol: str, session: Session) -> tuple[Rows | None, Minutes]:
        def blank() -> tuple[Rows | None, Minutes]:
            rows, minutes = self._whole_rows(symbol, session), self._whole_minutes(symbol, session)
            if rows is None:
                return None, minutes
            halts = self.halts(symbol, session)
            left = self._blank(symbol, session, rows, halts)
            return left, _shrink(minutes, left, _reach(halts, minutes.start, MINUTE_NS))

        return _kept(self._left, (symbol, session.label), blank)

    def _blank(self, symbol: str, session: Session, rows: Rows, halts: Sequence[Halt]) -> Rows:
        """Return slices with what prints outside the halts make of them; silence stands at the price before."""
        start = rows.start + np.arange(len(rows)) * SLICE_NS
        prices, volume = rows.prices.copy(), rows.volume.copy()
        touched = _reach(halts, start, SLICE_NS)
        for k in np.flatnonzero(touched & (volume > 0)).tolist():
            passage = self._flow.passage(symbol, session, rows, k)
            prints = [
                e for e in passage.events if isinstance(e, Print) and not halted_at(halts, symbol, e.ts)
            ]
            volume[k] = sum(done.size for done in prints)
            if prints:
                paid = [done.price for done in prints]
                prices[k] = paid[0], max(paid), min(paid), paid[-1]
        silent = touched & (volume == 0)
        latest = np.maximum.accumulate(np.where(silent, -1, np.arange(len(rows))))
        prices[silent] = np.append(prices[:, 3], rows.prices[0, 0])[latest[silent]][:, None]
        return Rows(rows.start, prices, volume)


def _kept(cache: OrderedDict[_Key, _T], key: _Key, make: Callable[[], _T]) -> _T:
    """Return what is cached under a key, made where it is not; the least used goes where there is no more room."""
    if key not in cache:
        made = make()
        cache[key] = made
        if len(cache) > _CACHED:
            cache.popitem(last=False)
        return made
    cache.move_to_end(key)
    return cache[key]


def _reach(halts: Sequence[Halt], start: Integers, length: int) -> NDArray[np.bool_]:
    """Say of each span of this length (ns) whether a halt reaches into it."""
    touched = np.zeros(len(start), dtype=bool)
    for halt in halts:
        touched |= (start + length > halt.since) & ((start < halt.until) | (halt.until == 0))
    return touched


def _shrink(minutes: Minutes, rows: Rows, touched: NDArray[np.bool_]) -> Minutes:
    """Return the minutes with the touched ones added up anew from their slices; gone where none of those traded."""
    columns = np.stack([minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume])
    kept = np.ones(len(minutes), dtype=bool)
    for i in np.flatnonzero(touched).tolist():
        first = int(minutes.start[i] - rows.start) // SLICE_NS
        traded = first + np.flatnonzero(rows.volume[first : first + SLICES])
        kept[i] = len(traded) > 0
        if kept[i]:
            o, h, low, c = rows.prices[traded].T
            columns[:, i] = o[0], h.max(), low.min(), c[-1], rows.volume[traded].sum()
    o, h, low, c, volume = columns[:, kept]
    return Minutes(minutes.start[kept], o, h, low, c, volume)
