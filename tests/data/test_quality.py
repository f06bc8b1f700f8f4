"""The percentage of bars that needed nothing, live and in a file."""

from __future__ import annotations

import json
import math

from msgspec.structs import replace

from robo_trader.core.events import SECOND_NS, Feed, FeedStatus
from robo_trader.data.pipeline import Pipeline, PipelineOptions
from robo_trader.data.quality import Quality, lowest, summed, worst_first
from robo_trader.data.sessions import XnysCalendar
from tests.data.streams import Ear, flat, new_york, slices

TODAY = "2026-01-05"
OPEN = new_york(f"{TODAY} 09:30")
MINUTE = 60 * SECOND_NS


def pipeline(patience: int = 5) -> Pipeline:
    return Pipeline(Ear(), XnysCalendar(), PipelineOptions(patience=patience))


def test_a_morning_without_a_fault_is_of_a_hundred_percent() -> None:
    feed = pipeline()
    for part in slices(OPEN, 4):
        feed.on_bar(part)
    assert feed.quality() == [Quality("AAPL", whole=4, day=TODAY)]
    assert feed.quality()[0].percent == 100.0


def test_bars_that_history_had_to_bring_count_against_it() -> None:
    feed = pipeline()
    parts = slices(OPEN, 4)
    for part in [*parts[:12], *parts[36:]]:  # the second and the third minute never came
        feed.on_bar(part)
    feed.backfill("AAPL", [flat(OPEN + n * MINUTE, 100.1 + n / 100, 50.0 + n) for n in (1, 2, 3, 4)])
    assert feed.quality() == [Quality("AAPL", whole=2, filled=2, day=TODAY)]
    assert feed.quality()[0].percent == 50.0


def test_bars_that_nobody_brings_are_lost_once_patience_ends() -> None:
    feed = pipeline(patience=1)
    parts = slices(OPEN, 6)
    for part in [*parts[:12], *parts[36:]]:
        feed.on_bar(part)
    assert feed.quality() == [Quality("AAPL", whole=4, lost=2, day=TODAY)]


def test_the_warm_up_is_no_merit_and_no_fault() -> None:
    feed = pipeline()
    feed.backfill("AAPL", [flat(OPEN + n * MINUTE, 100.0 + n / 100, 50.0 + n) for n in range(1, 31)])
    assert feed.quality() == []


def test_refusals_are_counted_by_reason_and_what_comes_outside_hours_is_none() -> None:
    feed = pipeline()
    parts = slices(OPEN, 2)
    for part in parts:
        feed.on_bar(part)
    feed.on_bar(parts[-1])
    feed.on_bar(flat(OPEN + 3 * MINUTE, math.nan))
    feed.on_bar(flat(new_york("2026-01-05 18:00")))
    assert feed.quality()[0].refused == {"duplicate": 1, "price": 1}


def test_it_is_said_in_a_few_words_and_in_json() -> None:
    poor = Quality("NVDA", 98, 1, 1, {"spike": 2, "stale": 1})
    assert poor.in_words() == "NVDA 98.00% (1 filled in, 1 lost, refused: 2 spike, 1 stale)"
    assert Quality("SPY").in_words() == "SPY no bar due yet"
    assert json.loads(json.dumps(poor.as_row()))["percent"] == 98.0


def test_the_lowest_is_of_those_that_were_due() -> None:
    assert lowest([Quality("A", 1, 1), Quality("B", 1), Quality("C")]) == 50.0
    assert lowest([Quality("C")]) is None


def test_bars_of_the_past_that_are_refused_do_not_count_against_those_of_today() -> None:
    ear = Ear()
    feed = Pipeline(ear, XnysCalendar())
    known = [flat(OPEN + n * MINUTE, 100.0 + n / 100, 50.0 + n) for n in range(1, 31)]
    wrong = known[20]
    known[20] = flat(wrong.ts, -1.0)
    assert wrong.ts not in {bar.ts for bar in feed.take_past("AAPL", known, {wrong.ts})}
    assert [status.state for status in ear.statuses] == [Feed.REJECTED, Feed.DOUBTED]  # they are told, though
    for part in slices(OPEN + 30 * MINUTE, 4):
        feed.on_bar(part)
    assert feed.quality() == [Quality("AAPL", whole=4, day=TODAY)]


def test_the_newest_past_is_what_the_first_live_bar_is_judged_by() -> None:
    feed = pipeline()
    feed.take_past("AAPL", [flat(OPEN + MINUTE, 250.0)], {OPEN + MINUTE})
    feed.take_past(
        "AAPL", [flat(OPEN + 2 * MINUTE, 100.0)], {OPEN + 2 * MINUTE}
    )  # after a training of an hour
    first, *others = slices(OPEN + 2 * MINUTE, 2)
    feed.on_bar(replace(first, open=250.0, high=250.0, low=250.0, close=250.0))
    for part in others:
        feed.on_bar(part)
    assert feed.quality()[0].refused == {"spike": 1}


def test_a_start_in_the_midst_of_a_minute_is_no_fault_of_the_feed() -> None:
    ear = Ear()
    feed = Pipeline(ear, XnysCalendar())
    feed.take_past("AAPL", [flat(OPEN + MINUTE, 100.0)], set())
    for part in slices(OPEN, 8)[40:]:  # the stream begins 20 seconds into the fourth minute
        feed.on_bar(part)
    feed.backfill("AAPL", [flat(OPEN + n * MINUTE, 100.1 + n / 100, 50.0 + n) for n in range(1, 5)])
    assert [bar.ts for bar in ear.bars] == [OPEN + n * MINUTE for n in range(2, 9)]
    assert feed.quality() == [Quality("AAPL", whole=4, day=TODAY)]
    assert ear.statuses == []


def test_what_a_running_stream_misses_counts_though_it_began_in_the_midst_of_a_minute() -> None:
    feed = pipeline(patience=1)
    parts = slices(OPEN, 8)
    for part in [*parts[6:24], *parts[36:]]:  # the third minute never came
        feed.on_bar(part)
    assert feed.quality() == [Quality("AAPL", whole=6, lost=1, day=TODAY)]


def test_each_day_has_a_quality_of_its_own() -> None:
    feed = pipeline(patience=1)
    for day in ("2026-01-05", "2026-01-06"):
        parts = slices(new_york(f"{day} 15:55"), 5)
        for part in parts if day.endswith("6") else [*parts[:12], *parts[24:]]:
            feed.on_bar(part)
    assert feed.quality()[0] == Quality("AAPL", whole=4, lost=1, day="2026-01-05")
    assert feed.quality()[1].day == "2026-01-06"


def test_days_that_several_daemons_saw_are_one() -> None:
    parts = [
        Quality("NVDA", 100, 0, 0, {"spike": 1}, TODAY),
        Quality("NVDA", 98, 1, 1, {"spike": 2}, TODAY),
        Quality("NVDA", 10, day="2026-01-06"),
    ]
    assert summed(parts) == [
        Quality("NVDA", 198, 1, 1, {"spike": 3}, TODAY),
        Quality("NVDA", 10, day="2026-01-06"),
    ]
    assert [one.symbol for one in worst_first([Quality("A"), Quality("B", 1), Quality("C", 1, 1)])] == [
        *"CBA"
    ]


def test_what_the_feed_itself_refuses_is_counted_and_told_once_and_as_a_count() -> None:
    ear = Ear()
    feed = Pipeline(ear, XnysCalendar())
    for n in range(1, 13):
        feed.on_status(FeedStatus(OPEN + n * MINUTE // 12, "AAPL", Feed.REJECTED, "a bar without prices"))
    feed.settle()
    assert feed.quality() == [Quality("AAPL", refused={"a bar without prices": 12}, day=TODAY)]
    assert [status.detail for status in ear.statuses] == [
        "a bar without prices",
        "11 more refused since, the last: a bar without prices",
    ]
