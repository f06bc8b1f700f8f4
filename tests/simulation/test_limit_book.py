"""The standing book: what can be taken, who waits in line, and who is served when."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import Side
from robo_trader.core.protocols import Execution
from robo_trader.simulation.limit_book import DEPTH, Filled, Level, LimitBook

BUY, SELL = Side.BUY, Side.SELL
BIDS = [(10_000, 300), (9_999, 500), (9_998, 800)]
ASKS = [(10_002, 200), (10_003, 400), (10_005, 700)]


def usd(cents: int) -> Decimal:
    return Decimal(cents) / 100


def book_of() -> LimitBook:
    return LimitBook(BIDS, ASKS)


def test_levels_are_told_best_first_on_both_sides() -> None:
    assert book_of().levels(BUY) == [Level(100.0, 300), Level(99.99, 500), Level(99.98, 800)]
    assert book_of().levels(SELL)[0] == Level(100.02, 200)


def test_ten_levels_at_most_are_told() -> None:
    assert len(LimitBook([(500 - i, 1) for i in range(14)]).levels(BUY)) == DEPTH


def test_a_market_order_walks_the_levels_with_one_execution_each() -> None:
    book = book_of()
    assert book.take(BUY, 500, None) == [Execution(200, usd(10_002)), Execution(300, usd(10_003))]
    assert book.levels(SELL) == [Level(100.03, 100), Level(100.05, 700)]
    assert book.take(BUY, 5_000, None)[-1] == Execution(700, usd(10_005))
    assert book.levels(SELL) == []


def test_a_limit_bounds_what_is_taken() -> None:
    assert book_of().take(BUY, 5_000, usd(10_003)) == [
        Execution(200, usd(10_002)),
        Execution(400, usd(10_003)),
    ]
    assert book_of().take(SELL, 5_000, usd(10_000)) == [Execution(300, usd(10_000))]
    assert book_of().take(SELL, 5_000, usd(10_001)) == []


def test_a_taken_level_stays_reduced_until_the_market_draws_it_anew() -> None:
    book = book_of()
    book.take(BUY, 150, None)
    book.on_levels(BIDS, ASKS)
    assert book.levels(SELL)[0] == Level(100.02, 50)
    book.on_levels(BIDS, [(10_002, 120), *ASKS[1:]])
    assert book.levels(SELL)[0] == Level(100.02, 50), "fewer than before is no new draw"
    book.on_levels(BIDS, [(10_002, 30), *ASKS[1:]])
    assert book.levels(SELL)[0] == Level(100.02, 30)
    book.on_levels(BIDS, [(10_002, 31), *ASKS[1:]])
    assert book.levels(SELL)[0] == Level(100.02, 31)


def test_a_level_the_market_left_comes_back_whole() -> None:
    book = book_of()
    book.take(BUY, 200, None)
    book.on_levels(BIDS, ASKS[1:])
    book.on_levels(BIDS, ASKS)
    assert book.levels(SELL)[0] == Level(100.02, 200)


def test_a_book_is_busy_while_we_rest_in_it_or_it_lacks_what_we_took() -> None:
    book = book_of()
    assert not book.busy
    book.rest(1, BUY, usd(10_000), 10)
    assert book.busy
    book.leave(1)
    book.leave(1)
    assert not book.busy
    book.take(BUY, 10, None)
    assert book.busy
    book.on_levels(BIDS, [(10_002, 900)])
    assert not book.busy


def test_an_order_joins_the_back_of_the_queue() -> None:
    book = book_of()
    for key, (cents, ahead) in enumerate([(10_000, 300), (10_001, 0), (9_998, 800), (9_990, 800)]):
        book.rest(key, BUY, usd(cents), 100)
        assert book.ahead(key) == ahead
    assert 3 in book
    assert 4 not in book


@pytest.mark.parametrize(("price", "quantity"), [("100.005", 1), ("100", 0)])
def test_an_order_off_the_cent_or_of_no_shares_cannot_rest(price: str, quantity: int) -> None:
    with pytest.raises(ValueError, match="cannot rest"):
        book_of().rest(1, BUY, Decimal(price), quantity)


def test_one_key_rests_once() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_000), 5)
    with pytest.raises(ValueError, match="under 1"):
        book.rest(1, BUY, usd(9_999), 5)


def test_prints_at_our_price_serve_the_queue_before_us_first() -> None:
    book = book_of()
    book.rest(7, BUY, usd(10_000), 100)
    assert book.on_print(100.0, 250, SELL) == []
    assert book.ahead(7) == 50
    assert book.on_print(100.0, 120, SELL) == [Filled(7, 70, usd(10_000))]
    assert book.on_print(100.0, 120, SELL) == [Filled(7, 30, usd(10_000))]
    assert 7 not in book


def test_a_print_through_our_price_serves_us_at_our_price_and_clears_the_queue() -> None:
    book = book_of()
    book.rest(7, SELL, usd(10_003), 100)
    assert book.on_print(100.04, 40) == [Filled(7, 40, usd(10_003))]
    assert book.ahead(7) == 0
    assert book.on_print(100.03, 10) == [Filled(7, 10, usd(10_003))]


def test_a_print_between_two_cents_is_through_one_of_them() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_001), 10)
    assert book.on_print(100.015, 10) == []
    assert book.on_print(100.005, 10) == [Filled(1, 10, usd(10_001))]


def test_an_aggressive_buy_at_our_bid_took_an_offer_and_not_us() -> None:
    book = LimitBook([(10_000, 100)], [(10_000, 100)])
    book.rest(7, BUY, usd(10_000), 50)
    assert book.on_print(100.0, 500, BUY) == []
    assert book.on_print(100.0, 150, SELL) == [Filled(7, 50, usd(10_000))]


def test_our_orders_share_a_print_in_price_and_time() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_000), 100)
    book.rest(2, BUY, usd(10_000), 100)
    book.rest(3, BUY, usd(10_001), 100)
    fills = book.on_print(100.0, 550, SELL)
    assert fills == [Filled(3, 100, usd(10_001)), Filled(1, 100, usd(10_000)), Filled(2, 50, usd(10_000))]


def test_the_market_that_joined_between_two_of_ours_trades_between_them() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_000), 10)
    book.on_levels([(10_000, 400), *BIDS[1:]], ASKS)
    book.rest(2, BUY, usd(10_000), 10)
    assert (book.ahead(1), book.ahead(2)) == (300, 400)
    assert book.on_print(100.0, 350, SELL) == [Filled(1, 10, usd(10_000))]
    assert book.ahead(2) == 60


def test_cancellations_shorten_the_queue_and_newcomers_stand_behind_us() -> None:
    book = book_of()
    book.rest(7, BUY, usd(9_999), 100)
    book.on_levels([(10_000, 300), (9_999, 900), (9_998, 1)], ASKS)
    assert book.ahead(7) == 500
    book.on_levels([(10_000, 300), (9_999, 200), (9_998, 1)], ASKS)
    assert book.ahead(7) == 200
    book.on_levels([(10_000, 300), (9_998, 1)], ASKS)
    assert book.ahead(7) == 0


def test_a_level_out_of_sight_keeps_its_queue() -> None:
    book = book_of()
    book.rest(7, BUY, usd(9_998), 100)
    book.on_levels([(10_004, 300), (10_003, 100)], [(10_005, 700)])
    assert book.ahead(7) == 800


def test_an_ask_that_comes_down_to_our_bid_fills_it_at_our_price_as_far_as_shown() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_000), 100)
    book.rest(2, BUY, usd(10_001), 100)
    fills = book.on_levels(BIDS[1:], [(10_000, 150), (10_001, 20)])
    assert fills == [Filled(2, 100, usd(10_001)), Filled(1, 50, usd(10_000))]
    assert book.levels(SELL) == [Level(100.01, 20)]
    assert book.on_levels(BIDS[1:], [(10_000, 150), (10_001, 20)]) == []


def test_a_reduced_order_keeps_its_place() -> None:
    book = book_of()
    book.rest(1, BUY, usd(10_000), 100)
    book.on_print(100.0, 200, SELL)
    book.reduce(1, 30)
    assert (book.ahead(1), book.remaining(1)) == (100, 30)
    book.reduce(1, 50)
    assert book.remaining(1) == 30
    book.reduce(1, 0)
    assert book.remaining(1) == 0
    assert 1 not in book


# ------------------------------------------------------------------------------------------------------ properties

SIZES = st.integers(1, 400)
CENTS = st.integers(9_990, 10_010)


@st.composite
def ladders(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ten levels a side at most around a touch that may be locked but is not crossed."""
    touch = draw(CENTS)
    below = draw(st.lists(st.integers(0, 12), unique=True, max_size=5))
    above = draw(st.lists(st.integers(0, 12), unique=True, max_size=5))
    bids = [(touch - away, draw(SIZES)) for away in sorted(below)]
    return bids, [(touch + away, draw(SIZES)) for away in sorted(above)]


SIDES = st.sampled_from([BUY, SELL])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("levels"), ladders()),
        st.tuples(st.just("print"), st.tuples(CENTS, SIZES, st.sampled_from([BUY, SELL, None]))),
        st.tuples(st.just("rest"), st.tuples(SIDES, CENTS, SIZES)),
        st.tuples(st.just("take"), st.tuples(SIDES, SIZES, st.one_of(st.none(), CENTS))),
        st.tuples(st.just("leave"), st.integers(0, 10)),
    ),
    max_size=40,
)


class Ledger:
    """Plays events to a book and checks what must hold after each."""

    def __init__(self) -> None:
        self.book = LimitBook()
        self.rested: dict[int, tuple[Side, int, int]] = {}
        self.got: dict[int, int] = {}
        self.log: list[object] = []

    def play(self, kind: str, what: object) -> None:
        ahead = {key: self.book.ahead(key) for key in self.rested if key in self.book}
        getattr(self, kind)(what)
        for key, before in ahead.items():
            if key in self.book:
                assert self.book.ahead(key) <= before, "a queue grew"
        for key, (_, _, quantity) in self.rested.items():
            assert self.got[key] + self.book.remaining(key) <= quantity
            if key in self.book:
                assert self.got[key] + self.book.remaining(key) == quantity

    def levels(self, told: tuple[list[tuple[int, int]], list[tuple[int, int]]]) -> None:
        bids, asks = told
        fills = self.book.on_levels(bids, asks)
        self.count(fills)
        best_bid, best_ask = (bids or [(0, 0)])[0][0], (asks or [(10**9, 0)])[0][0]
        for fill in fills:
            side, cents, _ = self.rested[fill.key]
            assert cents >= best_ask if side is BUY else cents <= best_bid
        bought = sum(fill.quantity for fill in fills if self.rested[fill.key][0] is BUY)
        sold = sum(fill.quantity for fill in fills) - bought
        assert bought <= sum(size for _, size in asks)
        assert sold <= sum(size for _, size in bids)
        for side, shown in ((BUY, dict(bids)), (SELL, dict(asks))):
            assert all(level.size <= shown[round(level.price * 100)] for level in self.book.levels(side))

    def print(self, done: tuple[int, int, Side | None]) -> None:
        cents, size, aggressor = done
        standing = {key: self.book.ahead(key) for key in self.rested if key in self.book}
        fills = self.book.on_print(cents / 100, size, aggressor)
        self.count(fills)
        assert sum(fill.quantity for fill in fills) <= size
        for fill in fills:
            side, price, _ = self.rested[fill.key]
            assert (price - cents) * side.sign >= 0
            assert price != cents or aggressor is not side
            assert price != cents or fill.quantity <= size - standing[fill.key]
            for other, (its_side, its_price, _) in self.rested.items():
                better = (its_price - price) * side.sign
                if (
                    other in standing
                    and its_side is side
                    and (better > 0 or (better == 0 and other < fill.key))
                ):
                    assert other not in self.book, "one behind was served before one in front"

    def rest(self, order: tuple[Side, int, int]) -> None:
        side, cents, quantity = order
        key = len(self.rested)
        self.rested[key], self.got[key] = order, 0
        self.book.rest(key, side, usd(cents), quantity)

    def take(self, wanted: tuple[Side, int, int | None]) -> None:
        side, quantity, limit = wanted
        other = SELL if side is BUY else BUY
        before = {level.price: level.size for level in self.book.levels(other)}
        done = self.book.take(side, quantity, None if limit is None else usd(limit))
        after = {level.price: level.size for level in self.book.levels(other)}
        assert sum(one.quantity for one in done) <= quantity
        for one in done:
            assert limit is None or (one.price - usd(limit)) * side.sign <= 0
            assert before[float(one.price)] - after.get(float(one.price), 0) == one.quantity
        self.log.append(done)

    def leave(self, key: int) -> None:
        self.book.leave(key)
        if key in self.rested:
            side, cents, _ = self.rested[key]
            self.rested[key] = side, cents, self.got[key]

    def count(self, fills: list[Filled]) -> None:
        self.log.append(fills)
        for fill in fills:
            assert fill.quantity > 0
            assert fill.price == usd(self.rested[fill.key][1])
            self.got[fill.key] += fill.quantity


@given(EVENTS)
def test_nothing_is_filled_that_was_not_printed_or_shown_and_the_line_is_kept(
    events: list[tuple[str, object]],
) -> None:
    first, second = Ledger(), Ledger()
    for event in events:
        first.play(*event)
        second.play(*event)
    assert first.log == second.log
