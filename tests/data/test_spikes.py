"""Bad prints are held and refused, real moves are held and believed: the golden table and its injections."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.validation import Validator
from tests.data.streams import DATA, flat, from_parquet, new_york

OPEN = new_york("2026-01-05 09:30")


def validator() -> Validator:
    return Validator(XnysCalendar())


def quiet(count: int, start: int = OPEN) -> list[Bar]:
    """Bars that wobble by a cent around 100."""
    return [flat(start + n * MINUTE_NS, 100.0 + (n % 3 - 1) / 100, 10.0 + n) for n in range(1, count + 1)]


def reasons(check: Validator, bars: list[Bar]) -> list[str]:
    return [refusal.reason for bar in bars for refusal in check.bar(bar).rejected]


def closing_at(bar: Bar, close: float) -> Bar:
    return replace(bar, close=close, high=max(bar.high, close), low=min(bar.low, close))


def test_a_close_half_a_percent_off_is_refused_where_the_next_bar_opens_at_the_old_price() -> None:
    day = quiet(40)
    bad = closing_at(day[30], 100.5)
    assert reasons(validator(), [*day[:30], bad, *day[31:]]) == ["spike"]


def test_a_close_half_a_percent_off_is_kept_where_the_next_bar_opens_there_and_turns_back() -> None:
    day = quiet(40)
    moved, back = closing_at(day[30], 100.5), replace(day[31], open=100.49, high=100.5)
    check = validator()
    accepted = [bar for raw in [*day[:30], moved, back, *day[32:]] for bar in check.bar(raw).accepted]
    assert accepted == [*day[:30], moved, back, *day[32:]]


def test_the_last_bar_of_a_day_may_close_half_a_percent_off_for_nothing_follows_it() -> None:
    start = new_york("2026-01-05 15:20")
    check = validator()
    for bar in quiet(39, start):
        check.bar(bar)
    last = flat(new_york("2026-01-05 16:00"), 100.5)
    assert check.bar(last).accepted == (last,)


def jumping(bar: Bar, times: float) -> Bar:
    """Return the bar with a high 2% up and so many times the volume."""
    return replace(bar, high=bar.high * 1.02, volume=bar.volume * times)


def test_a_jump_that_many_trade_is_believed_and_one_that_nobody_trades_is_not() -> None:
    day = quiet(40)
    for times, refused in ((1.0, ["spike"]), (2.0, ["spike"]), (8.0, [])):
        assert reasons(validator(), [*day[:30], jumping(day[30], times), *day[31:]]) == refused


def test_volume_lets_a_bar_go_further_and_not_anywhere() -> None:
    day = quiet(40)
    far = replace(day[30], high=day[30].high * 1.08, volume=day[30].volume * 8)
    assert reasons(validator(), [*day[:30], far, *day[31:]]) == ["spike"]


def test_a_volume_that_comes_and_goes_is_no_evidence() -> None:
    day = [replace(bar, volume=bar.volume * (30.0 if n % 3 else 1.0)) for n, bar in enumerate(quiet(40))]
    often = replace(day[30], high=day[30].high * 1.02, volume=day[29].volume * 4)
    assert reasons(validator(), [*day[:30], often, *day[31:]]) == ["spike"]


def test_the_closing_auction_may_go_further_and_a_bad_print_at_the_close_is_refused_at_once() -> None:
    day = quiet(40, new_york("2026-01-05 15:20"))
    for times, refused in ((1.0, ["spike"]), (5.0, [])):
        check = validator()
        assert reasons(check, day[:39]) == []
        assert [one.reason for one in check.bar(jumping(day[39], times)).rejected] == refused


def test_yesterdays_volume_is_no_measure_of_this_mornings() -> None:
    yesterday = quiet(40, new_york("2026-01-02 15:20"))
    morning = [replace(bar, volume=bar.volume * 20) for bar in quiet(10)]
    bad = replace(morning[7], high=morning[7].high * 1.02)
    assert reasons(validator(), [*yesterday, *morning[:7], bad, *morning[8:]]) == ["spike"]


def test_closing_auctions_of_a_year_of_real_bars_are_kept_and_known_bad_prints_are_not() -> None:
    kept = {"META": "2026-01-22 16:00", "AMZN": "2025-07-24 16:00", "NFLX": "2025-11-24 16:00"}
    bad = {"SPY": "2025-05-27 13:15", "LMT": "2025-11-18 10:25", "XOM": "2025-11-28 10:20"}
    for symbol, at in {**kept, **bad}.items():
        stream = from_parquet("bars_5min_ibkr_2025_2026.parquet", symbol)
        bars = [replace(bar, ts=bar.ts + 4 * MINUTE_NS, interval_ns=5 * MINUTE_NS) for bar in stream]
        refused = {refusal.ts for refusal in validator().history(symbol, bars).rejected}
        assert (new_york(at) in refused) == (symbol in bad), symbol


def test_bars_without_trades_do_not_make_the_next_trade_look_like_a_spike() -> None:
    bouncing = [flat(OPEN + n * MINUTE_NS, 100.0 + n % 2 / 2, 5.0) for n in range(1, 15)]
    silent = [flat(OPEN + n * MINUTE_NS, 100.0, 0.0) for n in range(15, 60)]
    after = [flat(OPEN + n * MINUTE_NS, 100.0 + n % 2 / 2, 5.0 + n) for n in range(60, 70)]
    assert reasons(validator(), [*bouncing, *silent, *after]) == []


def test_the_clean_day_has_no_flag_and_injected_closes_are_caught_as_in_the_golden_table() -> None:
    everything = from_parquet("bars_1min_lean_trades.parquet", "SPY")
    opened, closed = new_york("2013-10-08 09:30"), new_york("2013-10-08 16:00")
    day = [bar for bar in everything if opened < bar.ts <= closed]
    assert len(day) == 390
    assert reasons(validator(), day) == []
    for change in (1.01, 0.99, 1 + 0.5 / day[0].close, 1 - 0.5 / day[0].close):
        caught = 0
        for at in range(30, 385, 10):
            bad = closing_at(day[at], day[at].close * change)
            found = [r.ts for r in validator().history("SPY", [*day[:at], bad, *day[at + 1 :]]).rejected]
            assert found in ([], [bad.ts])
            caught += len(found)
        assert caught == 36


def test_the_bad_prints_of_the_golden_table_are_refused_as_days() -> None:
    path = DATA.parent / "golden" / "20_data_quality.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/golden")
    bad = {row["symbol"]: row for row in json.loads(path.read_text())["data"]["bad_prints"]}
    ibm, goog = bad["IBM"], bad["GOOG"]
    before, after = ibm["neighbours"]
    days = XnysCalendar().before("2008-10-02", 40)
    closes = [day.close for day in days]

    def daily(price: float) -> list[Bar]:
        return [flat(ts, price * (1 + n % 5 / 500), 10.0 + n, DAY_NS) for n, ts in enumerate(closes)]

    wrong = replace(daily(before)[30], open=ibm["value"], high=ibm["value"])
    assert reasons(validator(), [*daily(before)[:30], wrong, *daily(after)[31:]]) == ["spike"]
    row = Bar("AAPL", closes[30], goog["prev_close"], goog["high"], goog["low"], goog["close"], 9.0, DAY_NS)
    assert reasons(validator(), [*daily(goog["prev_close"])[:30], row, *daily(goog["next_open"])[31:]]) == [
        "spike"
    ]


def test_days_may_jump_by_a_quarter_where_the_next_one_stays_there() -> None:
    days = [day.close for day in XnysCalendar().before("2026-01-05", 40)]
    bars = [flat(ts, 100.0 * (1 + n % 5 / 500), 10.0 + n, DAY_NS) for n, ts in enumerate(days)]
    jumped = [*bars[:30], *(replace(bar, open=130, high=130, low=130, close=130) for bar in bars[30:])]
    check = validator()
    assert [bar for raw in jumped for bar in check.bar(raw).accepted] == jumped


def test_a_share_of_few_dollars_may_move_by_two_ticks() -> None:
    bars = [flat(OPEN + n * MINUTE_NS, 5.0, 10.0 + n) for n in range(1, 40)]
    ticks = [*bars[:30], replace(bars[30], high=5.02, close=5.02), *bars[31:]]
    assert reasons(validator(), ticks) == []
