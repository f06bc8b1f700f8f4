"""New exposure stops where the market cannot be seen, and begins again only once everything is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from robo_trader.bootstrap.reopening import Reopening, Sight
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Halt, TradingState
from robo_trader.ibkr.restart_window import parse_window

NIGHT = parse_window("23:45-00:45 America/New_York")


def at(text: str) -> int:
    """Return UTC ns of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def said(gate: Reopening, sight: Sight) -> list[str]:
    return [
        f"{'stop' if isinstance(e, Halt) else 'go'} {e.by}: {e.reason}" for e in gate.look(sight, sight.now)
    ]


def opened(gate: Reopening, now: int) -> None:
    """Bring it to where a daemon has been trading for some time."""
    gate.look(Sight(now), now)


def test_the_first_clear_look_lifts_what_an_earlier_process_left_stopped():
    gate = Reopening()
    assert said(gate, Sight(1, wanted="the first prices of AAPL")) == []
    assert [line.partition(":")[0] for line in said(gate, Sight(2))] == ["go restart window", "go session"]
    assert said(gate, Sight(3)) == []


def test_a_lost_session_stops_once_and_goes_on_only_when_nothing_is_wanted_any_more():
    gate = Reopening()
    opened(gate, 1)
    (halt,) = gate.look(Sight(2, lost="the session with TWS is lost: it hung up"), 2)
    assert halt == Halt(2, "the session with TWS is lost: it hung up", "session", TradingState.REDUCING)
    assert said(gate, Sight(3, lost="the session with TWS is lost: still")) == []
    assert said(gate, Sight(4, wanted="the first prices of AAPL")) == []
    assert said(gate, Sight(5, wanted="missed bars of AAPL")) == []
    assert gate.is_shut
    assert said(gate, Sight(6)) == [
        "go session: the books agree with the broker, prices are fresh and no bar is missing"
    ]
    assert not gate.is_shut


def test_a_gap_or_a_new_stream_stops_nothing_while_the_session_lasts():
    gate = Reopening()
    opened(gate, 1)
    assert said(gate, Sight(2, wanted="missed bars of NVDA")) == []


def test_no_fresh_stream_at_all_stops_as_a_lost_session_does():
    gate = Reopening()
    opened(gate, 1)
    assert said(gate, Sight(2, dark="no stream is fresh")) == ["stop session: no stream is fresh"]
    assert [line.partition(":")[0] for line in said(gate, Sight(3))] == ["go session"]


def test_entries_stop_before_the_restart_and_begin_after_it():
    gate = Reopening(NIGHT, lead_s=300)
    opened(gate, at("2026-01-06T04:39:59"))
    (stop,) = said(gate, Sight(at("2026-01-06T04:40:00")))
    assert stop.startswith("stop restart window: TWS restarts, 23:45-00:45 America/New_York")
    assert said(gate, Sight(at("2026-01-06T05:44:59"))) == []
    assert [line.partition(":")[0] for line in said(gate, Sight(at("2026-01-06T05:45:00")))] == [
        "go restart window"
    ]


def test_a_session_lost_within_the_window_is_expected_and_reported_only_when_it_is_over():
    gate = Reopening(NIGHT)
    opened(gate, at("2026-01-06T04:00:00"))
    gate.look(Sight(at("2026-01-06T04:41:00")), 1)
    assert gate.restart(at("2026-01-06T04:44:59")) is None
    expected = gate.restart(at("2026-01-06T04:50:00"))
    assert expected == ("TWS restarts, 23:45-00:45 America/New_York", at("2026-01-06T05:45:00"))
    assert said(gate, Sight(at("2026-01-06T04:50:00"), lost="it hung up")) == []
    assert said(gate, Sight(at("2026-01-06T05:45:00"), lost="it hung up")) == ["stop session: it hung up"]
    later = said(gate, Sight(at("2026-01-06T05:46:00")))
    assert [line.partition(":")[0] for line in later] == ["go restart window", "go session"]


def test_after_the_window_trading_waits_for_what_is_still_wanted():
    gate = Reopening(NIGHT)
    opened(gate, at("2026-01-06T04:00:00"))
    gate.look(Sight(at("2026-01-06T04:41:00")), 1)
    assert said(gate, Sight(at("2026-01-06T05:45:00"), wanted="missed bars of AAPL")) == []
    assert [line.partition(":")[0] for line in said(gate, Sight(at("2026-01-06T05:45:10")))] == [
        "go restart window"
    ]


def test_without_a_window_the_night_is_like_the_day():
    gate = Reopening(parse_window(""))
    opened(gate, at("2026-01-06T04:00:00"))
    assert said(gate, Sight(at("2026-01-06T05:00:00"))) == []
    assert gate.restart(at("2026-01-06T05:00:00")) is None


@pytest.mark.parametrize("lead_s", [0, 60])
def test_the_lead_is_as_long_as_it_is_set(lead_s: int):
    begins = at("2026-01-06T04:45:00")
    gate = Reopening(NIGHT, lead_s)
    opened(gate, begins - MINUTE_NS - SECOND_NS)
    stops = [t for t in range(-61, 1) if gate.look(Sight(begins + t * SECOND_NS), 1)]
    assert stops == [-lead_s]


def test_the_window_is_local_time_on_both_sides_of_a_change_of_the_clocks():
    assert NIGHT is not None
    winter, summer = at("2026-03-07T12:00:00"), at("2026-03-08T12:00:00")
    assert NIGHT.next(winter) == (at("2026-03-08T04:45:00"), at("2026-03-08T05:45:00"))
    assert NIGHT.next(summer) == (at("2026-03-09T03:45:00"), at("2026-03-09T04:45:00"))


def test_within_one_day_a_window_is_short_and_over_midnight_it_belongs_to_two():
    day = parse_window("01:00-02:00 UTC")
    assert day is not None
    assert day.next(at("2026-01-06T01:30:00")) == (at("2026-01-06T01:00:00"), at("2026-01-06T02:00:00"))
    assert day.next(at("2026-01-06T02:00:00")) == (at("2026-01-07T01:00:00"), at("2026-01-07T02:00:00"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("midnight", "write it as 23:45-00:45 America/New_York"),
        ("24:00-00:45 America/New_York", "no restart window"),
        ("23:45-00:45", "no restart window"),
        ("23:45-23:45 UTC", "begins and ends at the same time"),
        ("23:45-00:45 Amerika/Neuyork", "no time zone 'Amerika/Neuyork'"),
        ("23:45-00:45 ../../etc/passwd", "no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_what_to_write(text: str, why: str):
    with pytest.raises(ConfigurationError, match=why):
        parse_window(text)
