"""The champion is traded on, the challenger is only heard, and who is which changes when the desk is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import ModelChanged, Role
from robo_trader.core.steps import Shadow, Signal
from robo_trader.ml.model import Ensemble
from robo_trader.strategies.ml_strategy import MLStrategy
from robo_trader.strategies.succession import Succession
from tests.strategies.test_ml_strategy import CARD, NAMES, NONE, UP, Desk, bar, ensemble

KEPT = {
    version: ensemble(replace(CARD, version=version), high) for version, high in (("v1", 1.0), ("v2", 2.0))
}


def load(version: str, sha256: str) -> Ensemble:
    if sha256 != f"hash of {version}":
        raise DataError(f"{version} is gone")
    return KEPT[version]


def succession(challenger: str = "") -> Succession:
    champion = KEPT["v1"]
    return Succession(MLStrategy(champion, NAMES), champion, NAMES, load, KEPT.get(challenger))


def change(role: Role, version: str, sha256: str | None = None) -> ModelChanged:
    return ModelChanged(7, role, version, f"hash of {version}" if sha256 is None else sha256, "why", "test")


def play(strategy: Succession, minute: int, pull: float | None = UP) -> list:
    desk = Desk()
    desk.pull = pull
    return list(strategy.on_bar(bar(minute), desk))


def test_both_are_told_of_each_bar_and_only_the_champion_is_followed() -> None:
    said = play(succession("v2"), 1)
    (signal,) = [one for one in said if isinstance(one, Signal)]
    (shadow,) = [one for one in said if isinstance(one, Shadow)]
    assert signal.model == shadow.champion == "v1"
    assert shadow.challenger == "v2"
    assert shadow.said == pytest.approx(1 / (1 + np.exp(-1)))
    assert shadow.shadow == pytest.approx(1 / (1 + np.exp(-2)))


def test_without_a_challenger_or_features_or_a_session_nothing_is_compared() -> None:
    assert not [one for one in play(succession(), 1) if isinstance(one, Shadow)]
    assert not [one for one in play(succession("v2"), 1, None) if isinstance(one, Shadow)]
    assert not [one for one in play(succession("v2"), 1, float("nan")) if isinstance(one, Shadow)]
    desk = Desk()
    desk.day = None
    assert list(succession("v2").on_bar(bar(1), desk)) == []
    assert list(succession("v2").on_bar(bar(1, history=True), Desk())) == []


def test_a_challenger_comes_goes_and_takes_over_in_the_midst_of_a_session() -> None:
    strategy = succession()
    strategy.adopt(change(Role.CHALLENGER, "v2"))
    assert [one.challenger for one in play(strategy, 1, NONE) if isinstance(one, Shadow)] == ["v2"]
    strategy.adopt(change(Role.CHAMPION, "v2"))
    strategy.adopt(change(Role.CHALLENGER, "", ""))
    said = play(strategy, 2)
    assert [one.model for one in said if isinstance(one, Signal)] == ["v2"]
    assert not [one for one in said if isinstance(one, Shadow)]


def test_a_version_that_is_not_the_one_that_was_named_is_not_adopted() -> None:
    strategy = succession()
    with pytest.raises(DataError, match="v2 is gone"):
        strategy.adopt(change(Role.CHAMPION, "v2", "another hash"))
    assert [one.model for one in play(strategy, 1) if isinstance(one, Signal)] == ["v1"]
