"""History and live bars, against the tape they come from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from ib_async import Contract, Stock

from robo_trader.core.events import SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import Minutes, TapeMarket
from tests.practice.conftest import Desk


def sessions() -> list[Session]:
    return XnysCalendar().sessions(date(2026, 1, 8), date(2026, 1, 13))


def rows(minutes: Minutes) -> list[tuple[float, ...]]:
    columns = (
        minutes.start // SECOND_NS,
        minutes.open,
        minutes.high,
        minutes.low,
        minutes.close,
        minutes.volume,
    )
    return [tuple(row) for row in np.stack(columns, axis=1).tolist()]


def told(bars: Any) -> list[tuple[float, ...]]:
    return [(b.date.timestamp(), b.open, b.high, b.low, b.close, b.volume) for b in bars]


async def test_history_is_the_tape_to_the_last_cent(desk: Desk, tape: TapeMarket, stock: Contract) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, "", "3 D", "1 min", "TRADES", True, 2)
    assert told(bars) == [row for session in sessions()[:3] for row in rows(tape.minutes("AAPL", session))]
    assert bars[0].average == pytest.approx(200.0, abs=0.2)
    assert bars[0].barCount == 120


async def test_history_ends_at_the_markets_present(desk: Desk, tape: TapeMarket, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 60 * 5 + 20)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True, 2)
    today = rows(tape.minutes("AAPL", sessions()[3]))
    assert told(bars[:-1]) == today[:5]
    growing = told(bars[-1:])[0]
    assert growing[:2] == today[5][:2]
    assert growing[5] == 4_000  # four slices of a thousand shares


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("20260112 15:45:00 UTC", "2026-01-12 15:44"),
        ("20260112-15:45:00", "2026-01-12 15:44"),
        ("20260112 10:45:00 US/Eastern", "2026-01-12 15:44"),
        ("20260112 10:45:00", "2026-01-12 15:44"),
        ("20260110 12:00:00 UTC", "2026-01-09 20:59"),
        ("20270101 00:00:00 UTC", "2026-01-12 20:59"),
    ],
)
async def test_the_end_of_history_may_be_given_in_many_spellings(
    desk: Desk, stock: Contract, end: str, last: str
) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, end, "1 D", "1 min", "TRADES", True, 2)
    assert bars[-1].date == datetime.fromisoformat(last).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "minutes", "count"),
    [("5 mins", 5, 78), ("30 mins", 30, 13), ("1 hour", 60, 7)],
)
async def test_larger_bars_add_up_the_tapes_minutes(
    desk: Desk, tape: TapeMarket, stock: Contract, size: str, minutes: int, count: int
) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", size, "TRADES", True, 2)
    assert len(bars) == count
    day = tape.minutes("AAPL", sessions()[2])
    first = slice(
        0, 30 if size == "1 hour" else minutes
    )  # the hours are the clock's: 09:30-10:00, 10:00-11:00
    bar = bars[0]
    assert (bar.open, bar.close) == (day.open[first][0], day.close[first][-1])
    assert (bar.high, bar.low) == (day.high[first].max(), day.low[first].min())
    assert bar.volume == day.volume[first].sum()


async def test_five_second_bars_add_up_to_the_tapes_minutes(
    desk: Desk, tape: TapeMarket, stock: Contract
) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, "", "600 S", "5 secs", "TRADES", True, 2)
    assert len(bars) == 120
    day = tape.minutes("AAPL", sessions()[2])
    for i in range(10):
        part = bars[12 * i : 12 * i + 12]
        k = 380 + i
        assert (part[0].open, part[-1].close) == (day.open[k], day.close[k])
        assert max(b.high for b in part) == day.high[k]
        assert min(b.low for b in part) == day.low[k]
        assert sum(b.volume for b in part) == day.volume[k]


async def test_daily_bars_carry_dates_and_seconds_of_trading_reach_over_the_night(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    days = await ib.reqHistoricalDataAsync(stock, "", "1 W", "1 day", "TRADES", True, 2)
    assert [bar.date for bar in days] == [date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 12)]
    await desk.advance(5 + 600)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1800 S", "1 min", "TRADES", True, 2)
    assert len(bars) == 30
    assert bars[0].date == datetime(2026, 1, 12, 20, 40, tzinfo=UTC)
    assert bars[-1].date == datetime(2026, 1, 13, 14, 39, tzinfo=UTC)


@pytest.mark.parametrize("duration", ["365 D", "52 W", "12 M", "68 Y", "86400 S"])
async def test_a_duration_longer_than_the_market_gives_all_there_is(
    desk: Desk, stock: Contract, duration: str
) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, "", duration, "1 day", "TRADES", True, 2)
    assert len(bars) == 3


async def test_times_are_new_yorks_where_the_client_wants_text(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True, 1)
    assert str(bars[0].date) == "2026-01-12 09:30:00-05:00"


async def test_minutes_without_a_trade_have_no_bar(desk: Desk, thin: Contract) -> None:
    ib = await desk.connect()
    bars = await ib.reqHistoricalDataAsync(thin, "", "1 D", "1 min", "TRADES", True, 2)
    assert len(bars) == 385


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"barSizeSetting": "7 mins"}, 321),
        ({"durationStr": "1 X"}, 321),
        ({"durationStr": "0 D"}, 321),
        ({"durationStr": "366 D"}, 321),
        ({"durationStr": "53 W"}, 321),
        ({"durationStr": "13 M"}, 321),
        ({"durationStr": "86401 S"}, 321),
        ({"durationStr": "2001 S", "barSizeSetting": "1 secs"}, 162),
        ({"durationStr": "1 D", "barSizeSetting": "1 secs"}, 162),
        ({"whatToShow": "LAST"}, 321),
        ({"whatToShow": "HISTORICAL_VOLATILITY"}, 162),
        ({"whatToShow": "ADJUSTED_LAST", "endDateTime": "20260112 16:00:00"}, 321),
        ({"keepUpToDate": True, "endDateTime": "20260112 16:00:00"}, 321),
        ({"keepUpToDate": True, "barSizeSetting": "1 secs", "durationStr": "60 S"}, 321),
        ({"endDateTime": "noon"}, 10314),
        ({"endDateTime": "20260101 00:00:00 UTC"}, 162),
        ({"endDateTime": "00010101 00:00:00 Asia/Tokyo"}, 162),
        ({"endDateTime": "20260112 16:00:00 Nowhere"}, 10314),
        ({"endDateTime": "20260112 16:00:00 ../UTC"}, 10314),
        ({"contract": Stock("GONE", "SMART", "USD")}, 200),
    ],
)
async def test_history_that_cannot_be_had_is_refused_with_its_code(
    desk: Desk, stock: Contract, question: dict[str, Any], code: int
) -> None:
    ib = await desk.connect()
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    plain = {
        "contract": stock, "endDateTime": "", "durationStr": "1 D", "barSizeSetting": "1 min",
        "whatToShow": "TRADES", "useRTH": True, "formatDate": 2,
    }  # fmt: skip
    # The library takes 321 for a warning and waits on; the answer is what counts here.
    assert not await ib.reqHistoricalDataAsync(**(plain | question), timeout=0.2)
    assert codes[0] == code


async def test_history_kept_up_to_date_grows_slice_by_slice(
    desk: Desk, tape: TapeMarket, stock: Contract
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 30)
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True, 2, keepUpToDate=True)
    updates: list[bool] = []
    bars.updateEvent += lambda _bars, new: updates.append(new)
    await desk.advance(30 + 60 + 5)
    assert told(bars[:2]) == rows(tape.minutes("AAPL", sessions()[3]))[:2]
    assert len(bars) == 3
    assert updates == [False] * 6 + [True] + [False] * 11 + [True]
    ib.cancelHistoricalData(bars)
    await desk.advance(60)
    assert len(updates) == 19


@pytest.mark.parametrize(("kind", "code"), [(2, 300), (51, 300), (25, 366)])
async def test_cancelling_what_was_never_asked_is_said_so(desk: Desk, kind: int, code: int) -> None:
    ib = await desk.connect()
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    ib.client.send(kind, 1, 999)
    await desk.settle()
    assert codes == [code]
