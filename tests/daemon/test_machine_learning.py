"""`--use-ml` through the daemon: trains where there is no model, trades an edge that is there, abstains where none is."""

from __future__ import annotations

import signal

import pytest

from robo_trader.simulation.market import SyntheticMarket
from tests.daemon.conftest import Desk

pytestmark = pytest.mark.daemon

LESS_HISTORY = {"ml_history_days": 30}


async def test_a_planted_edge_is_learnt_proven_and_traded_and_the_model_is_found_again(desk: Desk):
    _, port = await desk.gateway(SyntheticMarket(1, edge=1.0))
    run = await desk.daemon(port, "--use-ml")
    await run.until("training: reference of drift")  # each wait has patience of its own
    await run.until("status=filled")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    ((version, verdict),) = desk.rows("SELECT version, verdict FROM models")
    assert "AUC" in verdict
    signals = desk.rows(
        "SELECT model, probability, reason FROM signals WHERE kind = 'signal' AND direction != 0"
    )
    assert signals
    for model, probability, reason in signals:
        assert model == version
        assert probability >= 0.65
        assert "threshold 0.65" in reason
    again = await desk.daemon(port, "--use-ml", "--once")
    assert await again.end() == 0
    assert "training:" not in again.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_where_nothing_can_be_learnt_it_abstains_says_why_and_never_trades(desk: Desk):
    _, port = await desk.gateway(SyntheticMarket(7, edge=0.0), speed=6000)
    run = await desk.daemon(port, "--use-ml", **LESS_HISTORY)
    await run.until("abstained", times=2)
    await run.until(" bar ", times=300)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert "UNPROVEN" in run.text
    assert desk.rows("SELECT count(*) FROM orders") == [(0,)]
    reasons = {reason for (reason,) in desk.rows("SELECT reason FROM signals WHERE kind = 'abstained'")}
    assert any("unproven" in reason and "AUC" in reason for reason in reasons), reasons
