"""Numbers, dates and symbols of a text file are read as they were meant, or refused with the fix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robo_trader.core.errors import DataError
from robo_trader.data.cleaning import Reading
from robo_trader.data.files import open_file
from robo_trader.data.findings import Defect, Done
from tests.data.streams import NEW_YORK
from tests.data.tables import found, minutes, read


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
