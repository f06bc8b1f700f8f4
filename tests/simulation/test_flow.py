"""What happens inside a slice: it adds up to the slice, it is consistent, and it is always the same."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from itertools import pairwise
from time import thread_time

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.flow import (
    CLOSING,
    ODD_LOT,
    OPENING,
    PRIMARY,
    DrawnFlow,
    FlowOptions,
    Passage,
    Print,
    TouchAt,
)
from robo_trader.simulation.limit_book import DEPTH, Ladder
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.rows import Rows, Slice, fill_session
from robo_trader.simulation.tape import SLICE_NS, slice_session

(DAY,) = XnysCalendar().sessions(date(2026, 1, 5), date(2026, 1, 5))
MARKET = SyntheticMarket(3)


def rows_of(symbol: str = "AAPL", day: Session = DAY) -> Rows:
    rows = fill_session(day, slice_session(MARKET.minutes(symbol, day)), None)
    assert rows is not None
    return rows


ROWS = rows_of()


def passage_of(k: int, rows: Rows = ROWS, options: FlowOptions | None = None) -> Passage:
    return DrawnFlow(MARKET, options).passage("AAPL", DAY, rows, k)


def prints_of(passage: Passage) -> list[Print]:
    return [event for event in passage.events if isinstance(event, Print)]


def check(row: Slice, passage: Passage, flow: DrawnFlow, rows: Rows = ROWS) -> None:
    """Check that prints add up to the slice and lie within the quotes, and that books are books."""
    prints = prints_of(passage)
    prices = [done.price for done in prints]
    if row.volume:
        assert (prices[0], max(prices), min(prices), prices[-1]) == row[1:5]
    assert sum(done.size for done in prints) == row.volume
    assert list(passage.times) == sorted(passage.times)
    assert all(row.start <= ts < row.start + SLICE_NS for ts in passage.times)
    standing = passage.start
    for event in passage.events:
        if isinstance(event, TouchAt):
            standing = event
            assert 0 < event.bid < event.ask
            assert min(event.bid_size, event.ask_size) > 0
        else:
            assert standing.bid <= round(event.price * 100) <= standing.ask
    for touch in (passage.start, standing):
        bids, asks = flow.levels("AAPL", DAY, rows, touch)
        assert (bids[0], asks[0]) == ((touch.bid, touch.bid_size), (touch.ask, touch.ask_size))
        for levels, sign in ((bids, -1), (asks, 1)):
            assert all((b - a) * sign > 0 for (a, _), (b, _) in pairwise(levels))
            assert all(size > 0 and cents > 0 for cents, size in levels)


def test_all_prints_of_a_day_add_up_to_its_slices() -> None:
    flow = DrawnFlow(MARKET)
    for k, row in enumerate(ROWS):
        check(row, flow.passage("AAPL", DAY, ROWS, k), flow)


@st.composite
def slices(draw: st.DrawFn) -> tuple[list[int], int]:
    low = draw(st.integers(1, 30_000))
    reach = draw(st.integers(0, 60))
    o, c = (draw(st.integers(low, low + reach)) for _ in range(2))
    return [o, low + reach, low, c], draw(st.integers(0, 5_000))


@settings(max_examples=200)
@given(slices(), st.integers(0, 2**31))
def test_any_slice_at_all_adds_up(drawn: tuple[list[int], int], chance: int) -> None:
    cents, volume = drawn
    count = (DAY.close - DAY.open) // SLICE_NS
    prices = np.tile(np.array(cents) / 100, (count, 1))
    rows = Rows(DAY.open, prices, np.full(count, volume))
    k = chance % count
    check(rows[k], passage_of(k, rows), DrawnFlow(MARKET), rows)


def test_a_slice_begins_where_the_one_before_leaves_the_book() -> None:
    flow = DrawnFlow(MARKET)
    for k in range(0, 3_000, 250):
        before, after = (flow.passage("AAPL", DAY, ROWS, i) for i in (k, k + 1))
        last = before.events[-1]
        assert isinstance(last, TouchAt)
        assert last == msgspec.structs.replace(after.start, ts=last.ts)
        assert after.start.bid <= round(ROWS[k + 1].open * 100) <= after.start.ask


def test_a_passage_is_the_same_whatever_was_asked_before() -> None:
    asked = list(range(0, 4_680, 311))
    straight = {k: passage_of(k) for k in asked}
    flow = DrawnFlow(MARKET)
    other = rows_of("MSFT")
    for k in random.Random(5).sample(asked, len(asked)):
        flow.passage("MSFT", DAY, other, k)
        assert flow.passage("AAPL", DAY, ROWS, k) == straight[k]
        assert flow.passage("AAPL", DAY, rows_of(), k) == straight[k]


def test_another_market_has_another_inside() -> None:
    other = DrawnFlow(SyntheticMarket(4)).passage("AAPL", DAY, ROWS, 9)
    assert prints_of(other) != prints_of(passage_of(9))


def test_the_day_opens_and_closes_with_an_auction() -> None:
    opening, closing = prints_of(passage_of(0))[0], prints_of(passage_of(4_679))[-1]
    assert opening[:2] == (DAY.open, ROWS[0].open)
    assert closing[:2] == (DAY.close - 1, ROWS[4_679].close)
    assert (opening.conditions, closing.conditions) == (OPENING, CLOSING)
    assert opening.exchange == closing.exchange == PRIMARY
    assert opening.size > 0.3 * ROWS[0].volume
    assert closing.size > 0.3 * ROWS[4_679].volume
    marks = {done.conditions for k in range(1, 400) for done in prints_of(passage_of(k))}
    assert marks <= {"", ODD_LOT}


def test_a_share_opens_with_its_first_trade_and_closes_only_if_it_trades_last() -> None:
    volume = ROWS.volume.copy()
    volume[:30], volume[-3:] = 0, 0
    late = Rows(ROWS.start, ROWS.prices, volume)
    assert prints_of(passage_of(0, late)) == []
    assert prints_of(passage_of(30, late))[0].conditions == OPENING
    assert prints_of(passage_of(4_679, late)) == []


def test_prices_claimed_without_shares_are_marked_by_prints_of_none() -> None:
    prices = np.tile(np.array([10.0, 10.05, 9.98, 10.02]), (4_680, 1))
    prints = prints_of(passage_of(40, Rows(DAY.open, prices, np.full(4_680, 2))))
    assert sorted(done.size for done in prints) == [0, 0, 1, 1]


def test_sizes_are_round_lots_mostly_and_skewed() -> None:
    sizes = np.array([done.size for k in range(600, 1_800) for done in prints_of(passage_of(k))])
    assert (sizes % 100 == 0).mean() > 0.5
    assert np.median(sizes) < 0.7 * sizes.mean()
    odd = {d.conditions for k in range(600, 900) for d in prints_of(passage_of(k)) if d.size < 100}
    assert odd <= {ODD_LOT}


def test_prints_take_bids_and_offers_about_as_often() -> None:
    flow = DrawnFlow(MARKET)
    bought = sold = 0
    for k in range(500, 2_500):
        passage = flow.passage("AAPL", DAY, ROWS, k)
        standing = passage.start
        for event in passage.events:
            if isinstance(event, TouchAt):
                standing = event
            else:
                bought += event.price * 100 > standing.ask - 0.5
                sold += event.price * 100 < standing.bid + 0.5
    assert 0.8 < bought / sold < 1.25
    assert bought + sold > 2_000


def test_levels_keep_their_sizes_at_a_price_and_grow_away_from_the_touch() -> None:
    flow = DrawnFlow(MARKET)

    def book(k: int) -> tuple[Ladder, Ladder]:
        return flow.levels("AAPL", DAY, ROWS, flow.passage("AAPL", DAY, ROWS, k).start)

    books = [book(k) for k in range(1_000, 1_060)]
    same = [
        size == dict(after)[cents]
        for (before, _), (after, _) in pairwise(books)
        for cents, size in before
        if cents in dict(after)
    ]
    assert np.mean(same) > 0.85, "a price is drawn anew once in twelve slices"
    assert not all(same)
    assert all(len(bids) == len(asks) == DEPTH for bids, asks in books)
    sizes = np.array([[size for _, size in book(k)[0]] for k in range(0, len(ROWS), 12)])
    assert sizes[:, 6:].mean() > 1.2 * sizes[:, :2].mean()


def test_the_spread_stays_near_that_of_the_market() -> None:
    dear = next(
        name for name in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF") if MARKET.spread(name, 400.0) >= 0.04
    )
    rows = rows_of(dear)
    flow = DrawnFlow(MARKET)
    wide = [
        start.ask - start.bid
        for k in range(0, 4_000, 13)
        for start in [flow.passage(dear, DAY, rows, k).start]
    ]
    usual = np.mean([MARKET.spread(dear, rows[k].open) * 100 for k in range(0, 4_000, 13)])
    assert np.mean(wide) == pytest.approx(usual, rel=0.15)
    assert len(set(wide)) > 1


def test_a_busier_market_prints_more() -> None:
    usual, busy = FlowOptions(), FlowOptions(prints=12, flickers=9)
    counts = [(len(prints_of(p)), len(p.events)) for o in (usual, busy) for p in [passage_of(900, options=o)]]
    assert counts[1] > counts[0]
    with pytest.raises(ConfigurationError, match="prints"):
        replace(usual, prints=0)


def test_a_slice_is_drawn_in_less_than_a_tenth_of_a_millisecond() -> None:
    flow = DrawnFlow(MARKET)
    took = []
    for begin in range(0, 2_000, 100):
        before = thread_time()
        for k in range(begin, begin + 100):
            flow.passage("AAPL", DAY, ROWS, k)
        took.append((thread_time() - before) / 100)
    assert min(took) < 1e-4  # 25 us where nothing else runs
