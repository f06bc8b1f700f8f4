"""The fill model: an order against a standing quote."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import Order, OrderType, Side
from robo_trader.core.protocols import Execution, Market
from robo_trader.simulation.matching import Matching, MatchingOptions


def order(side=Side.BUY, quantity=100, limit=None):
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    return Order("s-1.1", "s-1", "NVDA", side, quantity, kind, None if limit is None else Decimal(limit))


def market(bid=100.0, ask=100.02, available=1000):
    return Market(1, bid, ask, available)


def test_a_market_order_crosses_the_spread():
    assert Matching().fill(order(), 100, market()) == Execution(100, Decimal("100.02"))
    assert Matching().fill(order(Side.SELL), 100, market()) == Execution(100, Decimal("100.00"))


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [
        (Side.BUY, "100.01", None),
        (Side.BUY, "100.02", "100.02"),
        (Side.BUY, "100.50", "100.02"),
        (Side.SELL, "100.01", None),
        (Side.SELL, "100.00", "100.00"),
        (Side.SELL, "99.50", "100.00"),
    ],
)
def test_a_limit_order_trades_only_when_marketable_and_then_at_the_quote(side, limit, price):
    execution = Matching().fill(order(side, limit=limit), 100, market())
    assert execution == (None if price is None else Execution(100, Decimal(price)))


def test_no_more_than_what_is_available_trades():
    assert Matching().fill(order(), 100, market(available=30)).quantity == 30
    assert Matching().fill(order(), 0, market()) is None
    assert Matching().fill(order(), 100, market(available=0)) is None


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        (math.nan, 100.0),
        (100.0, math.nan),
        (-1.0, 100.0),
        (100.0, -1.0),
        (100.0, math.inf),
        (0.0, 0.0),
        (101.0, 100.0),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_a_quote_that_is_none_fills_nothing(bid, ask, side):
    assert Matching().fill(order(side), 100, market(bid, ask)) is None


def test_a_limit_order_without_a_limit_never_trades():
    broken = Order("s-1.1", "s-1", "NVDA", Side.BUY, 100, OrderType.LIMIT)
    assert Matching().fill(broken, 100, market()) is None


def test_prices_are_on_the_cent_whatever_the_quote():
    execution = Matching().fill(order(), 100, market(bid=100.0, ask=100.01749))
    assert execution.price == Decimal("100.02")


@given(
    st.sampled_from(list(Side)),
    st.integers(1, 10_000),
    st.integers(1, 100_000),
    st.integers(0, 100),
    st.integers(-200, 200),
    st.integers(0, 10_000),
)
def test_a_fill_is_never_worse_than_the_limit_nor_larger_than_asked(
    side, quantity, bid, wide, offset, available
):
    limit = Decimal(max(1, bid + offset)) / 100
    quote = market(bid / 100, (bid + wide) / 100, available)
    execution = Matching().fill(order(side, quantity, limit), quantity, quote)
    if execution is not None:
        assert 0 < execution.quantity <= min(quantity, available)
        assert (execution.price - limit) * side.sign <= 0


@pytest.mark.parametrize(
    ("volume", "shares"), [(1000.0, 100), (19.0, 1), (1.0, 1), (0.0, 0), (math.nan, 0), (-5.0, 0)]
)
def test_participation_is_floored_but_a_traded_slice_gives_a_share(volume, shares):
    assert Matching().available(volume) == shares


def test_participation_can_be_set():
    assert Matching(MatchingOptions(participation=0.5)).available(1000.0) == 500


@pytest.mark.parametrize("participation", [0.0, -0.1, 1.1, math.nan])
def test_a_participation_outside_its_range_is_refused(participation):
    with pytest.raises(ConfigurationError):
        MatchingOptions(participation=participation)


def stop(side=Side.SELL, price="99.00"):
    return Order("s-1.1", "s-1", "NVDA", side, 100, OrderType.STOP, stop_price=Decimal(price))


@pytest.mark.parametrize(
    ("side", "low", "high", "reached"),
    [
        (Side.SELL, 99.00, 120.0, True),
        (Side.SELL, 50.00, 50.0, True),
        (Side.SELL, 99.01, 120.0, False),
        (Side.SELL, 0.0, 120.0, False),
        (Side.SELL, -1.0, 120.0, False),
        (Side.SELL, math.nan, math.nan, False),
        (Side.BUY, 50.00, 99.0, True),
        (Side.BUY, 200.0, 200.0, True),
        (Side.BUY, 50.00, 98.99, False),
        (Side.BUY, 50.00, math.inf, False),
        (Side.BUY, math.nan, math.nan, False),
    ],
)
def test_a_stop_is_reached_from_its_own_side(side, low, high, reached):
    assert Matching().triggers(stop(side), low, high) is reached


@pytest.mark.parametrize(
    ("side", "bid", "ask", "reached"),
    [
        (Side.SELL, 98.98, 99.00, True),
        (Side.SELL, 90.00, 99.01, False),
        (Side.SELL, math.nan, 98.0, False),
        (Side.SELL, 98.5, 98.0, False),
        (Side.BUY, 99.00, 99.02, True),
        (Side.BUY, 98.99, 110.0, False),
        (Side.BUY, 99.5, math.inf, False),
    ],
)
def test_a_quote_reaches_a_stop_with_both_its_sides(side, bid, ask, reached):
    assert Matching().quote_triggers(stop(side), bid, ask) is reached


def test_an_order_without_a_stop_price_is_never_triggered():
    assert not Matching().triggers(order(), 1.0, 1.0)
