"""Files of bars: each defect is recognised, repaired or refused, and told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS
from robo_trader.data.cleaning import Reading, ReadOptions
from robo_trader.data.files import open_file
from robo_trader.data.findings import Defect, Done
from tests.data.streams import NEW_YORK

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08")


def minutes(days: tuple[str, ...] = DAYS, seed: int = 3) -> pd.DataFrame:
    """Return sound minute bars of trading hours by their starts, busy at the open and in the last minute."""
    rng = np.random.default_rng(seed)
    stamps = [pd.date_range(f"{day} 09:30", periods=390, freq="min", tz=NEW_YORK) for day in days]
    count = 390 * len(days)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 3e-4, count))), 2)
    opened = np.concatenate(([100.0], close[:-1]))
    volume = np.round(rng.lognormal(6, 0.3, count))
    volume[::390] *= 6
    volume[389::390] *= 8
    high, low = np.maximum(opened, close) + 0.01, np.minimum(opened, close) - 0.01
    ts = pd.DatetimeIndex(np.concatenate([stamp.tz_convert("UTC") for stamp in stamps]), tz="UTC")
    return pd.DataFrame(
        {
            "ts": ts,
            "symbol": "XYZ",
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
        }
    )


def daily(days: int = 40, symbols: tuple[str, ...] = ("XYZ",)) -> pd.DataFrame:
    """Return sound daily bars, of shares that move alike."""
    rng = np.random.default_rng(1)
    dates = pd.bdate_range("2026-02-17", periods=days)  # no holiday until Good Friday, 2026-04-03
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, days)))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) / 1.002
    one = pd.DataFrame(
        {"date": dates, "open": opened, "high": high, "low": low, "close": close, "volume": 1e6}
    )
    return pd.concat([one.assign(symbol=symbol) for symbol in symbols], ignore_index=True)


def read(table: pd.DataFrame, path: Path, symbol: str = "", options: ReadOptions | None = None) -> Reading:
    file = path / "bars.parquet"
    table.to_parquet(file)
    return open_file(file).read(symbol, options)


def found(reading: Reading) -> dict[str, tuple[str, int]]:
    return {one.what: (one.done, one.count) for one in reading.findings}


def same(reading: Reading, table: pd.DataFrame) -> bool:
    """Whether the bars are those of the sound table, by close."""
    starts = table["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return (
        np.array_equal(reading.bars.ts, starts + MINUTE_NS)
        and np.array_equal(reading.bars.close, table["close"])
        and np.array_equal(reading.bars.volume, table["volume"])
    )


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


# ------------------------------------------------------------------------------------------- how texts are written


def days(path: Path, rows: list[str], mark: str = ",", date_order: str = "") -> Reading:
    """Read a CSV of rows by the day."""
    file = path / "xyz.csv"
    file.write_text("\n".join([mark.join(("Date", "Open", "High", "Low", "Close", "Volume")), *rows]) + "\n")
    return open_file(file, date_order).read()


def on(*dates: str) -> list[int]:
    return [pd.Timestamp(f"{date} 16:00", tz=NEW_YORK).value for date in dates]


PRICES = "184.5,185.25,183,184.75,35120"


@pytest.mark.parametrize(
    "written",
    [
        ("31/12/2025", "02/01/2026"),
        ("31.12.2025", "02.01.2026"),
        ("31-12-2025", "2-1-2026"),
        ("12/31/2025", "01/02/2026"),
        ("2025-12-31", "2026-01-02"),
        ("20251231", "20260102"),
    ],
)
def test_a_day_above_12_settles_how_all_dates_of_a_file_are_written(
    tmp_path: Path, written: tuple[str, str]
) -> None:
    assert days(tmp_path, [f"{date},{PRICES}" for date in written]).bars.ts.tolist() == on(
        "2025-12-31", "2026-01-02"
    )


def test_dates_that_mean_two_things_are_refused_until_somebody_says_which(tmp_path: Path) -> None:
    rows = [f"{date},{PRICES}" for date in ("06/01/2026", "07/01/2026")]
    with pytest.raises(DataError, match=r"is 06/01/2026 with the day first, or the month\?.*2025-12-31"):
        days(tmp_path, rows)
    assert days(tmp_path, rows, date_order="day-first").bars.ts.tolist() == on("2026-01-06", "2026-01-07")
    june = days(tmp_path, rows, date_order="month-first").bars.ts.tolist()
    assert june == on("2026-06-01", "2026-07-01")


def test_dates_that_are_the_same_either_way_need_no_word(tmp_path: Path) -> None:
    assert days(tmp_path, [f"02/02/2026,{PRICES}"]).bars.ts.tolist() == on("2026-02-02")


def test_dates_that_contradict_each_other_or_what_was_said_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"some the month, 31/12/2025 and 12/31/2025"):
        days(tmp_path, [f"31/12/2025,{PRICES}", f"12/31/2025,{PRICES}"])
    with pytest.raises(DataError, match=r"31/12/2025 is no date with the month first"):
        days(tmp_path, [f"31/12/2025,{PRICES}"], date_order="month-first")


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ("2026-01-05;1.184,5;1.185,25;1.183;1.184,75;35.120", ";"),
        ("2026-01-05;1184,5;1185,25;1183;1184,75;1.035.120", ";"),
        ("2026-01-05\t1 184,5\t1 185,25\t1 183\t1 184,75\t35 120", "\t"),
        ('2026-01-05,"1,184.5","1,185.25","1,183","1,184.75","35,120"', ","),
        ('2026-01-05,"1184,5","1185,25",1183,"1184,75",35120', ","),
    ],
)
def test_decimal_commas_and_thousands_apart_are_read_as_they_were_meant(
    tmp_path: Path, row: str, mark: str
) -> None:
    bars = days(tmp_path, [row], mark).bars
    assert [bars.open[0], bars.high[0], bars.low[0], bars.close[0]] == [1184.5, 1185.25, 1183.0, 1184.75]
    assert bars.volume[0] == (1_035_120 if "1.035" in row else 35_120)


@pytest.mark.parametrize(
    ("row", "mark", "why"),
    [
        ("2026-01-05;1,184;1,185;1,183;1,184;100", ";", "over a thousand, or a comma before decimals"),
        ("2026-01-05;184,5;185.25;183;184;100", ";", "written in two ways, 185.25 and 184,5"),
        (
            "2026-01-05,184,5,185,25,183,184,75,100",
            ",",
            r"6 columns are named and its first row has 9: a decimal",
        ),
    ],
)
def test_numbers_that_mean_two_things_are_refused_with_the_fix(
    tmp_path: Path, row: str, mark: str, why: str
) -> None:
    with pytest.raises(DataError, match=why):
        days(tmp_path, [row], mark)


def test_rows_may_end_with_a_separator_and_files_begin_with_a_mark_of_excel(tmp_path: Path) -> None:
    assert len(days(tmp_path, [f"2026-01-05,{PRICES},"]).bars) == 1
    file = tmp_path / "excel.csv"
    file.write_text(f"Date,Open,High,Low,Close,Volume\n2026-01-05,{PRICES}\n", encoding="utf-8-sig")
    assert len(open_file(file).read().bars) == 1


def test_rows_that_name_no_symbol_are_dropped_and_told_and_na_is_a_ticker(tmp_path: Path) -> None:
    file = tmp_path / "panel.csv"
    rows = [f"2026-01-05,{name},{PRICES}" for name in ("NA", "", "NAN", " ")]
    file.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]) + "\n")
    found_file = open_file(file)
    assert found_file.symbols == ["NA", "NAN"]
    for symbol in found_file.symbols:
        reading = found_file.read(symbol)
        assert found(reading) == {Defect.UNREADABLE: (Done.DROPPED, 2)}
        assert reading.findings[0].why == "rows of the file name no symbol"
    file.write_text(f"date,symbol,open,high,low,close,volume\n2026-01-05,,{PRICES}\n")
    with pytest.raises(DataError, match="no row names a symbol"):
        open_file(file)


def test_symbols_that_are_missing_in_a_parquet_file_are_dropped_too(tmp_path: Path) -> None:
    table = minutes()
    table.loc[5, "symbol"] = None
    assert found(read(table, tmp_path)) == {Defect.UNREADABLE: (Done.DROPPED, 1), Defect.GAP: (Done.TOLD, 1)}


def test_a_directory_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a directory; name one file"):
        open_file(tmp_path)


def test_a_row_without_a_volume_among_others_is_refused_as_a_live_bar_would_be(tmp_path: Path) -> None:
    table = minutes()
    table.loc[800, "volume"] = np.nan
    reading = read(table, tmp_path)
    assert reading.quality.refused == {"volume": 1}
    assert np.isfinite(reading.bars.volume).all()


# --------------------------------------------------------------------------------------------------- hours


def hours(times: tuple[str, ...]) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    stamps = [pd.Timestamp(f"{day} {time}", tz=NEW_YORK).tz_convert("UTC") for day in DAYS for time in times]
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(stamps)))), 2)
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    table = pd.DataFrame({"ts": stamps, "open": opened, "high": high, "low": low, "close": close})
    return table.assign(volume=1000.0 + np.arange(len(stamps)), symbol="XYZ")


CLOCK = ("10:00", "11:00", "12:00", "13:00", "14:00", "15:00", "16:00")
FROM_OPEN = ("10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00")


@pytest.mark.parametrize(
    ("times", "closes"),
    [
        (("09:00", *CLOCK[:-1]), CLOCK),
        (("09:30", *CLOCK[:-1]), CLOCK),  # as TWS tells them
        (CLOCK, CLOCK),
        (("09:30", *FROM_OPEN[:-1]), FROM_OPEN),
        (FROM_OPEN, FROM_OPEN),
    ],
)
def test_hours_by_the_clock_and_from_the_open_are_whole_and_have_no_gap(
    tmp_path: Path, times: tuple[str, ...], closes: tuple[str, ...]
) -> None:
    reading = read(hours(times), tmp_path)
    due = [pd.Timestamp(f"{day} {time}", tz=NEW_YORK).value for day in DAYS for time in closes]
    assert reading.bars.ts.tolist() == due
    assert {one.what for one in reading.findings} <= {Defect.END_STAMPED}
    assert reading.quality.percent == 100.0


def test_gaps_among_hours_by_the_clock_are_those_that_lower_the_percentage(tmp_path: Path) -> None:
    table = hours(("09:00", *CLOCK[:-1])).drop(index=[3, 10, 11])
    reading = read(table, tmp_path, options=ReadOptions(stamped="start"))
    assert found(reading) == {Defect.GAP: (Done.TOLD, 3)}
    assert (reading.quality.whole, reading.quality.lost) == (25, 3)


def test_an_hour_that_began_before_the_open_is_dropped_where_the_file_goes_on_outside_hours(
    tmp_path: Path,
) -> None:
    around = ("07:00", "08:00", "09:00", *CLOCK, "17:00", "18:00")
    reading = read(hours(around), tmp_path, options=ReadOptions("UTC", "start"))
    first = pd.Timestamp(f"{DAYS[0]} 11:00", tz=NEW_YORK).value
    assert reading.bars.ts[0] == first
    assert len(reading.bars) == 6 * len(DAYS)
