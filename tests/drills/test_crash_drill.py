"""The short form of `drill crash`: a death at every step and some at random moments, and nothing lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from robo_trader.drills.crash import RANDOM, CrashOptions, Round, crash, plan
from robo_trader.drills.ledger import COUNTERS
from robo_trader.drills.steps import NAMES

ROUNDS = 8  # at random moments; with one death at each of 17 steps they are 25


def test_the_same_seed_draws_the_same_deaths_and_each_step_has_its_share():
    options = CrashOptions(rounds=50, at_each_step=3, seed=5)
    deaths = plan(options)
    assert deaths == plan(options)
    assert deaths != plan(CrashOptions(rounds=50, at_each_step=3, seed=6))
    assert len(deaths) == 50 + 3 * len(NAMES)
    for name in NAMES:
        assert sum(death.name == name for death in deaths) == 3
    moments = [death.u for death in deaths if death.name == RANDOM]
    assert min(moments) < 0.1
    assert max(moments) > 0.9
    assert isinstance(deaths[0], Round)


@pytest.mark.daemon
async def test_the_daemon_killed_at_every_step_loses_nothing_and_doubles_nothing(tmp_path: Path):
    result = await crash(CrashOptions(rounds=ROUNDS, at_each_step=1, seed=1, workers=2), tmp_path)
    assert list(result.ledger.found.values()) == []
    assert result.ledger.counts == dict.fromkeys(COUNTERS, 0)
    assert {name: row.happened for name, row in result.rows.items()} == {RANDOM: ROUNDS} | dict.fromkeys(
        NAMES, 1
    )
    assert all(row.ready_s for row in result.rows.values())
    assert result.executions > 100
    assert result.replayed >= len(NAMES) + ROUNDS
