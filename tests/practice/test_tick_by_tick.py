"""Tick-by-tick lines: every trade, every quote, every midpoint."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ib_async import Contract, TickByTickAllLast, TickByTickBidAsk, TickByTickMidPoint

from robo_trader.core.events import SECOND_NS
from tests.practice.conftest import Desk
from tests.practice.wiretap import errors, market, tap, today


@pytest.mark.parametrize(("kind", "number"), [("Last", 1), ("AllLast", 2)])
async def test_every_trade_is_told_once_and_they_add_up_to_the_bars(
    desk: Desk, stock: Contract, kind: str, number: int
) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    request = 60
    ib.client.reqTickByTickData(request, stock, kind, 0, False)
    ib.client.reqRealTimeBars(61, stock, 5, "TRADES", True, [])
    await desk.advance(5 + 120)
    told = [m for m in heard if m[0] == "99"]
    done = list(market(desk).prints_between("AAPL", today().open, market(desk).now))
    assert told == [
        ["99", "60", str(number), str(p.ts // SECOND_NS), repr(p.price), str(p.size),
         "2" if p.conditions == "I" else "0", p.exchange, p.conditions]
        for p in done
    ]  # fmt: skip
    assert sum(int(m[5]) for m in told) == sum(int(m[8]) for m in heard if m[0] == "50") == 24_000
    assert {m[6] for m in told} == {"0", "2"}


async def test_ib_async_reads_trades_quotes_and_midpoints(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    kinds: dict[str, set[type]] = {}
    for kind in ("Last", "BidAsk", "MidPoint"):
        ticker = ib.reqTickByTickData(stock, kind)
        ticker.updateEvent += lambda t: kinds.setdefault("seen", set()).update(
            type(one) for one in t.tickByTicks
        )
    await desk.advance(5 + 30)
    assert kinds["seen"] == {TickByTickAllLast, TickByTickBidAsk, TickByTickMidPoint}


async def test_every_change_of_the_quote_is_told(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    ib.client.reqTickByTickData(60, stock, "BidAsk", 0, False)
    ib.client.reqTickByTickData(61, stock, "BidAsk", 0, True)
    ib.client.reqTickByTickData(62, stock, "MidPoint", 0, False)
    await desk.advance(5)
    heard.clear()
    began, standing = market(desk).now, market(desk).quote("AAPL")
    await desk.advance(120)
    quotes = list(market(desk).quotes_between("AAPL", began, market(desk).now))
    quotes = quotes[1:] if quotes[0][1:] == standing[1:] else quotes
    told = {
        number: [m[3:] for m in heard if m[0] == "99" and m[1] == number] for number in ("60", "61", "62")
    }
    assert [row[:5] for row in told["60"]] == [
        [str(q.ts // SECOND_NS), repr(q.bid), repr(q.ask), str(q.bid_size), str(q.ask_size)] for q in quotes
    ]
    prices = [row[1:3] for row in told["61"]]
    assert 0 < len(prices) < len(quotes)
    assert all(here != there for here, there in pairwise(prices))
    middles = [row[1] for row in told["62"]]
    assert len(middles) <= len(prices)
    assert all(here != there for here, there in pairwise(middles))


async def test_a_quote_past_the_days_range_is_marked(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    ib.client.reqTickByTickData(60, stock, "BidAsk", 0, False)
    await desk.advance(5 + 60)
    prints = list(market(desk).prints_between("AAPL", today().open, market(desk).now))
    quotes = list(market(desk).quotes_between("AAPL", today().open, market(desk).now))
    told = [m for m in heard if m[0] == "99"]
    assert {m[8] for m in told} >= {"0", "1", "2"}
    for m, quote in zip(reversed(told), reversed(quotes), strict=False):
        before = [p.price for p in prints if p.ts <= quote.ts]
        if quote.ts > today().open:
            assert int(m[8]) == (quote.bid < min(before)) + 2 * (quote.ask > max(before))


async def test_a_late_line_begins_with_the_standing_quote(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 33)
    heard = tap(ib, instead=True)
    ib.client.reqTickByTickData(60, stock, "BidAsk", 0, False)
    ib.client.reqTickByTickData(61, stock, "MidPoint", 0, False)
    ib.client.reqTickByTickData(62, stock, "Last", 0, False)
    await desk.settle()
    quote = market(desk).quote("AAPL")
    first = [m for m in heard if m[0] == "99"]
    assert [m[1] for m in first] == ["60", "61"]
    assert first[0][4:8] == [repr(quote.bid), repr(quote.ask), str(quote.bid_size), str(quote.ask_size)]
    assert float(first[1][4]) == pytest.approx((quote.bid + quote.ask) / 2)


@pytest.mark.parametrize(
    ("kind", "message", "width"), [("AllLast", "98", 6), ("BidAsk", "97", 6), ("MidPoint", "96", 4)]
)
@pytest.mark.parametrize("count", [1, 40, 1000])
async def test_past_ticks_come_first_and_the_stream_goes_on_where_they_end(
    desk: Desk, stock: Contract, kind: str, message: str, width: int, count: int
) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 63)
    heard = tap(ib, instead=True)
    ib.client.reqTickByTickData(60, stock, kind, count, False)
    await desk.settle()
    (past,) = [m for m in heard if m[0] == message]
    assert past[1:3] == ["60", str(count)]
    assert past[-1] == "1"
    rows = [past[3 + at : 3 + at + width] for at in range(0, len(past) - 4, width)]
    assert len(rows) == count
    times = [int(row[0]) for row in rows]
    assert times == sorted(times)
    assert times[-1] <= market(desk).now // SECOND_NS
    if kind == "AllLast":
        done = list(market(desk).prints_between("AAPL", today().open, market(desk).now))[-count:]
        assert [(row[2], row[3]) for row in rows[-len(done) :]] == [
            (repr(p.price), str(p.size)) for p in done
        ]
        assert heard[-1][0] != "99"


async def test_a_halt_is_told_as_no_quote(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    ib.client.reqTickByTickData(60, stock, "BidAsk", 0, False)
    ib.client.reqTickByTickData(61, stock, "Last", 0, False)
    await desk.advance(65)
    market(desk).begin_halt("AAPL", "news pending")
    heard.clear()
    await desk.advance(10)
    assert [m[1:2] + m[4:8] for m in heard if m[0] == "99"] == [["60", "-1.0", "-1.0", "0", "0"]]


@pytest.mark.parametrize(
    ("kind", "past", "code"),
    [("last", 0, 10189), ("Trades", 0, 10189), ("Last", 1001, 321), ("Last", -1, 321)],
)
async def test_what_is_no_tick_by_tick_request_is_refused(
    desk: Desk, stock: Contract, kind: str, past: int, code: int
) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ib.client.reqTickByTickData(60, stock, kind, past, False)
    await desk.settle()
    assert told == [(60, code)]


async def test_five_lines_are_open_at_most_and_a_cancelled_one_is_silent(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    told, heard = errors(ib), tap(ib, instead=True)
    for request in range(60, 66):
        ib.client.reqTickByTickData(request, stock, "Last", 0, False)
    ib.client.cancelTickByTickData(60)
    ib.client.cancelTickByTickData(77)
    await desk.advance(5 + 5)
    assert told == [(65, 10190), (77, 300)]
    assert {m[1] for m in heard if m[0] == "99"} == {"61", "62", "63", "64"}
