"""History on request, bars that are kept up to date, trading schedules, and where history begins."""

from __future__ import annotations

from dataclasses import dataclass

from robo_trader.core.events import DAY_NS, SECOND_NS
from robo_trader.data import xnys
from robo_trader.practice.data.history import SHOWN, History, PastBar, bar_count, bar_fields, bar_time
from robo_trader.practice.data.history_request import HistoryRequest, read_history_request
from robo_trader.practice.data.lines import Supply
from robo_trader.practice.data.periods import (
    BadQuestion,
    BadTime,
    NoAnswer,
    parse_duration,
    parse_end,
    parse_size,
    span,
)
from robo_trader.practice.data.reference_answers import trading_hours
from robo_trader.practice.market.contracts import read_contract
from robo_trader.practice.market.listings import american
from robo_trader.practice.market.stamps import hour, stamp, utc_stamp
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import INVALID, Cursor, WireError, frame

SCHEDULE = "SCHEDULE"
HMDS = "Historical Market Data Service error message:"
_ELSEWHERE = ("AGGTRADES", "FEE_RATE", "HISTORICAL_VOLATILITY", "OPTION_IMPLIED_VOLATILITY", "YIELD_LAST")
MOST_GROWING = 50  # of one client, as TWS allows
_PERIODS = {"day": 1, "days": 1, "week": 5, "weeks": 5, "month": 21, "months": 21}  # sessions
_MOST_SESSIONS = 252


@dataclass
class Growing:
    """A history question kept up to date, and the bar last told."""

    symbol: str
    what: str
    interval: int
    as_epoch: bool
    told: PastBar | None


class HistoryAnswers:
    """Answers questions for past bars, and keeps them up to date.

    Where live data is not paid for there is no history either, as with TWS; schedules are free.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._exchange = supply.exchange
        self._directory = supply.directory
        self._past = History(supply.exchange)
        self._growing: dict[Client, dict[int, Growing]] = {}
        self.answers: dict[int, Answer] = {
            20: self._history,
            25: self._cancel_history,
            87: self._head,
            88: self._histogram,
            89: self._nothing_to_cancel,
            90: self._nothing_to_cancel,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._growing.pop(client, None)

    def closed_slice(self) -> None:
        """Tell what the slice that has just ended made of the bars that are kept up to date."""
        newest: dict[tuple[str, str, int], PastBar | None] = {}
        for client, lines in self._growing.items():
            client.send(
                b"".join([self._grown(client, request, line, newest) for request, line in lines.items()])
            )

    # ---------------------------------------------------------------------------------------------------- bars

    def _history(self, client: Client, cursor: Cursor) -> None:
        asked = read_history_request(cursor)
        symbol = self._directory.settle(client, asked.request, asked.contract)
        if symbol is None:
            return
        try:
            if asked.what == SCHEDULE:
                client.send(self._schedule(asked))
            else:
                self._answer(client, asked, symbol)
        except (BadQuestion, NoAnswer) as error:
            refuse(client, asked.request, error)

    def _answer(self, client: Client, asked: HistoryRequest, symbol: str) -> None:
        interval = self._check(client, asked, symbol)
        bars = self._past.bars(symbol, asked.what, asked.end, asked.duration, interval)
        if not bars:
            raise no_data(symbol, asked.what)
        client.send(self._historical_data(client.version, asked, interval, bars))
        if asked.keep_up_to_date:
            growing = Growing(symbol, asked.what, interval, asked.as_epoch, bars[-1])
            self._growing.setdefault(client, {})[asked.request] = growing
            self._supply.listened()

    def _check(self, client: Client, asked: HistoryRequest, symbol: str) -> int:
        """Return the bars' length in ns. Raises BadQuestion and NoAnswer."""
        interval = parse_size(asked.bar_size)
        if not self._supply.is_live:
            raise NoAnswer(not_permitted(symbol))
        if asked.what in _ELSEWHERE:
            raise no_data(symbol, asked.what)
        if asked.what not in SHOWN:
            raise BadQuestion("What to show field is missing or incorrect.")
        if asked.end and asked.what == "ADJUSTED_LAST":
            raise BadQuestion("End Date not supported with adjusted last")
        if asked.keep_up_to_date:
            self._check_growing(client, asked, interval)
        return interval

    def _check_growing(self, client: Client, asked: HistoryRequest, interval: int) -> None:
        lines = self._growing.get(client, {})
        if asked.end:
            raise BadQuestion("End Date not supported with keepUpToDate")
        if interval == SECOND_NS:
            raise BadQuestion("keepUpToDate needs bars of 5 secs or more")
        if asked.request in lines:
            raise BadQuestion(f"Duplicate ticker ID for API historical data query {asked.request}")
        if len(lines) >= MOST_GROWING:
            raise NoAnswer(f"No more than {MOST_GROWING} queries are kept up to date at a time")

    def _historical_data(
        self, version: int, asked: HistoryRequest, interval: int, bars: list[PastBar]
    ) -> bytes:
        fields = [
            field
            for bar in bars
            for field in bar_fields(bar, bar_time(bar.start, interval, asked.as_epoch, version))
        ]
        end = parse_end(asked.end, self._exchange.now)
        return frame(
            17, asked.request, stamp(version, bars[0].start), stamp(version, end), len(bars), *fields
        )

    def _cancel_history(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        if self._growing.get(client, {}).pop(request, None) is None:
            return client.error(request, 366, f"No historical data query found for ticker id:{request}")
        return client.error(request, 162, f"{HMDS}API historical data query cancelled: {request}")

    def _grown(
        self, client: Client, request: int, line: Growing, newest: dict[tuple[str, str, int], PastBar | None]
    ) -> bytes:
        key = line.symbol, line.what, line.interval
        if key not in newest:
            newest[key] = self._past.newest(*key)
        bar = newest[key]
        if bar is None or bar == line.told:
            return b""
        line.told = bar
        when = bar_time(bar.start, line.interval, line.as_epoch, client.version)
        o, h, low, c = bar[1:5]
        return frame(90, request, bar_count(bar), when, o, c, h, low, bar.wap, bar.volume)

    # ----------------------------------------------------------------------------------------- what else there is

    def _schedule(self, asked: HistoryRequest) -> bytes:
        """Encode historicalSchedule (106): hours of trading in New York time, as far back as the calendar knows."""
        if parse_size(asked.bar_size) != DAY_NS:
            raise BadQuestion("Schedule is only available with bars of 1 day")
        duration = parse_duration(asked.duration, DAY_NS)
        end = parse_end(asked.end, self._exchange.now)
        sessions = span(self._exchange.calendar, f"{xnys.FIRST_YEAR}-01-01", end, duration, DAY_NS)
        if not sessions:
            raise NoAnswer("HMDS query returned no data")
        rows: list[tuple[str, str, str]] = []
        for session, _ in sessions:
            opens, closes = (session.open, session.close) if asked.regular_hours else trading_hours(session)
            rows.append((_local(opens), _local(closes), session.label.replace("-", "")))
        fields = [field for row in rows for field in row]
        return frame(106, asked.request, rows[0][0], rows[-1][1], "US/Eastern", len(rows), *fields)

    def _head(self, client: Client, cursor: Cursor) -> None:
        """Answer reqHeadTimeStamp (87) in UTC."""
        request, contract = cursor.integer(), read_contract(cursor)
        cursor.skip(2)  # include expired; there are regular hours only
        what, as_epoch = cursor.text(), cursor.integer() == 2
        symbol = self._directory.settle(client, request, contract)
        if symbol is None:
            return None
        if not self._supply.is_live:
            return refuse(client, request, NoAnswer(not_permitted(symbol)))
        head = self._past.head(symbol) if what in SHOWN else None
        if head is None:
            return client.error(request, 162, f"{HMDS}No head time stamp")
        when = str(head // SECOND_NS) if as_epoch else utc_stamp(client.version, head)
        return client.send(frame(88, request, when))

    def _histogram(self, client: Client, cursor: Cursor) -> None:
        """Answer reqHistogramData (88) with the shares traded at each price."""
        request, contract = cursor.integer(), read_contract(cursor)
        cursor.skip(2)  # include expired; there are regular hours only
        amount, _, unit = cursor.text().strip().partition(" ")
        symbol = self._directory.settle(client, request, contract)
        if symbol is None:
            return None
        if not self._supply.is_live:
            return refuse(client, request, NoAnswer(not_permitted(symbol)))
        if not (amount.isascii() and amount.isdigit() and len(amount) < 6 and unit in _PERIODS):
            return client.error(request, 321, f"{INVALID}{amount!r} {unit!r} is no period")
        rows = self._past.volumes(symbol, min(_MOST_SESSIONS, max(1, int(amount)) * _PERIODS[unit]))
        return client.send(frame(89, request, len(rows), *[field for row in rows for field in row]))

    def _nothing_to_cancel(self, _client: Client, _cursor: Cursor) -> None:
        """Accept that somebody gives up a question that has long been answered."""


def refuse(client: Client, request: int, error: WireError) -> None:
    """Tell why a question for history is not answered."""
    if isinstance(error, NoAnswer):
        return client.error(request, 162, f"{HMDS}{error}")
    if isinstance(error, BadTime):
        return client.error(request, 10314, f"End Date/Time: {error}")
    return client.error(request, 321, f"{INVALID}{error}")


def not_permitted(symbol: str) -> str:
    """Return what is said to an account that does not pay for market data."""
    return (
        f"No market data permissions for {american(symbol).primary} STK. "
        "Requested market data requires additional subscription for API."
    )


def no_data(symbol: str, what: str) -> NoAnswer:
    """Return the answer to a question for a past that was not."""
    return NoAnswer(f"HMDS query returned no data: {symbol}@SMART {what.capitalize()}")


def _local(ts: int) -> str:
    """Write a time (UTC ns) as schedules do: New York, YYYYMMDD-HH:MM:SS."""
    day, _, clock = hour(ts).partition(":")
    return f"{day}-{clock[:2]}:{clock[2:]}:00"
