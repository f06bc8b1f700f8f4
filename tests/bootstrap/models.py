"""Models on the features that the desk computes, trained once and kept in as many versions as a test wants."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from robo_trader.core.events import MINUTE_NS
from robo_trader.features.feature_engine import schema_version
from robo_trader.ml import registry, trainer
from robo_trader.ml.trainer import Trained
from tests.ml.conftest import QUICK, planted

NAME = "practice-DUP1"
NAMES = ("rsi_14", "atr_14", "sma_10", "sma_20", "sma_50")


@functools.cache
def trained(skill: float = 0.6) -> Trained:
    """Return a model on five real features; without skill it proves nothing."""
    data = replace(planted(skill), feature_names=NAMES, feature_version=schema_version(MINUTE_NS))
    return trainer.train(data, QUICK)


def keep(root: Path, day: int, skill: float = 0.6) -> str:
    """Save it as the version of a day of January 2026; return the version."""
    return registry.save(trained(skill), root, NAME, datetime(2026, 1, day, tzinfo=UTC)).name
