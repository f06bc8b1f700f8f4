"""Regimes live: crashes at the minute that shows them, days at their close, and the same after a restart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.core.steps import Regime, RegimeChanged
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ml.regimes import RegimeOptions
from robo_trader.strategies.regime_detector import RegimeDetector

CALENDAR = XnysCalendar()
SESSIONS = CALENDAR.before("2026-01-06", 200)  # the last is 2026-01-05
TODAY = CALENDAR.after("2026-01-05")


def days(seed: int, sessions: Sequence = SESSIONS, symbol: str = "NVDA", size: float = 0.006) -> list[Bar]:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0006, size, len(sessions))))
    return [
        Bar(symbol, session.close, close, close * 1.004, close * 0.996, close, 1e6, DAY_NS, history=True)
        for session, close in zip(sessions, closes.tolist(), strict=True)
    ]


def wide() -> list[Bar]:
    """Return days of ranges so wide that none to come is unusual."""
    return [msgspec.structs.replace(one, high=one.high * 1.03, low=one.low * 0.97) for one in days(1)]


def minutes(price: Sequence[float], symbol: str = "NVDA", session=TODAY, history: bool = False) -> list[Bar]:
    return [
        Bar(symbol, session.open + (i + 1) * MINUTE_NS, one, one, one, one, 100.0, history=history)
        for i, one in enumerate(price)
    ]


def known(market: str = "SPY", **others: list[Bar]) -> RegimeDetector:
    detector = RegimeDetector(market, CALENDAR)
    detector.recall({"NVDA": days(1), "SPY": days(2, symbol="SPY")} | others)
    return detector


def heard(detector: RegimeDetector, bars: Sequence[Bar]) -> list[RegimeChanged]:
    return [fact for bar in bars for fact in detector.on_bar(bar)]


def test_the_regime_is_told_with_the_first_bar_and_then_when_it_changes():
    detector = known()
    last = days(1)[-1].close
    (first,) = heard(detector, minutes([last] * 60))
    assert (first.symbol, first.was, first.known) == ("NVDA", "", True)
    assert first.regime in set(Regime) - {Regime.CRASH}
    assert first.why
    assert detector.reading("NVDA").regime is first.regime


def test_five_per_cent_within_half_an_hour_is_a_crash_at_that_minute_and_for_the_rest_of_the_session():
    detector = known(NVDA=wide())
    last = days(1)[-1].close
    path = [last] * 20 + [last * (1 - 0.0017 * i) for i in range(1, 31)] + [last] * 200
    told = heard(detector, minutes(path))
    assert [one.regime for one in told][-1] is Regime.CRASH
    assert told[-1].why == "fell 5.1% within 30 minutes"
    assert (told[-1].ts - TODAY.open) // MINUTE_NS == 50
    assert detector.reading("NVDA").regime is Regime.CRASH


def test_the_same_fall_over_a_longer_time_or_over_the_night_is_none():
    last = days(1)[-1].close
    slow = [last * (1 - 0.001 * i) for i in range(66)]  # 6.5 %, of which 3 % within thirty minutes
    for path in (slow, [last * 0.96] * 60):
        assert all(one.regime is not Regime.CRASH for one in heard(known(NVDA=wide()), minutes(path)))


def test_ten_per_cent_below_the_highest_of_twenty_closes_is_seen_before_the_close():
    top = max(one.close for one in wide()[-19:])
    told = heard(known(NVDA=wide()), minutes([top * 0.90 - 0.01]))
    assert told[-1].regime is Regime.CRASH
    assert "below the highest of 20 closes" in told[-1].why


def test_what_was_a_crash_at_a_minute_stays_one_for_the_session_though_the_price_comes_back():
    detector, top = known(NVDA=wide()), max(one.close for one in wide()[-19:])
    low, back = top * 0.90 - 0.01, top * 0.93
    heard(detector, minutes([low, *[back] * 200]))
    assert detector.reading("NVDA").regime is Regime.CRASH
    heard(detector, minutes([low, *[back] * 389])[201:])
    assert detector.reading("NVDA").regime is not Regime.CRASH  # by its close the day was none


def test_a_crash_of_the_market_is_everybodys_and_ends_with_its_days():
    detector = known()
    spy, nvda = days(2, symbol="SPY")[-1].close, days(1)[-1].close
    heard(detector, minutes([spy, spy * 0.94], "SPY"))
    (told,) = heard(detector, minutes([nvda]))
    assert (told.regime, told.why) == (Regime.CRASH, "SPY: fell 6.0% within 30 minutes")


def test_a_day_counts_from_its_close_and_one_without_a_last_bar_from_the_next_session():
    whole, cut = known(), known()
    price = [days(1)[-1].close * 1.01] * 390
    heard(whole, minutes(price))
    heard(cut, minutes(price[:-1]))
    heard(cut, minutes([price[0]], session=CALENDAR.after(TODAY.label)))
    assert whole._tracks["NVDA"].count == cut._tracks["NVDA"].count == 201
    assert whole._tracks["NVDA"] == cut._tracks["NVDA"]


def test_minutes_make_the_same_days_as_daily_bars():
    rng = np.random.default_rng(6)
    by_minutes, by_days = RegimeDetector("NVDA", CALENDAR), RegimeDetector("NVDA", CALENDAR)
    for session in SESSIONS[-25:]:
        length = (session.close - session.open) // MINUTE_NS  # Christmas Eve ends at one
        path = 100 * np.exp(np.cumsum(rng.normal(0, 3e-4, length)))
        told = minutes(path.tolist(), session=session, history=True)
        assert heard(by_minutes, told) == []
        one = Bar("NVDA", session.close, *path[[0, path.argmax(), path.argmin(), -1]].tolist(), 1.0, DAY_NS)
        by_days.recall({"NVDA": [one]})
    assert by_minutes.reading("NVDA") == by_days.reading("NVDA")
    assert [day.close for day in by_minutes._tracks["NVDA"].days] == [
        day.close for day in by_days._tracks["NVDA"].days
    ]


@pytest.mark.parametrize("cut", [1, 35, 200, 389, 390])
def test_after_a_restart_in_the_middle_it_says_what_it_would_have_said(cut: int):
    rng = np.random.default_rng(cut)
    path = (days(1)[-1].close * np.exp(np.cumsum(rng.normal(-2e-4, 2e-3, 390)))).tolist()
    straight, before = known(), known()
    expected = heard(straight, minutes(path))
    said = heard(before, minutes(path)[:cut])
    again = RegimeDetector("SPY", CALENDAR)
    again.restore(before.saved())
    said += heard(again, minutes(path)[cut:])
    assert again.saved() == straight.saved()
    changes = [one for one in said if one.was]
    assert [one.regime for one in changes] == [one.regime for one in expected if one.was][
        -len(changes) or 99 :
    ]


def test_a_bar_told_twice_or_outside_of_hours_or_impossible_changes_nothing():
    detector = known()
    bars = minutes([days(1)[-1].close] * 5)
    heard(detector, bars)
    before = detector.saved()
    night = msgspec.structs.replace(bars[-1], ts=TODAY.close + MINUTE_NS)
    broken = msgspec.structs.replace(bars[-1], ts=bars[-1].ts + MINUTE_NS, low=float("nan"))
    assert heard(detector, [bars[2], bars[-1], night, broken]) == []
    assert detector.saved() == before


def test_what_was_kept_of_another_market_or_damaged_is_refused():
    kept = known().saved()
    with pytest.raises(DataError, match="of the market 'SPY'"):
        RegimeDetector("QQQ", CALENDAR).restore(kept)
    with pytest.raises(DataError, match="of other rules"):
        RegimeDetector("SPY", CALENDAR, RegimeOptions(fall=0.04)).restore(kept)
    with pytest.raises(DataError, match="cannot be read"):
        RegimeDetector("SPY", CALENDAR).restore(kept[:-3])


def test_after_a_split_nothing_is_known_instead_of_a_crash_that_was_none():
    detector = known()
    half = days(1)[-1].close / 2
    assert heard(detector, minutes([half]))[-1].regime is Regime.CRASH
    detector.forget("NVDA")
    (told,) = heard(detector, minutes([half, half * 1.001])[1:])
    assert (told.regime, told.known, told.was) == (Regime.NEUTRAL, False, "crash")


def test_without_a_market_there_is_neither_bull_nor_bear():
    price = [days(3)[-1].close]
    (bull,) = heard(known(NVDA=days(3)), minutes(price))
    assert bull.regime is Regime.BULL
    (told,) = heard(known(market="", NVDA=days(3)), minutes(price))
    assert not told.known
    assert told.regime is Regime.NEUTRAL
    assert "bull and bear take 60 days of a market" in told.why
