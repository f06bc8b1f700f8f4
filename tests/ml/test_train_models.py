"""The command learns from the database of a daemon, tells its verdict and fails with a remedy."""

from __future__ import annotations

import io
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from robo_trader.bootstrap.lesson import Lesson
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.feature_engine import schema_version
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml import registry
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.search import SearchOptions
from robo_trader.ml.trainer import TrainingOptions
from robo_trader.train_models import (
    Comparison,
    default_database,
    default_name,
    read_bars,
    train_from_database,
)

SESSIONS = WARM_SESSIONS + 12
QUICK = TrainingOptions(members=MemberOptions(forest_trees=10, boosted_trees=20))


def database(path: Path, sessions: int, symbols: tuple[str, ...] = ("AAPL", "NVDA")) -> Path:
    """Write minute bars of a market whose price swings back to where it came from."""
    rng = np.random.default_rng(8)
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE bars (symbol TEXT, ts INTEGER, interval_ns INTEGER, open REAL, high REAL, low REAL, close REAL,"
        " volume REAL, PRIMARY KEY (symbol, interval_ns, ts))"
    )
    for symbol in symbols:
        off, close = 0.0, []
        for session in XnysCalendar().before("2026-01-05", sessions):
            for ts in range(session.open + MINUTE_NS, session.close + 1, MINUTE_NS):
                off = 0.96 * off + rng.normal(0, 8e-4)
                close = round(100 * float(np.exp(off)), 2)
                row = (symbol, ts, MINUTE_NS, close, close + 0.02, close - 0.02, close, 500.0)
                connection.execute("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    return path


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database(tmp_path_factory.mktemp("data") / "practice-DUP123456.db", sessions=SESSIONS)


def test_a_model_is_trained_saved_and_loads_with_todays_features(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(width=120)
    directory = train_from_database(bars, ["AAPL", "NVDA"], "practice-DUP123456", tmp_path, QUICK, console)
    assert directory == registry.latest(tmp_path, "practice-DUP123456")
    model = registry.load(directory, schema_version(MINUTE_NS))
    assert model.card.proven, model.card.reason
    told = capsys.readouterr().out
    assert "training: XGBoost" in told
    assert "\nPROVEN: AUC" in told
    assert str(directory) in told.replace("\n", "")
    manifest = registry.read_manifest(directory)
    told = " ".join(told.split())
    window = re.search(
        r"learning from (\d+) sessions, 2025-\d\d-\d\d to 2026-01-02, of 60 asked for: there are no more in which the "
        r"features are warm; (\d+) more only warm the features",
        told,
    )
    assert window is not None
    learnt, warming = map(int, window.groups())
    assert learnt + warming == SESSIONS
    assert learnt > 12
    assert "not compared with SPY: no bars in" in told
    assert (manifest.market, manifest.sectors) == ("SPY", {})
    assert (manifest.symbols, manifest.sessions, manifest.bars) == (
        ("AAPL", "NVDA"),
        learnt,
        2
        * sum(
            (session.close - session.open) // MINUTE_NS
            for session in XnysCalendar().before("2026-01-05", SESSIONS)
        ),
    )


def test_what_a_search_found_is_told_beside_what_was_there_before(bars: Path, tmp_path: Path) -> None:
    told = io.StringIO()
    options = replace(QUICK, search=SearchOptions(trials=1))
    lesson = Lesson(bars, tmp_path, "x", trials=6)
    console = Console(file=told, width=200)
    train_from_database(bars, ["AAPL"], "x", tmp_path, options, console, lesson=lesson)
    said = told.getvalue()
    assert "training: trials 1 to 1 of 1" in said
    assert "8 configurations on 4 folds of the training block" in said
    assert re.search(r"boosted +│ 0\.\d{4} +│ 0\.\d{4} +│ (as it was|boosted_trees \d)", said)
    assert "DSR, 10 tried" in said


def test_only_the_last_sessions_and_those_that_warm_are_read(bars: Path) -> None:
    found = read_bars(bars, ["NVDA"], MINUTE_NS, days=2)
    assert list(found) == ["NVDA"]
    last = XnysCalendar().before("2026-01-05", 2 + WARM_SESSIONS)
    assert (found["NVDA"].ts[0], found["NVDA"].ts[-1]) == (last[0].open + MINUTE_NS, last[-1].close)


def test_without_symbols_all_in_the_database_are_read(bars: Path) -> None:
    assert list(read_bars(bars, [], MINUTE_NS, days=1)) == ["AAPL", "NVDA"]


def test_a_symbol_or_size_without_bars_is_refused(bars: Path) -> None:
    with pytest.raises(DataError, match="no 60-second bars of TSLA"):
        read_bars(bars, ["AAPL", "TSLA"], MINUTE_NS, days=30)
    with pytest.raises(DataError, match="no 300-second bars of any symbol"):
        read_bars(bars, [], 5 * MINUTE_NS, days=30)


def test_a_missing_file_and_one_that_is_no_database_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--db"):
        read_bars(tmp_path / "none.db", [], MINUTE_NS, days=30)
    (tmp_path / "text.db").write_text("not a database, but long enough to be read as one" * 50)
    with pytest.raises(DataError, match="--db"):
        read_bars(tmp_path / "text.db", [], MINUTE_NS, days=30)


def test_the_only_database_is_taken_and_several_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none"):
        default_database(tmp_path)
    (tmp_path / "a.db").touch()
    assert default_database(tmp_path) == tmp_path / "a.db"
    (tmp_path / "b.db").touch()
    with pytest.raises(ConfigurationError, match=r"a\.db.*b\.db"):
        default_database(tmp_path)


def test_the_command_line_ends_with_5_when_there_are_too_few_bars(tmp_path: Path) -> None:
    path = database(tmp_path / "paper-DU1.db", sessions=2, symbols=("AAPL",))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "robo_trader.train_models",
            "--db",
            str(path),
            "--models",
            str(tmp_path / "models"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert re.search(r"error: too little to learn from.*Fetch more sessions", done.stderr)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("sessions", [5, 8])
def test_as_many_sessions_are_learnt_from_as_were_asked_for(
    bars: Path, tmp_path: Path, sessions: int
) -> None:
    console = Console(width=200, file=io.StringIO())
    directory = train_from_database(bars, ["NVDA"], "m", tmp_path, QUICK, console, days=sessions)
    manifest = registry.read_manifest(directory)
    (first, *_, last) = XnysCalendar().before("2026-01-05", sessions)
    assert manifest.sessions == sessions
    assert first.open < manifest.split["train"].first < first.close
    assert last.open < manifest.split["test"].last < last.close
    assert f"learning from {sessions} sessions" in console.file.getvalue()


def test_what_to_compare_with_must_be_there_where_it_was_asked_for(bars: Path, tmp_path: Path) -> None:
    console = Console(file=io.StringIO())

    def train(comparison: Comparison) -> Path:
        return train_from_database(
            bars, ["NVDA"], "m", tmp_path, QUICK, console, days=8, comparison=comparison
        )

    with pytest.raises(DataError, match=r"no bars of QQQ, XLK, which --market or --sectors name"):
        train(Comparison("QQQ", {"NVDA": "XLK"}, required=True))
    with pytest.raises(DataError, match=r"--sectors names AMD, which .* learnt from are NVDA"):
        train(Comparison("AAPL", {"AMD": "AAPL"}, required=True))
    manifest = registry.read_manifest(train(Comparison("AAPL", {"NVDA": "AAPL"}, required=True)))
    assert (manifest.market, manifest.sectors, manifest.symbols) == ("AAPL", {"NVDA": "AAPL"}, ("NVDA",))


def test_the_command_line_refuses_a_market_that_is_not_there(bars: Path, tmp_path: Path) -> None:
    words = ["--db", str(bars), "--models", str(tmp_path), "--market", "QQQ"]
    done = subprocess.run(
        [sys.executable, "-m", "robo_trader.train_models", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "no bars of QQQ" in done.stderr


@pytest.mark.parametrize(
    ("account", "name"), [("DUP123456", "practice-DUP123456"), ("DU7", "ibkr"), ("SIM-DUP9", "practice-DUP9")]
)
def test_models_are_named_after_the_account_that_traded_whatever_the_file_is_called(
    tmp_path: Path, account: str, name: str
) -> None:
    path = tmp_path / "practice-DUP1.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sessions (account TEXT)")
    connection.execute("INSERT INTO sessions VALUES (?)", (account,))
    connection.commit()
    connection.close()
    assert default_name(path) == name


def test_models_of_bars_that_nobody_traded_on_are_nobodys(bars: Path, tmp_path: Path) -> None:
    assert default_name(bars) == "file-practice-DUP123456"
    assert default_name(tmp_path / "ibkr.csv") == "file-ibkr"


def train(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "robo_trader.train_models", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_sessions_from_a_date_on_are_learnt_from_and_the_trial_is_told(bars: Path, tmp_path: Path) -> None:
    since = XnysCalendar().before("2026-01-05", 11)[0].label
    words = (
        "--db",
        str(bars),
        "--models",
        str(tmp_path),
        "--name",
        "m",
        "--from",
        since,
        "--workers",
        "1",
        "--nice",
        "1",
    )
    done = train(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "learning from 11 sessions" in done.stdout
    directory = registry.latest(tmp_path, "m")
    assert directory is not None
    assert registry.read_manifest(directory).report.trials == 1
    again = train(*words)
    assert "trial 2 of m" in again.stdout
    newest = registry.latest(tmp_path, "m")
    assert newest is not None
    assert registry.read_manifest(newest).report.trials == 2


@pytest.mark.parametrize(
    ("start", "code", "said"),
    [
        ("yesterday", ConfigurationError.exit_code, "expected a date"),
        ("2026-03-01", 5, "has no bars since --from"),
    ],
)
def test_a_date_to_learn_from_that_is_none_or_has_no_bars_is_refused(
    bars: Path, tmp_path: Path, start: str, code: int, said: str
) -> None:
    done = train("--db", str(bars), "--models", str(tmp_path), "--name", "m", "--from", start)
    assert done.returncode == code
    assert said in done.stderr
