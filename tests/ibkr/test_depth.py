"""The books of the practice market arrive as they are, and what goes wrong with one stops nothing else."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Feed, Side
from robo_trader.data.ladder import flaw
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.depth import DepthOptions, Ladder

CALENDAR = XnysCalendar()
DAY = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 5))[0]


async def listening(desk, *symbols, depth=("AAPL",), **options):
    desk.feed._depth._options = DepthOptions(depth, **options)
    await desk.open()
    await desk.feed.subscribe(symbols or ("AAPL", "NVDA"))
    await desk.settle()
    return desk


def book(gateway, symbol="AAPL"):
    """Return the levels of the practice exchange's own book, (bids, asks)."""
    of = gateway.exchange.book(symbol)
    return tuple(tuple((x.price, x.size) for x in of.levels(side)[:5]) for side in (Side.BUY, Side.SELL))


def line(desk, symbol="AAPL"):
    return desk.feed._depth._lines[symbol]


async def test_books_of_the_symbols_named_are_those_of_the_market_and_carry_its_time(gateway, desks):
    desk = await listening(desks())
    for _ in range(20):
        await gateway[0].advance(5)
        await desk.settle()
        told = desk.pipeline.depths[-1]
        assert (told.bids, told.asks) == book(gateway[0])
        assert gateway[0].now() - 5 * SECOND_NS <= told.ts <= gateway[0].now()
    assert {depth.symbol for depth in desk.pipeline.depths} == {"AAPL"}
    assert {flaw(depth) for depth in desk.pipeline.depths} == {""}
    times = [depth.ts for depth in desk.pipeline.depths]
    assert times == sorted(set(times))
    levels = [(depth.bids, depth.asks) for depth in desk.pipeline.depths]
    assert all(one != other for one, other in pairwise(levels))


async def test_a_book_is_told_once_a_second_at_most_and_the_last_one_is_held_not_lost(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(30)
    await desk.settle()
    desk.pipeline.depths.clear()
    feed, request = desk.feed, line(desk).request
    ticker = feed._streams["AAPL"].ticker
    feed._seen_ts = feed.market_now() + 10 * SECOND_NS
    for size in range(1, 100):
        feed.on_depth_row(request, 0, 1, 1, line(desk).bids.levels()[0][0], float(size))
        feed.on_tickers([ticker])
    assert [depth.bids[0][1] for depth in desk.pipeline.depths] == [1.0]
    feed._seen_ts += SECOND_NS
    await desk.until(lambda: len(desk.pipeline.depths) == 2)
    assert desk.pipeline.depths[-1].bids[0][1] == 99.0
    feed._seen_ts += 10 * SECOND_NS
    feed.on_depth_row(request, 0, 1, 1, desk.pipeline.depths[-1].bids[0][0], 99.0)
    feed.on_tickers([ticker])
    assert len(desk.pipeline.depths) == 2  # nothing has changed


async def test_without_the_setting_no_book_is_asked_for(gateway, desks):
    desk = await listening(desks(), depth=())
    await gateway[0].advance(30)
    await desk.settle()
    assert desk.pipeline.depths == []
    assert not desk.connection.ib.wrapper.ticker2ReqId["mktDepth"]


async def test_after_a_new_session_the_books_begin_anew(gateway, desks, wire):
    desk = await listening(desks(wire.port))
    await gateway[0].advance(30)
    await desk.settle()
    wire.cut()
    await desk.connection.wait_lost()
    await listening(desk)
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) in (book(gateway[0]), ((), ()))
    assert ((), ()) in [(depth.bids, depth.asks) for depth in desk.pipeline.depths]
    await gateway[0].advance(30)
    await desk.settle()
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == book(gateway[0])


async def test_a_halt_takes_the_book_away_and_its_end_brings_it_back(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(60)
    market = gateway[0].exchange
    market.begin_halt("AAPL", "news pending")
    await gateway[0].advance(20)
    await desk.settle()
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == ((), ())
    assert desk.pipeline.statuses == []  # TWS resets books in the course of its business
    market.end_halt("AAPL")
    await gateway[0].advance(60)
    await desk.settle()
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == book(gateway[0])


async def test_a_reset_empties_the_book_at_once(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(30)
    await desk.settle()
    desk.connection.on_error(line(desk).request, 317, "Market depth data has been RESET")
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == ((), ())
    assert not line(desk).trouble


async def test_too_many_books_are_told_and_the_symbol_is_streamed_all_the_same(gateway, desks):
    symbols = ("AAPL", "NVDA", "MSFT", "SPY")
    desk = await listening(desks(), *symbols, depth=symbols)
    await gateway[0].advance(60)
    await desk.settle()
    assert {depth.symbol for depth in desk.pipeline.depths} == {"AAPL", "NVDA", "MSFT"}
    (said,) = desk.pipeline.statuses
    assert (said.symbol, said.state) == ("SPY", Feed.REJECTED)
    assert said.detail == "no depth: Max number (3) of market depth requests has been reached (309)"
    assert any(bar.symbol == "SPY" for bar in desk.pipeline.bars)


async def test_a_refused_book_is_asked_for_again_and_said_once(gateway, desks):
    symbols = ("AAPL", "NVDA", "MSFT", "SPY")
    desk = await listening(desks(), *symbols, depth=symbols, refused_again_after_s=0.01)
    await gateway[0].advance(30)
    first = line(desk, "SPY").request
    await desk.until(lambda: line(desk, "SPY").request > first and line(desk, "SPY").trouble)
    await desk.feed._depth.close("AAPL")
    await desk.until(lambda: not line(desk, "SPY").trouble)
    assert [said.state for said in desk.pipeline.statuses] == [Feed.REJECTED, Feed.LIVE]


async def test_a_silent_book_is_asked_for_again_while_the_market_is_open(gateway, desks):
    desk = await listening(desks(), silent_again_after_s=0.01)
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    first = line(desk).request
    await desk.until(lambda: line(desk).request > first)
    await gateway[0].advance(30)
    await desk.settle()
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == book(gateway[0])


async def test_rows_that_come_after_the_line_was_closed_are_nobodys(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(30)
    await desk.settle()
    request, told = line(desk).request, len(desk.pipeline.depths)
    await desk.feed._depth.close("AAPL")
    desk.feed.on_depth_row(request, 0, 1, 1, 1.0, 1.0)
    desk.feed.on_stream_error(request, 310, "Can't find the subscribed market depth")
    assert len(desk.pipeline.depths) == told
    assert not desk.pipeline.statuses


async def test_a_restored_link_asks_for_the_book_again_too(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(30)
    await desk.settle()
    first = line(desk).request
    desk.connection.on_error(-1, 1100, "Connectivity between IB and TWS has been lost")
    desk.connection.on_error(-1, 1102, "restored - data maintained")
    await desk.until(lambda: line(desk).request > first)
    await gateway[0].advance(30)
    await desk.settle()
    assert (desk.pipeline.depths[-1].bids, desk.pipeline.depths[-1].asks) == book(gateway[0])


# ------------------------------------------------------------------------------------------------- the ladder

_INSERT, _UPDATE, _DELETE = 0, 1, 2


@pytest.mark.parametrize(
    ("rows", "levels"),
    [
        ([(0, _INSERT, 10.0, 1.0), (1, _INSERT, 9.9, 2.0)], [(10.0, 1.0), (9.9, 2.0)]),
        # An inserted row moves the others on, as TWS has it in SMART depth, and does not write over them.
        ([(0, _INSERT, 9.9, 2.0), (0, _INSERT, 10.0, 1.0)], [(10.0, 1.0), (9.9, 2.0)]),
        ([(0, _INSERT, 10.0, 1.0), (1, _INSERT, 9.9, 2.0), (0, _DELETE, 0.0, 0.0)], [(9.9, 2.0)]),
        ([(0, _INSERT, 10.0, 1.0), (0, _UPDATE, 10.1, 3.0)], [(10.1, 3.0)]),
        ([(0, _INSERT, 10.0, 1.0), (3, _UPDATE, 9.9, 2.0)], [(10.0, 1.0), (9.9, 2.0)]),
        ([(0, _INSERT, 10.0, 1.0), (3, _DELETE, 0.0, 0.0)], [(10.0, 1.0)]),
        # Three exchanges at two prices.
        ([(i, _INSERT, p, 1.0) for i, p in enumerate((10.0, 10.0, 9.9))], [(10.0, 2.0), (9.9, 1.0)]),
        # An exchange that has nothing left there, and values that mean none.
        ([(i, _INSERT, *row) for i, row in enumerate([(10.0, 0.0), (-1.0, 5.0), (9.9, 1.0), (9.8, 1.7e308)])],
         [(9.9, 1.0)]),
        ([(i, _INSERT, 10.0 - i, 1.0) for i in range(9)], [(10.0 - i, 1.0) for i in range(5)]),
    ],
)  # fmt: skip
def test_a_side_is_what_its_rows_make_of_it(rows, levels):
    side = Ladder()
    for row in rows:
        side.change(*row)
    assert side.levels() == tuple(levels)


def test_a_side_does_not_grow_without_end():
    side = Ladder()
    for i in range(1000):
        side.change(0, _INSERT, 10.0 + i, 1.0)
    assert side.levels()[0] == (1009.0, 1.0)
    assert len(side) == 50
