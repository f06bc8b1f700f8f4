"""The account's arithmetic, by hand and by property."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import Side
from robo_trader.practice.account.books import FLAT, Books, Position
from robo_trader.practice.account.tickets import Execution
from robo_trader.practice.market.overlays import Dividend, Split

START = Decimal(10_000)
TRADES = st.lists(
    st.tuples(
        st.sampled_from(list(Side)),
        st.integers(1, 500),
        st.decimals("0.01", "900", places=2),
        st.decimals("0", "9", places=4),
    ),
    max_size=12,
)


def test_a_long_trade_is_kept_at_cost_with_commission_and_realises_net() -> None:
    books = Books(START)
    assert books.book("A", Side.BUY, 100, Decimal("10.00"), Decimal("1.00")) is None
    assert (books.cash, books.positions["A"].average) == (Decimal("8999.00"), Decimal("10.01"))
    assert books.book("A", Side.SELL, 40, Decimal("11.00"), Decimal("1.00")) == Decimal("38.60")
    assert (books.quantity("A"), books.positions["A"].average) == (60, Decimal("10.01"))
    assert books.cash == Decimal("9438.00")


def test_a_short_trade_realises_on_the_way_back() -> None:
    books = Books(START)
    assert books.book("A", Side.SELL, 100, Decimal("10.00"), Decimal("1.00")) is None
    assert books.positions["A"].average == Decimal("9.99")
    assert books.book("A", Side.BUY, 100, Decimal("9.00"), Decimal("1.00")) == Decimal("98.00")
    assert (books.cash, books.held()) == (START + 98, [])


def test_a_flip_closes_and_opens_and_shares_the_commission() -> None:
    books = Books(START)
    books.book("A", Side.BUY, 100, Decimal("10.00"), Decimal("1.00"))
    assert books.book("A", Side.SELL, 200, Decimal("11.00"), Decimal("2.00")) == Decimal("98.00")
    assert (books.quantity("A"), books.positions["A"].average) == (-100, Decimal("10.99"))


def test_a_position_without_a_price_is_worth_its_cost() -> None:
    books = Books(START)
    books.book("A", Side.BUY, 10, Decimal("10.00"), Decimal("1.00"))
    assert books.net_liquidation(lambda _symbol: None) == START


@given(TRADES, st.floats(0.01, 900))
def test_cash_and_cost_less_what_was_realised_is_always_the_start(trades: list[tuple], price: float) -> None:
    books, spent = Books(START), Decimal(0)
    for side, quantity, paid, fee in trades:
        books.book("A", side, quantity, paid, fee)
        spent += side.sign * quantity * paid + fee
        position = books.positions["A"]
        assert books.cash == START - spent
        assert books.cash + position.cost - position.realised == pytest.approx(START)
        assert not position.cost or position.quantity
    mark = lambda _symbol: price  # noqa: E731
    gain = books.net_liquidation(mark) - START
    position = books.positions.get("A", FLAT)
    assert books.unrealised("A", mark) + position.realised == pytest.approx(gain, abs=Decimal("1e-6"))
    assert books.daily("A", mark, mark) == gain


@given(TRADES, TRADES, st.floats(0.01, 900), st.floats(0.01, 900))
def test_daily_pnl_is_the_change_of_the_account_since_the_close(
    first: list[tuple], second: list[tuple], close: float, last: float
) -> None:
    books = Books(START)
    for trade in first:
        books.book("A", *trade)
    at_close, at_last = {"A": close}.get, {"A": last}.get
    equity = books.net_liquidation(at_close)
    assert books.begin_day("2026-01-13", at_close) == set()
    for trade in second:
        books.book("A", *trade)
    assert books.equity_before(at_close) == equity
    assert books.daily("A", at_last, at_close) == books.net_liquidation(at_last) - equity


def fills_of(trades: list[tuple]) -> list[Execution]:
    return [
        Execution(f"1.{i}.01", 1, 1, 1, "A", side, quantity, price, fee, None, quantity, price, "", "DUP1", i)
        for i, (side, quantity, price, fee) in enumerate(trades)
    ]


@given(TRADES, TRADES, TRADES)
def test_a_day_booked_anew_is_as_if_it_had_never_been_otherwise(
    before: list[tuple], wrong: list[tuple], right: list[tuple]
) -> None:
    corrected, straight = Books(START), Books(START)
    for books in (corrected, straight):
        for trade in before:
            books.book("A", *trade)
        books.begin_day("2026-01-13", lambda _symbol: None)
    for trade in wrong:
        corrected.book("A", *trade)
    realised = corrected.rebook("A", fills_of(right))
    assert realised == [straight.book("A", *trade) for trade in right]
    assert corrected.cash == straight.cash
    assert corrected.positions.get("A", FLAT) == straight.positions.get("A", FLAT)


def held(quantity: int) -> Books:
    books = Books(START)
    side = Side.BUY if quantity > 0 else Side.SELL
    books.book("A", side, abs(quantity), Decimal(30), Decimal(0))
    return books


def test_a_split_keeps_the_cost_and_a_dividend_the_value() -> None:
    books = held(10)
    changed = books.begin_day(
        "2026-01-13", {"A": 9.0}.get, [Split("A", "", Decimal(3)), Dividend("A", "", Decimal(1))]
    )
    assert changed == {"A"}
    assert books.positions["A"] == Position(30, Decimal(300))
    assert books.cash == START - 300 + 30
    assert books.equity_before({"A": 9.0}.get) == START - 300 + 30 * 9
    assert books.daily("A", {"A": 8.0}.get, {"A": 9.0}.get) == 0


def test_a_dividend_before_a_split_is_paid_on_the_old_shares() -> None:
    books = held(10)
    books.begin_day("2026-01-13", {"A": 9.0}.get, [Dividend("A", "", Decimal(3)), Split("A", "", Decimal(3))])
    assert (books.quantity("A"), books.cash) == (30, START - 300 + 30)
    assert books.daily("A", {"A": 8.0}.get, {"A": 9.0}.get) == 0


def test_the_fraction_of_a_share_a_split_leaves_is_paid_out() -> None:
    books = held(-15)
    books.begin_day("2026-01-13", {"A": 64.0}.get, [Split("A", "", Decimal("0.5"))])
    assert books.positions["A"] == Position(-7, Decimal(-420), realised=Decimal(-2))
    assert books.cash == START + 450 - 32
    alone = held(1)
    alone.begin_day("2026-01-13", {"A": 64.0}.get, [Split("A", "", Decimal("0.5"))])
    assert (alone.quantity("A"), alone.positions["A"].cost, alone.held()) == (0, 0, [])


def test_a_day_begins_once() -> None:
    books = held(10)
    paid = [Dividend("A", "", Decimal(1))]
    assert books.begin_day("2026-01-13", lambda _symbol: None, paid) == {"A"}
    assert books.begin_day("2026-01-13", lambda _symbol: None, paid) == set()
    assert books.cash == START - 300 + 10
