"""Splits and dividends laid over a market."""

from __future__ import annotations

from decimal import Decimal

import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS
from tests.practice.exchanges import (
    exchange_of,
    forward,
    next_session,
    open_exchange,
)


def test_a_split_divides_all_history_from_the_next_session_on() -> None:
    exchange, plain = exchange_of(), exchange_of()
    split = exchange.split("AAPL", Decimal(2))
    today = exchange.session
    assert exchange.take_actions() == []
    assert list(exchange.minutes("AAPL", today).close) == list(plain.minutes("AAPL", today).close)
    next_session(exchange)
    assert split.session == exchange.session.label
    assert exchange.take_actions() == [split]
    assert exchange.take_actions() == []
    for session in (today, exchange.session):
        ours, theirs = exchange.minutes("AAPL", session), plain.minutes("AAPL", session)
        assert ours.close == pytest.approx(theirs.close / 2, abs=0.0051)
        assert list(ours.volume) == list(theirs.volume * 2)
    assert list(exchange.minutes("MSFT", today).close) == list(plain.minutes("MSFT", today).close)
    exchange.seek(exchange.session.open)
    forward(exchange, 5)
    prints = exchange.prints_between("AAPL", exchange.session.open, exchange.now)
    closed = exchange.closed("AAPL")
    assert closed is not None
    assert sum(done.size for done in prints) == closed.volume


def test_what_was_printed_before_a_split_is_told_in_new_shares_after_it() -> None:
    exchange = open_exchange()
    begin, end = exchange.session.open, exchange.session.open + MINUTE_NS
    forward(exchange, 60)
    before = sum(done.size for done in exchange.prints_between("AAPL", begin, end))
    exchange.split("AAPL", Decimal(2))
    next_session(exchange)
    assert sum(done.size for done in exchange.prints_between("AAPL", begin, end)) == 2 * before


def test_a_dividend_lowers_the_price_from_its_day_on_and_not_before() -> None:
    exchange, plain = exchange_of(), exchange_of()
    today = exchange.session
    dividend = exchange.dividend("AAPL", Decimal("1.50"))
    exchange.dividend("MSFT", Decimal(100000))
    next_session(exchange)
    assert exchange.take_actions()[0] == dividend
    assert list(exchange.minutes("AAPL", today).open) == list(plain.minutes("AAPL", today).open)
    later = exchange.minutes("AAPL", exchange.session)
    assert later.open == pytest.approx(plain.minutes("AAPL", exchange.session).open - 1.5)
    assert set(exchange.minutes("MSFT", exchange.session).high) == {0.01}


def test_a_dividend_before_a_split_shrinks_with_it() -> None:
    exchange, plain = exchange_of(), exchange_of()
    exchange.dividend("AAPL", Decimal(1))
    next_session(exchange)
    ex_day = exchange.session
    exchange.split("AAPL", Decimal(4))
    next_session(exchange)
    ours, theirs = (one.minutes("AAPL", ex_day).close for one in (exchange, plain))
    assert ours == pytest.approx((theirs - 1) / 4, abs=0.0051)


def test_what_is_laid_over_a_market_survives_a_restart() -> None:
    exchange = open_exchange()
    forward(exchange, 3)
    exchange.begin_halt("AAPL", "news", exchange.now + MINUTE_NS)
    exchange.split("MSFT", Decimal("1.5"))
    forward(exchange, 120)
    again = exchange_of()
    again.restore_overlays(exchange.overlays())
    again.seek(exchange.now)
    assert again.so_far("AAPL") == exchange.so_far("AAPL")
    for one in (exchange, again):
        next_session(one)
    assert again.take_actions() == exchange.take_actions() != []
    late = exchange_of()
    late.restore_overlays(again.overlays())
    late.seek(again.now)
    assert late.take_actions() == []
    assert list(late.minutes("MSFT", late.session).close) == list(again.minutes("MSFT", late.session).close)


@pytest.mark.parametrize("ratio", ["0", "-2", "NaN", "Infinity"])
def test_a_split_that_makes_no_sense_is_refused(ratio: str) -> None:
    with pytest.raises(ConfigurationError, match="split"):
        exchange_of().split("AAPL", Decimal(ratio))
