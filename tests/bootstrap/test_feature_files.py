"""`robo-trader features --out` writes stored vectors to a file that others can read, or says why it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robo_trader.bootstrap import feature_files
from robo_trader.bootstrap.feature_files import Wanted
from robo_trader.bootstrap.shown_features import parse_time
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.core.steps import FeatureRow, Step
from robo_trader.storage import feature_rows
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

OPEN = parse_time("2026-01-05T09:30")
COLUMNS = ("a", "b", "c")
DAYS, MINUTES = 3, 5


def vector(day: int, minute: int, symbol: str) -> np.ndarray:
    x = np.random.default_rng((day, minute, len(symbol))).normal(size=len(COLUMNS))
    if not minute:
        x[1] = np.nan
    return x


def closed(day: int, minute: int) -> int:
    return OPEN + day * DAY_NS + (minute + 1) * MINUTE_NS


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    """Three mornings of NVDA and GE; on the third the features of GE were others."""
    async with await Database.open(tmp_path / "desk.db") as database:
        await database.start_session("s", OPEN, "paper", "DU1", ["NVDA", "GE"], "{}")
        await database.keep_feature_state("s", "v1", COLUMNS, b"state")
        journal = SqliteJournal(database, "s")
        for day, minute, symbol in np.ndindex(DAYS, MINUTES, 2):
            name, ts = ("GE", "NVDA")[symbol], closed(day, minute)
            version = "v2" if (day, name) == (2, "GE") else "v1"
            row = FeatureRow(ts, name, version, vector(day, minute, name).tobytes())
            await journal.record(Bar(name, ts, 1.0, 1.0, 1.0, 1.0, 1.0), Step((), (row,)))
        await journal.flush()
    return tmp_path / "desk.db"


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".npz":
        with np.load(path) as kept:
            told = pd.DataFrame(kept["x"], columns=kept["columns"])
            told.insert(0, "symbol", kept["symbols"][kept["symbol"]])
            told.insert(0, "ts", pd.to_datetime(kept["ts"], utc=True))
            assert kept["version"] == "v1"
        return told
    if path.suffix == ".csv":
        return pd.read_csv(path, parse_dates=["ts"])
    return pd.read_parquet(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz", ".PARQUET"])
def test_a_file_holds_every_vector_by_time_then_symbol_bit_for_bit(
    db: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feature_rows, "BLOCK", 7)
    out = tmp_path / f"month{suffix}"
    assert feature_files.export(load(), Wanted(" nvda,GE", "2026-01-05", "2026-01-06"), db, out) == 0
    assert "20 rows of 2 symbols, 3 columns of version v1" in capsys.readouterr().out
    told = read(out)
    assert list(told.columns) == ["ts", "symbol", *COLUMNS]
    expected = [
        (day, minute, name) for day in range(2) for minute in range(MINUTES) for name in ("GE", "NVDA")
    ]
    assert list(told["symbol"]) == [name for *_, name in expected]
    assert [stamp.value for stamp in told["ts"]] == [closed(day, minute) for day, minute, _ in expected]
    values = np.array([vector(*one) for one in expected])
    assert np.array_equal(told[list(COLUMNS)].to_numpy(), values, equal_nan=True)
    assert [path.name for path in tmp_path.glob("month*")] == [out.name]


@pytest.mark.parametrize(
    ("since", "until", "rows"),
    [
        ("", "", 15),
        ("2026-01-06", "", 10),
        ("", "2026-01-05", 5),
        ("2026-01-05T09:32", "2026-01-05T09:34", 3),
        ("2026-01-05T14:32Z", "2026-01-05T14:34Z", 3),
        ("2026-01-07", "2026-01-07", 5),
    ],
)
def test_both_ends_are_included_and_a_date_alone_means_all_of_that_day(
    db: Path, tmp_path: Path, since: str, until: str, rows: int
):
    feature_files.export(load(), Wanted("NVDA", since, until), db, tmp_path / "x.parquet")
    assert len(read(tmp_path / "x.parquet")) == rows


def test_vectors_of_different_versions_are_not_mixed_and_it_is_said_which_they_are(db: Path, tmp_path: Path):
    out = tmp_path / "x.csv"
    first, second = (
        r"v1: 25 rows of GE, NVDA, 2026-01-05 09:31 .* to 2026-01-07 09:35",
        r"v2: 5 rows of GE, 2026-01-07",
    )
    with pytest.raises(DataError, match=f"(?s){first}.*{second}.*--version"):
        feature_files.export(load(), Wanted(), db, out)
    feature_files.export(load(), Wanted(version="v1"), db, out)
    assert len(read(out)) == 25


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted("NVDA,TSLA,MSFT"), "no features of MSFT, TSLA for that time; there are: GE, NVDA"),
        (Wanted(since="2027-01-01"), "no features of any symbol for that time; there are: none"),
        (Wanted("GE", since="2026-01-07", version="v1"), "no features of GE in version v1 for that time"),
        (Wanted("GE", since="2026-01-07"), "does not name the columns of version v2"),
    ],
)
def test_what_is_not_there_is_said(db: Path, tmp_path: Path, wanted: Wanted, why: str):
    with pytest.raises(DataError, match=why):
        feature_files.export(load(), wanted, db, tmp_path / "x.csv")
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    ("out", "wanted", "why"),
    [
        ("x.xlsx", Wanted(), "end its name in .parquet, .csv or .npz"),
        ("desk.csv", Wanted(), "exists already"),
        ("nowhere/x.csv", Wanted(), "there is no directory"),
        ("x.csv", Wanted(since="noon"), "--from 'noon'"),
        ("x.csv", Wanted(until="noon"), "--to 'noon'"),
    ],
)
def test_a_wrong_flag_is_refused(db: Path, tmp_path: Path, out: str, wanted: Wanted, why: str):
    (tmp_path / "desk.csv").write_text("mine")
    with pytest.raises(ConfigurationError, match=why):
        feature_files.export(load(), wanted, db, tmp_path / out)
    assert (tmp_path / "desk.csv").read_text() == "mine"


async def test_a_damaged_row_leaves_no_half_written_file(db: Path, tmp_path: Path):
    async with await Database.open(db) as database:
        await database.write(
            lambda writing: writing.execute("UPDATE features SET crc = crc + 1 WHERE ts = ?", (closed(1, 2),))
        )
    for name in ("x.csv", "x.parquet", "x.npz"):
        with pytest.raises(DataError, match="2026-01-06T14:33:00Z are not what was written"):
            feature_files.export(load(), Wanted("NVDA"), db, tmp_path / name)
    assert not list(tmp_path.glob("x*"))
