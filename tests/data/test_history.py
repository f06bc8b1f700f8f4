"""Stored and fetched bars become one series; the calendar says what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from msgspec.structs import replace

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.data.history import HistoryOptions, merge, missing, wanted, warm
from robo_trader.data.sessions import XnysCalendar
from tests.data.streams import flat, from_parquet, new_york

CALENDAR = XnysCalendar()
OPEN = new_york("2026-01-05 09:30")


def whole_days(first: str, last: str) -> list[Bar]:
    sessions = CALENDAR.sessions(date.fromisoformat(first), date.fromisoformat(last))
    return [flat(ts) for s in sessions for ts in range(s.open + MINUTE_NS, s.close + 1, MINUTE_NS)]


class Broker:
    """Answers with all it has after the time it is asked from."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, symbol: str, since_ns: int) -> Sequence[Bar]:
        self.asked.append((symbol, since_ns))
        return [bar for bar in self.bars if bar.ts > since_ns]


def test_merge_sorts_drops_doubles_and_believes_the_fetched_bar() -> None:
    stored = [flat(OPEN + n * MINUTE_NS) for n in (3, 1, 2)]
    fetched = [flat(OPEN + n * MINUTE_NS, 101.0) for n in (3, 4)]
    merged = merge(stored, fetched)
    assert [(bar.ts - OPEN) // MINUTE_NS for bar in merged] == [1, 2, 3, 4]
    assert [bar.close for bar in merged] == [100.0, 100.0, 101.0, 101.0]


def test_missing_stretches_are_named_by_start_and_end_and_end_with_the_day() -> None:
    sessions = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 6))
    bars = whole_days("2026-01-05", "2026-01-06")
    assert missing(bars, sessions) == []
    holes = bars[:5] + bars[7:388] + bars[391:]
    assert missing(holes, sessions) == [
        (OPEN + 5 * MINUTE_NS, OPEN + 7 * MINUTE_NS),
        (OPEN + 388 * MINUTE_NS, OPEN + 390 * MINUTE_NS),
        (sessions[1].open, sessions[1].open + MINUTE_NS),
    ]


def test_a_half_day_misses_210_minutes_at_most() -> None:
    (session,) = CALENDAR.sessions(date(2026, 11, 27), date(2026, 11, 27))
    assert missing([], [session]) == [(session.open, session.open + 210 * MINUTE_NS)]
    assert missing(whole_days("2026-11-27", "2026-11-27"), [session]) == []


@pytest.mark.parametrize(
    ("now", "labels", "last_close"),
    [
        ("2026-01-06 09:00", ["2026-01-02", "2026-01-05"], "2026-01-05 16:00"),
        ("2026-01-06 09:30", ["2026-01-02", "2026-01-05"], "2026-01-05 16:00"),
        ("2026-01-06 10:00:30", ["2026-01-02", "2026-01-05", "2026-01-06"], "2026-01-06 10:00"),
        ("2026-01-06 20:00", ["2026-01-02", "2026-01-05", "2026-01-06"], "2026-01-06 16:00"),
        ("2026-01-10 12:00", ["2026-01-08", "2026-01-09"], "2026-01-09 16:00"),
    ],
)
def test_wanted_are_the_days_before_and_today_as_far_as_bars_are_closed(
    now: str, labels: list[str], last_close: str
) -> None:
    sessions = wanted(CALENDAR, new_york(now), HistoryOptions(sessions=2))
    assert [session.label for session in sessions] == labels
    assert sessions[-1].close == new_york(last_close)


async def test_warm_asks_once_from_the_first_hole_and_returns_a_series_without_holes() -> None:
    days = whole_days("2026-01-02", "2026-01-06")
    now = new_york("2026-01-06 10:00:30")
    broker = Broker(days)
    stored = days[:100] + days[110:300]
    options = HistoryOptions(sessions=2)
    bars = await warm("AAPL", broker.fetch, stored, CALENDAR, now, options)
    assert broker.asked == [("AAPL", days[99].ts)]
    assert [bar.ts for bar in bars] == [bar.ts for bar in days if bar.ts <= now]
    assert missing(bars, wanted(CALENDAR, now, options)) == []
    assert all(bar.history for bar in bars)


async def test_warm_does_not_ask_for_what_is_stored() -> None:
    days = whole_days("2026-01-02", "2026-01-05")
    broker = Broker([])
    now = new_york("2026-01-06 08:00")
    bars = await warm("AAPL", broker.fetch, days, CALENDAR, now, HistoryOptions(sessions=2))
    assert broker.asked == []
    assert [bar.ts for bar in bars] == [bar.ts for bar in days]


async def test_warm_drops_the_bar_in_the_making_and_bars_outside_hours() -> None:
    now = OPEN + 2 * MINUTE_NS + 1
    stray = [flat(OPEN), flat(OPEN + 3 * MINUTE_NS), flat(new_york("2026-01-02 18:00"))]
    broker = Broker([flat(OPEN + MINUTE_NS), flat(OPEN + 2 * MINUTE_NS), *stray])
    bars = await warm("AAPL", broker.fetch, [], CALENDAR, now, HistoryOptions(sessions=1))
    assert [bar.ts for bar in bars] == [OPEN + MINUTE_NS, OPEN + 2 * MINUTE_NS]


async def test_warm_with_no_session_wanted_is_empty_before_the_first_bar_of_the_day() -> None:
    broker = Broker([])
    assert await warm("AAPL", broker.fetch, [], CALENDAR, OPEN, HistoryOptions(sessions=0)) == []
    assert broker.asked == []


async def test_an_error_of_the_broker_climbs() -> None:
    async def refuse(symbol: str, since_ns: int) -> Sequence[Bar]:
        raise ConnectionError(symbol)

    with pytest.raises(ConnectionError, match="AAPL"):
        await warm("AAPL", refuse, [], CALENDAR, OPEN, HistoryOptions(sessions=1))


def test_a_halted_stock_misses_its_pauses_and_nothing_else() -> None:
    (day,) = CALENDAR.sessions(date(2018, 4, 10), date(2018, 4, 10))
    bars = from_parquet("anomaly_luld_halts_sprint_2018.parquet", "S")
    pauses = missing([replace(bar) for bar in bars], [day])
    assert pauses == [
        (new_york("2018-04-10 12:38"), new_york("2018-04-10 12:42")),
        (new_york("2018-04-10 12:48"), new_york("2018-04-10 12:53")),
    ]
