"""Each closed minute reaches the inbox once and in order; what was missed comes from history or is reported."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from robo_trader.core.events import MINUTE_NS, Bar, Depth, Feed, FeedStatus, Quote, Trade
from robo_trader.data.aggregation import Gap
from robo_trader.data.pipeline import Pipeline, PipelineOptions
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import slice_session
from tests.data.streams import SLICE_NS, Ear, flat, new_york, slices

CALENDAR = XnysCalendar()
OPEN = new_york("2026-01-05 09:30")
FRIDAY_CLOSE = new_york("2026-01-02 16:00")


def minute(n: int) -> int:
    """Return the close of the n-th minute of the day."""
    return OPEN + n * MINUTE_NS


def past(*minutes: int) -> list[Bar]:
    return [flat(minute(n), 100.0 + n / 100, 10.0 + n) for n in minutes]


class Desk:
    """A pipeline, an ear behind it, and the gaps it asked about."""

    def __init__(self, options: PipelineOptions | None = None) -> None:
        self.ear = Ear()
        self.asked: list[Gap] = []
        self.pipeline = Pipeline(self.ear, CALENDAR, options, self.asked.append)

    def feed(self, bars: list[Bar]) -> None:
        for bar in bars:
            self.pipeline.on_bar(bar)

    @property
    def told(self) -> list[tuple[int, bool]]:
        """Minutes in the inbox and whether they were told as history."""
        return [((bar.ts - OPEN) // MINUTE_NS, bar.history) for bar in self.ear.bars]

    @property
    def details(self) -> list[tuple[Feed, str]]:
        return [(status.state, status.detail) for status in self.ear.statuses]


def test_whole_minutes_go_straight_through_as_live_bars() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 3))
    assert desk.told == [(1, False), (2, False), (3, False)]
    assert desk.pipeline.gaps() == desk.asked == []


def test_live_bars_wait_for_the_minute_in_which_the_stream_began() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 3)[5:24])
    assert desk.told == []
    assert desk.pipeline.gaps() == [("AAPL", OPEN, minute(1))]
    assert desk.asked[0] == Gap("AAPL", OPEN, minute(1))
    assert desk.pipeline.backfill("AAPL", past(1)) == 1
    assert desk.told == [(1, True), (2, False)]
    assert desk.pipeline.gaps() == []
    assert desk.details == []  # nothing was missed: nobody listened when it began


def test_a_warm_up_is_history_and_the_next_morning_follows_it_without_a_gap() -> None:
    desk = Desk()
    desk.pipeline.backfill("AAPL", [flat(FRIDAY_CLOSE - MINUTE_NS), flat(FRIDAY_CLOSE)])
    desk.feed(slices(OPEN, 1))
    assert [bar.history for bar in desk.ear.bars] == [True, True, False]
    assert desk.asked == []
    assert desk.ear.statuses == []


def test_a_warm_up_that_ends_before_the_stream_begins_leaves_a_gap_from_its_end() -> None:
    desk = Desk()
    desk.pipeline.backfill("AAPL", past(1, 2))
    desk.feed(slices(minute(4), 1))
    assert desk.pipeline.gaps() == [("AAPL", minute(2), minute(4))]
    desk.pipeline.backfill("AAPL", past(1, 2, 3, 4, 5))
    assert desk.told == [(1, True), (2, True), (3, True), (4, True), (5, False)]


def test_a_lost_slice_costs_its_minute_which_comes_back_from_history() -> None:
    desk = Desk()
    parts = slices(OPEN, 4)
    desk.feed(parts[:15] + parts[16:])
    assert desk.told == [(1, False)]
    assert desk.pipeline.gaps() == [("AAPL", minute(1), minute(2))]
    desk.pipeline.backfill("AAPL", past(2))
    assert desk.told == [(1, False), (2, True), (3, True), (4, False)]


def test_after_an_outage_the_gap_spans_all_that_was_missed() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 2) + slices(minute(10), 2)[3:])
    assert desk.pipeline.gaps() == [("AAPL", minute(2), minute(11))]
    desk.pipeline.backfill("AAPL", past(*range(1, 12)))
    assert [n for n, _ in desk.told] == list(range(1, 13))
    assert [n for n, history in desk.told if not history] == [1, 2, 12]


def test_history_that_lags_fills_what_it_has_and_the_rest_is_asked_for_again() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 1) + slices(minute(4), 1))
    desk.pipeline.backfill("AAPL", past(2))
    assert desk.pipeline.gaps() == [("AAPL", minute(2), minute(4))]
    desk.feed(slices(minute(5), 1))
    assert desk.asked[-1] == Gap("AAPL", minute(2), minute(4))
    desk.pipeline.backfill("AAPL", past(3, 4))
    assert desk.told == [(1, False), (2, True), (3, True), (4, True), (5, True), (6, False)]


def test_a_gap_that_nobody_fills_is_given_up_and_said_to_be() -> None:
    desk = Desk(PipelineOptions(patience=2))
    desk.feed(slices(OPEN, 1) + slices(minute(2), 2))
    assert desk.told == [(1, False)]
    desk.feed(slices(minute(4), 1))
    assert desk.told == [(1, False), (3, True), (4, True), (5, False)]
    assert desk.pipeline.gaps() == []
    assert desk.details == [(Feed.GAP, "not filled: 2026-01-05 14:31:00 to 2026-01-05 14:32:00 UTC")]
    assert desk.pipeline.backfill("AAPL", past(2)) == 0


def test_the_last_minute_lost_at_night_is_asked_for_in_the_morning() -> None:
    desk = Desk()
    evening = slices(FRIDAY_CLOSE - 2 * MINUTE_NS, 2)
    desk.feed([*evening[:20], *slices(OPEN, 1, 100.5)])
    assert desk.pipeline.gaps() == [("AAPL", FRIDAY_CLOSE - MINUTE_NS, FRIDAY_CLOSE)]
    desk.pipeline.backfill("AAPL", [flat(FRIDAY_CLOSE)])
    assert [bar.history for bar in desk.ear.bars] == [False, True, False]


def test_history_never_tells_the_minute_in_the_making() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 2)[:18])
    assert desk.pipeline.backfill("AAPL", past(1, 2)) == 0
    desk.feed(slices(OPEN, 2)[18:])
    assert desk.told == [(1, False), (2, False)]


def test_a_live_minute_that_history_told_first_is_not_told_again() -> None:
    desk = Desk()
    desk.pipeline.backfill("AAPL", past(1, 2))
    desk.feed(slices(OPEN, 3))
    assert desk.told == [(1, True), (2, True), (3, False)]


@given(st.sets(st.integers(1, 72), max_size=40), st.integers(1, 4))
def test_whatever_is_lost_every_minute_comes_once_and_in_order(lost: set[int], every: int) -> None:
    desk = Desk(PipelineOptions(patience=100))
    for n, part in enumerate(slices(OPEN, 8), 1):
        if n not in lost:
            desk.pipeline.on_bar(part)
        if n % (every * 12) == 0:
            for symbol, _, end in desk.pipeline.gaps():
                desk.pipeline.backfill(symbol, past(*range(1, (end - OPEN) // MINUTE_NS + 1)))
    for symbol, _, _ in desk.pipeline.gaps():
        desk.pipeline.backfill(symbol, past(*range(1, 9)))
    numbers = [n for n, _ in desk.told]
    assert numbers == list(range(numbers[0], 9))
    # Minutes lost before anything was heard were never promised.
    assert numbers[0] <= 1 + (min(set(range(1, 97)) - lost) - 1) // 12


def test_a_refused_bar_is_told_once_per_reason() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 1))
    for n in range(1, 4):
        desk.pipeline.on_bar(flat(minute(1) + n * SLICE_NS, math.nan, interval_ns=SLICE_NS))
    desk.pipeline.on_bar(flat(minute(1), interval_ns=SLICE_NS))
    assert desk.details == [(Feed.REJECTED, "price nan (limit 0)"), (Feed.REJECTED, "duplicate")]
    assert {status.ts for status in desk.ear.statuses} == {minute(1)}


def test_refusals_that_are_not_told_at_once_are_told_as_a_count_when_five_minutes_are_over() -> None:
    desk = Desk()
    for n in range(3):
        desk.pipeline.on_bar(flat(OPEN + n * SLICE_NS, math.nan, interval_ns=SLICE_NS))
    desk.feed(slices(OPEN, 7))
    assert desk.details == [
        (Feed.REJECTED, "price nan (limit 0)"),
        (Feed.REJECTED, "2 more refused since, the last: price nan (limit 0)"),
    ]


def test_refusals_that_were_never_told_are_told_at_the_end() -> None:
    desk = Desk()
    desk.feed(slices(OPEN, 1))
    for n in range(1, 5):
        desk.pipeline.on_bar(flat(minute(1) + n * SLICE_NS, math.nan, interval_ns=SLICE_NS))
    desk.pipeline.settle()
    desk.pipeline.settle()
    assert desk.details == [
        (Feed.REJECTED, "price nan (limit 0)"),
        (Feed.REJECTED, "3 more refused since, the last: price nan (limit 0)"),
    ]


def test_a_bar_from_outside_hours_has_a_wrong_time_and_is_told_and_a_quote_is_not() -> None:
    desk = Desk()
    desk.pipeline.on_quote(Quote("AAPL", new_york("2026-01-05 18:00"), 99.99, 100.0, 100.0, 100.0))
    desk.feed(slices(new_york("2026-01-05 16:00"), 1))
    desk.pipeline.settle()
    assert desk.details == [
        (Feed.REJECTED, "outside hours"),
        (Feed.REJECTED, "11 more refused since, the last: outside hours"),
    ]


def test_a_spike_that_is_refused_costs_its_minute() -> None:
    desk = Desk()
    parts = slices(OPEN, 3)
    spike = replace(parts[20], high=150.0)
    desk.feed([*parts[:20], spike, *parts[21:]])
    assert desk.told == [(1, False)]
    assert desk.pipeline.gaps() == [("AAPL", minute(1), minute(2))]


def test_ticks_that_are_believed_pass_and_others_do_not() -> None:
    desk = Desk()
    quote = Quote("AAPL", OPEN + 1, 99.99, 100.0, 100.0, 100.0)
    trade = Trade("AAPL", OPEN + 2, 100.0, 10.0)
    for tick in (quote, replace(quote, bid=100.01)):
        desk.pipeline.on_quote(tick)
    for print_ in (trade, replace(trade, price=50.0)):
        desk.pipeline.on_trade(print_)
    book = Depth("AAPL", OPEN + 3, ((99.99, 100.0),), ((100.0, 100.0),))
    for levels in (book, replace(book, asks=())):
        desk.pipeline.on_depth(levels)
    assert [event for event in desk.ear.heard if not isinstance(event, FeedStatus)] == [quote, trade, book]
    assert desk.details == [
        (Feed.REJECTED, "crossed 100.01 (limit 100)"),
        (Feed.REJECTED, "outside quote 50 (limit 99.49)"),
        (Feed.REJECTED, "depth of one side"),
    ]


def test_what_the_feed_says_of_itself_passes() -> None:
    desk = Desk()
    status = FeedStatus(OPEN, "", Feed.LOST, "1100")
    desk.pipeline.on_status(status)
    assert desk.ear.heard == [status]


@pytest.mark.parametrize("minutes", [5, 30])
def test_longer_bars_are_built_the_same_way(minutes: int) -> None:
    desk = Desk(PipelineOptions(interval_ns=minutes * MINUTE_NS))
    desk.feed(slices(OPEN, 60))
    assert [bar.ts for bar in desk.ear.bars] == [minute(n) for n in range(minutes, 61, minutes)]
    assert {bar.interval_ns for bar in desk.ear.bars} == {minutes * MINUTE_NS}


@pytest.mark.parametrize("day", ["2026-01-05", "2026-03-09", "2026-11-27"])
def test_a_practice_day_cut_into_slices_comes_out_as_the_minutes_it_was(day: str) -> None:
    desk = Desk()
    (session,) = CALENDAR.sessions(date.fromisoformat(day), date.fromisoformat(day))
    minutes = SyntheticMarket(7).minutes("AAPL", session)
    cut = slice_session(minutes)
    rows = zip(cut.start, cut.open, cut.high, cut.low, cut.close, cut.volume, strict=True)
    desk.feed([Bar("AAPL", int(start) + SLICE_NS, *map(float, row), SLICE_NS) for start, *row in rows])
    told = [(bar.ts - MINUTE_NS, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in desk.ear.bars]
    columns = (minutes.start, minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume)
    assert told == list(zip(*(column.tolist() for column in columns), strict=True))
    assert desk.ear.statuses == []
    assert len(told) == (session.close - session.open) // MINUTE_NS


def two_days(volume_of_the_second: float = 1.0) -> list[Bar]:
    starts = [new_york(f"{day} 09:30") for day in ("2026-01-02", "2026-01-05")]
    return [
        flat(start + n * MINUTE_NS, 100.0 + n / 100, (50.0 + n % 7) * (volume_of_the_second if day else 1.0))
        for day, start in enumerate(starts)
        for n in range(1, 391)
    ]


def test_a_past_without_a_doubt_is_taken_without_a_word() -> None:
    desk = Desk()
    bars = two_days()
    assert desk.pipeline.take_past("AAPL", bars, {bar.ts for bar in bars}) == bars
    assert desk.ear.heard == []


def test_a_past_that_lacks_bars_or_comes_of_another_feed_is_doubted_once() -> None:
    desk = Desk()
    bars = two_days(volume_of_the_second=1 / 30)
    holed = [*bars[:100], *bars[103:]]
    for _ in range(2):
        assert desk.pipeline.take_past("AAPL", holed, {bar.ts for bar in holed}) == holed
    (first, gap), (second, switch) = desk.details
    assert first is second is Feed.DOUBTED
    assert gap.startswith("gap: 3, told: bars missing within sessions, 0.38% of those due")
    assert switch.startswith("feed switch: 1, told: volume is 30 times less from here")


def test_a_past_that_was_stored_is_not_doubted_again() -> None:
    desk = Desk()
    desk.pipeline.take_past("AAPL", two_days()[5:400:3], ())
    assert desk.ear.heard == []
