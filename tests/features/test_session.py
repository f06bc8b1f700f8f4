"""What is known of sessions: the days before, the day so far, and the calendar."""

from datetime import date

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.session import DAY, day_of
from robo_trader.features.technical_indicators import NAMES
from tests.features.conftest import EveryDay, columns_of, flat_bars, messages, part, random_bars, with_gaps

SESSIONS = 34  # the rings of days have come round
DAILY = ("day_atr_14", "day_sigma", "return_since_open", "return_since_close", "gap", "gap_atr")


@pytest.fixture(scope="module")
def bars():
    return with_gaps(random_bars(SESSIONS * 390))


@pytest.fixture(scope="module")
def columns(bars):
    return columns_of(bars)


@pytest.fixture(scope="module")
def xnys():
    return XnysCalendar()


@pytest.fixture(scope="module")
def table(xnys):
    """Every session of the shipped table with what is known of it."""
    sessions = xnys.sessions(date(2000, 1, 1), date(2030, 12, 31))
    return [(session, day_of(session, xnys)) for session in sessions]


def by_session(column):
    return column.reshape(-1, 390)


def test_the_range_of_days_is_the_mean_of_fourteen_without_the_first_session(bars, columns):
    high, low = by_session(bars.high).max(axis=1), by_session(bars.low).min(axis=1)
    close = bars.close[389::390]
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    for session in range(15, SESSIONS):
        mean = ranges[session - 15 : session - 1].mean()
        np.testing.assert_allclose(by_session(columns["day_atr_14"])[session], mean, rtol=1e-9)
    assert np.isnan(columns["day_atr_14"][: 15 * 390]).all()


def sigmas_of_days(bars):
    """Return the deviation of days known in each session, NaN for the first fifteen."""
    squares = np.diff(np.log(bars.close[389::390])) ** 2
    known = np.full(SESSIONS, np.nan)
    for session in range(15, SESSIONS):
        known[session] = np.sqrt(squares[session - 15 : session - 1].mean())
    return np.repeat(known, 390)


def test_the_deviation_of_days_is_the_root_mean_square_of_fourteen_returns(bars, columns):
    np.testing.assert_allclose(columns["day_sigma"], sigmas_of_days(bars), rtol=1e-9)


def test_the_day_so_far_is_counted_in_deviations_of_days(bars, columns):
    sigma = sigmas_of_days(bars)
    opens = np.repeat(bars.open[::390], 390)
    closes = np.concatenate((np.full(390, np.nan), np.repeat(bars.close[389::390], 390)[:-390]))
    np.testing.assert_allclose(
        columns["return_since_open"], np.clip(np.log(bars.close / opens) / sigma, -8, 8), atol=1e-9
    )
    np.testing.assert_allclose(
        columns["return_since_close"], np.clip(np.log(bars.close / closes) / sigma, -8, 8), atol=1e-9
    )


def test_a_first_session_that_began_late_changes_no_column_of_days(bars, columns):
    late = columns_of(part(bars, 200, len(bars.ts)))
    for name in DAILY:
        assert late[name][390:].tobytes() == columns[name][590:].tobytes(), name


def test_columns_of_days_do_not_depend_on_the_size_of_the_bars(bars, columns):
    fives = Bars(
        bars.ts[4::5],
        bars.open[::5],
        bars.high.reshape(-1, 5).max(axis=1),
        bars.low.reshape(-1, 5).min(axis=1),
        bars.close[4::5],
        bars.volume.reshape(-1, 5).sum(axis=1),
    )
    coarse = columns_of(fives, interval_ns=5 * MINUTE_NS)
    for name in (*DAILY, "minutes_to_close", "half_day", "weekday"):
        np.testing.assert_array_equal(coarse[name], columns[name][4::5], err_msg=name)


def test_columns_of_days_are_the_same_live_as_in_the_matrix(bars, columns):
    engine = FeatureEngine(EveryDay())
    rows = [engine.update(bar) for bar in messages(part(bars, 0, 17 * 390))]
    live = np.array(rows[16 * 390 :])
    for name in DAILY:
        expected = np.ascontiguousarray(columns[name][16 * 390 : 17 * 390])
        assert np.ascontiguousarray(live[:, NAMES.index(name)]).tobytes() == expected.tobytes(), name


def test_the_first_session_knows_no_day_before_it(columns):
    for name in DAILY:
        first = 1 if name == "gap" else 15
        assert np.isnan(columns[name][: first * 390]).all()
        assert np.isfinite(columns[name][first * 390 :]).all()


def test_days_that_never_moved_are_neutral():
    flat = columns_of(flat_bars(17 * 390))
    for name in DAILY:
        assert set(flat[name][~np.isnan(flat[name])]) == {0}


def test_the_longest_day_is_eight_deviations():
    quiet = random_bars(16 * 390)
    lift = np.where(np.arange(len(quiet.ts)) >= 15 * 390 + 5, 1000.0, 0.0)
    jumped = Bars(
        quiet.ts, *(x + lift for x in (quiet.open, quiet.high, quiet.low, quiet.close)), quiet.volume
    )
    found = columns_of(jumped)
    assert set(found["return_since_open"][-300:]) == set(found["return_since_close"][-300:]) == {8}


@pytest.fixture(scope="module")
def thanksgiving(xnys):
    """Columns of the week of Thanksgiving 2025, and which session each bar is of."""
    sessions = xnys.sessions(date(2025, 11, 25), date(2025, 12, 2))
    ts = np.concatenate([np.arange(s.open + MINUTE_NS, s.close + 1, MINUTE_NS) for s in sessions])
    walk = random_bars(len(ts))
    bars = Bars(ts, walk.open, walk.high, walk.low, walk.close, walk.volume)
    labels = np.concatenate([[s.label] * int((s.close - s.open) // MINUTE_NS) for s in sessions])
    return columns_of(bars, xnys), labels


def test_a_half_day_is_flagged_from_its_first_bar_and_its_minutes_run_out_at_one(thanksgiving):
    columns, labels = thanksgiving
    assert set(labels[columns["half_day"] == 1]) == {"2025-11-28"}
    assert columns["minutes_to_close"][labels == "2025-11-28"].tolist() == list(range(209, -1, -1))
    assert columns["minutes_to_close"][labels == "2025-12-01"].tolist() == list(range(389, -1, -1))


def test_weekdays_and_the_turn_of_the_month_are_told_over_a_holiday(thanksgiving):
    columns, labels = thanksgiving
    days = {label: columns["weekday"][labels == label][0] for label in dict.fromkeys(labels.tolist())}
    assert days == {
        "2025-11-25": -0.5,
        "2025-11-26": 0.0,
        "2025-11-28": 1.0,
        "2025-12-01": -1.0,
        "2025-12-02": -0.5,
    }
    assert set(labels[columns["month_last"] == 1]) == {"2025-11-28"}
    assert set(labels[columns["month_first"] == 1]) == {"2025-12-01"}
    assert not columns["options_expiry"].any()


def test_the_ends_of_every_month_are_found_for_thirty_years(table):
    months = {}
    for session, _ in table:
        months.setdefault(session.label[:7], []).append(session.label)
    firsts = [session.label for session, day in table if day[DAY.MONTH_FIRST]]
    lasts = [session.label for session, day in table if day[DAY.MONTH_LAST]]
    assert firsts == [labels[0] for labels in months.values()]
    assert lasts == [labels[-1] for labels in months.values()]


# The exchanges' calendars of expirations; 2019, 2022 and 2025 have Good Friday in the third week, 2026 Juneteenth.
EXPIRIES = {
    "2019": ["01-18", "02-15", "03-15", "04-18", "05-17", "06-21", "07-19", "08-16", "09-20", "10-18", "11-15", "12-20"],
    "2022": ["01-21", "02-18", "03-18", "04-14", "05-20", "06-17", "07-15", "08-19", "09-16", "10-21", "11-18", "12-16"],
    "2025": ["01-17", "02-21", "03-21", "04-17", "05-16", "06-20", "07-18", "08-15", "09-19", "10-17", "11-21", "12-19"],
    "2026": ["01-16", "02-20", "03-20", "04-17", "05-15", "06-18", "07-17", "08-21", "09-18", "10-16", "11-20", "12-18"],
}  # fmt: skip


@pytest.mark.parametrize("year", EXPIRIES)
def test_options_expire_on_the_third_friday_or_the_thursday_before(year, table):
    found = [session.label for session, day in table if day[DAY.OPEX] and session.label.startswith(year)]
    assert found == [f"{year}-{day}" for day in EXPIRIES[year]]


def test_every_month_has_one_expiry_but_one(table):
    found = [session.label[:7] for session, day in table if day[DAY.OPEX]]
    assert len(found) == len(set(found)) == 31 * 12


def test_a_session_keeps_its_open_its_length_and_its_weekday(table):
    for session, day in table[::97]:
        assert day[DAY.LABEL] * 10**9 == session.open
        assert day[DAY.LENGTH] in (210, 390)
        assert day[DAY.WEEKDAY] == date.fromisoformat(session.label).weekday()
