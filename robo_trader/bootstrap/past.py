"""What a session knows when it begins: history from disk and TWS, stored, and the features warmed with it at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import structlog

from robo_trader.bootstrap.days import warm_regimes
from robo_trader.bootstrap.plan import Plan, Recent, Warmth, new_features, new_regimes, new_watch
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar
from robo_trader.data.bars import columns
from robo_trader.data.history import HistoryOptions, wanted, warm
from robo_trader.data.nights import Nights
from robo_trader.data.pipeline import Pipeline
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Floats
from robo_trader.features.scan import Scan
from robo_trader.features.technical_indicators import WARM_SESSIONS, WARMUP
from robo_trader.ibkr.feed import IbFeed
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.storage import feature_rows, queries
from robo_trader.storage.database import Database

log = structlog.get_logger()
SESSION_MINUTES = 390
SETTLED = 3  # times its period, until an average no longer tells from which bar it was begun
MOST_SESSIONS = 40
HISTORIES_AT_A_TIME = 8  # the limit on requests is per share, so others need not wait for one


class Asked(NamedTuple):
    """A past session of which TWS has told all it has."""

    symbol: str
    interval_ns: int
    session: str


class History(NamedTuple):
    """Closed bars by symbol, oldest first; `fetched` are the closes of those that the database does not hold."""

    bars: dict[str, list[Bar]]
    fetched: dict[str, frozenset[int]]
    asked: list[Asked]
    now: int = 0  # the market's time, at which it was asked

    def unstored(self) -> list[Bar]:
        """Return the bars that the database does not hold."""
        return [bar for symbol, bars in self.bars.items() for bar in bars if bar.ts in self.fetched[symbol]]


class HistoryReader:
    """Gets closed bars of the past: what the database holds, and from TWS what that lacks."""

    def __init__(self, feed: IbFeed, calendar: XnysCalendar, interval_ns: int) -> None:
        self._feed = feed
        self._calendar = calendar
        self._interval_ns = interval_ns

    async def read(
        self, database: Database, symbols: Sequence[str], now: int, sessions: int, spare: Collection[str] = ()
    ) -> History:
        """Return the bars of the last `sessions` and of today; a `spare` symbol that is refused has none.

        Of a bar that is stored already, what was stored counts: that is what was traded on.
        """
        options = HistoryOptions(sessions, self._interval_ns)
        at_a_time = asyncio.Semaphore(HISTORIES_AT_A_TIME)
        history = History({}, {}, [], now)

        async def of(symbol: str) -> None:
            async with at_a_time:
                try:
                    await self._read(database, symbol, now, options, history)
                except (RequestRefused, Unanswered) as error:
                    if symbol not in spare:
                        raise
                    log.warning(
                        "no_history", what=symbol, why=f"{error}; what compares with it warms up live"
                    )
                    history.bars[symbol], history.fetched[symbol] = [], frozenset()

        await asyncio.gather(*(of(symbol) for symbol in symbols))
        return history._replace(bars={symbol: history.bars[symbol] for symbol in symbols})

    async def _read(
        self, database: Database, symbol: str, now: int, options: HistoryOptions, history: History
    ) -> None:
        past = wanted(self._calendar, now, options)
        since = past[0].open if past else now  # a year of stored bars need not be read to warm the features
        stored, asked = await asyncio.to_thread(self._stored, database, symbol, since)
        began: list[int] = []

        async def fetch(symbol: str, since_ns: int) -> list[Bar]:
            began.append(since_ns)
            return await self._feed.history(symbol, since_ns)

        found = await warm(symbol, fetch, list(stored.values()), self._calendar, now, options, asked)
        bars = [stored.get(bar.ts, bar) for bar in found]
        history.bars[symbol] = bars
        history.fetched[symbol] = frozenset(bar.ts for bar in bars if bar.ts not in stored)
        for session in past if began else ():
            told = session.close > began[0] and session.label < self._calendar.label_of(now)
            if told and any(session.open < ts <= session.close for ts in history.fetched[symbol]):
                history.asked.append(Asked(symbol, self._interval_ns, session.label))

    def _stored(self, database: Database, symbol: str, since: int) -> tuple[dict[int, Bar], frozenset[str]]:
        with closing(queries.connect_readonly(database.path)) as connection:
            b = queries.bars(connection, symbol, self._interval_ns, since)
            asked = feature_rows.histories(connection, symbol, self._interval_ns)
        columns = (column.tolist() for column in (b.ts, b.open, b.high, b.low, b.close, b.volume))
        rows = zip(*columns, strict=True)
        bars = (
            Bar(symbol, ts, open_, high, low, close, volume, self._interval_ns, history=True)
            for ts, open_, high, low, close, volume in rows
        )
        return {bar.ts: bar for bar in bars}, asked


def sessions_to_warm(interval_ns: int, wished: int = 0) -> int:
    """Return how many whole sessions before the current one are read: `wished`, or (0) what the features need.

    >>> sessions_to_warm(MINUTE_NS, 5)
    5
    """
    per_session = SESSION_MINUTES * MINUTE_NS // interval_ns
    return wished or min(MOST_SESSIONS, max(WARM_SESSIONS, math.ceil(SETTLED * WARMUP / per_session)) + 1)


async def take(history: History, pipeline: Pipeline, database: Database) -> dict[str, list[Bar]]:
    """Return the bars that are believed, stored beside those known before; the streams go on from their ends."""
    past = {}
    for symbol, bars in history.bars.items():
        past[symbol] = pipeline.take_past(symbol, bars, history.fetched[symbol])
        await asyncio.sleep(
            0
        )  # a month of fifty symbols takes seconds, and the session's heartbeat must go on
    await database.store_bars(history._replace(bars=past).unstored(), history.now)
    await database.note_histories(history.asked)
    return past


def warm_desk(
    plan: Plan, past: Mapping[str, Sequence[Bar]], days: Mapping[str, Sequence[Bar]] | None = None
) -> Warmth:
    """Warm the features of a plan with the past of its symbols, and its regimes with their days as well.

    Raises DataError on a model that is damaged.
    """
    features = new_features(plan)
    watch = new_watch(plan, features)
    told = {symbol: bars for symbol, bars in past.items() if bars}
    vectors, recent = {}, {}
    for symbol, scan in features.scans({symbol: columns(bars) for symbol, bars in told.items()}).items():
        watched = watch if symbol in plan.traded else None
        rows = _last_rows(scan, watched.reach if watched else 1)
        if scan.seen:
            vectors[symbol] = rows[-1].tobytes()
        if watched is not None:
            ts = np.array([bar.ts for bar in told[symbol][-len(rows) :]])
            newest = watched.newest(ts, rows, plan.bar_s * SECOND_NS)
            recent[symbol] = Recent.of(ts[newest], rows[newest], watched.columns)
    nights = Nights(XnysCalendar())
    for bars in told.values():
        nights.learn(bars)
    return Warmth(
        features.saved(),
        vectors,
        {symbol: bars[0].ts for symbol, bars in told.items()},
        {symbol: bars[-1].ts for symbol, bars in told.items()},
        recent,
        {symbol: rows.tobytes() for symbol, rows in nights.told().items()},
        warm_regimes(new_regimes(plan), days or {}, told),
    )


def _last_rows(scan: Scan, most: int) -> Floats:
    """Step over a past and return its last rows, no more than `most`."""
    blocks = scan.blocks()
    _, block = next(blocks)
    rows = block[-most:].copy()
    for _, block in blocks:
        rows = np.concatenate((rows, block))[-most:]
    return rows
