"""Past bars as reqHistoricalData wants them: any bar size over any duration up to the market's present."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.practice.data.periods import (
    MOST_BARS,
    NoAnswer,
    bar_start,
    bar_starts,
    parse_duration,
    parse_end,
    period_session,
    span,
)
from robo_trader.practice.market.exchange import Dividend, Exchange, Print, Split
from robo_trader.practice.market.quote_bars import QUOTES, quote_bars
from robo_trader.practice.market.stamps import stamp, trades
from robo_trader.practice.protocol.wire import Field
from robo_trader.simulation.tape import SLICE_NS, Columns, Floats, Integers, Minutes, Slices

TRADES, ADJUSTED = "TRADES", "ADJUSTED_LAST"
SHOWN = (TRADES, ADJUSTED, *QUOTES)
_CUT_DAYS = 64


class PastBar(NamedTuple):
    """One bar: `start` UTC ns, prices in USD, volume in shares, `wap` volume-weighted; -1 for both in bars of quotes."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    wap: float


class _Columns(NamedTuple):
    """Rows of one session: starts in UTC ns (n,), prices open, high, low, close (n, 4), volume in shares (n,)."""

    start: Integers
    prices: Floats
    volume: Floats


class History:
    """Reads an exchange's past up to its present; nothing later is ever told."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._cut: OrderedDict[tuple[str, str], tuple[Minutes, Slices]] = OrderedDict()

    def bars(self, symbol: str, what: str, end: str, duration: str, interval: int) -> list[PastBar]:
        """Return the bars that begin before `end`, oldest first; the last may still be growing.

        `end` and `duration` are a client's words, `interval` one of BAR_SIZES, `what` one of SHOWN. Minutes without a
        trade have no bar of trades, but they have quotes; only regular trading hours exist. Raises BadQuestion,
        and NoAnswer where it would be more than 200,000 bars.
        """
        exchange, wanted = self._exchange, parse_duration(duration, interval)
        until = parse_end(end, exchange.now)
        sessions = span(exchange.calendar, exchange.source.first, until, wanted, interval)
        if sum((min(s.close, until) - begin) // interval for s, begin in sessions) > MOST_BARS:
            raise NoAnswer("Time length exceed max.")
        return self._read(symbol, what, sessions, until, interval)

    def newest(self, symbol: str, what: str, interval: int) -> PastBar | None:
        """Return the bar in the making, None where it has nothing yet."""
        exchange, session = self._exchange, self._exchange.session
        if not session.open < exchange.now <= session.close:
            return None
        begin = bar_start(session, exchange.now - 1, interval)
        sessions = [(session, begin)]
        if interval > DAY_NS:
            sessions = span(exchange.calendar, exchange.source.first, exchange.now, (1, "D"), interval)
        bars = self._read(symbol, what, sessions, exchange.now, interval)
        return bars[-1] if bars else None

    def head(self, symbol: str) -> int | None:
        """Return when the first session with a trade opened (UTC ns), None where there has been none."""
        exchange = self._exchange
        sessions = span(exchange.calendar, exchange.source.first, exchange.now, (68, "Y"), DAY_NS)
        return next((s.open for s, _ in sessions if len(exchange.minutes(symbol, s))), None)

    def volumes(self, symbol: str, days: int) -> list[tuple[float, int]]:
        """Return prices and the shares traded at them in 5-second closes of the last `days` sessions, by price."""
        exchange = self._exchange
        sessions = span(exchange.calendar, exchange.source.first, exchange.now, (days, "D"), SLICE_NS)
        parts = [self._rows(symbol, TRADES, s, b, exchange.now, SLICE_NS) for s, b in sessions]
        closes = np.concatenate([part.prices[:, 3] for part in parts]) if parts else np.empty(0)
        shares = np.concatenate([part.volume for part in parts]) if parts else np.empty(0)
        prices, which = np.unique(closes[shares > 0], return_inverse=True)
        sums = np.bincount(which, weights=shares[shares > 0], minlength=len(prices))
        return [(price, int(total)) for price, total in zip(prices.tolist(), sums.tolist(), strict=True)]

    # -------------------------------------------------------------------------------------------------- inside

    def _read(
        self, symbol: str, what: str, sessions: Sequence[tuple[Session, int]], until: int, interval: int
    ) -> list[PastBar]:
        bars: list[PastBar] = []
        calendar = self._exchange.calendar
        for session, begin in sessions:
            rows = self._rows(symbol, what, session, begin, until, interval)
            if what == ADJUSTED:
                rows = rows._replace(prices=np.round(rows.prices * self._factor(symbol, session), 2))
            bars += _reduce(rows, session, what, interval)
        if interval <= DAY_NS:
            return bars
        named = {s.open: period_session(calendar, s, interval).open for s, _ in sessions}
        renamed = [bar._replace(start=named[bar.start]) for bar in bars]
        return [_sum_up(list(group), what) for _, group in groupby(renamed, key=attrgetter("start"))]

    def _rows(
        self, symbol: str, what: str, session: Session, begin: int, until: int, interval: int
    ) -> _Columns:
        """Return the shortest rows needed for bars of trades or quotes at begin <= start, over by `until`."""
        if interval < SLICE_NS:
            columns, row = self._seconds(symbol, what, session, begin, until), SECOND_NS
        elif what in QUOTES:
            columns, row = self._standing(symbol, session), SLICE_NS
        else:
            minutes = self._exchange.minutes(symbol, session)
            whole = interval >= MINUTE_NS and session.close <= until
            columns = _columns(minutes if whole else self._slices(symbol, session, minutes))
            row = MINUTE_NS if whole else SLICE_NS
        low = int(np.searchsorted(columns.start, begin))
        high = int(np.searchsorted(columns.start, until - row, side="right"))
        part = slice(low, max(low, high))
        cut = _Columns(columns.start[part], columns.prices[part], columns.volume[part])
        if what not in QUOTES or not len(cut.start):
            return cut
        spread = partial(self._exchange.source.spread, symbol)
        return cut._replace(prices=quote_bars(cut.prices, spread, what))

    def _slices(self, symbol: str, session: Session, minutes: Minutes) -> Slices:
        """Return a session's slices, kept for as long as its minutes are the same."""
        key = symbol, session.label
        kept = self._cut.get(key)
        if kept is None or kept[0] is not minutes:
            kept = self._cut[key] = minutes, self._exchange.slices(symbol, session)
            if len(self._cut) > _CUT_DAYS:
                self._cut.popitem(last=False)
        return kept[1]

    def _standing(self, symbol: str, session: Session) -> _Columns:
        """Return every slice of a session, the silent ones at the price before them."""
        rows = self._exchange.rows(symbol, session)
        if rows is None:
            return _NOTHING
        start = rows.start + np.arange(len(rows), dtype=np.int64) * SLICE_NS
        return _Columns(start, rows.prices, rows.volume.astype(np.float64))

    def _seconds(self, symbol: str, what: str, session: Session, begin: int, until: int) -> _Columns:
        """Return one row a second from the trades themselves; in quotes, silent seconds too stand at a price."""
        begin, until = max(begin, session.open), min(until, session.close)
        rows = self._exchange.rows(symbol, session)
        if rows is None or begin >= until:
            return _NOTHING
        begin -= (begin - session.open) % SLICE_NS
        price = rows[(begin - session.open) // SLICE_NS].open
        done = self._exchange.prints_between(symbol, begin, until)
        found = {second: _second(list(part)) for second, part in groupby(done, key=_second_of)}
        starts, prices, volumes = [], [], []
        for second in range(begin // SECOND_NS, until // SECOND_NS):
            traded = found.get(second)
            if traded is None and what not in QUOTES:
                continue
            row = traded or ((price,) * 4, 0.0)
            price = row[0][3]
            starts.append(second * SECOND_NS)
            prices.append(row[0])
            volumes.append(row[1])
        return _Columns(
            np.array(starts, dtype=np.int64),
            np.array(prices).reshape(-1, 4),
            np.array(volumes, dtype=np.float64),
        )

    def _factor(self, symbol: str, session: Session) -> float:
        """Return what prices of a session are multiplied with so that later dividends leave no gap."""
        exchange, factor = self._exchange, 1.0
        for action in exchange.overlays().actions:
            ex = action.session
            due = action.symbol == symbol and session.label < ex <= exchange.session.label
            if due and isinstance(action, Dividend):
                (before,) = exchange.calendar.before(ex, 1)
                minutes = exchange.minutes(symbol, before)
                if len(minutes):
                    factor *= max(0.0, 1 - self._in_todays_shares(action) / float(minutes.close[-1]))
        return factor

    def _in_todays_shares(self, paid: Dividend) -> float:
        usd = float(paid.usd)
        for action in self._exchange.overlays().actions:
            later = paid.session < action.session <= self._exchange.session.label
            if later and isinstance(action, Split) and action.symbol == paid.symbol:
                usd /= float(action.ratio)
        return usd


_NOTHING = _Columns(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))


def _second_of(done: Print) -> int:
    return done.ts // SECOND_NS


def _second(done: list[Print]) -> tuple[tuple[float, float, float, float], float]:
    prices = [one.price for one in done]
    return (prices[0], max(prices), min(prices), prices[-1]), float(sum(one.size for one in done))


def _columns(bars: Columns) -> _Columns:
    return _Columns(bars.start, np.stack([bars.open, bars.high, bars.low, bars.close], axis=1), bars.volume)


def _reduce(rows: _Columns, session: Session, what: str, interval: int) -> list[PastBar]:
    """Add consecutive rows of a session up to bars."""
    if not len(rows.start):
        return []
    starts = bar_starts(session, rows.start, interval)
    cuts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    ends = np.append(cuts[1:], len(starts)) - 1
    opens, high, low, closes = rows.prices.T
    first, last = opens[cuts], closes[ends]
    if what == "BID_ASK":
        first, last = (
            np.round(np.add.reduceat(side, cuts) / (ends - cuts + 1), 4) for side in (opens, closes)
        )
    volume, wap = (
        _traded(rows, cuts) if what not in QUOTES else (np.full(len(cuts), -1), np.full(len(cuts), -1.0))
    )
    figures = (
        starts[cuts], first, np.maximum.reduceat(high, cuts), np.minimum.reduceat(low, cuts), last, volume, wap,
    )  # fmt: skip
    return [PastBar(*row) for row in zip(*(column.tolist() for column in figures), strict=True)]


def _traded(rows: _Columns, cuts: Integers) -> tuple[Integers, Floats]:
    """Return the volume of each bar, and its average price weighted by it."""
    typical = rows.prices[:, 1:].mean(axis=1)
    weight = np.maximum(rows.volume, 1e-9)  # a silent bar still has a price
    wap = np.add.reduceat(typical * weight, cuts) / np.add.reduceat(weight, cuts)
    return np.add.reduceat(rows.volume, cuts).astype(np.int64), np.round(wap, 4)


def _sum_up(days: list[PastBar], what: str) -> PastBar:
    """Add days up to their week or month."""
    first, last, n = days[0], days[-1], len(days)
    high, low = max(day.high for day in days), min(day.low for day in days)
    if what == "BID_ASK":
        opens, closes = (
            round(sum(side) / n, 4) for side in zip(*((d.open, d.close) for d in days), strict=True)
        )
        return PastBar(first.start, opens, high, low, closes, -1, -1.0)
    if what in QUOTES:
        return PastBar(first.start, first.open, high, low, last.close, -1, -1.0)
    volume = sum(day.volume for day in days)
    wap = round(sum(day.wap * day.volume for day in days) / volume, 4) if volume else last.wap
    return PastBar(first.start, first.open, high, low, last.close, volume, wap)


def bar_time(start: int, interval: int, as_epoch: bool, version: int) -> str:
    """Write a bar's time: days and more as YYYYMMDD, the rest as New York wall time or as seconds since 1970."""
    if interval >= DAY_NS:
        return stamp(version, start)[:8]
    return str(start // SECOND_NS) if as_epoch else stamp(version, start)


def bar_fields(bar: PastBar, when: str) -> tuple[Field, ...]:
    """Return the eight fields of a bar in historicalData (17)."""
    return (when, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar_count(bar))


def bar_count(bar: PastBar) -> int:
    """Return how many trades a bar holds, -1 for quotes."""
    return trades(bar.volume) if bar.volume >= 0 else -1
