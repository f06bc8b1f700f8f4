"""Regimes through the daemon: known from the first bar, carried by every signal and decision, and replayed."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.core.steps import Regime
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import Minutes
from tests.daemon.conftest import Desk
from tests.desks import OPEN

pytestmark = pytest.mark.daemon


async def test_each_symbol_has_its_regime_from_days_of_tws_and_every_decision_carries_it(desk: Desk):
    _, port = await desk.gateway(SyntheticMarket(7), speed=3000)
    run = await desk.daemon(port)
    await run.until(" decision ", times=2)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    told = desk.rows("SELECT symbol, regime, known, why FROM regimes WHERE was = ''")
    assert {row[0] for row in told} == {"AAPL", "NVDA", "SPY"}
    for symbol, regime, known, why in told:
        assert known, (symbol, why)  # of seven months of days, though the features were warmed with fewer
        assert regime in set(Regime)
    for table in ("signals", "decisions"):
        carried = desk.rows(f"SELECT DISTINCT regime FROM {table}")
        assert carried
        assert {regime for (regime,) in carried} <= set(Regime), carried
    said = await desk.command("status")
    await said.end()
    assert said.text.count("regime ") == 3, said.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text
    assert "PASS" in replayed.text


class Falling(SyntheticMarket):
    """A market in which AMZN loses 7 % from the tenth to the twentieth minute of its first day on the wire."""

    def minutes(self, symbol: str, session: Session) -> Minutes:
        drawn = super().minutes(symbol, session)
        if (symbol, session.label) != ("AMZN", "2026-01-05"):
            return drawn
        factor = 1 - 0.007 * np.clip(np.arange(len(drawn.close)) - 9, 0, 10)
        prices = {
            name: np.round(getattr(drawn, name) * factor, 2) for name in ("open", "high", "low", "close")
        }
        return replace(drawn, **prices)


async def test_a_fall_within_half_an_hour_is_a_crash_in_the_same_session(desk: Desk):
    _, port = await desk.gateway(Falling(7), speed=3000)
    run = await desk.daemon(port, symbols="AMZN,NVDA")
    await run.until("AMZN crash")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    ((ts, was, why),) = desk.rows(
        "SELECT ts, was, why FROM regimes WHERE symbol = 'AMZN' AND regime = 'crash'"
    )
    assert why.startswith("fell 5.")
    assert was
    (last,) = desk.rows("SELECT max(ts) FROM bars WHERE symbol = 'AMZN' AND NOT history")
    assert ts <= last[0]
    assert 15 <= (ts - OPEN) // MINUTE_NS <= 20
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_kelly_sizes_by_what_the_model_was_worth_and_says_each_step(desk: Desk):
    _, port = await desk.gateway(SyntheticMarket(1, edge=1.0))
    wish = {"ml_history_days": 30, "risk_position_sizing": "kelly"}  # too few days for the gate to be sure of
    run = await desk.daemon(port, "--use-ml", "--allow-unproven", **wish)
    for reached in (
        "training: folds",
        "training: verdict",
        " ready ",
        "status=filled",
    ):  # each has its own patience
        await run.until(reached)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    (steps,) = desk.rows(
        "SELECT steps FROM decisions JOIN orders ON orders.parent_id = decisions.order_id "
        "WHERE decisions.quantity > 0 AND steps LIKE '%kelly%' LIMIT 1"
    )
    told = json.loads(steps[0])
    expected = told["probability"] - (1 - told["probability"]) * told["loss_bps"] / told["win_bps"]
    assert told["kelly_fraction"] == pytest.approx(expected)
    assert 0 < told["evidence"] < 1
    allowed = min(told[f"shares_by_{what}"] for what in ("kelly", "risk", "cap"))
    bound = min(told["regime_multiplier"] * allowed, told["shares_by_heat"])
    assert told["shares"] == math.floor(bound)
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text
    ((symbol,),) = desk.rows("SELECT symbol FROM decisions WHERE quantity > 0 LIMIT 1")
    explained = await desk.command("explain", "--symbol", symbol, "--json")
    assert await explained.end() == 0, explained.text
    why = json.loads(explained.text)
    assert why["model"]["version"] == why["said"]["model"]
    assert why["model"]["probability"] == why["said"]["probability"]  # asked again, it says the same
    assert why["model"]["payoff"] == why["said"]["payoff"]
    assert len(why["model"]["votes"]) == 5
    moved = [abs(one["without"] - why["model"]["probability"]) for one in why["model"]["mattered"]]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0
