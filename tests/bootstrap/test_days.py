"""The days that regimes are told by: what TWS says of them, what it does not, and the minutes that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from robo_trader.bootstrap import days
from robo_trader.bootstrap.days import read_days, warm_regimes
from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.strategies.regime_detector import RegimeDetector

CALENDAR = XnysCalendar()
SESSIONS = CALENDAR.before("2026-01-06", 30)
TODAY = CALENDAR.after("2026-01-05")


def past(symbol: str, sessions: Sequence = SESSIONS) -> list[Bar]:
    return [Bar(symbol, session.close, 100, 101, 99, 100, 1.0, DAY_NS, history=True) for session in sessions]


class Tws:
    """Tells the days of AAPL, refuses those of META, never answers for NVDA and is silent about SPY."""

    async def days(self, symbol: str, sessions: int) -> list[Bar]:
        assert sessions >= 252 + 20
        if symbol == "META":
            raise RequestRefused(162, "no market data permissions")
        if symbol == "NVDA":
            raise Unanswered("days of NVDA")
        if symbol == "SPY":
            await asyncio.Event().wait()
        return past(symbol)


async def test_what_tws_does_not_tell_in_time_is_left_out_and_no_start_fails_for_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(days, "PATIENCE_S", 0.05)
    found = await read_days(Tws(), ["AAPL", "META", "NVDA", "SPY"])
    assert found == {"AAPL": past("AAPL")}


def test_minutes_after_the_last_day_go_on_from_it_and_earlier_ones_are_not_counted_twice():
    yesterday = [
        Bar("AAPL", SESSIONS[-1].open + i * MINUTE_NS, 100, 101, 99, 100, 1.0, history=True)
        for i in range(1, 391)
    ]
    today = [
        Bar("AAPL", TODAY.open + i * MINUTE_NS, 94, 94, 89, 89.5, 1.0, history=True) for i in range(1, 4)
    ]
    detector = RegimeDetector("", CALENDAR)
    saved = warm_regimes(detector, {"AAPL": past("AAPL")}, {"AAPL": yesterday + today})
    again = RegimeDetector("", CALENDAR)
    again.restore(saved)
    assert again._tracks["AAPL"].count == 30
    assert again.reading("AAPL").why == "10.5% below the highest of 20 closes"


def test_without_days_minutes_alone_make_them():
    told = [
        Bar("AAPL", session.open + i * MINUTE_NS, 100, 101, 99, 100, 1.0, history=True)
        for session in SESSIONS
        for i in range(1, 5)
    ]
    detector = RegimeDetector("", CALENDAR)
    warm_regimes(detector, {}, {"AAPL": told})
    assert detector.reading("AAPL").why.endswith("from 146 days on, 29 are known")
