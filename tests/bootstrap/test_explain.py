"""`robo-trader explain`: what led to a decision and what came of it, refusals and abstentions as well."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from robo_trader.bootstrap import plan
from robo_trader.bootstrap.explain import explain
from robo_trader.config import Settings
from robo_trader.core.engine import Engine
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import Bar, Event, Fill, OrderStatus, OrderUpdate, Side
from robo_trader.core.protocols import Sizing, View
from robo_trader.core.steps import Abstained, Fact, Signal
from robo_trader.data.sessions import XnysCalendar
from robo_trader.risk.gates import GateOptions, all_gates
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.strategies.regime_detector import RegimeDetector
from tests.bootstrap.test_plan import planned
from tests.desks import OPEN, Scripted, bar, desk, opening


@dataclass
class Quiet(Scripted):
    """Says why it says nothing, where it wants nothing."""

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        return super().on_bar(bar, view) or [Abstained(bar.ts, bar.symbol, self.name, "no vote in 30 bars")]


class Stingy:
    """Finds every signal too small."""

    def size(self, signal: Signal, view: View) -> Sizing:
        return Sizing(0, {"shares_by_risk": 0.4}, "too small for its commission")


def engine_of(strategy: Scripted, sizer: object = None, **limits: float) -> Engine:
    made = desk(strategy, all_gates(GateOptions(**limits)))
    parts = msgspec.structs.replace(made._parts, regimes=RegimeDetector("", XnysCalendar()))
    return Engine(msgspec.structs.replace(parts, sizer=sizer) if sizer else parts)


async def recorded(
    home: Path, engine: Engine, events: Sequence[Event], the_plan: plan.Plan | None = None
) -> Path:
    path = home / "paper-DU1.db"
    the_plan = the_plan or planned(use_ml=False)
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "paper", "DU1", ["NVDA"], plan.to_json(the_plan))
        journal = SqliteJournal(database, "s")
        for event in events:
            await journal.record(event, engine.on_event(event))
        await journal.flush()
    return path


def told(path: Path, capsys: pytest.CaptureFixture[str], at: str = "") -> tuple[dict, str]:
    settings = Settings(robo_data_dir=path.parent)
    assert explain(settings, "nvda", at, None, as_json=True) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert explain(settings, "NVDA", at, path, as_json=False) == 0
    return as_json, capsys.readouterr().out


async def test_an_order_is_told_from_its_bar_to_its_fill(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    engine = engine_of(Scripted(wants=[("NVDA", 1)]))
    filled = Fill(bar(2).ts, "s-1.1", "e1", "NVDA", Side.BUY, 100, Decimal("100.02"), Decimal("1.00"))
    events = [
        opening(),
        bar(1, close=100.25),
        OrderUpdate(bar(1).ts, "s-1.1", OrderStatus.WORKING, 0, 100, 7),
        filled,
        bar(3),
    ]
    as_json, words = told(await recorded(tmp_path, engine, events), capsys)
    assert as_json["bar"]["close"] == 100.25
    assert as_json["regime"]["known"] is False
    assert as_json["said"]["regime"] == as_json["decisions"][0]["regime"] == "neutral"
    (decision,) = as_json["decisions"]
    assert (decision["quantity"], decision["refused"], decision["gates"][0]) == (100, [], "halted")
    assert [order["status"] for order in decision["orders"]] == ["filled"]
    assert [fill["price"] for fill in decision["fills"]] == ["100.02"]
    for line in (
        "NVDA  2026-01-05 09:31 New York  session s, event 2",
        "bar       open 100.25  high 100.25  low 100.25  close 100.25  volume 1,000",
        "regime    neutral  not known: volatility is ranked from 146 days on, 0 are known",
        "signal    long by scripted: told to",
        "decision  BUY 100 as s-1, worked by market",
        "gates     refused nothing: halted, market_closed,",
        "order     s-1.1  BUY 100 MKT  filled, 100 filled",
        "fill      BUY 100 at 100.02  commission 1.00  of s-1.1",
    ):
        assert line in words


async def test_a_refusal_is_told_with_its_gate_value_and_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    engine = engine_of(Scripted(wants=[("NVDA", 1)]), max_order_notional_usd=5000.0)
    as_json, words = told(await recorded(tmp_path, engine, [opening(), bar(1)]), capsys)
    (refused,) = as_json["decisions"][0]["refused"]
    assert (refused["gate"], refused["value"], refused["limit"]) == ("order_notional", 10_000.0, 5000.0)
    assert as_json["decisions"][0]["orders"] == []
    assert "refused   s-1.1 by order_notional: order of 100 NVDA (value 10000.0, limit 5000.0)" in words
    assert "gates" not in words


async def test_an_abstention_and_a_size_of_nothing_are_decisions_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    engine = engine_of(Quiet(wants=[("NVDA", 1)]), Stingy())
    path = await recorded(tmp_path, engine, [opening(), bar(1), bar(2)])
    as_json, words = told(path, capsys)
    assert as_json["decisions"] == []
    assert "abstained no vote in 30 bars" in words
    assert "decision  none: nothing to change" in words
    as_json, words = told(path, capsys, "2026-01-05T09:31")
    assert as_json["decisions"][0]["steps"] == {"shares_by_risk": 0.4}
    assert "decision  no order: too small for its commission" in words


async def test_a_model_that_is_gone_leaves_what_the_journal_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    the_plan = msgspec.structs.replace(planned(), model=str(tmp_path / "gone"))
    engine = engine_of(Quiet())
    as_json, words = told(await recorded(tmp_path, engine, [opening(), bar(1)], the_plan), capsys)
    assert "manifest" in as_json["model"]["unknown"]
    assert "votes     not shown: " in words
    assert "abstained no vote in 30 bars" in words


async def test_features_that_are_kept_no_longer_or_are_not_those_of_the_journal_are_not_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    the_plan = msgspec.structs.replace(planned(), model=str(tmp_path / "gone"))
    path = await recorded(tmp_path, engine_of(Quiet()), [opening(), bar(1)], the_plan)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM features")
        connection.commit()
    assert told(path, capsys)[0]["model"]["unknown"] == "the features of this bar are not kept any more"


async def test_before_the_first_decision_and_at_no_time_there_is_nothing_to_explain(tmp_path: Path):
    path = await recorded(tmp_path, engine_of(Quiet()), [opening(), bar(1)])
    settings = Settings(robo_data_dir=tmp_path)
    with pytest.raises(DataError, match="no signal, abstention or decision of NVDA by 2026-01-05T09:30"):
        explain(settings, "NVDA", "2026-01-05T09:30", path, as_json=False)
    with pytest.raises(DataError, match=r"decision of META$"):
        explain(settings, "META", "", path, as_json=False)
    with pytest.raises(ConfigurationError, match="expected a time"):
        explain(settings, "NVDA", "noon", path, as_json=False)
