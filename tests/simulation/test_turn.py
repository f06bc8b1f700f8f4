"""The synthetic market turns on the day it was told, and only then."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from robo_trader.bootstrap.daemon import practice_banner
from robo_trader.bootstrap.reach import practice_gateway
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.turn import Turn

SESSIONS = XnysCalendar().sessions(date(2025, 6, 2), date(2025, 7, 11))
DAY = 15


@pytest.fixture(scope="module")
def markets() -> tuple[SyntheticMarket, SyntheticMarket]:
    return SyntheticMarket(3), SyntheticMarket(3, turn=Turn(SESSIONS[DAY].label, 3.0))


def moves(market: SyntheticMarket, number: int) -> float:
    return float(np.diff(np.log(market.minutes("NVDA", SESSIONS[number]).close)).std())


def test_it_is_the_same_market_before_and_three_times_as_loud_after(markets) -> None:
    calm, turning = markets
    for number in (0, DAY - 1):
        assert moves(calm, number) == moves(turning, number)
    ratios = [moves(turning, number) / moves(calm, number) for number in range(DAY, DAY + 5)]
    assert ratios == pytest.approx([3.0] * 5, rel=0.1)


def test_volume_follows_and_it_has_a_name_of_its_own(markets) -> None:
    calm, turning = markets
    volume = [market.minutes("NVDA", SESSIONS[DAY]).volume.sum() for market in markets]
    assert 1.8 < volume[1] / volume[0] < 3
    assert calm.identity != turning.identity


@pytest.mark.parametrize(
    "text", ["", "2026-01-05", "2026-01-05:loud", "someday:3", "2026-01-05:0", "2026-01-05:nan"]
)
def test_a_turn_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigurationError, match="turn"):
        Turn.read(text)


def test_the_setting_reaches_the_gateway_and_is_said_at_the_start() -> None:
    settings = load(practice_turn="2026-01-05:3")
    arguments = practice_gateway(settings)._arguments
    assert arguments[arguments.index("--turn") + 1] == "2026-01-05:3"
    assert any("planted turn 2026-01-05:3" in line for line in practice_banner(settings, True))
    assert "--turn" not in practice_gateway(load())._arguments
    with pytest.raises(ConfigurationError, match=r"PRACTICE_TURN.*YYYY-MM-DD:FACTOR"):
        load(practice_turn="tomorrow")
