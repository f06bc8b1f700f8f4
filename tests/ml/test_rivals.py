"""Champion and challenger are compared on the same rows, that neither has learnt from, with honest errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from robo_trader.ml import registry, rivals
from robo_trader.ml.labels import LabelOptions
from robo_trader.ml.trainer import Trained
from tests.ml.conftest import planted


def test_the_gain_is_the_mean_difference_of_log_losses_and_its_error_that_of_whole_blocks() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 900)
    champion, challenger = rng.uniform(0.2, 0.8, (2, 900))
    ts = np.repeat(np.arange(300), 3)  # three symbols speak at each moment
    found = rivals.paired(label, champion, challenger, ts, 30)

    def loss(said: np.ndarray) -> np.ndarray:
        return -(label * np.log(said) + (1 - label) * np.log(1 - said))

    better = loss(champion) - loss(challenger)
    blocks = better.reshape(10, 90).mean(axis=1)
    assert found.bars == 900
    assert found.gain == pytest.approx(better.mean())
    assert found.error == pytest.approx(blocks.std(ddof=1) / np.sqrt(10))


def test_bars_that_say_the_same_again_make_nothing_surer() -> None:
    rng = np.random.default_rng(3)
    label, ts = rng.integers(0, 2, 60), np.arange(60)
    champion, challenger = rng.uniform(0.3, 0.7, (2, 60))
    once = rivals.paired(label, champion, challenger, ts, 1)
    said = [np.repeat(one, 5) for one in (label, champion, challenger, ts)]
    assert rivals.paired(*said, 1).error == pytest.approx(once.error)


def test_one_block_alone_says_nothing_of_its_error() -> None:
    found = rivals.paired(np.ones(3), np.full(3, 0.5), np.full(3, 0.9), np.arange(3), 100)
    assert found.gain > 0
    assert found.error == np.inf


def test_only_rows_after_both_have_begun_to_be_judged_are_compared(proven: Trained) -> None:
    data = proven.dataset
    began = int(data.ts[proven.blocks.test[0]])
    later = began + (int(data.ts[-1]) - began) // 2
    found = rivals.walk_forward(proven.ensemble, began, proven.ensemble, later, data)
    assert found is not None
    assert found.rows == int((data.ts >= later).sum())
    assert found.loss == found.champion_loss
    noise = planted(skill=0.6, seed=9)
    wrong = replace(data, label=1 - noise.label)
    assert rivals.walk_forward(proven.ensemble, began, proven.ensemble, later, wrong) != found


def test_a_handful_of_rows_compares_nothing(proven: Trained) -> None:
    last = int(proven.dataset.ts[-rivals.LEAST_ROWS + 1])
    assert rivals.walk_forward(proven.ensemble, 0, proven.ensemble, last, proven.dataset) is None


def test_models_that_answer_other_questions_are_not_compared(proven: Trained, tmp_path: Path) -> None:
    one = registry.read_manifest(registry.save(proven, tmp_path, "m", datetime(2026, 1, 5, tzinfo=UTC)))
    assert rivals.other_question(one, one) == ""
    others = {"feature_version": "f2", "interval_ns": 300, "label": LabelOptions(horizon=60)}
    for name, value in others.items():
        assert rivals.other_question(one, msgspec.structs.replace(one, **{name: value})), name
