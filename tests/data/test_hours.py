"""Hours by the clock and hours from the open are whole, and their gaps are those of their own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robo_trader.data.cleaning import ReadOptions
from robo_trader.data.findings import Defect, Done
from tests.data.streams import NEW_YORK
from tests.data.tables import DAYS, found, read


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
