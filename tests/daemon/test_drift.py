"""A market that is not the one of the training, through the daemon: told, written down, the same in a replay."""

from __future__ import annotations

import json
import signal

import pytest

from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.turn import Turn
from tests.daemon.conftest import Desk

pytestmark = pytest.mark.daemon


async def test_a_market_that_turns_is_an_alarm_within_the_day_and_a_replay_says_the_same(desk: Desk):
    market = SyntheticMarket(1, edge=1.0, turn=Turn("2026-01-05", 5.0))
    _, port = await desk.gateway(market, speed=1200, start="2026-01-05")
    run = await desk.daemon(port, "--use-ml", ml_history_days=30)
    await run.until("training: ")
    await run.until("PROVEN")
    await run.until(" bar ", times=100)
    await run.until("matter=drift")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert "drifted" in run.text
    alarms = desk.rows("SELECT day, drifting, columns, worst FROM drift_summaries WHERE alarm ORDER BY id")
    day, drifting, columns, worst = alarms[0]
    assert day == "2026-01-05"
    assert 2 <= drifting <= columns
    named = {reading["feature"] for reading in json.loads(worst) if reading["value"] > reading["limit"]}
    told = {feature for (feature,) in desk.rows('SELECT feature FROM drifted WHERE value > "limit"')}
    assert named
    assert named <= told
    status = await desk.command("status")
    await status.end()
    assert "drift  ALARM" in status.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text
