"""Files of bars: each defect is recognised, repaired or refused, and told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS
from robo_trader.data.cleaning import ReadOptions
from robo_trader.data.files import open_file
from robo_trader.data.findings import Defect, Done
from tests.data.streams import NEW_YORK
from tests.data.tables import DAYS, daily, found, minutes, read, same


def test_a_sound_file_has_no_finding_and_comes_out_as_it_is(tmp_path: Path) -> None:
    reading = read(minutes(), tmp_path)
    assert reading.findings == ()
    assert same(reading, minutes())
    assert (reading.symbol, reading.interval_ns, reading.rows) == ("XYZ", MINUTE_NS, 1560)
    assert reading.quality.percent == 100.0


@pytest.mark.parametrize("months", ["2026-01", "2026-07"])
def test_new_york_time_labelled_utc_is_moved_to_new_york_in_winter_and_summer(
    tmp_path: Path, months: str
) -> None:
    sound = minutes((f"{months}-06", f"{months}-07"))
    wall = sound["ts"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.tz_localize("UTC")
    reading = read(sound.assign(ts=wall), tmp_path)
    assert found(reading) == {Defect.WRONG_ZONE: (Done.REPAIRED, 780)}
    assert same(reading, sound)
    assert "read as America/New_York" in reading.findings[0].why


@pytest.mark.parametrize("zone", ["America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin"])
def test_wall_time_of_another_zone_is_recognised(tmp_path: Path, zone: str) -> None:
    sound = minutes()
    reading = read(sound.assign(ts=sound["ts"].dt.tz_convert(zone).dt.tz_localize(None)), tmp_path)
    assert same(reading, sound)
    # In winter London keeps UTC, and a wall time without a zone is read as UTC.
    assert found(reading) == ({} if zone == "Europe/London" else {Defect.WRONG_ZONE: (Done.REPAIRED, 1560)})


def test_bars_stamped_by_their_ends_are_recognised(tmp_path: Path) -> None:
    sound = minutes()
    reading = read(sound.assign(ts=sound["ts"] + pd.Timedelta(minutes=1)), tmp_path)
    assert found(reading) == {Defect.END_STAMPED: (Done.REPAIRED, 1560)}
    assert same(reading, sound)


def test_an_opening_print_of_its_own_is_joined_to_the_first_bar(tmp_path: Path) -> None:
    sound = minutes()
    first = sound[sound["ts"].dt.tz_convert(NEW_YORK).dt.strftime("%H:%M") == "09:30"]
    ends = sound.assign(ts=sound["ts"] + pd.Timedelta(minutes=1))
    prints = first.assign(high=first["open"], low=first["open"], close=first["open"], volume=50_000.0)
    reading = read(pd.concat([ends, prints]).sort_values("ts"), tmp_path)
    assert found(reading) == {
        Defect.END_STAMPED: (Done.REPAIRED, 1564),
        Defect.AUCTION_ROW: (Done.REPAIRED, 4),
    }
    assert reading.bars.volume[0] == sound["volume"][0] + 50_000.0
    assert len(reading.bars) == len(sound)


def test_a_closing_print_of_its_own_is_joined_to_the_last_bar(tmp_path: Path) -> None:
    sound = minutes()
    last = sound[sound["ts"].dt.tz_convert(NEW_YORK).dt.strftime("%H:%M") == "15:59"]
    price = last["close"] + 0.01
    prints = last.assign(
        ts=last["ts"] + pd.Timedelta(minutes=1), open=price, high=price, low=price, close=price
    )
    reading = read(pd.concat([sound, prints]).sort_values("ts"), tmp_path)
    assert found(reading) == {Defect.AUCTION_ROW: (Done.REPAIRED, 4)}
    assert reading.bars.close[389] == pytest.approx(price.iloc[0])
    assert reading.bars.volume[389] == 2 * last["volume"].iloc[0]


def test_rows_before_and_after_hours_are_dropped(tmp_path: Path) -> None:
    sound = minutes()
    early = sound.assign(ts=sound["ts"] - pd.Timedelta(minutes=390), volume=5.0)
    late = sound.assign(ts=sound["ts"] + pd.Timedelta(minutes=390), volume=5.0)
    reading = read(pd.concat([early, sound, late]).sort_values("ts"), tmp_path)
    assert found(reading) == {Defect.OUTSIDE_HOURS: (Done.DROPPED, 3120)}
    assert same(reading, sound)


def test_rows_told_twice_in_no_order_come_out_rising_and_whole(tmp_path: Path) -> None:
    sound = minutes()
    again = sound.iloc[100:200].assign(volume=0.0)
    reading = read(pd.concat([sound.iloc[:700], again, sound.iloc[700:]]), tmp_path)
    assert found(reading) == {Defect.OUT_OF_ORDER: (Done.REPAIRED, 1), Defect.DUPLICATE: (Done.DROPPED, 100)}
    assert same(reading, sound)


def test_rows_without_a_time_or_a_price_are_dropped(tmp_path: Path) -> None:
    broken = minutes()
    broken.loc[10, "close"] = np.nan
    broken.loc[20, "ts"] = pd.NaT
    reading = read(broken, tmp_path)
    assert found(reading) == {Defect.UNREADABLE: (Done.DROPPED, 2), Defect.GAP: (Done.TOLD, 2)}


def test_a_spike_is_refused_as_the_live_stream_would(tmp_path: Path) -> None:
    broken = minutes()
    broken.loc[800, ["high", "close"]] = 115.0
    reading = read(broken, tmp_path)
    assert found(reading) == {Defect.REFUSED: (Done.DROPPED, 1), Defect.GAP: (Done.TOLD, 1)}
    assert reading.quality.refused == {"spike": 1}
    assert reading.quality.lost == 1


def test_missing_bars_and_missing_sessions_are_told_by_the_calendar(tmp_path: Path) -> None:
    sound = minutes()
    reading = read(pd.concat([sound.iloc[:390], sound.iloc[780:1000], sound.iloc[1010:]]), tmp_path)
    assert [(one.what, one.count) for one in reading.findings] == [(Defect.GAP, 1), (Defect.GAP, 10)]
    assert reading.quality.lost == 400


def test_a_weekend_is_no_gap(tmp_path: Path) -> None:
    assert read(minutes(("2026-01-02", "2026-01-05")), tmp_path).findings == ()


def test_another_feed_with_a_fraction_of_the_volume_is_told(tmp_path: Path) -> None:
    switched = minutes()
    switched.loc[780:, "volume"] = np.ceil(switched.loc[780:, "volume"] / 30)
    reading = read(switched, tmp_path)
    [one] = reading.findings
    assert (one.what, one.done, one.at) == (Defect.FEED_SWITCH, Done.TOLD, (_opens("2026-01-07"),))
    assert "29 times less" in one.why


def _opens(day: str) -> int:
    return pd.Timestamp(f"{day} 09:30", tz=NEW_YORK).value


def test_a_last_bar_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    cut = minutes().iloc[:1000]
    cut.loc[999, "volume"] = 7.0
    reading = read(cut, tmp_path)
    assert found(reading) == {Defect.PARTIAL: (Done.DROPPED, 1)}
    assert len(reading.bars) == 999


def test_a_raw_split_is_told_and_left_to_whom_it_concerns(tmp_path: Path) -> None:
    split = daily()
    prices = ["open", "high", "low", "close"]
    split.loc[30:, prices] /= 4
    split.loc[30:, "volume"] *= 4
    split = split[split["date"] != "2026-04-03"]
    reading = read(split, tmp_path)
    assert found(reading) == {Defect.SPLIT: (Done.TOLD, 1)}
    assert "4 for 1" in reading.findings[0].why
    assert len(reading.bars) == 39


def test_daily_rows_become_bars_by_the_close_of_their_session(tmp_path: Path) -> None:
    reading = read(daily(), tmp_path)
    assert found(reading) == {Defect.OUTSIDE_HOURS: (Done.DROPPED, 1)}  # Good Friday
    assert reading.interval_ns == DAY_NS
    assert reading.bars.ts[0] == pd.Timestamp("2026-02-17 16:00", tz=NEW_YORK).value


def test_a_day_fetched_too_early_is_dropped(tmp_path: Path) -> None:
    early = daily(20)
    early.loc[19, "volume"] = 1e5
    reading = read(early, tmp_path)
    assert found(reading) == {Defect.PARTIAL: (Done.DROPPED, 1)}
    assert len(reading.bars) == 19


def test_a_day_that_most_symbols_have_too_little_of_is_dropped_for_all(tmp_path: Path) -> None:
    names = tuple("ABCDEF")
    early = daily(20, names)
    last = early["date"] == early["date"].max()
    early.loc[last & (early["symbol"] != "A"), "volume"] = 2e5
    further = early[last & (early["symbol"] == "B")].assign(date=pd.Timestamp("2026-03-17"))
    panel = pd.concat([early, further])
    assert found(read(panel, tmp_path, "A")) == {Defect.PARTIAL: (Done.DROPPED, 1)}
    assert found(read(panel, tmp_path, "B")) == {Defect.PARTIAL: (Done.DROPPED, 2)}


def test_times_that_fit_nowhere_are_refused_until_somebody_says_what_they_are(tmp_path: Path) -> None:
    night = minutes()
    night["ts"] = night["ts"] - pd.Timedelta(hours=9)
    reading = read(night, tmp_path)
    assert reading.refused
    assert len(reading.bars) == 0
    assert found(reading) == {Defect.UNKNOWN_TIMES: (Done.REFUSED, 1560)}
    known = read(night, tmp_path, options=ReadOptions("Etc/GMT+9"))
    assert same(known, minutes())


def test_what_is_said_of_the_times_is_believed(tmp_path: Path) -> None:
    sound = minutes()
    reading = read(sound, tmp_path, options=ReadOptions("UTC", "end"))
    assert reading.bars.ts[0] == _opens(DAYS[0]) + MINUTE_NS  # the row of 09:30 is an opening print now
    assert len(reading.bars) == len(sound) - 4


def test_csv_with_other_names_and_a_semicolon_is_read(tmp_path: Path) -> None:
    sound = minutes()
    file = tmp_path / "xyz.csv"
    wall = sound["ts"].dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    table = pd.DataFrame({"Date": wall.dt.strftime("%Y-%m-%d"), "Time": wall.dt.strftime("%H:%M")})
    for name in ("Open", "High", "Low", "Close", "Volume"):
        table[name] = sound[name.lower()]
    table.to_csv(file, sep=";", index=False)
    reading = open_file(file).read()
    assert reading.symbol == "XYZ"
    assert same(reading, sound)


@pytest.mark.parametrize("per_second", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_are_read_as_seconds_or_parts_of_them_since_1970(tmp_path: Path, per_second: int) -> None:
    sound = minutes()
    ns = sound["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    assert same(read(sound.assign(ts=ns // (1_000_000_000 // per_second)), tmp_path), sound)


def test_times_with_changing_offsets_are_read(tmp_path: Path) -> None:
    sound = minutes(("2026-03-06", "2026-03-09"))
    file = tmp_path / "bars.csv"
    text = [stamp.isoformat() for stamp in sound["ts"].dt.tz_convert(NEW_YORK)]
    sound.assign(ts=text).to_csv(file, index=False)
    assert same(open_file(file).read("xyz"), sound)


def test_a_database_of_ours_is_read_by_closes(tmp_path: Path) -> None:
    sound = minutes()
    ns = sound["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64) + MINUTE_NS
    file = tmp_path / "paper.db"
    with sqlite3.connect(file) as connection:
        sound.assign(ts=ns, interval_ns=MINUTE_NS).to_sql("bars", connection, index=False)
    connection.close()
    reading = open_file(file).read()
    assert reading.findings == ()
    assert same(reading, sound)


def test_a_file_that_cannot_be_read_says_why_and_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_file(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_file(tmp_path / "bad.parquet")
    (tmp_path / "bad.db").write_text("no database, but text that is long enough")
    with pytest.raises(DataError, match="cannot be read as SQLite"):
        open_file(tmp_path / "bad.db")
    (tmp_path / "empty.csv").write_text("ts,open,high,low,close\n")
    with pytest.raises(DataError, match="holds no bars"):
        open_file(tmp_path / "empty.csv")
    (tmp_path / "other.csv").write_text("name,price\nA,1\n")
    with pytest.raises(DataError, match="no column for ts, open, high, low, close; there are name, price"):
        open_file(tmp_path / "other.csv")


def test_of_several_symbols_one_must_be_said(tmp_path: Path) -> None:
    panel = daily(20, ("A", "B"))
    with pytest.raises(DataError, match="several symbols: say which; there are A, B"):
        read(panel, tmp_path)
    with pytest.raises(DataError, match="there is no C"):
        read(panel, tmp_path, "c")
    assert read(panel, tmp_path, "b").symbol == "B"
