"""Regimes through the daemon: known from the first bar, carried by every signal and decision, and replayed."""

from __future__ import annotations

import signal

import pytest

from robo_trader.core.steps import Regime
from robo_trader.simulation.market import SyntheticMarket
from tests.daemon.conftest import Desk

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
