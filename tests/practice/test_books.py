"""The account's arithmetic, by hand and by property."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import Side
from robo_trader.practice.books import Books

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
    values = books.values(lambda _symbol: price)
    assert values["NetLiquidation"] == values["TotalCashValue"] + values["StockMarketValue"]
    gain = values["UnrealizedPnL"] + values["RealizedPnL"]
    assert gain == pytest.approx(values["NetLiquidation"] - START, abs=Decimal("1e-6"))
