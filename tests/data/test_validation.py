"""What is believed and what is not: shapes, order, spikes, stuck feeds, hours, quotes and prints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from robo_trader.core.events import MINUTE_NS, Bar, Depth, Level, Quote, Trade
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.validation import OUTSIDE_HOURS, ValidationOptions, Validator
from tests.data.streams import SLICE_NS, flat, from_parquet, new_york

OPEN = new_york("2026-01-05 09:30")
CALENDAR = XnysCalendar()


def validator(**options: float) -> Validator:
    return Validator(CALENDAR, ValidationOptions(**options))  # type: ignore[arg-type]


def quiet(count: int, start: int = OPEN) -> list[Bar]:
    """Bars that wobble by a cent around 100."""
    return [flat(start + n * MINUTE_NS, 100.0 + (n % 3 - 1) / 100, 10.0 + n) for n in range(1, count + 1)]


def reasons(check: Validator, bars: list[Bar]) -> list[str]:
    return [refusal.reason for bar in bars for refusal in check.bar(bar).rejected]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"open": math.nan}, "price"),
        ({"high": math.inf}, "price"),
        ({"low": -1.0}, "price"),
        ({"close": 0.0}, "price"),
        ({"volume": -1.0}, "volume"),
        ({"volume": math.nan}, "volume"),
        ({"high": 99.5}, "high"),
        ({"low": 100.5}, "low"),
        ({"ts": OPEN}, OUTSIDE_HOURS),
        ({"ts": OPEN + SLICE_NS}, OUTSIDE_HOURS),
        ({"ts": new_york("2026-01-05 16:01")}, OUTSIDE_HOURS),
        ({"ts": new_york("2026-01-03 12:00")}, OUTSIDE_HOURS),
        ({"ts": 0}, "out of order"),
    ],
)
def test_a_bar_with_one_defect_is_refused_for_that_reason(changes: dict[str, float], reason: str) -> None:
    bar = replace(Bar("AAPL", OPEN + MINUTE_NS, 100.0, 101.0, 99.0, 100.0, 10.0), **changes)
    if reason in ("high", "low"):
        bar = replace(bar, high=changes.get("high", 101.0), low=changes.get("low", 99.0))
    check = validator()
    if reason == "out of order":
        check.bar(flat(OPEN + MINUTE_NS))
    verdict = check.bar(bar)
    assert verdict.accepted == ()
    assert [refusal.reason for refusal in verdict.rejected] == [reason]


def test_a_sound_bar_passes_unchanged_and_at_once() -> None:
    bar = Bar("AAPL", OPEN + MINUTE_NS, 100.0, 101.0, 99.0, 100.0, 10.0)
    assert validator().bar(bar).accepted == (bar,)


def test_a_refusal_names_the_value_and_the_limit() -> None:
    refusal = validator().bar(Bar("AAPL", OPEN + MINUTE_NS, 100.0, 99.5, 99.0, 100.0, 10.0)).rejected[0]
    assert (refusal.symbol, refusal.value, refusal.limit) == ("AAPL", 99.5, 100.0)
    assert refusal.detail == "high 99.5 (limit 100)"


def test_a_bar_told_twice_is_a_duplicate_and_an_older_one_out_of_order() -> None:
    check = validator()
    first, second = quiet(2)
    assert reasons(check, [first, second, second, first]) == ["duplicate", "out of order"]


def test_symbols_do_not_disturb_each_other() -> None:
    check = validator()
    assert (
        reasons(check, [flat(OPEN + 2 * MINUTE_NS), replace(flat(OPEN + MINUTE_NS, 5.0), symbol="F")]) == []
    )


@pytest.mark.parametrize("jump", [101.5, 98.5, 150.0, 50.0])
def test_a_jump_is_held_and_believed_once_the_next_bar_confirms_it(jump: float) -> None:
    check = validator()
    for bar in quiet(20):
        check.bar(bar)
    spike, after = flat(OPEN + 21 * MINUTE_NS, jump), flat(OPEN + 22 * MINUTE_NS, jump + 0.01)
    assert check.bar(spike).accepted == ()
    verdict = check.bar(after)
    assert verdict.accepted == (spike, after)
    assert verdict.rejected == ()


@pytest.mark.parametrize("jump", [101.5, 98.5, 150.0, 50.0, 0.01])
def test_a_jump_that_the_next_bar_does_not_confirm_is_refused(jump: float) -> None:
    check = validator()
    for bar in quiet(20):
        check.bar(bar)
    assert check.bar(flat(OPEN + 21 * MINUTE_NS, jump)).accepted == ()
    after = flat(OPEN + 22 * MINUTE_NS, 100.0)
    verdict = check.bar(after)
    assert verdict.accepted == (after,)
    assert [refusal.reason for refusal in verdict.rejected] == ["spike"]
    assert verdict.rejected[0].value == pytest.approx(abs(math.log(jump / 100.0)), abs=1e-3)


@pytest.mark.parametrize(("high", "low"), [(104.0, 100.0), (100.0, 96.0)])
def test_a_wick_alone_is_a_spike_too(high: float, low: float) -> None:
    check = validator()
    wick = Bar("AAPL", OPEN + 21 * MINUTE_NS, 100.0, high, low, 100.0, 10.0)
    assert reasons(check, [*quiet(20), wick, flat(OPEN + 22 * MINUTE_NS)]) == ["spike"]


def test_two_jumps_to_different_prices_refuse_only_the_first() -> None:
    check = validator()
    jumps = [flat(OPEN + 21 * MINUTE_NS, 150.0), flat(OPEN + 22 * MINUTE_NS, 120.0)]
    assert reasons(check, [*quiet(20), *jumps, flat(OPEN + 23 * MINUTE_NS, 120.1)]) == ["spike"]


def test_a_volatile_symbol_may_move_more() -> None:
    check = validator()
    wild = [flat(OPEN + n * MINUTE_NS, 100.0 * (1.005 if n % 2 else 1.0), 10.0 + n) for n in range(1, 21)]
    assert reasons(check, [*wild, flat(OPEN + 21 * MINUTE_NS, 102.0)]) == []
    assert check.bar(flat(OPEN + 22 * MINUTE_NS, 102.1)).accepted


def test_a_night_may_move_the_price_by_fifteen_percent_without_a_wait() -> None:
    check = validator()
    for bar in quiet(20):
        check.bar(bar)
    tuesday = flat(new_york("2026-01-06 09:31"), 115.0)
    assert check.bar(tuesday).accepted == (tuesday,)


def test_a_jump_in_the_last_bar_of_a_day_is_not_confirmed_by_the_next_morning() -> None:
    check = validator()
    last = [flat(new_york("2026-01-05 16:00"), 150.0), flat(new_york("2026-01-06 09:31"), 150.0)]
    assert reasons(check, [*quiet(20), *last]) == ["spike"]


def test_six_identical_bars_are_a_stuck_feed_but_a_quiet_market_is_not() -> None:
    same = [flat(OPEN + n * MINUTE_NS) for n in range(1, 8)]
    assert reasons(validator(), same) == ["stale", "stale"]
    assert reasons(validator(), [replace(bar, volume=0.0) for bar in same]) == []
    assert (
        reasons(validator(), [replace(bar, close=100.0, volume=10.0 + n) for n, bar in enumerate(same)]) == []
    )


def test_short_bars_may_repeat_for_as_long_as_minutes_may() -> None:
    same = [flat(OPEN + n * SLICE_NS, interval_ns=SLICE_NS) for n in range(1, 62)]
    assert reasons(validator(), same) == ["stale"]


def test_a_slice_without_trades_and_without_a_price_keeps_the_last_close() -> None:
    check = validator()
    empty = Bar("AAPL", OPEN + 2 * MINUTE_NS, -1.0, -1.0, -1.0, -1.0, 0.0)
    assert [r.reason for r in check.bar(replace(empty, ts=OPEN + MINUTE_NS)).rejected] == ["price"]
    check.bar(flat(OPEN + MINUTE_NS, 101.0))
    assert check.bar(empty).accepted == (flat(OPEN + 2 * MINUTE_NS, 101.0, 0.0),)


def test_a_series_of_history_leaves_the_order_of_the_live_stream_alone() -> None:
    check = validator()
    check.bar(flat(OPEN + 30 * MINUTE_NS))
    past = quiet(20)
    assert check.history("AAPL", past).accepted == tuple(past)
    assert check.bar(flat(OPEN + 31 * MINUTE_NS)).accepted


def test_the_first_live_bar_is_compared_with_the_last_of_history() -> None:
    check = validator()
    check.history("AAPL", quiet(20))
    assert check.bar(flat(OPEN + 21 * MINUTE_NS, 160.0)).accepted == ()


def test_the_last_bar_of_history_is_believed_within_the_widest_limit() -> None:
    moved = flat(OPEN + 21 * MINUTE_NS, 110.0)
    assert validator().history("AAPL", [*quiet(20), moved]).accepted[-1] == moved
    verdict = validator().history("AAPL", [*quiet(20), replace(moved, high=200.0)])
    assert [refusal.reason for refusal in verdict.rejected] == ["spike"]


def quote(bid: float, ask: float, ts: int = OPEN + 1, size: float = 100.0) -> Quote:
    return Quote("AAPL", ts, bid, ask, size, 200.0)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (quote(-1.0, 100.0), "price"),
        (quote(99.0, 0.0), "price"),
        (quote(math.nan, 100.0), "price"),
        (quote(100.0, 99.99), "crossed"),
        (quote(50.0, 150.0), "wide"),
        (quote(99.0, 100.0, size=math.nan), "size"),
        (quote(99.0, 100.0, size=-1.0), "size"),
        (quote(99.0, 100.0, ts=OPEN - 1), OUTSIDE_HOURS),
    ],
)
def test_a_quote_with_one_defect_is_refused_for_that_reason(bad: Quote, reason: str) -> None:
    refusal = validator().quote(bad)
    assert refusal is not None
    assert refusal.reason == reason


def test_a_locked_quote_is_a_quote() -> None:
    assert validator().quote(quote(100.0, 100.0)) is None


def test_an_older_quote_is_out_of_order_and_one_of_the_same_instant_is_not() -> None:
    check = validator()
    assert check.quote(quote(99.9, 100.0, OPEN + 5)) is None
    assert check.quote(quote(99.9, 100.0, OPEN + 5)) is None
    refusal = check.quote(quote(99.9, 100.0, OPEN + 4))
    assert refusal is not None
    assert refusal.reason == "out of order"


def test_a_quote_far_away_is_believed_only_when_said_twice() -> None:
    check = validator()
    assert check.quote(quote(424.0, 424.1)) is None
    assert check.quote(quote(214.8, 214.9)) is not None
    assert check.quote(quote(424.0, 424.1)) is None
    assert check.quote(quote(214.8, 214.9)) is not None
    assert check.quote(quote(214.7, 214.8)) is None


def depth(bids: Sequence[Level], asks: Sequence[Level], ts: int = OPEN + 1) -> Depth:
    return Depth("AAPL", ts, tuple(bids), tuple(asks))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (depth([(99.0, 1.0)], []), "depth of one side"),
        (depth([(-1.0, 1.0)], [(100.0, 1.0)]), "depth of impossible levels"),
        (depth([(99.0, 1.0)], [(math.nan, 1.0)]), "depth of impossible levels"),
        (depth([(99.0, 0.0)], [(100.0, 1.0)]), "depth of impossible levels"),
        (depth([(99.0, 1.0)], [(100.0, math.inf)]), "depth of impossible levels"),
        (depth([(98.0, 1.0), (99.0, 1.0)], [(100.0, 1.0)]), "depth unsorted"),
        (depth([(99.0, 1.0)], [(101.0, 1.0), (100.0, 1.0)]), "depth unsorted"),
        (depth([(99.0, 1.0), (99.0, 1.0)], [(100.0, 1.0)]), "depth unsorted"),
        (depth([(100.0, 1.0)], [(99.99, 1.0)]), "depth crossed"),
        (depth([(99.0, 1.0)], [(100.0, 1.0)], OPEN - 1), OUTSIDE_HOURS),
    ],
)
def test_a_book_with_one_defect_is_refused_for_that_reason(bad: Depth, reason: str) -> None:
    check = validator()
    refusal = check.depth(bad)
    assert refusal is not None
    assert refusal.reason == reason


def test_books_are_believed_locked_uneven_or_gone() -> None:
    check = validator()
    for book in (
        depth([(100.0, 1.0)], [(100.0, 1.0)]),
        depth([(99.0, 1.0)], [(100.0, 1.0), (101.0, 1.0)]),
        depth([], []),
    ):
        assert check.depth(book) is None


def test_an_older_book_is_out_of_order_and_one_far_from_the_quote_is_another_shares() -> None:
    check = validator()
    assert check.depth(depth([(99.0, 1.0)], [(100.0, 1.0)], OPEN + 5)) is None
    for book, reason in (
        (depth([(99.0, 1.0)], [(100.0, 1.0)], OPEN + 4), "depth out of order"),
        (depth([(424.0, 1.0)], [(425.0, 1.0)], OPEN + 6), "depth far from quote"),
    ):
        check.quote(quote(99.0, 100.0, OPEN + 5))
        refusal = check.depth(book)
        assert refusal is not None
        assert refusal.reason == reason


@pytest.mark.parametrize("price", [214.85, 848.0, 430.0])
def test_a_print_far_outside_the_quote_is_refused(price: float) -> None:
    check = validator()
    check.quote(quote(424.0, 424.1))
    refusal = check.trade(Trade("AAPL", OPEN + 2, price, 100.0))
    assert refusal is not None
    assert refusal.reason == "outside quote"


def test_a_print_near_the_quote_is_believed() -> None:
    check = validator()
    check.quote(quote(424.0, 424.1))
    assert check.trade(Trade("AAPL", OPEN + 2, 425.0, 100.0)) is None


def test_without_a_quote_a_wild_print_needs_a_second_one() -> None:
    check = validator()
    assert check.trade(Trade("AAPL", OPEN + 1, 424.0, 1.0)) is None
    assert check.trade(Trade("AAPL", OPEN + 2, 214.85, 1.0)) is not None
    assert check.trade(Trade("AAPL", OPEN + 3, 214.80, 1.0)) is None


@pytest.mark.parametrize(
    ("trade", "reason"),
    [
        (Trade("AAPL", OPEN + 9, -1.0, 1.0), "price"),
        (Trade("AAPL", OPEN + 9, 100.0, 0.0), "size"),
        (Trade("AAPL", OPEN + 1, 100.0, 1.0), "out of order"),
        (Trade("AAPL", new_york("2026-01-05 18:00"), 100.0, 1.0), OUTSIDE_HOURS),
    ],
)
def test_a_print_with_one_defect_is_refused_for_that_reason(trade: Trade, reason: str) -> None:
    check = validator()
    check.trade(Trade("AAPL", OPEN + 5, 100.0, 1.0))
    refusal = check.trade(trade)
    assert refusal is not None
    assert refusal.reason == reason


def test_a_merge_bug_in_real_minutes_is_caught_and_the_series_comes_out_rising() -> None:
    check = validator()
    bars = from_parquet("dirty/bars_1min_duplicates_spy_2020_01.parquet", "SPY")
    verdicts = [check.bar(raw) for raw in bars]
    stamps = [bar.ts for verdict in verdicts for bar in verdict.accepted]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == len({bar.ts for bar in bars}) - 1  # one bar lies beyond the close
    refused = Counter(refusal.reason for verdict in verdicts for refusal in verdict.rejected)
    assert refused == {"out of order": 5058, "duplicate": 17, OUTSIDE_HOURS: 1}


def test_opening_prints_stamped_as_bars_are_outside_hours() -> None:
    # These bars carry their end, and the reader takes it for their start: 16:00 becomes 16:01.
    check = validator()
    assert (
        reasons(check, from_parquet("dirty/bars_1min_end_stamped_aapl_2018.parquet", "AAPL"))
        == [OUTSIDE_HOURS] * 5
    )


def test_new_york_time_labelled_utc_loses_all_before_the_bell() -> None:
    check = validator()
    refused = reasons(check, from_parquet("dirty/bars_1min_mislabelled_utc_nvda.parquet", "NVDA"))
    assert Counter(refused) == {OUTSIDE_HOURS: 2999}


def test_real_bad_prints_after_the_close_never_get_in() -> None:
    check = validator()
    bars = from_parquet("dirty/bars_1min_spy_badticks_2025_07.parquet", "SPY")
    verdicts = [check.bar(raw) for raw in bars]
    accepted = [bar for verdict in verdicts for bar in verdict.accepted]
    assert {refusal.reason for verdict in verdicts for refusal in verdict.rejected} == {OUTSIDE_HOURS}
    assert max(math.log(bar.high / bar.low) for bar in accepted) < 0.01


def test_a_month_of_real_trading_hours_is_believed() -> None:
    check = validator()
    bars = from_parquet("bars_1min_ibkr_2026q1.parquet", "NVDA")
    assert reasons(check, bars) == []


def test_an_injected_one_percent_spike_is_the_only_one_found_in_a_real_day() -> None:
    check = validator()
    bars = from_parquet("bars_1min_ibkr_2026q1.parquet", "SPY", 390)
    bad = replace(bars[200], high=bars[200].high * 1.012)
    refused = [r for bar in [*bars[:200], bad, *bars[201:]] for r in check.bar(bar).rejected]
    assert [(refusal.ts, refusal.reason) for refusal in refused] == [(bad.ts, "spike")]


@pytest.mark.parametrize("ratio", [4.0, 0.05])
def test_after_a_split_that_is_known_the_first_bar_and_quote_in_new_shares_are_believed_at_once(
    ratio: float,
) -> None:
    price, evening, morning = 100.0 / ratio, new_york("2026-01-05 16:00"), new_york("2026-01-06 09:31")
    check, unknowing = validator(), validator()
    for one in (check, unknowing):
        one.bar(flat(evening, 100.0))
        assert one.quote(Quote("AAPL", evening, 99.99, 100.01, 1.0, 1.0)) is None
    check.split("AAPL", ratio, new_york("2026-01-06 00:00"))
    first, quoted = flat(morning, price), Quote("AAPL", morning, price - 0.01, price + 0.01, 1.0, 1.0)
    assert (check.bar(first).accepted, unknowing.bar(first).accepted) == ((first,), ())
    assert check.quote(quoted) is None
    assert unknowing.quote(quoted) is not None
    assert check.bar(flat(morning + MINUTE_NS, price * 3)).accepted == ()  # the check is still there


def test_a_split_told_late_does_not_touch_a_bar_in_new_shares() -> None:
    check, since = validator(), new_york("2026-01-06 00:00")
    check.bar(flat(new_york("2026-01-06 09:31"), 25.0))
    check.split("AAPL", 4.0, since)
    following = flat(new_york("2026-01-06 09:32"), 25.0, 7.0)
    assert check.bar(following).accepted == (following,)
