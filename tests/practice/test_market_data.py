"""Market data lines: the day, the trades, the quote, and silence where nothing changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ib_async import Contract, LimitOrder

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk
from tests.practice.wiretap import market, tap, ticks, today


async def test_ticks_show_the_day_and_the_last_trade(desk: Desk, tape: TapeMarket, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock)
    await desk.advance(5)
    day = tape.minutes("AAPL", today())
    assert ticker.bid <= day.open[0] <= ticker.ask
    assert (ticker.marketDataType, ticker.minTick) == (1, 0.01)
    (yesterday,) = XnysCalendar().before("2026-01-13", 1)
    assert ticker.close == tape.minutes("AAPL", yesterday).close[-1]
    await desk.advance(60)
    assert (ticker.open, ticker.last, ticker.volume) == (day.open[0], day.close[0], 12_000)
    assert (ticker.high, ticker.low) == (day.high[0], day.low[0])
    (*_, latest) = market(desk).prints_between("AAPL", today().open, market(desk).now)
    assert ticker.lastTimestamp == datetime.fromtimestamp(latest.ts // SECOND_NS, UTC)


async def test_the_quote_is_the_best_of_the_book_with_every_beat(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock)
    seen = set()
    await desk.advance(4)
    for _ in range(60):
        await desk.advance(1)
        book = market(desk).book("AAPL")
        assert book is not None
        assert (ticker.bid, ticker.bidSize) == book.levels(Side.BUY)[0]
        assert (ticker.ask, ticker.askSize) == book.levels(Side.SELL)[0]
        seen.add((ticker.bid, ticker.bidSize, ticker.ask, ticker.askSize))
    assert len(seen) > 30


async def test_what_we_took_is_gone_from_the_quote(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock)
    await desk.advance(5 + 31)
    ask, size = ticker.ask, ticker.askSize
    trade = ib.placeOrder(stock, LimitOrder("BUY", size, ask))
    await desk.settle()
    assert trade.filled() == size
    book = market(desk).book("AAPL")
    assert book is not None
    assert book.levels(Side.SELL)[0].price > ask
    await desk.advance(1)
    book = market(desk).book("AAPL")
    assert book is not None
    assert (ticker.ask, ticker.askSize) == book.levels(Side.SELL)[0]


async def test_who_comes_in_the_middle_of_a_slice_is_told_what_the_others_know(
    desk: Desk, stock: Contract
) -> None:
    early, late = await desk.connect(1), await desk.connect(2)
    first = early.reqMktData(stock, "293")
    await desk.advance(5 + 123)
    second = late.reqMktData(stock, "293")
    await desk.settle()
    for _ in range(3):
        shown = (
            "bid",
            "ask",
            "bidSize",
            "askSize",
            "last",
            "lastSize",
            "volume",
            "open",
            "high",
            "low",
            "close",
        )
        assert [getattr(second, name) for name in shown] == [getattr(first, name) for name in shown]
        assert second.lastTimestamp == first.lastTimestamp
        await desk.advance(1)


async def test_nothing_is_told_twice(desk: Desk, stock: Contract, thin: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib)
    ib.reqMktData(stock, "221,233,293,294,295,318")
    ib.reqMktData(thin)
    await desk.advance(5 + 12 * 60)
    shown: dict[tuple[int, int], tuple[str, ...]] = {}
    for request, kind, fields in ticks(heard):
        if kind in (4, 5):
            continue  # a price may come back between two sizes of its own
        assert shown.get((request, kind)) != fields, (request, kind, fields)
        shown[request, kind] = fields
        if kind in (1, 2):
            shown.pop((request, {1: 0, 2: 3}[kind]), None)
        if kind in (0, 3):
            shown.pop((request, {0: 1, 3: 2}[kind]), None)
    assert len(ticks(heard)) > 3_000


async def test_every_price_of_a_quote_or_a_trade_is_followed_by_its_size(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib)
    ib.reqMktData(stock)
    await desk.advance(5 + 60)
    told = [(kind, fields) for _, kind, fields in ticks(heard)]
    priced = [(at, kind) for at, (kind, _) in enumerate(told) if kind in (1, 2, 4)]
    assert len(priced) > 20
    for at, kind in priced:
        size_kind, size = {1: 0, 2: 3, 4: 5}[kind], told[at][1][1]
        assert told[at + 1] == (size_kind, (size,))


async def test_a_size_that_changes_alone_comes_alone(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib)
    ib.reqMktData(stock)
    await desk.advance(5 + 60)
    kinds = {(m[0], m[3]) for m in heard if m[0] in ("1", "2")}
    assert {("2", "0"), ("2", "3"), ("2", "8"), ("1", "1"), ("1", "2"), ("1", "4")} <= kinds


async def test_two_lines_of_one_share_are_told_the_same_whatever_their_ids(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    for request in (7, 12_345_678):
        ib.client.reqMktData(request, stock, "", False, False, [])
    await desk.advance(5 + 30)
    short, long = ([t[1:] for t in ticks(heard) if t[0] == request] for request in (7, 12_345_678))
    assert len(short) > 100
    assert short == long


async def test_there_is_no_quote_before_the_open_nor_after_the_close(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock)
    await desk.settle()
    assert (ticker.bid, ticker.ask, ticker.bidSize, ticker.askSize) == (-1, -1, 0, 0)
    await desk.gateway.advance_to(today().close - MINUTE_NS)
    await desk.settle()
    assert 0 < ticker.bid < ticker.ask
    await desk.advance(60)
    assert (ticker.bid, ticker.ask, ticker.bidSize, ticker.askSize) == (-1, -1, 0, 0)


@pytest.mark.parametrize(("reason", "kind"), [("news pending", 1), ("limit up - limit down pause", 2)])
async def test_a_halt_takes_the_quote_and_is_told_once(
    desk: Desk, stock: Contract, reason: str, kind: int
) -> None:
    ib = await desk.connect()
    heard = tap(ib)
    ticker = ib.reqMktData(stock)
    await desk.advance(65)
    market(desk).begin_halt("AAPL", reason)
    await desk.advance(60)
    assert (ticker.bid, ticker.askSize, ticker.halted) == (-1, 0, kind)
    volume = ticker.volume
    market(desk).end_halt("AAPL")
    await desk.advance(5)
    assert ticker.bid > 0
    assert ticker.volume > volume
    assert [fields for _, number, fields in ticks(heard) if number == 49] == [
        ("0.0",),
        (f"{kind}.0",),
        ("0.0",),
    ]


async def test_a_frozen_line_keeps_the_last_quote_over_the_close(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ib.reqMarketDataType(2)
    ticker = ib.reqMktData(stock)
    await desk.gateway.advance_to(today().close - 2 * SECOND_NS)
    await desk.settle()
    assert ticker.marketDataType == 1
    await desk.advance(2)
    assert ticker.marketDataType == 2
    assert 0 < ticker.bid < ticker.ask
    late = await desk.connect(2)
    late.reqMarketDataType(2)
    also = late.reqMktData(stock)
    await desk.settle()
    assert (also.bid, also.ask, also.marketDataType) == (ticker.bid, ticker.ask, 2)


async def test_a_frozen_line_asked_for_in_the_night_stands_until_the_morning(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    ib.reqMarketDataType(4)
    ticker = ib.reqMktData(stock)
    await desk.settle()
    assert ticker.marketDataType == 2
    assert 0 < ticker.bid <= ticker.close <= ticker.ask
    await desk.advance(5)
    assert ticker.marketDataType == 1
    assert ticker.bid == market(desk).quote("AAPL").bid
