"""Fetches closed bars of the past, page by page and within TWS's limits."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time

from ib_async.objects import BarData

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS, Bar
from robo_trader.core.protocols import Calendar
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.contracts import ContractRecord, Contracts
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.ibkr.values import observed_price, observed_size, utc_ns

BAR_SIZES = {MINUTE_NS: "1 min", 5 * MINUTE_NS: "5 mins", 30 * MINUTE_NS: "30 mins"}
_DAY_S = 86_400
_NO_DATA = 162
_WITHIN = time(16)  # UTC: within every session, also those that end at 13:00 New York


class History:
    """Asks TWS for past trades of regular hours."""

    def __init__(
        self,
        connection: Connection,
        contracts: Contracts,
        pacer: Pacer,
        calendar: Calendar,
        days_per_request: int,
    ) -> None:
        self._connection = connection
        self._contracts = contracts
        self._pacer = pacer
        self._calendar = calendar
        self._days = days_per_request

    async def bars(
        self, symbol: str, since_ns: int, until_ns: int | None = None, interval_ns: int = MINUTE_NS
    ) -> list[Bar]:
        """Return the closed bars with since_ns < ts <= until_ns (None: now), oldest first.

        A bar still open is never among them. Raises Unanswered after a time-out, RequestRefused and ConnectionLost,
        KeyError for an interval that is none of BAR_SIZES.
        """
        record = await self._contracts.qualify(symbol)
        now = await self._connection.ask_time()
        end = min(now if until_ns is None else until_ns, now) // interval_ns * interval_ns
        found: dict[int, Bar] = {}
        while end > since_ns:
            page = await self._page(record, end, end - since_ns, interval_ns)
            fresh = [bar for bar in page if bar.ts <= end]
            if not fresh:
                break
            found.update((bar.ts, bar) for bar in fresh)
            end = min(bar.ts for bar in fresh) - interval_ns
        return [found[ts] for ts in sorted(found) if ts > since_ns]

    async def days(self, symbol: str, sessions: int) -> list[Bar]:
        """Return the last whole sessions, 365 at most, oldest first: bars of DAY_NS that close with their session.

        Raises like `bars`. Splits since are taken out of the prices, as TWS does.
        """
        record = await self._contracts.qualify(symbol)
        now = await self._connection.ask_time()
        duration = f"{sessions} D"
        await self._pacer.history(symbol, f"{symbol} {now} {duration} 1 day")
        rows = await self._ask(record, "", duration, "1 day")
        found = (self._day(symbol, row) for row in rows)
        return [bar for bar in found if bar is not None and bar.ts <= now]

    def _day(self, symbol: str, row: BarData) -> Bar | None:
        day = row.date.date() if isinstance(row.date, datetime) else row.date
        if not isinstance(day, date):
            return None
        session = self._calendar.session(utc_ns(datetime.combine(day, _WITHIN, UTC)))
        return None if session is None else _bar(symbol, row, session.close, DAY_NS)

    async def _page(self, record: ContractRecord, end: int, span_ns: int, interval_ns: int) -> list[Bar]:
        symbol, size = record.instrument.symbol, BAR_SIZES[interval_ns]
        duration, until = self._duration(span_ns), datetime.fromtimestamp(end // SECOND_NS, UTC)
        await self._pacer.history(symbol, f"{symbol} {end} {duration} {size}")
        try:
            rows = await self._ask(record, f"{until:%Y%m%d %H:%M:%S} UTC", duration, size)
        except RequestRefused as error:
            if error.code == _NO_DATA and "no data" in str(error):
                return []
            raise
        begun = ((row, row.date) for row in rows)
        bars = (
            _bar(symbol, row, utc_ns(start) + interval_ns, interval_ns)
            for row, start in begun
            if isinstance(start, datetime)
        )
        return [bar for bar in bars if bar is not None]

    def _duration(self, span_ns: int) -> str:
        seconds = math.ceil(span_ns / SECOND_NS)
        if seconds <= _DAY_S:
            return f"{max(seconds, 60)} S"
        return f"{min(math.ceil(seconds / _DAY_S) + 1, self._days)} D"

    async def _ask(self, record: ContractRecord, end: str, duration: str, size: str) -> list[BarData]:
        # The library's own call turns a time-out into an empty list.
        ib, contract = self._connection.ib, record.contract
        request = ib.client.getReqId()
        answer = ib.wrapper.startReq(request, contract)  # type: ignore[no-untyped-call]
        ib.client.reqHistoricalData(  # type: ignore[no-untyped-call]
            request, contract, end, duration, size, "TRADES", True, 2, False, None
        )
        try:
            rows: list[BarData] = await self._connection.ask(
                answer, f"{size} bars of {record.instrument.symbol}"
            )
        except Unanswered:
            self._connection.ib.client.cancelHistoricalData(request)  # type: ignore[no-untyped-call]
            raise
        return rows


def _bar(symbol: str, row: BarData, ts: int, interval_ns: int) -> Bar | None:
    open_, high, low, close = map(observed_price, (row.open, row.high, row.low, row.close))
    volume = observed_size(row.volume)
    if open_ is None or high is None or low is None or close is None or volume is None:
        return None
    return Bar(symbol, ts, open_, high, low, close, volume, interval_ns, history=True)
