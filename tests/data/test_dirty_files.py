"""Real files with real defects, and what their collectors say is wrong with them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Quote, Trade
from robo_trader.data.cleaning import Reading
from robo_trader.data.files import open_file
from robo_trader.data.findings import Defect, Done
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.validation import Validator
from tests.data.streams import DATA, new_york


def read(name: str, symbol: str = "") -> Reading:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in ../shared/data")
    return open_file(DATA / name).read(symbol)


def found(reading: Reading) -> dict[str, tuple[str, int]]:
    return {one.what: (one.done, one.count) for one in reading.findings}


def utc(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // SECOND_NS, UTC):%Y-%m-%d %H:%M}"


def test_a_merge_bug_of_five_thousand_duplicates_is_undone() -> None:
    reading = read("dirty/bars_1min_duplicates_spy_2020_01.parquet")
    said = found(reading)
    assert said[Defect.OUT_OF_ORDER] == (Done.REPAIRED, 18)
    assert said[Defect.UNREADABLE] == (Done.DROPPED, 1)
    assert said[Defect.DUPLICATE] == (
        Done.DROPPED,
        5074,
    )  # 5,075 times are told again, one of them by the row of NaN
    assert (np.diff(reading.bars.ts) > 0).all()
    # The first telling of each minute has its volume, the later ones have none.
    row = int(np.searchsorted(reading.bars.ts, new_york("2020-01-14 11:01")))
    assert reading.bars.volume[row] == 70_973


def test_end_stamped_bars_with_an_opening_print_equal_the_start_stamped_copy() -> None:
    reading = read("dirty/bars_1min_end_stamped_aapl_2018.parquet")
    assert found(reading) == {
        Defect.END_STAMPED: (Done.REPAIRED, 1955),
        Defect.AUCTION_ROW: (Done.REPAIRED, 5),
    }
    sound = read("bars_1min_av_2018q1.parquet", "AAPL").bars.take(slice(0, 1950))
    for name in ("ts", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(reading.bars, name), getattr(sound, name)), name


def test_new_york_time_labelled_utc_equals_the_corrected_copy() -> None:
    reading = read("dirty/bars_1min_mislabelled_utc_nvda.parquet")
    sound = read("bars_1min_iex_panel_2026_01.parquet", "NVDA")
    assert found(reading)[Defect.WRONG_ZONE] == (Done.REPAIRED, 3899)
    assert np.array_equal(reading.bars.ts, sound.bars.ts)
    assert np.array_equal(reading.bars.close, sound.bars.close)
    # 2026-01-27 and -28 are missing in the source, the holiday of 01-19 is not.
    gaps = [one for one in reading.findings if one.what is Defect.GAP]
    assert [utc(ts)[:10] for ts in gaps[0].at] == ["2026-01-27", "2026-01-28"]


def test_every_bad_print_of_the_answer_key_is_outside_hours_and_gone() -> None:
    reading = read("dirty/bars_1min_spy_badticks_2025_07.parquet")
    key = json.loads((DATA / "known_events.json").read_text())["bad_tick_rows_spy_2025_07_utc"]
    bad = {pd.Timestamp(row).value + MINUTE_NS for row in key}
    assert not bad & set(reading.bars.ts.tolist())
    assert found(reading) == {Defect.OUTSIDE_HOURS: (Done.DROPPED, 11_943)}
    assert len(reading.bars) == 20 * 390 + 210  # and 2025-07-03 ends at 13:00
    assert np.log(reading.bars.high / reading.bars.low).max() < 0.01


@pytest.mark.parametrize("symbol", ["AAPL", "NVDA", "QQQ", "SOXS", "SPY"])
def test_the_switch_to_a_feed_of_one_exchange_is_seen_where_it_was(symbol: str) -> None:
    reading = read("dirty/bars_5min_feed_switch_2026_03.parquet", symbol)
    [switch] = [one for one in reading.findings if one.what is Defect.FEED_SWITCH]
    assert utc(switch.at[0]) == "2026-03-10 13:30"
    assert "less from here" in switch.why
    assert found(reading)[Defect.OUTSIDE_HOURS][0] == Done.DROPPED
    # The file ends in the midst of its last day, with whole bars: that is its end and no gap. SOXS lacks one elsewhere.
    assert utc(int(reading.bars.ts[-1])) in ("2026-03-12 14:35", "2026-03-12 14:40")
    assert reading.quality.lost == (symbol == "SOXS")


def test_a_day_fetched_while_it_was_trading_is_gone_from_every_symbol() -> None:
    path = DATA / "dirty/daily_partial_last_row.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    file = open_file(path)
    for symbol in file.symbols:
        reading = file.read(symbol)
        rows = 2 if symbol in ("IJR", "IWD", "IWF", "MDY") else 1
        assert found(reading)[Defect.PARTIAL] == (Done.DROPPED, rows)
        assert [utc(int(ts))[:10] for ts in reading.bars.ts] == ["2026-03-30", "2026-03-31"]


def test_halts_are_told_as_missing_bars_and_nothing_else_is_wrong_with_the_day() -> None:
    reading = read("anomaly_luld_halts_sprint_2018.parquet", "S")
    ts = set(reading.bars.ts.tolist())
    halted = [f"12:{minute}" for minute in (38, 39, 40, 41, 48, 49, 50, 51, 52)]
    day = [new_york(f"2018-04-10 {hour:02d}:{minute:02d}") for hour in range(10, 16) for minute in range(60)]
    missing = {ts_ for ts_ in day if ts_ + MINUTE_NS not in ts}
    assert missing == {new_york(f"2018-04-10 {time}") for time in halted}


def test_raw_minutes_across_a_split_tell_it() -> None:
    reading = read("bars_1min_lean_trades.parquet", "AAPL")
    [split] = [one for one in reading.findings if one.what is Defect.SPLIT]
    assert utc(split.at[0])[:10] == "2014-06-09"
    assert "7 for 1" in split.why


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("bars_1min_ibkr_2026q1.parquet", "NVDA"),
        ("bars_1min_ibkr_aapl_2026_03.parquet", "AAPL"),
        ("shippable/bars_1min_spy_2020_12_Apache2.parquet", "SPY"),
    ],
)
def test_clean_months_stay_as_they_are(name: str, symbol: str) -> None:
    reading = read(name, symbol)
    assert {one.what for one in reading.findings} <= {Defect.AUCTION_ROW}
    assert reading.quality.percent == 100.0


def test_the_genuine_gaps_of_the_answer_key_are_no_splits() -> None:
    key = (
        json.loads((DATA / "known_events.json").read_text())["genuine_gaps_ibkr_5m"] if DATA.exists() else []
    )
    for symbol, *_ in key:
        reading = read("bars_5min_ibkr_2025_2026.parquet", symbol)
        assert Defect.SPLIT not in found(reading)
        assert Defect.FEED_SWITCH not in found(reading)


def test_hours_by_the_clock_are_read_and_extremes_of_the_answer_key_are_told_apart() -> None:
    path = DATA / "bars_1h_lean_1998_2021.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    file = open_file(path)
    readings = {symbol: file.read(symbol) for symbol in file.symbols}
    assert min(reading.quality.percent or 0 for reading in readings.values()) > 99.7
    key = json.loads((DATA / "known_events.json").read_text())["lean_hour_outliers_gt15pct"]
    kept = Counter()
    for row in key:
        ts = pd.Timestamp(row["ts"]).value + 60 * MINUTE_NS
        kept[row["verdict"], bool(np.isin(ts, readings[row["symbol"]].bars.ts))] += 1
    # Genuine: the flash crash of 2010 and three hours of AIG in September 2008 go too far for any rule.
    assert (kept["genuine", True], kept["genuine", False]) == (19, 4)
    # Kept: four in a first hour, which may be a night's gap, and two that the next hour repeats to the cent.
    assert (kept["bad_tick_or_unverified", False], kept["bad_tick_or_unverified", True]) == (33, 6)


def test_mornings_that_a_clock_change_cost_are_told_as_gaps() -> None:
    reading = read("bars_5min_spy_ibkr_2018_2020.parquet")
    [gap] = [one for one in reading.findings if one.what is Defect.GAP]
    assert [utc(ts)[:10] for ts in gap.at] == ["2018-03-12"] * 5
    assert reading.quality.lost == gap.count


def test_raw_trades_in_trading_hours_stay_in_the_range_of_their_cleaned_copy() -> None:
    path = DATA / "dirty/taq_raw_trades_2018_01.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    raw, clean = pd.read_parquet(path), pd.read_parquet(DATA / "dirty/taq_clean_trades_2018_01.parquet")
    check = Validator(XnysCalendar())
    stamps = raw["ts"].astype("datetime64[ns, UTC]").astype("int64")
    rows = zip(stamps, raw["price"].astype(float), raw["size"].astype(float), strict=True)
    prints = [Trade("XXX", *row) for row in rows]
    verdicts = [check.trade(one) for one in prints]
    kept = [one.price for one, refusal in zip(prints, verdicts, strict=True) if refusal is None]
    assert (min(kept), max(kept)) == pytest.approx((clean["price"].min(), clean["price"].max()), abs=0.01)
    assert Counter(refusal.reason for refusal in verdicts if refusal) == {"outside hours": 451}


def test_raw_quotes_of_one_exchange_come_out_in_the_range_of_their_cleaned_copy() -> None:
    path = DATA / "dirty/taq_raw_quotes_2018_01.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    raw = pd.read_parquet(path)
    raw, clean = raw[raw["ex"] == "N"], pd.read_parquet(DATA / "dirty/taq_clean_quotes_2018_01.parquet")
    check = Validator(XnysCalendar())
    columns = (raw[name].astype(float) for name in ("bid", "ask", "bid_size", "ask_size"))
    stamps = raw["ts"].astype("datetime64[ns, UTC]").astype("int64")
    quotes = [Quote("XXX", ts, *row) for ts, *row in zip(stamps, *columns, strict=True)]
    kept = [quote for quote in quotes if check.quote(quote) is None]
    middle = [(quote.bid + quote.ask) / 2 for quote in kept]
    assert min(middle) == pytest.approx(clean["midquote"].min(), abs=0.01)
    assert max(middle) == pytest.approx(clean["midquote"].max(), abs=0.01)
    assert max(q.ask - q.bid for q in kept) == pytest.approx((clean["ask"] - clean["bid"]).max())
