"""History as the real client asks for it: kinds of bars, updates, schedules, beginnings, and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from ib_async import Contract, Stock

from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.data.lines import DataOptions
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of


@pytest.fixture
async def winter() -> AsyncIterator[Desk]:
    async with desk_of(PracticeOptions(speed=0, start="2025-12-29"), SyntheticMarket(7)) as desk:
        yield desk


@pytest.mark.parametrize("what", ["TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST"])
async def test_every_kind_of_bar_arrives(winter: Desk, what: str) -> None:
    ib = await winter.connect()
    bars = await ib.reqHistoricalDataAsync(Stock("SPY", "SMART", "USD"), "", "2 D", "30 mins", what, False, 2)
    assert len(bars) == 13 + 7  # a half-day and a whole one
    quotes = what not in ("TRADES", "ADJUSTED_LAST")
    assert {bar.volume == -1 == bar.barCount for bar in bars} == {quotes}


async def test_weeks_and_months_are_named_after_their_last_session(winter: Desk) -> None:
    ib = await winter.connect()
    share = Stock("SPY", "SMART", "USD")
    weeks = await ib.reqHistoricalDataAsync(share, "", "4 W", "1 week", "TRADES", True, 1)
    assert [bar.date for bar in weeks][-4:] == [date(2025, 12, day) for day in (5, 12, 19, 26)]
    months = await ib.reqHistoricalDataAsync(share, "", "2 M", "1 month", "TRADES", True, 2)
    assert [bar.date for bar in months][-2:] == [date(2025, 11, 28), date(2025, 12, 31)]


@pytest.mark.parametrize("what", ["TRADES", "MIDPOINT", "BID_ASK"])
@pytest.mark.parametrize("size", ["5 secs", "1 min", "1 hour", "1 day", "1 week"])
async def test_what_is_kept_up_to_date_ends_as_the_history_of_it(
    desk: Desk, stock: Contract, what: str, size: str
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 30)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", size, what, True, 2, keepUpToDate=True)
    await desk.advance(200)
    fresh = await ib.reqHistoricalDataAsync(stock, "", "1 D", size, what, True, 2)
    assert list(bars) == list(fresh)


@pytest.mark.parametrize("what", ["TRADES", "BID"])
async def test_a_halt_leaves_history_and_what_was_kept_up_to_date_alike(
    desk: Desk, stock: Contract, what: str
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 30)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", what, True, 2, keepUpToDate=True)
    await desk.advance(40)
    desk.gateway.halt("AAPL", "news")
    await desk.advance(150)
    desk.gateway.resume("AAPL")
    await desk.advance(60)
    fresh = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", what, True, 2)
    assert list(bars) == list(fresh)
    assert [bar.date.minute for bar in fresh] == {"TRADES": [30, 31, 33, 34], "BID": [30, 31, 32, 33, 34]}[
        what
    ]
    volumes = {"TRADES": [12_000, 2_000, 4_000, 8_000], "BID": [-1] * 5}  # halted from 09:31:10 to 09:33:40
    assert [bar.volume for bar in fresh] == volumes[what]


async def test_a_silent_share_is_kept_up_to_date_in_quotes_and_not_in_trades(
    desk: Desk, thin: Contract
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 9 * 60 + 30)
    trades = await ib.reqHistoricalDataAsync(thin, "", "1 D", "1 min", "TRADES", True, 2, keepUpToDate=True)
    quotes = await ib.reqHistoricalDataAsync(thin, "", "1 D", "1 min", "BID", True, 2, keepUpToDate=True)
    await desk.advance(3 * 60)
    assert (len(trades), len(quotes)) == (10, 13)


async def test_a_cancelled_query_is_said_to_be(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 30)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True, 2, keepUpToDate=True)
    heard: list[tuple[int, str]] = []
    ib.errorEvent += lambda _about, code, text, *_: heard.append((code, text))
    ib.cancelHistoricalData(bars)
    await desk.settle()
    text = f"Historical Market Data Service error message:API historical data query cancelled: {bars.reqId}"
    assert heard == [(162, text)]


async def test_a_client_keeps_fifty_queries_up_to_date_each_under_its_own_number(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    heard: list[tuple[int, int]] = []
    ib.errorEvent += lambda about, code, *_: heard.append((about, code))
    for request in (*range(1001, 1051), 1001, 1051):
        ib.client.reqHistoricalData(request, stock, "", "60 S", "30 secs", "TRADES", True, 2, True, [])
    await desk.settle()
    assert heard == [(1001, 321), (1051, 162)]


async def test_no_data_names_what_was_asked(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard: list[str] = []
    ib.errorEvent += lambda _about, _code, text, *_: heard.append(text)
    assert not await ib.reqHistoricalDataAsync(stock, "20200101 00:00:00", "1 D", "1 min", "TRADES", True)
    assert heard == [
        "Historical Market Data Service error message:HMDS query returned no data: AAPL@SMART Trades"
    ]


async def test_history_begins_with_the_first_session_that_traded(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    opened = datetime(2026, 1, 8, 14, 30)  # noqa: DTZ001 - what the client makes of UTC without a zone
    assert await ib.reqHeadTimeStampAsync(stock, "TRADES", True, 1) == opened
    assert await ib.reqHeadTimeStampAsync(stock, "TRADES", True, 2) == opened.replace(tzinfo=UTC)
    heard: list[int] = []
    ib.errorEvent += lambda _about, code, *_: heard.append(code)
    await ib.reqHeadTimeStampAsync(stock, "NEWS", True, 1)
    assert heard == [162]


async def test_the_schedule_has_the_half_day_and_not_the_holiday(winter: Desk) -> None:
    ib = await winter.connect()
    schedule = await ib.reqHistoricalScheduleAsync(Stock("SPY", "SMART", "USD"), 3)
    assert schedule.timeZone == "US/Eastern"
    assert (schedule.startDateTime, schedule.endDateTime) == ("20251223-09:30:00", "20251226-16:00:00")
    assert [(s.startDateTime, s.endDateTime, s.refDate) for s in schedule.sessions] == [
        ("20251223-09:30:00", "20251223-16:00:00", "20251223"),
        ("20251224-09:30:00", "20251224-13:00:00", "20251224"),
        ("20251226-09:30:00", "20251226-16:00:00", "20251226"),
    ]
    whole = await ib.reqHistoricalScheduleAsync(Stock("SPY", "SMART", "USD"), 1, useRTH=False)
    assert (whole.startDateTime, whole.endDateTime) == ("20251226-04:00:00", "20251226-20:00:00")


async def test_the_histogram_holds_all_shares_of_its_days(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    rows = await ib.reqHistogramDataAsync(stock, True, "2 days")
    assert sum(row.count for row in rows) == 2 * 390 * 12_000
    assert [row.price for row in rows] == sorted({row.price for row in rows})


@pytest.mark.parametrize("grade", ["delayed", "none"])
async def test_an_account_without_live_data_has_no_history_either(
    tape: TapeMarket, stock: Contract, grade: str
) -> None:
    async with desk_of(PracticeOptions(speed=0, data=DataOptions(grade)), tape) as desk:
        ib = await desk.connect()
        heard: list[tuple[int, str]] = []
        ib.errorEvent += lambda _about, code, text, *_: heard.append((code, text))
        assert not await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True)
        assert not await ib.reqHeadTimeStampAsync(stock, "TRADES", True, 1)
        assert not await ib.reqHistogramDataAsync(stock, True, "1 day")
        assert not await ib.reqHistoricalTicksAsync(stock, "", "20260112 16:00:00", 10, "TRADES", True)
        assert [code for code, _ in heard] == [162, 162, 162, 10187]
        assert all("No market data permissions for NASDAQ STK" in text for _, text in heard)
        assert (await ib.reqHistoricalScheduleAsync(stock, 1)).sessions


async def test_the_end_may_be_a_date_of_the_client(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    at = datetime(2026, 1, 9, 16, 0, tzinfo=NEW_YORK)
    bars = await ib.reqHistoricalDataAsync(stock, at, "1 D", "1 hour", "TRADES", True, 2)
    assert bars[-1].date == (at - timedelta(hours=1)).astimezone(UTC)
