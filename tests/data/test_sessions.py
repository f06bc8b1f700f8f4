"""The session table against exchange_calendars, the published calendar and the minutes around the bell."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.data import sessions, xnys
from robo_trader.data.sessions import XnysCalendar
from tests.data.streams import new_york

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "21_calendar_xnys.json").read_text())["data"]
# exchange_calendars 4.13 on pandas 3.1.
oracle = pytest.mark.filterwarnings("ignore:Series.values returning")


@pytest.fixture(scope="module")
def calendar() -> XnysCalendar:
    return XnysCalendar()


@oracle
def test_every_session_from_2000_to_2030_equals_exchange_calendars(calendar: XnysCalendar) -> None:
    import exchange_calendars

    theirs = exchange_calendars.get_calendar("XNYS", start="2000-01-01", end="2030-12-31").schedule
    ours = calendar.sessions(date(2000, 1, 1), date(2030, 12, 31))
    assert [(s.label, s.open, s.close) for s in ours] == [
        (label.strftime("%Y-%m-%d"), row.open.value, row.close.value)
        for label, row in zip(theirs.index, theirs.itertuples(), strict=True)
    ]


@oracle
def test_the_shipped_table_is_what_the_generator_writes() -> None:
    assert sessions.render_table(2000, 2030) == Path(xnys.__file__).read_text()


@pytest.mark.parametrize(
    ("year", "count"), [(int(y), n) for y, n in GOLDEN["sessions_per_year"].items() if int(y) >= 2000]
)
def test_each_year_has_the_published_number_of_sessions(
    calendar: XnysCalendar, year: int, count: int
) -> None:
    assert len(calendar.sessions(date(year, 1, 1), date(year, 12, 31))) == count


@pytest.mark.parametrize("label", GOLDEN["closed"])
def test_published_closures_have_no_session(calendar: XnysCalendar, label: str) -> None:
    day = date.fromisoformat(label)
    assert calendar.sessions(day, day) == []
    assert calendar.session(new_york(f"{label} 11:00")) is None


@pytest.mark.parametrize("year", GOLDEN["early_close_13h"])
def test_published_early_closes_and_no_others_last_210_minutes(calendar: XnysCalendar, year: str) -> None:
    days = calendar.sessions(date(int(year), 1, 1), date(int(year), 12, 31))
    assert [s.label for s in days if s.close - s.open == 210 * MINUTE_NS] == GOLDEN["early_close_13h"][year]
    assert {(s.close - s.open) // MINUTE_NS for s in days} == {210, 390}


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("00:00:00", False),
        ("09:29:59", False),
        ("09:30:00", False),
        ("09:30:05", True),
        ("15:59:59", True),
        ("16:00:00", True),
        ("16:00:01", False),
    ],
)
@pytest.mark.parametrize("label", ["2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02"])
def test_the_bells_ring_at_new_york_time_on_both_sides_of_the_clock_change(
    calendar: XnysCalendar, label: str, at: str, inside: bool
) -> None:
    found = calendar.session(new_york(f"{label} {at}"))
    assert (found is not None and found.label == label) is inside


def test_the_clock_change_moves_the_open_by_an_hour_of_utc(calendar: XnysCalendar) -> None:
    friday, monday = calendar.sessions(date(2026, 3, 6), date(2026, 3, 9))
    assert datetime.fromtimestamp(friday.open // SECOND_NS, UTC).hour == 14
    assert datetime.fromtimestamp(monday.open // SECOND_NS, UTC).hour == 13


def test_a_half_day_ends_at_one(calendar: XnysCalendar) -> None:
    assert calendar.session(new_york("2026-11-27 13:00:00")) is not None
    assert calendar.session(new_york("2026-11-27 13:00:05")) is None


def test_neighbours_skip_weekends_and_holidays(calendar: XnysCalendar) -> None:
    assert calendar.after("2026-07-02").label == "2026-07-06"
    assert calendar.after("2026-07-04").label == "2026-07-06"
    assert [s.label for s in calendar.before("2026-07-06", 2)] == ["2026-07-01", "2026-07-02"]
    assert calendar.before("2026-07-06", 0) == []


def test_an_evening_trade_belongs_to_its_new_york_day(calendar: XnysCalendar) -> None:
    assert calendar.label_of(new_york("2026-01-05 20:30:00")) == "2026-01-05"
    assert datetime.fromtimestamp(new_york("2026-01-05 20:30:00") // SECOND_NS, UTC).day == 6


def test_beyond_the_table_there_is_no_session_and_walking_there_says_so(calendar: XnysCalendar) -> None:
    assert calendar.session(new_york("2031-01-02 11:00:00")) is None
    assert calendar.session(0) is None
    with pytest.raises(DataError, match="2000 to 2030"):
        calendar.after("2030-12-31")
    with pytest.raises(DataError, match="2000 to 2030"):
        calendar.before("2000-01-03", 1)
    with pytest.raises(DataError, match="2000 to 2030"):
        calendar.sessions(date(2030, 12, 1), date(2031, 1, 5))
