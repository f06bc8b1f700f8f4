"""`robo-trader features` shows what each feature of a share said at a time, or says why there is nothing to show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from robo_trader.bootstrap import shown_features
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.steps import FeatureRow, Step
from robo_trader.features.technical_indicators import NAMES
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

AT = shown_features.parse_time("2026-01-05T10:31")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with two vectors of NVDA, of 10:31 and 10:32, and one of AAPL of an unknown version."""
    async with await Database.open(tmp_path / "desk.db") as database:
        await database.start_session("s", AT, "paper", "DU1", ["NVDA"], "{}")
        await database.keep_feature_state("s", "v1", NAMES, b"")
        journal = SqliteJournal(database, "s")
        for minute, symbol, version in ((0, "NVDA", "v1"), (1, "NVDA", "v1"), (0, "AAPL", "v9")):
            x = np.arange(len(NAMES)) + 0.5 + minute
            x[[NAMES.index("sma_200"), NAMES.index("market_beta_60")]] = np.nan
            ts = AT + minute * MINUTE_NS
            row = FeatureRow(ts, symbol, version, x.tobytes())
            await journal.record(Bar(symbol, ts, 1.0, 1.0, 1.0, 1.0, 1.0), Step((), (row,)))
        await journal.flush()
    return tmp_path / "desk.db"


def test_the_newest_vector_is_shown_by_name_group_and_value(path: Path, capsys: pytest.CaptureFixture[str]):
    assert shown_features.show(load(), "nvda", "", path, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NVDA  bar of 2026-01-05 10:32 New York  features v1"
    said = {words[0]: words[1:] for words in map(str.split, lines[1:])}
    assert list(said) == list(NAMES)
    assert said["close_location"] == ["price", "1.5"]
    assert said["sma_200"] == ["trend", "warming"]
    assert said["market_beta_60"] == ["cross_section", "unknown"]


def test_a_time_of_new_york_chooses_the_bar_by_then(path: Path, capsys: pytest.CaptureFixture[str]):
    shown_features.show(load(), "NVDA", "2026-01-05T10:31:30", path, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["symbol"], told["ts"], told["ts_ns"]) == ("NVDA", "2026-01-05T15:31:00Z", AT)
    columns = {column["name"]: column for column in told["features"]}
    assert columns["close_location"] == {
        "name": "close_location",
        "group": "price",
        "value": 0.5,
        "state": "warm",
    }
    assert columns["sma_200"]["value"] is None


@pytest.mark.parametrize(
    ("symbol", "at", "why"),
    [
        (
            "NVDA",
            "2026-01-05T10:30",
            r"no features of NVDA at or before 2026-01-05T10:30; the first is of .* 10:31",
        ),
        ("TSLA", "", "no features of TSLA; run the daemon with it"),
        ("AAPL", "", "version v9, whose columns this database does not name"),
    ],
)
def test_where_there_is_nothing_to_show_it_is_said_why(path: Path, symbol: str, at: str, why: str):
    with pytest.raises(DataError, match=why):
        shown_features.show(load(), symbol, at, path, as_json=False)


@pytest.mark.parametrize(
    ("at", "age"),
    [("2026-01-05T10:33:30", "0:01:30"), ("2026-01-05T18:00", "7:28:00"), ("2026-01-06T09:30", "22:58:00")],
)
def test_a_vector_that_was_old_by_then_says_how_old(
    path: Path, capsys: pytest.CaptureFixture[str], at: str, age: str
):
    shown_features.show(load(), "NVDA", at, path, as_json=False)
    assert capsys.readouterr().out.startswith(
        f"NVDA  bar of 2026-01-05 10:32 New York, {age} old at {at}  features"
    )
    shown_features.show(load(), "NVDA", at, path, as_json=True)
    hours, minutes, seconds = map(int, age.split(":"))
    assert json.loads(capsys.readouterr().out)["age_s"] == hours * 3600 + minutes * 60 + seconds


def test_a_vector_of_an_earlier_session_is_not_taken_for_one_of_that_time(path: Path):
    for at in ("2026-01-06T09:31", "2026-02-02T12:00"):
        with pytest.raises(
            DataError, match=r"2026-01-05 10:32 New York, .* 2026-01-06 began since.* --at 2026-01-05T10:32"
        ):
            shown_features.show(load(), "NVDA", at, path, as_json=False)


def test_a_time_that_sqlite_cannot_count_to_is_later_or_earlier_than_all(path: Path):
    with pytest.raises(DataError, match="session of 2026-01-06 began since"):
        shown_features.show(load(), "NVDA", "9999-12-31", path, as_json=False)
    with pytest.raises(DataError, match="at or before 0001-01-02; the first is of"):
        shown_features.show(load(), "NVDA", "0001-01-02", path, as_json=False)


def test_what_is_no_time_is_refused(path: Path):
    with pytest.raises(ConfigurationError, match="2026-01-05T10:31"):
        shown_features.show(load(), "NVDA", "noon", path, as_json=False)
