"""Past ticks on request, against those that were told one by one when they happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from ib_async import IB, Contract

from tests.practice.conftest import Desk

OPEN = datetime(2026, 1, 13, 14, 30, tzinfo=UTC)
YESTERDAY = "20260112 16:00:00 US/Eastern"


async def past(
    ib: IB, stock: Contract, what: str, start: Any = "", end: Any = "", n: int = 1000
) -> list[Any]:
    return list(await ib.reqHistoricalTicksAsync(stock, start, end, n, what, True))


async def test_past_trades_are_those_that_were_told_live(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqTickByTickData(stock, "AllLast")
    live: list[tuple[Any, ...]] = []
    ticker.updateEvent += lambda t: live.extend(  # the client puts its own time in place of a tick's
        (x.price, x.size, x.exchange, x.specialConditions, x.tickAttribLast) for x in t.tickByTicks
    )
    await desk.advance(5 + 120)
    ticks = await past(ib, stock, "TRADES", start=OPEN)
    told = [(t.price, t.size, t.exchange, t.specialConditions, t.tickAttribLast) for t in ticks]
    assert len(told) > 100
    assert told == live[: len(told)]
    assert sum(t.size for t in ticks) == 24_000


async def test_past_quotes_are_those_that_were_told_live(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 60)
    ticker = ib.reqTickByTickData(stock, "BidAsk")
    live: list[tuple[Any, ...]] = []
    ticker.updateEvent += lambda t: live.extend(
        (x.bidPrice, x.askPrice, x.bidSize, x.askSize) for x in t.tickByTicks
    )
    await desk.advance(60)
    ticks = await past(ib, stock, "BID_ASK", start=OPEN + timedelta(seconds=60))
    told = [(t.priceBid, t.priceAsk, t.sizeBid, t.sizeAsk) for t in ticks]
    assert len(told) > 50
    # The line began with the quote that stood.
    assert told == live[1:]


async def test_past_midpoints_are_the_middles_of_past_quotes(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    quotes = await past(ib, stock, "BID_ASK", end=YESTERDAY, n=200)
    middles = await past(ib, stock, "MIDPOINT", end=YESTERDAY, n=50)
    by_second = {(t.time, round((t.priceBid + t.priceAsk) / 2, 4)) for t in quotes}
    recent = [t for t in middles if t.time >= quotes[0].time + timedelta(seconds=1)]
    assert recent
    assert {(t.time, t.price) for t in recent} <= by_second
    assert {t.size for t in middles} == {0}


@pytest.mark.parametrize("what", ["TRADES", "BID_ASK", "MIDPOINT"])
@pytest.mark.parametrize(
    "end", ["20260112 16:00:00 US/Eastern", "20260112-15:00:00", "20260110 12:00:00 UTC"]
)
async def test_the_ticks_before_an_end_lead_up_to_those_after_a_start(
    desk: Desk, stock: Contract, what: str, end: str
) -> None:
    ib = await desk.connect()
    before = await past(ib, stock, what, end=end, n=40)
    assert len(before) >= 40
    seconds = [tick.time for tick in before]
    assert seconds == sorted(seconds)
    again = await past(ib, stock, what, start=before[0].time, end=end, n=len(before))
    assert again[: len(before)] == before


async def test_the_last_second_is_told_whole(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    everything = await past(ib, stock, "TRADES", start="20260112 10:00:00", n=1000)
    for n in range(1, 30):
        ticks = await past(ib, stock, "TRADES", start="20260112 10:00:00", n=n)
        whole = [tick for tick in everything if tick.time <= everything[n - 1].time]
        assert ticks == whole


async def test_ticks_of_a_tape_of_bars_begin_with_its_first_session_and_end_now(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 7)
    assert await past(ib, stock, "TRADES", end="20260107 16:00:00") == []
    first = await past(ib, stock, "TRADES", start="20251201 09:30:00", n=1)
    assert first[0].time == datetime(2026, 1, 8, 14, 30, tzinfo=UTC)
    assert first[0].specialConditions == "O"
    latest = await past(ib, stock, "TRADES", end="20270101 00:00:00")
    assert latest[-1].time < OPEN + timedelta(seconds=12)
    for later in ("20260114 09:30:00", "99991231 23:59:59 US/Eastern"):
        assert await past(ib, stock, "TRADES", start=later) == []


async def test_quotes_that_differ_in_size_only_can_be_left_out(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticks = await ib.reqHistoricalTicksAsync(stock, "20260112 10:00:00", "", 100, "BID_ASK", True, True)
    prices = [(t.priceBid, t.priceAsk) for t in ticks]
    assert all(a != b for a, b in pairwise(prices))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (("", "", 10, "TRADES"), 321),
        (("", YESTERDAY, 0, "TRADES"), 321),
        (("", YESTERDAY, 1001, "TRADES"), 321),
        (("", YESTERDAY, 10, "LAST"), 321),
        (("noon", "", 10, "TRADES"), 10314),
    ],
)
async def test_a_question_for_ticks_that_makes_no_sense_is_refused(
    desk: Desk, stock: Contract, asked: tuple[str, str, int, str], code: int
) -> None:
    ib = await desk.connect()
    heard: list[int] = []
    ib.errorEvent += lambda _about, code, *_: heard.append(code)
    start, end, count, what = asked
    ib.client.reqHistoricalTicks(ib.client.getReqId(), stock, start, end, count, what, True, False, [])
    await desk.settle()
    assert heard == [code]
