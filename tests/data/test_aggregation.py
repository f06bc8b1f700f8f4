"""Short bars become long bars exactly once, aligned to the open, and never half."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.data.aggregation import Aggregator, Gap, bucket, closes
from robo_trader.data.sessions import XnysCalendar
from tests.data.streams import SLICE_NS, flat, from_parquet, new_york, slices

OPEN = new_york("2026-01-05 09:30")
CALENDAR = XnysCalendar()
DAY_NS = 1440 * MINUTE_NS


def settle(parts: list[Bar], interval_ns: int = MINUTE_NS) -> list[Bar | Gap]:
    aggregator = Aggregator(interval_ns, CALENDAR)
    return [settled for part in parts for settled in aggregator.add(part)]


def split(bar: Bar, seed: int) -> list[Bar]:
    """Cut a minute into twelve slices that walk from open over high and low to close; whole shares each."""
    chance = random.Random(seed)
    prices = [chance.uniform(bar.low, bar.high) for _ in range(13)]
    prices[0], prices[12] = bar.open, bar.close
    prices[chance.randrange(1, 6)] = bar.high
    prices[chance.randrange(6, 12)] = bar.low
    cuts = sorted(chance.randint(0, int(bar.volume)) for _ in range(11))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, int(bar.volume)], strict=True)]
    start = bar.ts - bar.interval_ns
    return [
        Bar(bar.symbol, start + (n + 1) * SLICE_NS, a, max(a, b), min(a, b), b, float(shares[n]), SLICE_NS)
        for n, (a, b) in enumerate(pairwise(prices))
    ]


def minutes() -> st.SearchStrategy[Bar]:
    prices = st.floats(1.0, 5000.0)
    bodies = st.tuples(prices, prices, prices, prices, st.integers(0, 10**9), st.integers(1, 390))
    return bodies.map(
        lambda b: Bar(
            "AAPL", OPEN + b[5] * MINUTE_NS, b[0], max(b[:4]), min(b[:4]), b[1], float(b[4]), MINUTE_NS
        )
    )


@given(minutes(), st.integers(0, 2**32))
def test_a_minute_cut_into_slices_comes_back_exactly(bar: Bar, seed: int) -> None:
    assert settle(split(bar, seed)) == [bar]


@given(st.sets(st.integers(1, 48), max_size=20))
def test_only_minutes_with_all_slices_are_told_and_the_others_are_gaps(lost: set[int]) -> None:
    parts = [part for n, part in enumerate(slices(OPEN, 4), 1) if n not in lost]
    settled = settle([*parts, *slices(OPEN + 4 * MINUTE_NS, 1)])
    whole = {m for m in range(4) if lost.isdisjoint(range(12 * m + 1, 12 * m + 13))}
    seen = {m for m in range(4) if any(n not in lost for n in range(12 * m + 1, 12 * m + 13))}
    told = {(s.ts - OPEN) // MINUTE_NS - 1 for s in settled if isinstance(s, Bar)}
    gaps = {(s.start - OPEN) // MINUTE_NS for s in settled if isinstance(s, Gap)}
    assert told == whole | {4}
    assert gaps == seen - whole


def test_the_minute_closes_with_its_last_slice_and_not_before() -> None:
    aggregator = Aggregator(MINUTE_NS, CALENDAR)
    parts = slices(OPEN, 1)
    assert [aggregator.add(part) for part in parts[:-1]] == [[]] * 11
    assert aggregator.open_since("AAPL") == OPEN
    (closed,) = aggregator.add(parts[-1])
    assert closed == Bar("AAPL", OPEN + MINUTE_NS, 100.01, 100.12, 100.01, 100.12, 90.0)
    assert aggregator.open_since("AAPL") is None


@pytest.mark.parametrize("close", ["2026-01-05 16:00", "2026-11-27 13:00"])
def test_the_last_minute_of_a_day_closes_with_the_bell(close: str) -> None:
    start = new_york(close) - MINUTE_NS
    (bar,) = settle(slices(start, 1))
    assert isinstance(bar, Bar)
    assert bar.ts == new_york(close)


@pytest.mark.parametrize("day", ["2026-03-06", "2026-03-09", "2026-11-02"])
def test_half_hours_and_days_count_from_the_open_on_both_sides_of_the_clock_change(day: str) -> None:
    start, end = new_york(f"{day} 09:30"), new_york(f"{day} 16:00")
    bars = [flat(ts) for ts in range(start + MINUTE_NS, end + 1, MINUTE_NS)]
    halves = settle(bars, 30 * MINUTE_NS)
    assert [s.ts for s in halves if isinstance(s, Bar)] == [start + n * 30 * MINUTE_NS for n in range(1, 14)]
    (whole,) = settle(bars, DAY_NS)
    assert isinstance(whole, Bar)
    assert (whole.ts, whole.volume, whole.interval_ns) == (end, 3900.0, DAY_NS)


def test_a_half_day_has_seven_half_hours_and_four_hours_of_which_the_last_is_short() -> None:
    (session,) = [s for s in [CALENDAR.session(new_york("2026-11-27 12:00"))] if s is not None]
    assert len(closes(session, 30 * MINUTE_NS)) == 7
    assert list(closes(session, 60 * MINUTE_NS))[-2:] == [session.close - 30 * MINUTE_NS, session.close]
    bars = [flat(ts) for ts in closes(session, MINUTE_NS)]
    assert len(bars) == 210
    assert [s.ts for s in settle(bars, 60 * MINUTE_NS) if isinstance(s, Bar)] == list(
        closes(session, 60 * MINUTE_NS)
    )


def test_a_stream_joined_in_the_middle_of_a_minute_tells_a_gap_and_then_bars() -> None:
    settled = settle(slices(OPEN, 3)[5:])
    assert settled[0] == Gap("AAPL", OPEN, OPEN + MINUTE_NS)
    assert [s.ts for s in settled[1:] if isinstance(s, Bar)] == [OPEN + 2 * MINUTE_NS, OPEN + 3 * MINUTE_NS]


def test_a_minute_without_an_end_is_given_up_when_the_next_begins() -> None:
    parts = slices(OPEN, 2)
    settled = settle([*parts[:11], *parts[12:]])
    assert settled[0] == Gap("AAPL", OPEN, OPEN + MINUTE_NS)
    assert isinstance(settled[1], Bar)


def test_symbols_have_minutes_of_their_own() -> None:
    parts = [part for one in slices(OPEN, 1) for part in (one, replace(one, symbol="NVDA"))]
    assert [s.symbol for s in settle(parts) if isinstance(s, Bar)] == ["AAPL", "NVDA"]


def test_bars_outside_hours_build_nothing() -> None:
    assert settle(slices(new_york("2026-01-05 16:00"), 2)) == []


def test_one_part_of_history_makes_the_bar_history() -> None:
    parts = slices(OPEN, 1)
    (bar,) = settle([replace(parts[0], history=True), *parts[1:]])
    assert isinstance(bar, Bar)
    assert bar.history


@pytest.mark.parametrize(("ts", "interval"), [(1, 60), (60, 60), (61, 60), (390, 60), (390, 1440)])
def test_a_bucket_holds_its_bar_and_stays_in_the_session(ts: int, interval: int) -> None:
    start, end = bucket(Session("2026-01-05", 0, 390), ts, interval)
    assert start < ts <= end <= 390
    assert start % interval == 0


def test_real_minutes_make_the_five_minute_bars_of_a_table() -> None:
    import pandas as pd

    bars = from_parquet("bars_1min_ibkr_2026q1.parquet", "NVDA")
    frame = pd.DataFrame({"ts": bar.ts, "volume": bar.volume, "high": bar.high} for bar in bars)
    theirs = frame.groupby((frame["ts"] - 1) // (5 * MINUTE_NS)).agg({"volume": "sum", "high": "max"})
    ours = settle(bars, 5 * MINUTE_NS)
    assert [(s.volume, s.high) for s in ours if isinstance(s, Bar)] == list(
        theirs.itertuples(index=False, name=None)
    )
    assert len(ours) == len(bars) // 5
