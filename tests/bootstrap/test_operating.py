"""Which daemon a command is for, and what is said where there is none."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from robo_trader.bootstrap import operating, places
from robo_trader.bootstrap.operating import Which
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, DataError, NobodyAnswers
from robo_trader.core.events import AccountSnapshot
from robo_trader.core.steps import Mismatch, Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.lock import InstanceLock
from tests.desks import OPEN, opening


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "data").mkdir()
    return Settings(robo_data_dir=tmp_path / "data")


def running(stack: ExitStack, *accounts: str) -> None:
    """Hold the locks of these accounts as their daemons would."""
    for account in accounts:
        stack.enter_context(InstanceLock(places.lock_path(account)))


async def differing(path: Path) -> None:
    """Leave a database behind in which one symbol is quarantined."""
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "paper", "DU1", ["NVDA"], "{}")
        journal = SqliteJournal(database, "s")
        event: AccountSnapshot = opening()
        await journal.record(event, Step(facts=[Mismatch(OPEN, "NVDA", 10, 12)]))
        await journal.flush()


def test_the_daemon_meant_is_the_running_one_of_the_data_directory(settings: Settings) -> None:
    for name in ("paper-DU1.db", "dry-run-DU2.db", "notes.db"):
        (settings.robo_data_dir / name).touch()
    with ExitStack() as stack:
        running(stack, "DU1")
        with pytest.raises(NobodyAnswers, match=r"the daemon of DU1 \(process \d+\) does not take commands"):
            operating.command(settings, Which(), {"do": "halt"})
        running(stack, "DU2")
        with pytest.raises(ConfigurationError, match=r"daemons of .* run: say which with --account"):
            operating.command(settings, Which(), {"do": "halt"})
        with pytest.raises(NobodyAnswers, match="the daemon of DU2"):
            operating.command(settings, Which(account="DU2"), {"do": "halt"})


def test_a_database_names_its_account_by_its_name(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NobodyAnswers, match="no daemon of DUP7 runs"):
        operating.command(settings, Which(db=tmp_path / "practice-DUP7.db"), {"do": "halt"})
    with pytest.raises(DataError, match=r"mine\.db"):
        operating.command(settings, Which(db=tmp_path / "mine.db"), {"do": "halt"})
    with pytest.raises(DataError, match="run the daemon first"):
        operating.command(settings, Which(), {"do": "halt"})


async def test_a_database_of_another_name_is_asked(settings: Settings, tmp_path: Path) -> None:
    await differing(tmp_path / "mine.db")
    with pytest.raises(NobodyAnswers, match="no daemon of DU1 runs"):
        operating.command(settings, Which(db=tmp_path / "mine.db"), {"do": "halt"})


async def test_without_a_daemon_the_quarantines_of_the_database_are_shown(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await differing(settings.robo_data_dir / "paper-DU1.db")
    assert operating.reconcile(settings, Which(), "", [], "", "") == 1
    said = capsys.readouterr().out
    assert "NVDA     ours       10  broker       12  QUARANTINED since 2026-01-05T14:30:00Z" in said
    assert "a daemon must run" in said
    assert operating.reconcile(settings, Which(as_json=True), "", [], "", "") == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["symbol"], row["ours"], row["broker"]) == ("NVDA", 10, 12)


@pytest.mark.parametrize(
    ("symbol", "remedies"), [("NVDA", []), ("", ["adopt"]), ("NVDA", ["adopt", "flatten"])]
)
def test_to_resolve_takes_one_symbol_and_one_remedy(
    settings: Settings, symbol: str, remedies: list[str]
) -> None:
    with pytest.raises(ConfigurationError, match="name one symbol and one of"):
        operating.reconcile(settings, Which(), symbol, remedies, "", "why")


def test_resuming_without_a_daemon_takes_the_kill_file_away_and_says_what_still_stands(
    settings: Settings,
) -> None:
    (settings.robo_data_dir / "paper-DU1.db").touch()
    kill_file = settings.robo_data_dir / "KILL"
    with pytest.raises(NobodyAnswers, match="no daemon of DU1"):
        operating.resume(settings, Which(), "seen")
    kill_file.write_text("x")
    with pytest.raises(NobodyAnswers, match=r"removed .*KILL.*robo-trader run … --resume 'seen'"):
        operating.resume(settings, Which(), "seen")
    assert not kill_file.exists()


def test_a_kill_without_a_daemon_leaves_the_file(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operating.kill(settings.robo_data_dir, Which(), "enough") == 0
    assert "wrote" in capsys.readouterr().out
    assert "enough (kill)" in (settings.robo_data_dir / "KILL").read_text()
    (settings.robo_data_dir / "KILL").unlink()
    (settings.robo_data_dir / "KILL").mkdir()
    assert operating.kill(settings.robo_data_dir, Which(as_json=True), "enough") == 1
    assert json.loads(capsys.readouterr().out)["halted"] is False
