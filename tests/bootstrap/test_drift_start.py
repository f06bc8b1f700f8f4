"""A desk compares features with the training from its first bar on: its start brings the window with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from robo_trader.bootstrap import plan
from robo_trader.bootstrap.past import warm_desk
from robo_trader.config import load
from robo_trader.core.events import MINUTE_NS, AccountSnapshot, Bar
from robo_trader.core.protocols import Session
from robo_trader.core.steps import Drifted, DriftSummary
from robo_trader.data import bars as data_bars
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.feature_engine import schema_version
from robo_trader.features.technical_indicators import NAMES
from robo_trader.ml import registry, trainer
from tests.ml.conftest import QUICK, planted

CALENDAR = XnysCalendar()
DAYS = CALENDAR.before("2026-01-08", 3)  # 5, 6, 7 January
TODAY = CALENDAR.after("2026-01-07")
HORIZON = 30
SEEN = ("close_location", "rsi_14", "atr_14", "sma_200", "obv")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes noise for those features, so that whatever they say looks otherwise."""
    noise = replace(planted(0.6), feature_names=SEEN, feature_version=schema_version(MINUTE_NS))
    created = datetime(2026, 1, 5, tzinfo=UTC)
    return registry.save(trainer.train(noise, QUICK), tmp_path_factory.mktemp("models"), "m", created)


@pytest.fixture(scope="module")
def known() -> dict[str, list[Bar]]:
    """Minutes of three days and of five minutes today, of two shares and the market."""
    closes = [ts for day in DAYS for ts in range(day.open + MINUTE_NS, day.close + 1, MINUTE_NS)]
    closes += [TODAY.open + n * MINUTE_NS for n in range(1, 6)]
    return {symbol: walk(symbol, closes, seed) for seed, symbol in enumerate(("NVDA", "AAPL", "SPY"))}


def walk(symbol: str, closes: list[int], seed: int) -> list[Bar]:
    steps = np.random.default_rng(seed).normal(0, 4e-4, len(closes))
    prices = np.round(100 * np.exp(np.cumsum(steps)), 2).tolist()
    return [
        Bar(symbol, ts, price, price + 0.02, price - 0.02, price, 100.0, history=True)
        for ts, price in zip(closes, prices, strict=True)
    ]


def plan_of(model: Path, use_ml: bool = True) -> plan.Plan:
    return plan.build_plan(
        load(), session_id="s", account="DU1", traded=("NVDA", "AAPL"), ticks={"NVDA": Decimal("0.01")},
        bar_s=60, interval_s=60, use_ml=use_ml, model=model if use_ml else None,
    )  # fmt: skip


def facts_of_first_bar(the_plan: plan.Plan, warmth: plan.Warmth) -> list[object]:
    engine = plan.build_engine(the_plan, warmth)
    cash = Decimal(100_000)
    engine.on_event(AccountSnapshot(TODAY.open + 5 * MINUTE_NS, "DU1", cash, cash))
    step = engine.on_event(Bar("NVDA", TODAY.open + 6 * MINUTE_NS, 100.0, 100.5, 99.5, 100.0, 100.0))
    return [fact for fact in step.facts if isinstance(fact, Drifted | DriftSummary)]


def test_a_start_keeps_the_newest_session_of_each_traded_share_bit_for_bit(
    model: Path, known: dict[str, list[Bar]]
):
    the_plan = plan_of(model)
    warmth = warm_desk(the_plan, known)
    assert plan.read_warmth("s", plan.write_warmth(warmth)) == warmth
    assert warmth.recent.keys() == {"NVDA", "AAPL"}
    columns = {symbol: data_bars.columns(bars) for symbol, bars in known.items()}
    matrices = plan.new_features(the_plan).matrices(columns)
    window = registry.load_reference(model).window
    wanted = [
        i for i, bar in enumerate(known["NVDA"])
        if (session_of(bar).close - bar.ts) // MINUTE_NS >= HORIZON
    ][-window:]  # fmt: skip
    seen = np.array([NAMES.index(name) for name in SEEN])
    ts, rows = warmth.recent["NVDA"].read(seen, len(NAMES))
    assert len(ts) == window
    assert ts.tolist() == [known["NVDA"][i].ts for i in wanted]
    assert rows.shape == (window, len(NAMES))
    assert (rows[:, seen] == matrices["NVDA"][np.ix_(wanted, seen)].astype(np.float32)).all()
    assert np.isnan(np.delete(rows, seen, axis=1)).all()


def test_a_window_of_before_is_read_whole(model: Path, known: dict[str, list[Bar]]):
    the_plan = plan_of(model)
    warmth = warm_desk(the_plan, known)
    matrices = plan.new_features(the_plan).matrices({s: data_bars.columns(bars) for s, bars in known.items()})
    before = {
        symbol: plan.Recent(
            kept.ts, matrices[symbol][np.isin(closes_of(known[symbol]), kept_ts(kept))].tobytes()
        )
        for symbol, kept in warmth.recent.items()
    }
    old = msgspec.structs.replace(warmth, recent=before)
    told, was = facts_of_first_bar(the_plan, warmth), facts_of_first_bar(the_plan, old)
    assert [type(fact) for fact in told] == [type(fact) for fact in was]
    assert told[-1].rows == was[-1].rows


def closes_of(bars: list[Bar]) -> list[int]:
    return [bar.ts for bar in bars]


def kept_ts(recent: plan.Recent) -> list[int]:
    return np.frombuffer(recent.ts, dtype=np.int64).tolist()


def session_of(bar: Bar) -> Session:
    session = CALENDAR.session(bar.ts)
    assert session is not None
    return session


def test_drift_is_told_with_the_first_bar_and_the_same_of_what_was_kept(
    model: Path, known: dict[str, list[Bar]]
):
    the_plan = plan_of(model)
    warmth = warm_desk(the_plan, known)
    facts = facts_of_first_bar(the_plan, warmth)
    assert any(isinstance(fact, Drifted) for fact in facts)
    assert isinstance(facts[-1], DriftSummary)
    assert facts[-1].alarm
    assert facts[-1].rows == 2 * registry.load_reference(model).window
    kept = plan.read_warmth("s", plan.write_warmth(warmth))
    assert kept is not None
    assert facts_of_first_bar(the_plan, kept) == facts


def test_a_state_of_before_the_window_was_kept_is_read_and_says_nothing_yet(
    model: Path, known: dict[str, list[Bar]]
):
    the_plan = plan_of(model)
    told = msgspec.to_builtins(warm_desk(the_plan, known), builtin_types=(bytes,))
    del told["recent"]
    old = plan.read_warmth("s", msgspec.msgpack.encode(told))
    assert old is not None
    assert old.recent == {}
    assert facts_of_first_bar(the_plan, old) == []


def test_without_a_model_there_is_no_window_to_keep(model: Path, known: dict[str, list[Bar]]):
    the_plan = plan_of(model, use_ml=False)
    warmth = warm_desk(the_plan, known)
    assert warmth.recent == {}
    assert facts_of_first_bar(the_plan, warmth) == []


def test_a_plan_of_before_these_fields_is_read_with_their_defaults(model: Path):
    told = msgspec.to_builtins(plan_of(model))
    for name in ("drift_options", "market", "sectors", "features"):
        del told[name]
    read = plan.read_plan("s", told)
    assert (read.drift_options, read.market, read.sectors) == (plan.DriftOptions(), "SPY", {})
    assert read.features == ""
