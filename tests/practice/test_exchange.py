"""The market's clock, what happens in its beats, and the books that stand after them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.practice.gateway import PracticeOptions, account_of
from robo_trader.practice.market.exchange import Auction, Exchange, Filled, QuoteAt, first_session
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import SLICE_NS, MinuteSource, TapeMarket, slice_session
from tests.practice.exchanges import (
    CALENDAR,
    MARKET,
    MONDAY,
    TUESDAY,
    book_of,
    exchange_of,
    forward,
    open_exchange,
)

# -------------------------------------------------------------------------------------------------------- the clock


def test_three_quarters_of_a_tape_are_history(tape: TapeMarket) -> None:
    assert first_session(tape, CALENDAR, None).label == "2026-01-13"


def test_a_market_without_end_opens_in_january_with_sixty_sessions_before_it() -> None:
    market = SyntheticMarket(7)
    opens = first_session(market, CALENDAR, None)
    assert opens.label == "2026-01-05"
    assert CALENDAR.before(opens.label, 60)[0].label >= market.first


@pytest.mark.parametrize(("start", "label"), [("2026-01-09", "2026-01-09"), ("2026-01-10", "2026-01-12")])
def test_a_start_on_a_weekend_is_the_next_session(tape: TapeMarket, start: str, label: str) -> None:
    assert first_session(tape, CALENDAR, start).label == label


@pytest.mark.parametrize("start", ["2026-01-07", "2026-01-14", "soon"])
def test_a_start_off_the_market_is_refused(tape: TapeMarket, start: str) -> None:
    with pytest.raises(ConfigurationError, match="--start"):
        first_session(tape, CALENDAR, start)


@pytest.mark.parametrize("beats", [1, 5])
def test_it_steps_by_beats_through_a_session_and_over_the_night(tape: TapeMarket, beats: int) -> None:
    exchange = exchange_of(tape, "2026-01-12", beats)
    times, ended = [exchange.now], 0
    while exchange.step():
        times.append(exchange.now)
        ended += exchange.slice_ended
    steps = beats * (390 * 12 + 1) + 1
    first = [MONDAY.open - SLICE_NS + k * SLICE_NS // beats for k in range(steps)]
    assert times == first + [time - MONDAY.open + TUESDAY.open for time in first]
    assert ended == 2 * 390 * 12
    assert not exchange.is_open


@pytest.mark.parametrize("beats", [0, 3, 7, 10_000])
def test_five_seconds_are_cut_into_whole_milliseconds(beats: int) -> None:
    with pytest.raises(ConfigurationError, match="beats"):
        exchange_of(beats=beats)


def test_a_saved_clock_is_found_again(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    exchange.seek(MONDAY.open + 7 * MINUTE_NS)
    assert exchange.session == MONDAY
    assert exchange.is_open
    closed = exchange.closed("AAPL")
    assert closed is not None
    assert closed.close == tape.minutes("AAPL", MONDAY).close[6]


def test_a_clock_saved_between_two_beats_falls_back_to_the_earlier(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    exchange.seek(MONDAY.open + 90 * SECOND_NS + 1)
    assert exchange.now == MONDAY.open + 90 * SECOND_NS
    exchange.seek(MONDAY.open - 1)
    assert exchange.now == MONDAY.open - SECOND_NS


def test_an_account_is_known_by_its_bars_and_by_nothing_else() -> None:
    accounts = {account_of(SyntheticMarket(seed, edge)) for seed in (1, 2) for edge in (0.0, 1.0)}
    assert len(accounts) == 4
    assert account_of(SyntheticMarket(1)) in accounts


@pytest.mark.parametrize(
    "wrong", [{"host": "0.0.0.0"}, {"speed": -1.0}, {"speed": float("nan")}, {"cash": 0}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        PracticeOptions(**wrong)


# ------------------------------------------------------------------------------------------------- what happens


def test_slices_equal_the_source_whatever_the_beats(tape: TapeMarket) -> None:
    cut = slice_session(tape.minutes("AAPL", TUESDAY))
    for beats in (1, 50):
        exchange = open_exchange(tape, beats)
        for k in range(24):
            forward(exchange, 5)
            closed = exchange.closed("AAPL")
            assert closed is not None
            assert closed == (
                cut.start[k], cut.open[k], cut.high[k], cut.low[k], cut.close[k], cut.volume[k],
            )  # fmt: skip
            assert exchange.last("AAPL") == closed.close
        assert exchange.so_far("AAPL")[-1] == closed


def test_prints_of_the_beats_add_up_to_the_slice() -> None:
    exchange = open_exchange()
    for _ in range(20):
        prints = []
        for _ in range(5):
            before = exchange.now
            exchange.step()
            now = exchange.prints("AAPL")
            assert all(before <= done.ts < exchange.now for done in now)
            prints += now
            if prints:
                assert exchange.last("AAPL") == prints[-1].price
        closed = exchange.closed("AAPL")
        assert closed is not None
        prices = [done.price for done in prints]
        assert (prices[0], max(prices), min(prices), prices[-1]) == closed[1:5]
        assert sum(done.size for done in prints) == closed.volume


def test_the_last_of_the_quotes_stands_and_is_the_top_of_the_book() -> None:
    exchange = exchange_of()
    stands = exchange.quote("AAPL")
    assert stands[1:] == (-1.0, -1.0, 0, 0)
    changes = 0
    for _ in range(60):
        exchange.step()
        for quote in exchange.quotes("AAPL"):
            assert quote[1:] != stands[1:]
            stands, changes = quote, changes + 1
        assert exchange.quote("AAPL")[1:] == stands[1:]
        book = exchange.book("AAPL")
        if exchange.is_open:
            assert book is not None
            (bid, bid_size), (ask, ask_size) = (book.levels(side)[0] for side in (Side.BUY, Side.SELL))
            assert stands[1:] == (bid, ask, bid_size, ask_size)
        else:
            assert book is None
    assert changes > 20


def stream(beats: int, seconds: int, market: MinuteSource = MARKET) -> tuple[list[object], list[object]]:
    exchange = open_exchange(market, beats)
    prints: list[object] = []
    books: list[object] = []
    for _ in range(seconds // 5):
        for _ in range(beats):
            exchange.step()
            prints += exchange.prints("AAPL")
        books.append([book_of(exchange).levels(side) for side in Side])
    return prints, books


def test_the_market_is_the_same_at_any_number_of_beats() -> None:
    assert stream(1, 60) == stream(5, 60) == stream(50, 60)


def test_the_market_is_the_same_whoever_else_asks_and_wherever_one_begins() -> None:
    alone = stream(5, 30)
    exchange = exchange_of()
    exchange.seek(exchange.session.open + 15 * SECOND_NS)
    prints: list[object] = []
    for k in range(15):
        exchange.quotes("MSFT" if k % 2 else "ZZ")
        exchange.step()
        exchange.book("MSFT")
        prints += exchange.prints("AAPL")
    begin = exchange.session.open + 15 * SECOND_NS
    assert prints == [done for done in alone[0] if done[0] >= begin]  # type: ignore[index]
    assert [book_of(exchange).levels(side) for side in Side] == alone[1][-1]


def test_the_past_is_told_as_it_was_streamed() -> None:
    exchange = open_exchange()
    begin, prints, quotes = exchange.now, [], []
    for _ in range(60):
        exchange.step()
        prints += exchange.prints("AAPL")
        quotes += exchange.quotes("AAPL")
    forward(exchange, 30)
    end = begin + 60 * SECOND_NS
    assert list(exchange.prints_between("AAPL", begin, end)) == prints
    assert list(exchange.quotes_between("AAPL", begin, end))[-20:] == quotes[-20:]
    middle = begin + 7_300_000_000
    assert list(exchange.prints_between("AAPL", middle, end)) == [p for p in prints if p.ts >= middle]
    before = exchange.calendar.before(exchange.session.label, 2)
    past = list(
        exchange.prints_between("AAPL", before[0].close - 5 * SECOND_NS, before[1].open + 5 * SECOND_NS)
    )
    assert [done.conditions for done in past if done.conditions in "O6" and done.conditions] == ["6", "O"]
    assert list(exchange.prints_between("AAPL", exchange.now, exchange.now + MINUTE_NS)) == []


def test_nothing_is_known_of_a_share_that_never_traded(tape: TapeMarket) -> None:
    exchange = open_exchange(tape)
    forward(exchange, 5)
    assert exchange.last("NONE") is None
    assert exchange.closed("NONE") is None
    assert exchange.book("NONE") is None
    assert list(exchange.prints("NONE")) == list(exchange.quotes("NONE")) == exchange.so_far("NONE") == []


def test_a_busier_flow_can_be_asked_for() -> None:
    calm, busy = (Exchange(MARKET, CALENDAR, None, 1, FlowOptions(prints=n)) for n in (1, 20))
    forward(calm, 60)
    forward(busy, 60)
    begin = calm.session.open
    counts = [len(list(one.prints_between("AAPL", begin, one.now))) for one in (calm, busy)]
    assert counts[1] > 1.2 * counts[0]


def test_the_auctions_open_and_close_the_day(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    minutes = tape.minutes("AAPL", TUESDAY)
    found: dict[int, Auction] = {}
    for skip in (TUESDAY.open - SLICE_NS, TUESDAY.close - 2 * SLICE_NS):
        exchange.seek(skip)
        for _ in range(10):
            exchange.step()
            auction = exchange.auction("AAPL")
            if auction is not None:
                found[exchange.now] = auction
    assert list(found) == [TUESDAY.open + SECOND_NS, TUESDAY.close]
    opening, closing = found.values()
    assert (opening.opening, opening.price) == (True, minutes.open[0])
    assert (closing.opening, closing.price) == (False, minutes.close[-1])
    assert opening.size >= 300


def test_it_opens_and_closes_early_on_a_half_day() -> None:
    exchange = exchange_of(start="2025-11-28")
    exchange.seek(exchange.session.close - SECOND_NS)
    assert exchange.session.close - exchange.session.open == 210 * MINUTE_NS
    exchange.step()
    assert exchange.auction("AAPL") is not None
    exchange.step()
    assert exchange.session.label == "2025-12-01"


# ------------------------------------------------------------------------------------------------------- the books


def test_a_resting_order_is_served_by_the_prints_at_its_price() -> None:
    exchange = open_exchange()
    price = Decimal(str(exchange.quote("AAPL").bid))
    book_of(exchange).rest(1, Side.BUY, price, 10_000)
    ahead, got = book_of(exchange).ahead(1), 0
    assert ahead == exchange.quote("AAPL").bid_size
    for _ in range(1_500):
        exchange.step()
        got += sum(fill.quantity for fill in exchange.fills)
        if 1 not in book_of(exchange):
            break
        assert book_of(exchange).ahead(1) <= ahead
        ahead = book_of(exchange).ahead(1)
    assert got == 10_000
    assert {type(fill) for fill in exchange.fills} == {Filled}
    assert {fill.price for fill in exchange.fills} == {price}


def test_what_we_take_is_gone_from_the_book_and_from_nothing_else() -> None:
    exchange, other = open_exchange(), open_exchange()
    before = book_of(exchange).levels(Side.SELL)
    taken = book_of(exchange).take(Side.BUY, before[0].size + 1, None)
    assert [done.quantity for done in taken] == [before[0].size, 1]
    assert book_of(exchange).levels(Side.SELL)[0] == (before[1].price, before[1].size - 1)
    for _ in range(100):
        exchange.step()
        other.step()
        assert exchange.prints("AAPL") == other.prints("AAPL")
        assert exchange.quotes("AAPL") == other.quotes("AAPL")
        assert exchange.closed("AAPL") == other.closed("AAPL")
    assert not book_of(exchange).busy


def test_books_last_until_the_close() -> None:
    exchange = exchange_of()
    exchange.seek(exchange.session.close - 5 * SECOND_NS)
    book_of(exchange).rest(1, Side.BUY, Decimal("1.00"), 10)
    forward(exchange, 5)
    assert exchange.book("AAPL") is None
    exchange.step()
    forward(exchange, 5)
    assert 1 not in book_of(exchange)


def test_a_share_nobody_asks_about_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    market = SyntheticMarket(1)
    exchange = exchange_of(market)
    monkeypatch.setattr(market, "minutes", None)
    forward(exchange, 60)


def test_a_quote_has_two_sides_and_a_time() -> None:
    assert QuoteAt(1, 2.0, 3.0, 4, 5)._fields == ("ts", "bid", "ask", "bid_size", "ask_size")


def test_quotes_follow_each_other_in_time() -> None:
    exchange = open_exchange()
    forward(exchange, 60)
    times = [q.ts for q in exchange.quotes_between("AAPL", exchange.session.open, exchange.now)]
    assert all(before <= after for before, after in pairwise(times))
