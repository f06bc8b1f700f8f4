"""The market's clock: where it begins, how it steps, and where it ends."""

from __future__ import annotations

from datetime import date

import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.exchange import Exchange, first_session
from robo_trader.practice.gateway import PracticeOptions, account_of
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.tape import SLICE_NS, TapeMarket

CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 12), date(2026, 1, 13))


def exchange_of(market: TapeMarket | SyntheticMarket, start: str | None = None) -> Exchange:
    return Exchange(market, CALENDAR, start, Matching().available)


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


def test_it_steps_by_five_seconds_through_a_session_and_over_the_night(tape: TapeMarket) -> None:
    exchange = exchange_of(tape, "2026-01-12")
    times = [exchange.now]
    while exchange.step():
        times.append(exchange.now)
    first = [MONDAY.open - SLICE_NS + k * SLICE_NS for k in range(390 * 12 + 2)]
    second = [time - MONDAY.open + TUESDAY.open for time in first]
    assert times == first + second
    assert not exchange.is_open


def test_the_standing_quote_is_made_of_the_slice_it_stands_in(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    assert exchange.market("AAPL") is None
    assert exchange.last("AAPL") == tape.minutes("AAPL", MONDAY).close[-1]
    exchange.step()
    minutes = tape.minutes("AAPL", TUESDAY)
    for i in range(3):
        market = exchange.market("AAPL")
        assert market is not None
        assert market.bid <= minutes.open[i] <= market.ask
        assert market.available == 100
        for _ in range(12):
            exchange.step()
        closed = exchange.closed("AAPL")
        assert closed is not None
        assert closed.close == exchange.last("AAPL") == minutes.close[i]


def test_what_is_taken_is_gone_until_the_next_slice(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    exchange.step()
    exchange.take("AAPL", 70)
    market = exchange.market("AAPL")
    assert market is not None
    assert market.available == 30
    exchange.step()
    market = exchange.market("AAPL")
    assert market is not None
    assert market.available == 100


def test_a_saved_clock_is_found_again(tape: TapeMarket) -> None:
    exchange = exchange_of(tape)
    exchange.seek(MONDAY.open + 7 * MINUTE_NS)
    assert exchange.session == MONDAY
    assert exchange.is_open
    closed = exchange.closed("AAPL")
    assert closed is not None
    assert closed.close == tape.minutes("AAPL", MONDAY).close[6]


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
