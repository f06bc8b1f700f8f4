"""Nights that look like a split are told with the first bar of the session, and others are not."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.data.nights import Nights
from robo_trader.data.sessions import XnysCalendar

CALENDAR = XnysCalendar()
DAYS = CALENDAR.sessions(date(2026, 1, 5), date(2026, 3, 31))


def bars(symbol: str, day: int, price: float, volume: float = 1000.0) -> list[Bar]:
    """Return the first and the last minute of a day that stays at a price."""
    ends = (DAYS[day].open + MINUTE_NS, DAYS[day].close)
    return [Bar(symbol, ts, price, price * 1.001, price * 0.999, price, volume) for ts in ends]


def walk(days: int, seed: int = 3) -> list[float]:
    return list(100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, days))))


def nights(days: int = 40) -> tuple[Nights, float]:
    found = Nights(CALENDAR, "SPY")
    prices = walk(days)
    for day, price in enumerate(prices):
        found.learn(bars("NVDA", day, price) + bars("SPY", day, 500.0))
    return found, prices[-1]


@pytest.mark.parametrize(("ratio", "new", "old"), [(4, 4, 1), (1.5, 3, 2), (0.05, 1, 20), (10, 10, 1)])
def test_the_first_bar_of_a_session_that_opened_as_by_a_split_says_so_once(ratio, new, old):
    found, last = nights()
    first, later = bars("NVDA", 40, last / ratio * 1.002)
    said = found.on_bar(first)
    assert said is not None
    assert (said.new, said.old) == (new, old)
    assert f"opened at {first.open:g} after a close at {last:g}" in said.why
    assert found.on_bar(later) is None


@pytest.mark.parametrize("factor", [1.0, 0.9, 0.78, 0.6, 1.25, 1.6])
def test_what_is_near_no_ratio_or_a_bad_day_as_well_is_not_told(factor):
    found, last = nights()
    assert found.on_bar(bars("NVDA", 40, last * factor)[0]) is None


def test_a_fall_of_the_whole_market_is_no_split():
    found, last = nights()
    found.on_bar(bars("SPY", 40, 250.0)[0])
    assert found.on_bar(bars("NVDA", 40, last / 2)[0]) is None


def test_positions_say_the_ratio_and_prices_bear_it_out():
    found, last = nights()
    assert found.between("NVDA", 100, 400) is None  # the night has yet to come
    found.on_bar(bars("NVDA", 40, last / 4 * 1.15)[0])  # a bad day besides
    said = found.between("NVDA", 100, 400)
    assert said is not None
    assert (said.new, said.old) == (4, 1)
    assert "of our 100 shares the broker has made 400" in said.why
    assert [found.between("NVDA", 100, theirs) for theirs in (40, 200, -400, 0)] == [None] * 4


def test_a_remainder_is_no_obstacle():
    found, last = nights()
    found.on_bar(bars("NVDA", 40, last * 20)[0])
    said = found.between("NVDA", 105, 5)
    assert said is not None
    assert (said.new, said.old) == (1, 20)


def test_another_one_goes_on_from_what_it_was_told():
    found, last = nights()
    again = Nights(CALENDAR, "SPY", found.told())
    again.learn(bars("NVDA", 39, last)[-1:])  # once more, for its price
    said = again.on_bar(bars("NVDA", 40, last / 4)[0])
    assert said is not None
    assert said == found.on_bar(bars("NVDA", 40, last / 4)[0])


def test_after_a_split_nothing_is_compared_with_old_prices():
    found, last = nights()
    found.on_bar(bars("NVDA", 40, last / 4)[0])
    found.forget("NVDA")
    assert found.between("NVDA", 100, 400) is None
    assert found.on_bar(bars("NVDA", 41, last / 4)[0]) is None
