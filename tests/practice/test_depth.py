"""Depth lines: a client's ladder is the book, with every beat, however it reads the changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import Contract, LimitOrder, Ticker

from robo_trader.core.events import SECOND_NS, Side
from robo_trader.practice.data.depth_answers import Ladder, Row, changes
from robo_trader.practice.market.exchange import Level
from tests.practice.conftest import Desk
from tests.practice.wiretap import errors, market, tap, today


def shown(ticker: Ticker) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    return [(x.price, x.size) for x in ticker.domBids], [(x.price, x.size) for x in ticker.domAsks]


def book(desk: Desk, rows: int = 10) -> tuple[list[Level], list[Level]]:
    standing = market(desk).book("AAPL")
    assert standing is not None
    return standing.levels(Side.BUY)[:rows], standing.levels(Side.SELL)[:rows]


levels = st.lists(
    st.builds(Level, st.sampled_from([9.99, 10.0, 10.01, 10.02, 10.03]), st.integers(1, 3)), max_size=10
)
ladders = st.tuples(levels, levels)


def shifting(ladder: list[list[Level]], row: Row) -> None:
    """A client that inserts and deletes by moving what lies behind, as ib_insync and the official samples do."""
    if row.operation == 0:
        ladder[row.side].insert(row.position, Level(row.price, row.size))
    elif row.operation == 1:
        ladder[row.side][row.position] = Level(row.price, row.size)
    else:
        ladder[row.side].pop(row.position)


def overwriting(ladder: list[dict[int, Level]], row: Row) -> None:
    """A client that keeps what it is told at a position, as ib_async does."""
    if row.operation == 2:
        del ladder[row.side][row.position]
    else:
        ladder[row.side][row.position] = Level(row.price, row.size)


@given(st.lists(ladders, min_size=1, max_size=5), st.integers(1, 10))
def test_both_kinds_of_client_end_with_the_same_ladder(story: list[Ladder], rows: int) -> None:
    moved: list[list[Level]] = [[], []]
    kept: list[dict[int, Level]] = [{}, {}]
    before: Ladder = ((), ())
    for after in story:
        for row in changes(before, after):
            if row.position < rows:
                shifting(moved, row)
                overwriting(kept, row)
        before = after
        wanted = [list(side[:rows]) for side in after]
        assert moved == wanted
        assert [[side[at] for at in sorted(side)] for side in kept] == wanted


@given(ladders)
def test_a_ladder_that_stays_is_not_told(ladder: Ladder) -> None:
    assert changes(ladder, ladder) == []


@pytest.mark.parametrize(("rows", "smart"), [(10, False), (10, True), (3, True), (50, False)])
async def test_a_clients_ladder_is_the_book_with_every_beat(
    desk: Desk, stock: Contract, rows: int, smart: bool
) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktDepth(stock, rows, smart)
    await desk.advance(4)
    seen = set()
    for _ in range(60):
        await desk.advance(1)
        assert shown(ticker) == book(desk, rows)
        seen.add(tuple(book(desk)[0]))
    assert len(seen) > 20
    assert {x.marketMaker != "" for x in (*ticker.domBids, *ticker.domAsks)} == {smart}


async def test_what_we_took_is_gone_from_the_ladder(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktDepth(stock, 10)
    await desk.advance(5 + 61)
    price, size = ticker.domAsks[0].price, ticker.domAsks[0].size
    trade = ib.placeOrder(stock, LimitOrder("BUY", size, price))
    await desk.settle()
    assert trade.filled() == size
    late = await desk.connect(2)
    other = late.reqMktDepth(stock, 10)
    await desk.advance(1)
    assert shown(ticker) == shown(other) == book(desk)


async def test_a_late_line_begins_with_the_whole_ladder(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5 + 33)
    heard = tap(ib)
    ib.reqMktDepth(stock, 5)
    await desk.settle()
    rows = [m for m in heard if m[0] == "12"]
    assert [(m[3], m[4], m[5]) for m in rows] == [(str(at), "0", side) for side in "01" for at in range(5)]


async def test_a_halt_empties_the_ladder_and_resets_it(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ticker = ib.reqMktDepth(stock, 10)
    await desk.advance(65)
    market(desk).begin_halt("AAPL", "news pending")
    await desk.advance(20)
    assert shown(ticker) == ([], [])
    assert [code for _, code in told] == [317]
    market(desk).end_halt("AAPL")
    await desk.advance(5)
    assert shown(ticker) == book(desk)
    await desk.gateway.advance_to(today().close - SECOND_NS)
    await desk.advance(1)
    assert shown(ticker) == ([], [])
    assert [code for _, code in told] == [317, 317]


async def test_three_lines_are_open_at_most_and_a_cancelled_one_is_silent(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    told, heard = errors(ib), tap(ib, instead=True)
    for request in range(60, 64):
        ib.client.reqMktDepth(request, stock, 5, False, [])
    ib.client.reqMktDepth(60, stock, 5, False, [])
    ib.client.reqMktDepth(64, stock, 0, False, [])
    ib.client.cancelMktDepth(61, False)
    ib.client.cancelMktDepth(77, False)
    await desk.advance(10)
    assert told == [(63, 309), (60, 322), (64, 321), (77, 310)]
    assert {m[2] for m in heard if m[0] == "12"} == {"60", "62"}


async def test_the_exchanges_are_named_for_depth_and_behind_smart(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    deep: Sequence[object] = await ib.reqMktDepthExchangesAsync()
    assert {(d.exchange, d.secType) for d in deep} >= {("NASDAQ", "STK"), ("ARCA", "STK")}
    ticker = ib.reqMktData(stock)
    depth = ib.reqMktDepth(stock, 10, True)
    await desk.advance(10)
    parts = await ib.reqSmartComponentsAsync(ticker.bboExchange)
    assert {x.marketMaker for x in depth.domBids} <= {part.exchange for part in parts}
    assert len({part.exchangeLetter for part in parts}) == len(parts)
