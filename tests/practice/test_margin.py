"""What an order needs in margin, and which orders an account cannot carry."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import Contract, LimitOrder, MarketOrder

from robo_trader.core.events import Side
from robo_trader.practice.account import margin
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.tickets import Ticket
from tests.practice.conftest import Desk
from tests.practice.order_desk import opened

START = Decimal(10_000)
PRICES = {"A": 100.0, "B": 4.0}


def order(
    side: Side, quantity: int, symbol: str = "A", limit: str | None = None, perm_id: int = 1, filled: int = 0
) -> Ticket:
    price = Decimal(limit) if limit else None
    kind = "LMT" if limit else "MKT"
    ticket = Ticket(perm_id, 1, perm_id, symbol, side, quantity, kind, price, "DAY", "", "DUP1")
    return msgspec.structs.replace(ticket, filled=filled)


def holding(quantity: int, symbol: str = "A") -> Books:
    """Return books of 10,000 USD that bought or sold at the mark without commission."""
    books = Books(START)
    if quantity:
        side = Side.BUY if quantity > 0 else Side.SELL
        books.book(symbol, side, abs(quantity), Decimal(repr(PRICES[symbol])), Decimal(0))
    return books


@pytest.mark.parametrize(
    ("quantity", "price", "by_day", "by_night"),
    [
        (100, "20", "500", "1000"),
        (-100, "20", "600", "1000"),
        (-100, "10", "500", "500"),  # 5 USD a share
        (-100, "4", "400", "400"),  # all of it
        (-100, "1", "250", "250"),  # 2.50 USD a share
        (0, "20", "0", "0"),
    ],
)
def test_the_margin_of_a_position(quantity: int, price: str, by_day: str, by_night: str) -> None:
    assert margin.maintenance(quantity, Decimal(price)) == Decimal(by_day)
    assert margin.overnight(quantity, Decimal(price)) == Decimal(by_night)


@pytest.mark.parametrize(
    ("is_open", "side", "most"),
    [(True, Side.BUY, 400), (True, Side.SELL, 333), (False, Side.BUY, 200), (False, Side.SELL, 200)],
)
def test_equity_carries_four_times_its_worth_by_day_and_twice_by_night(
    is_open: bool, side: Side, most: int
) -> None:
    books = holding(0)
    assert margin.refusal(order(side, most), [], books, PRICES.get, is_open) == ""
    refused = margin.refusal(order(side, most + 1), [], books, PRICES.get, is_open)
    assert refused.startswith("YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION")
    assert "EQUITY WITH LOAN VALUE [10000.00 USD] MUST EXCEED THE INITIAL MARGIN [10" in refused


def test_orders_that_work_count_and_a_changed_order_counts_once() -> None:
    books, working = holding(0), [order(Side.BUY, 300)]
    assert margin.refusal(order(Side.BUY, 101, perm_id=2), working, books, PRICES.get)
    assert not margin.refusal(order(Side.BUY, 400), working, books, PRICES.get)


def test_both_ends_of_an_exit_are_not_counted_against_each_other() -> None:
    books, working = holding(300), [order(Side.SELL, 300, limit="110")]
    assert not margin.refusal(order(Side.BUY, 100, perm_id=2), working, books, PRICES.get)


def test_what_only_reduces_always_passes_even_without_a_price_or_any_equity() -> None:
    books = holding(300)
    books.cash -= 100_000
    assert not margin.refusal(order(Side.SELL, 300), [], books, lambda _: None)
    assert margin.refusal(order(Side.SELL, 301), [], books, PRICES.get)
    working = [order(Side.SELL, 200, perm_id=2)]
    assert margin.refusal(order(Side.SELL, 101), working, books, PRICES.get)


def test_without_a_price_nothing_new_is_carried() -> None:
    assert margin.refusal(order(Side.BUY, 1), [], holding(0), lambda _: None) == "no price is known for A"


@given(st.integers(-300, 300), st.sampled_from(list(Side)), st.integers(1, 900), st.booleans())
def test_what_is_refused_at_one_size_is_refused_at_any_larger(
    held: int, side: Side, quantity: int, is_open: bool
) -> None:
    books = holding(held)
    if margin.refusal(order(side, quantity), [], books, PRICES.get, is_open):
        assert margin.refusal(order(side, quantity + 1), [], books, PRICES.get, is_open)


@given(st.integers(-300, 300), st.sampled_from(list(Side)), st.integers(1, 900), st.booleans())
def test_the_impact_adds_up_and_is_that_of_the_position_after(
    held: int, side: Side, quantity: int, is_open: bool
) -> None:
    books = holding(held)
    effect = margin.impact(books, PRICES.get, order(side, quantity), is_open)
    assert effect.init_before + effect.init_change == effect.init_after
    assert effect.maint_before + effect.maint_change == effect.maint_after
    assert (
        effect.equity_before - effect.commission
        == effect.equity_after
        == effect.equity_before + effect.equity_change
    )
    after = holding(held + side.sign * quantity)
    assert effect.maint_after == margin.required(after, PRICES.get, margin.maintenance)
    assert effect.init_after == margin.required(after, PRICES.get, margin.initial_at(is_open))


async def test_an_order_beyond_the_margin_is_refused_in_the_words_of_tws(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard: list[str] = []
    ib.errorEvent += lambda _about, code, text, _contract: heard.append(f"{code} {text}")
    trade = ib.placeOrder(stock, LimitOrder("BUY", 2_001, 200.0))
    await desk.settle()
    assert trade.orderStatus.status == "Inactive"
    assert heard[0].startswith("201 Order rejected - reason:YOUR ORDER IS NOT ACCEPTED.")
    assert "[100000.00 USD] MUST EXCEED THE INITIAL MARGIN [100050.00 USD]" in heard[0]


async def test_what_if_tells_margins_and_places_nothing(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    state = await ib.whatIfOrderAsync(stock, LimitOrder("SELL", 100, 200.0))
    assert (float(state.initMarginBefore), float(state.initMarginAfter)) == (0, 6_000)
    assert float(state.equityWithLoanAfter) == 99_999
    assert not ib.openTrades()
    assert not await ib.reqAllOpenOrdersAsync()


async def test_before_the_open_an_order_is_measured_by_night(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1_500))
    await desk.settle()
    assert trade.orderStatus.status == "Inactive"
