"""Past bars as reqHistoricalData wants them: any bar size over any duration up to the market's present."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.exchange import Exchange, Slice
from robo_trader.practice.messages import stamp, trades, typical
from robo_trader.practice.wire import Field, WireError
from robo_trader.simulation.tape import SLICE_NS, Columns, slice_session

BAR_SIZES = {
    "5 secs": SLICE_NS,
    "10 secs": 2 * SLICE_NS,
    "15 secs": 3 * SLICE_NS,
    "30 secs": 6 * SLICE_NS,
    "1 min": MINUTE_NS,
    "2 mins": 2 * MINUTE_NS,
    "3 mins": 3 * MINUTE_NS,
    "5 mins": 5 * MINUTE_NS,
    "10 mins": 10 * MINUTE_NS,
    "15 mins": 15 * MINUTE_NS,
    "20 mins": 20 * MINUTE_NS,
    "30 mins": 30 * MINUTE_NS,
    "1 hour": 60 * MINUTE_NS,
    "1 day": DAY_NS,
}
_DURATION = re.compile(r"(\d{1,6}) ([SDWMY])")
_END = re.compile(r"(\d{8})(?:[ -]+(\d\d:\d\d:\d\d))?(?: ([A-Za-z_/]+))?")
_CALENDAR_DAYS = {"W": 7, "M": 30.4375, "Y": 365.25}
_FARTHEST_DAYS = 20_000  # further back than any session
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PastBar(NamedTuple):
    """One bar of trades: `start` UTC ns, prices in USD, volume in shares, `wap` volume-weighted."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    wap: float


class BadQuestion(WireError):
    """A question for history that cannot be answered; caught where it came in, and told as error 321."""


def parse_end(text: str, now: int) -> int:
    """Return the end of the wanted span in UTC ns, never later than `now`; empty means now. Raises BadQuestion.

    A time without a zone is New York's, one joined to its date by a dash is UTC's.
    """
    if not text:
        return now
    found = _END.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        zone = ZoneInfo("UTC") if "-" in text[:9] else ZoneInfo(found[3]) if found[3] else NEW_YORK
        at = datetime.strptime(f"{found[1]} {found[2] or '23:59:59'}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
    except (ValueError, KeyError, OSError):  # what strptime and ZoneInfo raise
        raise BadQuestion(f"end time {text!r} is not YYYYMMDD HH:MM:SS [zone]") from None
    return min(now, max(0, int((at - _EPOCH).total_seconds())) * SECOND_NS)


def past_bars(exchange: Exchange, symbol: str, end: int, duration: str, bar_size: str) -> list[PastBar]:
    """Return the bars that begin before `end` (UTC ns), oldest first; the last may still be growing.

    Durations: S counts seconds of trading, D sessions (today's included), W, M and Y reach back on the calendar.
    Bars follow the wall clock (a 1-hour bar 09:30-10:00, then 10:00-11:00). Minutes without a trade have no bar.
    Raises BadQuestion on sizes and durations that do not exist.
    """
    interval = BAR_SIZES.get(bar_size)
    if interval is None:
        raise BadQuestion(f"bar size {bar_size!r} is not one of {', '.join(BAR_SIZES)}")
    bars: list[PastBar] = []
    for session, begin in _span(exchange, end, duration):
        bars += _session_bars(exchange, symbol, session, begin, end, interval)
    return bars


def _span(exchange: Exchange, end: int, duration: str) -> list[tuple[Session, int]]:
    """Return the sessions to read and where to begin in each, oldest first."""
    found = _DURATION.fullmatch(duration.strip())
    if found is None or int(found[1]) == 0:
        raise BadQuestion(f"duration {duration!r} is not <number> <S|D|W|M|Y>")
    amount, unit = int(found[1]), found[2]
    last = date.fromisoformat(exchange.calendar.label_of(end))
    first = date.fromisoformat(exchange.source.first)
    if unit in _CALENDAR_DAYS:
        days = min(round(amount * _CALENDAR_DAYS[unit]), _FARTHEST_DAYS)
        first = max(first, last - timedelta(days=days - 1))
    begun = [s for s in exchange.calendar.sessions(first, last) if s.open < end] if first <= last else []
    if unit == "D":
        begun = begun[-amount:]
    if unit != "S":
        return [(session, session.open) for session in begun]
    return _last_seconds(begun, end, amount * SECOND_NS)


def _last_seconds(sessions: list[Session], end: int, wanted: int) -> list[tuple[Session, int]]:
    span: list[tuple[Session, int]] = []
    for session in reversed(sessions):
        if wanted <= 0:
            break
        close = min(session.close, end)
        begin = max(session.open, close - wanted)
        wanted -= close - begin
        span.append((session, begin))
    return span[::-1]


def _session_bars(
    exchange: Exchange, symbol: str, session: Session, begin: int, end: int, interval: int
) -> list[PastBar]:
    minutes = exchange.minutes(symbol, session)
    whole = interval >= MINUTE_NS and session.close <= end
    columns: Columns = minutes if whole else slice_session(minutes)
    row = MINUTE_NS if whole else SLICE_NS
    low, high = np.searchsorted(columns.start, begin), np.searchsorted(columns.start, end - row, side="right")
    if low >= high:
        return []
    part = slice(int(low), int(high))
    start = columns.start[part]
    buckets = np.maximum(start // interval * interval, session.open)
    if interval == DAY_NS:
        buckets = np.full(len(start), session.open)
    cuts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    return _reduce(columns, part, buckets[cuts], cuts)


def _reduce(
    columns: Columns, part: slice, starts: NDArray[np.int64], cuts: NDArray[np.int64]
) -> list[PastBar]:
    """Add consecutive rows up to bars; each begins at a row of `cuts`."""
    high, low, close = columns.high[part], columns.low[part], columns.close[part]
    volume = columns.volume[part]
    weight = np.maximum(volume, 1e-9)  # a silent bar still has a price
    typical_price = (high + low + close) / 3
    wap = np.add.reduceat(typical_price * weight, cuts) / np.add.reduceat(weight, cuts)
    ends = np.append(cuts[1:], len(close)) - 1
    figures = (
        starts, columns.open[part][cuts], np.maximum.reduceat(high, cuts), np.minimum.reduceat(low, cuts),
        close[ends], np.add.reduceat(volume, cuts).astype(np.int64), np.round(wap, 4),
    )  # fmt: skip
    return [PastBar(*row) for row in zip(*(column.tolist() for column in figures), strict=True)]


def bar_time(start: int, interval: int, as_epoch: bool, version: int) -> str:
    """Write a bar's time: days as YYYYMMDD, the rest as New York wall time or as seconds since 1970."""
    if interval == DAY_NS:
        return stamp(version, start)[:8]
    return str(start // SECOND_NS) if as_epoch else stamp(version, start)


def bar_fields(bar: PastBar, when: str) -> tuple[Field, ...]:
    """Return the eight fields of a bar in historicalData (17)."""
    return (when, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, trades(bar.volume))


def grow(bar: PastBar | None, traded: Slice, opened: int, interval: int) -> PastBar | None:
    """Return the newest bar after one more slice: `bar` grown, or the next one begun; silence changes nothing."""
    if not traded.volume:
        return bar
    start = opened if interval == DAY_NS else max(traded.start // interval * interval, opened)
    price = typical(traded)
    if bar is None or bar.start != start:
        return PastBar(start, traded.open, traded.high, traded.low, traded.close, traded.volume, price)
    volume = bar.volume + traded.volume
    wap = round((bar.wap * bar.volume + price * traded.volume) / volume, 4)
    high, low = max(bar.high, traded.high), min(bar.low, traded.low)
    return PastBar(start, bar.open, high, low, traded.close, volume, wap)
