"""What `robo-trader status` says in words: who stops the desk, the link, what differs, what is protected."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from robo_trader.bootstrap import commands, places
from robo_trader.config import Settings
from robo_trader.core.events import (
    MINUTE_NS,
    Holding,
    Lot,
    Order,
    OrderStatus,
    OrderType,
    Resume,
    Side,
    Submit,
    TradingState,
)
from robo_trader.core.steps import (
    Drifted,
    DriftSummary,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    Regime,
    RegimeChanged,
    Resumed,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.data.quality import Quality
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.lock import InstanceLock
from tests.desks import OPEN, bar, opening

STOP = Order(
    "s-9.1", "s-9", "NVDA", Side.SELL, 10, OrderType.STOP, stop_price=Decimal("175.50"), tif="GTC"
)  # fmt: skip
LATER = OPEN + MINUTE_NS


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session of a dry run that was halted by a limit and stopped by the nightly restart."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "dry-run-DU1.db"
    facts = [
        Halted(LATER, "daily loss", "gate"),
        Halted(LATER, "restart at 23:45", "restart window", TradingState.REDUCING),
        Mismatch(LATER, "META", 1, 2),
        SplitSuspected(LATER, "META", 2, 1, "opened at half"),
        Unprotected(LATER, "NVDA", 3, "no price"),
        OrderChanged(LATER, STOP.id, OrderStatus.WORKING, 0),
    ]
    held = Holding("NVDA", 10, (Lot(10, Decimal("180.00")),), 10)
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        journal = SqliteJournal(database, "s")
        await journal.record(opening(holdings=(held,)), Step())
        await journal.record(bar(1, symbol="NVDA"), Step([Submit(STOP)], facts))
        await journal.flush()
        await database.record_job("link", OPEN, LATER, "waiting", "the nightly restart")
    return path


def said(path: Path, capsys: pytest.CaptureFixture[str], as_json: bool = False) -> tuple[int, str]:
    code = commands.status(Settings(robo_data_dir=path.parent), path, as_json)
    return code, capsys.readouterr().out


def test_every_hold_the_link_quarantines_and_stops_are_told(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, words = said(database, capsys)
    assert code == 1
    for line in (
        "NOT RUNNING",
        "trading halted",
        "HALTED since 2026-01-05T14:31:00Z market time by gate: daily loss",
        "REDUCING since 2026-01-05T14:31:00Z market time by restart window: restart at 23:45",
        "`robo-trader run … --resume REASON` lifts it",
        "link was waiting since 2026-01-05T14:30:00Z until 2026-01-05T14:31:00Z: the nightly restart",
        "holds     10 NVDA   stop 10 at 175.50  UNPROTECTED 3: no price",
        "QUARANTINED META since 2026-01-05T14:31:00Z market time: ours 1, broker 2",
        "`robo-trader reconcile` shows both sides",
        "META looks like a 2:1 split: `robo-trader split META 2 --reason …` if it was one (opened at half)",
    ):
        assert line in words
    assert "works" not in words  # a stop protects; it is not work in progress


async def test_what_was_lifted_is_told_no_more(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with await Database.open(database) as opened:
        await opened.start_session("t", LATER, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        journal = SqliteJournal(opened, "t")
        lifted = Resumed(LATER, "seen", "operator", ("gate", "restart window"))
        left = Ignored(LATER, "META", 1, LATER + MINUTE_NS, "lent")
        await journal.record(Resume(LATER, "seen", "operator"), Step(facts=[lifted, left]))
        await journal.flush()
    _, words = said(database, capsys)
    assert "trading active" in words
    assert "HALTED" not in words
    assert "; 1 left alone until 2026-01-05T14:32:00Z" in words


def test_a_dry_run_is_seen_to_hold_the_lock_of_the_account_it_looks_at(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with InstanceLock(places.lock_path("DU1")):
        _, words = said(database, capsys, as_json=True)
    assert json.loads(words)["pid"]


async def test_drift_is_told_with_its_worst_readings(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "drift  " not in said(database, capsys)[1]
    reading = Drifted(LATER, "atr_close_14", "psi", 8.0456, 4.125)
    async with await Database.open(database) as opened:
        await opened.start_session("t", LATER, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        journal = SqliteJournal(opened, "t")
        summary = DriftSummary(LATER, "2026-01-05", 720, 34, 3, True, (reading,))
        await journal.record(Resume(LATER, "seen", "operator"), Step(facts=[reading, summary]))
        await journal.flush()
    _, words = said(database, capsys)
    counts = "3 of 34 features no longer look as in training"
    assert f"drift  ALARM, {counts}, since 2026-01-05T14:31:00Z, last told 2026-01-05T14:31:00Z" in words
    assert "  atr_close_14 psi 8.05, limit 4.12, since 2026-01-05T14:31:00Z" in words


async def test_a_calm_market_has_a_line_too(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with await Database.open(database) as opened:
        await opened.start_session("t", LATER, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        journal = SqliteJournal(opened, "t")
        for ts in (LATER, LATER + MINUTE_NS):
            summary = DriftSummary(ts, "2026-01-05", 720, 34, 0, False, ())
            await journal.record(Resume(ts, "seen", "operator"), Step(facts=[summary]))
        await journal.flush()
    _, words = said(database, capsys)
    times = "since 2026-01-05T14:31:00Z, last told 2026-01-05T14:32:00Z market time"
    assert f"drift  calm, 0 of 34 features no longer look as in training, {times}" in words


async def test_the_quality_of_the_data_is_told_by_symbol_the_worst_first_and_the_worst_of_the_days_before(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = [Quality("META", 390, day="2026-01-05"), Quality("NVDA", 188, 1, 1, {"spike": 2}, "2026-01-05")]
    async with await Database.open(database) as opened:
        await opened.start_session("t", LATER, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        await opened.keep_qualities("t", [*today, Quality("META", 385, 5, day="2026-01-02")])
        await opened.start_session("u", LATER, "dry-run", "SIM-DU1", ["NVDA"], "{}")
        await opened.keep_qualities("u", [Quality("NVDA", 100, day="2026-01-05")])
        await opened.keep_qualities("u", [Quality("NVDA", 200, day="2026-01-05")])
    _, words = said(database, capsys)
    assert (
        "data 99.49% on 2026-01-05: NVDA 99.49% (1 filled in, 1 lost, refused: 2 spike)  META 100.00%"
        in words
    )
    assert "  worst before: META 98.72% (5 filled in) on 2026-01-02" in words
    _, text = said(database, capsys, as_json=True)
    found = json.loads(text)["quality"]
    assert [one["percent"] for one in found["today"]] == [pytest.approx(99.487, abs=1e-3), 100.0]
    assert found["worst_before"]["symbol"] == "META"


async def test_the_regime_of_each_symbol_is_told_as_it_was_last(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "regime NVDA" not in said(database, capsys)[1]
    async with await Database.open(database) as opened:
        journal = SqliteJournal(opened, "s")
        journal._seq = 2
        calm = RegimeChanged(OPEN, "NVDA", Regime.BULL, "", "P(bear) 0.02 by SPY")
        wild = RegimeChanged(LATER, "NVDA", Regime.CRASH, "bull", "fell 5.4% within 30 minutes")
        await journal.record(Resume(LATER, "seen", "operator"), Step(facts=[calm, wild]))
        await journal.flush()
    _, words = said(database, capsys)
    assert (
        "regime NVDA   crash    since 2026-01-05T14:31:00Z market time: fell 5.4% within 30 minutes" in words
    )
    assert "P(bear)" not in words


async def test_what_is_only_watched_is_told_apart_from_what_is_traded(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with await Database.open(database) as opened:
        config = json.dumps({"traded": ["NVDA"]})
        await opened.start_session("t", LATER, "dry-run", "SIM-DU1", ["NVDA", "SPY", "XLK"], config)
    assert "symbols NVDA  only watched SPY, XLK  database" in said(database, capsys)[1]


async def test_the_model_its_challenger_and_the_next_night_have_a_line_each(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "model  " not in said(database, capsys)[1]
    async with await Database.open(database) as opened:
        await opened.record_job("model", LATER, None, "EXPIRED", "v1, challenged by v2")
        await opened.record_job("retraining", None, LATER, "waiting", "refused: it has proven nothing")
    words = said(database, capsys)[1]
    assert "model  EXPIRED, v1, challenged by v2" in words
    assert (
        "retraining waiting, next at 2026-01-05T14:31:00Z market time  refused: it has proven nothing"
        in words
    )
    async with await Database.open(database) as opened:
        await opened.record_job("retraining", None, LATER, "running", "training: folds")
    assert "retraining running  training: folds" in said(database, capsys)[1]
