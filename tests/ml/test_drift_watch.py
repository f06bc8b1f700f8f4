"""What the desk is told of drift: once when it begins and once when it is over, and the same in a replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.core.steps import Drifted, DriftSummary
from robo_trader.ml import drift
from robo_trader.ml.drift import TESTS, Reference, ReferenceOptions
from robo_trader.ml.drift_watch import DriftOptions, DriftWatch

MINUTES, HORIZON = 60, 10
OPEN = 15 * 60 * MINUTE_NS


class EveryDay:
    """Sessions of an hour and, as the last bars have no label, ten minutes."""

    def session(self, ts: int) -> Session | None:
        open_ = ts // DAY_NS * DAY_NS + OPEN
        close = open_ + (MINUTES + HORIZON) * MINUTE_NS
        return Session(f"day {ts // DAY_NS}", open_, close) if open_ < ts <= close else None


def remembered(margin: float, threshold: float) -> Reference:
    """Forty days of noise; sixty rows are few, so that the limits must be generous to hold in every test."""
    rng = np.random.default_rng(1)
    day, minute = np.divmod(np.arange(40 * MINUTES), MINUTES)
    ts = day * DAY_NS + OPEN + (minute + 1) * MINUTE_NS
    rows = rng.normal(size=(len(ts), 20)).astype(np.float32)
    names, options = tuple(f"f{i}" for i in range(20)), ReferenceOptions(margin=margin, threshold=threshold)
    return drift.remember(rows, np.zeros(len(ts), np.int64), ts, names, ("A",), options)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return remembered(margin=1.5, threshold=1000.0)


def watch_of(reference: Reference, symbols: tuple[str, ...] = ("A",), share: float = 0.05) -> DriftWatch:
    # The vector has a column that the model does not see, in front.
    return DriftWatch(reference, np.arange(1, 21), symbols, EveryDay(), HORIZON, DriftOptions(share))


def session(day: int, shift: dict[int, float] | None = None, history: bool = False, symbol: str = "A"):
    """The bars of a day with their vectors; `shift` moves columns by so many deviations."""
    rng = np.random.default_rng(day)
    for minute in range(1, MINUTES + HORIZON + 1):
        vector = rng.normal(size=21)
        for column, by in (shift or {}).items():
            vector[column + 1] += by
        yield Bar(symbol, day * DAY_NS + OPEN + minute * MINUTE_NS, 1, 1, 1, 1, 1, history=history), vector


def told(watch: DriftWatch, *days) -> list:
    return [fact for one in days for bar, vector in one for fact in watch.on_bar(bar, vector)]


def test_a_day_like_the_others_is_summed_up_at_first_and_at_its_close_and_nothing_else(reference: Reference):
    facts = told(watch_of(reference), session(100), session(101))
    assert [type(fact) for fact in facts] == [DriftSummary] * 3
    assert [fact.session for fact in facts] == ["day 100", "day 100", "day 101"]
    assert facts[0].ts == 100 * DAY_NS + OPEN + 54 * MINUTE_NS  # nine tenths of a window
    assert facts[1].ts == 100 * DAY_NS + OPEN + (MINUTES + HORIZON) * MINUTE_NS
    assert (facts[1].rows, facts[1].columns, facts[1].drifting, facts[1].alarm) == (60, 20, 0, False)
    assert all(reading.value <= reading.limit for reading in facts[0].worst)


def test_a_column_that_changes_is_told_once_and_once_when_it_is_back(reference: Reference):
    watch = watch_of(reference, share=0.5)
    told(watch, session(100))
    wild = told(watch, session(101, {3: 5.0}), session(102, {3: 5.0}))
    drifted = [fact for fact in wild if isinstance(fact, Drifted)]
    assert {(fact.feature, fact.test) for fact in drifted} == {("f3", "psi"), ("f3", "ks")}
    assert len(drifted) == 2
    assert all(fact.value > fact.limit for fact in drifted)
    last = wild[-1]
    assert (last.drifting, last.alarm) == (1, False)
    assert last.worst[0].feature == "f3"
    calm = told(watch, session(103), session(104))
    back = [fact for fact in calm if isinstance(fact, Drifted)]
    assert {(fact.feature, fact.test) for fact in back} == {("f3", "psi"), ("f3", "ks")}
    assert all(fact.value < fact.limit for fact in back)
    assert calm[-1].drifting == 0


def test_many_columns_are_an_alarm_at_once_and_its_end_is_told(reference: Reference):
    watch = watch_of(reference, share=0.2)
    told(watch, session(100))
    wild = told(watch, session(101, dict.fromkeys(range(8), 6.0)))
    (alarm,) = [fact for fact in wild if isinstance(fact, DriftSummary) and fact.ts < wild[-1].ts]
    assert alarm.alarm
    assert 4 < alarm.drifting <= 8
    assert alarm.ts < 101 * DAY_NS + OPEN + MINUTES * MINUTE_NS
    calm = [fact for fact in told(watch, *map(session, range(102, 105))) if isinstance(fact, DriftSummary)]
    assert calm[-1].drifting == 0
    assert [fact.alarm for fact in calm][-1] is False


def test_an_alarm_goes_on_until_a_whole_session_was_calm(reference: Reference):
    watch = watch_of(reference, share=0.2)
    wild = dict.fromkeys(range(8), 6.0)
    told(watch, session(100), session(101, wild))
    assert [fact.alarm for fact in told(watch, session(102)) if isinstance(fact, DriftSummary)] == [True]
    assert all(fact.alarm for fact in told(watch, session(103, wild)) if isinstance(fact, DriftSummary))
    calm = [fact for fact in told(watch, session(104), session(105)) if isinstance(fact, DriftSummary)]
    assert [fact.alarm for fact in calm] == [True, False, False]


def test_one_test_alone_is_told_but_makes_no_drifted_column() -> None:
    watch = watch_of(remembered(margin=3.0, threshold=15.0))
    told(watch, session(100))
    *drifted, summary = told(watch, session(101, {4: 0.9}))
    assert [(fact.feature, fact.test) for fact in drifted] == [("f4", "page_hinkley")]
    assert (summary.drifting, summary.alarm) == (0, False)


@pytest.mark.parametrize(("silent", "drifting"), [("psi", 0), ("ks", 0), ("page_hinkley", 1)])
def test_a_column_has_drifted_where_both_tests_of_its_distribution_say_so(
    reference: Reference, silent: str, drifting: int
):
    limits = reference.limits.copy()
    limits[:, TESTS.index(silent)] = np.inf
    watch = watch_of(replace(reference, limits=limits))
    facts = told(watch, session(100), session(101, {3: 5.0}))
    assert facts[-1].drifting == drifting
    assert facts[-1].worst[0].feature == "f3"


def test_an_alarm_goes_on_while_more_than_half_of_what_it_takes_has_drifted(reference: Reference):
    watch = watch_of(reference, share=0.2)
    told(watch, session(100), session(101, dict.fromkeys(range(8), 6.0)))
    fewer = told(watch, *(session(day, dict.fromkeys(range(3), 6.0)) for day in (102, 103, 104)))
    assert (fewer[-1].drifting, fewer[-1].alarm) == (3, True)


def test_the_past_fills_the_window_and_calls_for_nothing(reference: Reference):
    watch = watch_of(reference)
    wild = dict.fromkeys(range(20), 6.0)
    assert told(watch, session(100, wild, history=True)) == []
    bar, vector = next(iter(session(101, wild)))
    facts = watch.on_bar(bar, vector)
    assert any(isinstance(fact, Drifted) for fact in facts)
    assert isinstance(facts[-1], DriftSummary)
    assert facts[-1].alarm


def test_bars_that_no_forecast_is_made_of_are_not_looked_at(reference: Reference):
    watch = watch_of(reference)
    wild = dict.fromkeys(range(20), 9.0)
    night = [(Bar("A", 50 * DAY_NS, 1, 1, 1, 1, 1), np.full(21, 9.0))] * 100
    end = [pair for pair in session(100, wild) if pair[0].ts > 100 * DAY_NS + OPEN + MINUTES * MINUTE_NS]
    assert told(watch, night, end, session(100, wild, symbol="B")) == []
    *_, summary = told(watch, session(101))
    assert (summary.rows, summary.drifting) == (60, 0)


def test_nothing_is_said_before_a_session_of_bars_is_there(reference: Reference):
    watch = watch_of(reference)
    wild = dict.fromkeys(range(20), 6.0)
    half = [pair for pair in session(100, wild) if pair[0].ts <= 100 * DAY_NS + OPEN + 30 * MINUTE_NS]
    assert told(watch, half) == []


def test_the_same_bars_give_the_same_facts(reference: Reference):
    def days():
        return session(100), session(101, {3: 5.0, 4: 6.0, 9: 6.0}), session(102)

    assert told(watch_of(reference), *days()) == told(watch_of(reference), *days()) != []


def test_what_is_recalled_counts_as_if_it_had_been_told_bar_by_bar():
    reference = remembered(margin=3.0, threshold=15.0)
    shifts = {"A": {3: 3.0}, "B": {3: -3.0}}
    past = {symbol: list(session(100, by, history=True, symbol=symbol)) for symbol, by in shifts.items()}
    recalled, heard = (watch_of(reference, ("A", "B")) for _ in range(2))
    newest = {}
    for symbol, pairs in past.items():
        ts, rows = np.array([bar.ts for bar, _ in pairs]), np.array([vector for _, vector in pairs])
        kept = recalled.newest(ts, rows, MINUTE_NS)
        assert kept.tolist() == list(range(MINUTES))
        newest[symbol] = ts[kept], rows[kept]
    recalled.recall(newest)
    for both in zip(*past.values(), strict=True):
        assert told(heard, both) == []
    today = list(session(101))
    facts = told(recalled, today)
    assert facts == told(heard, today)
    assert facts[0].ts == today[0][0].ts


def test_rows_that_are_not_complete_make_no_part_of_the_newest(reference: Reference):
    watch = watch_of(reference)
    pairs = list(session(100))
    ts, rows = np.array([bar.ts for bar, _ in pairs]), np.array([vector for _, vector in pairs])
    rows[5, 1], rows[6, 0] = np.nan, np.nan  # the model does not see the first column
    assert watch.newest(ts, rows, MINUTE_NS).tolist() == [i for i in range(MINUTES) if i != 5]
