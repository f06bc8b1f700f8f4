"""Training finds what is there, admits when nothing is, and never looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.ml import trainer
from robo_trader.ml.folds import FoldOptions
from robo_trader.ml.trainer import Trained
from tests.ml.conftest import QUICK, planted


def test_a_planted_edge_is_found_and_proven(proven: Trained) -> None:
    report = proven.report
    assert proven.ensemble.card.proven, proven.ensemble.card.reason
    assert report.auc.low > 0.5
    assert report.brier_skill.value > 0
    assert report.long.precision is not None
    assert report.long.precision > 0.6


def test_what_votes_won_and_lost_adds_up_to_what_they_left(proven: Trained) -> None:
    made, payoff = proven.report.record, proven.ensemble.card.payoff
    assert payoff is not None
    assert (payoff.win_bps, payoff.loss_bps, payoff.trades) == (made.win_bps, made.loss_bps, made.trades)
    left = made.precision * payoff.win_bps - (1 - made.precision) * payoff.loss_bps
    assert left == pytest.approx(made.net_bps)
    assert payoff.win_bps > 0 < payoff.loss_bps


def test_shuffled_labels_prove_nothing() -> None:
    data = planted(skill=0.6)
    order = np.random.default_rng(9).permutation(len(data.label))
    trained = trainer.train(replace(data, label=data.label[order], forward=data.forward[order]), QUICK)
    assert trained.report.auc.low <= 0.5 <= trained.report.auc.high
    assert not trained.ensemble.card.proven
    assert trained.report.long.rows == 0


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_market_without_an_edge_proves_nothing_and_gives_no_vote(seed: int) -> None:
    trained = trainer.train(planted(skill=0.0, seed=seed), QUICK)
    assert not trained.ensemble.card.proven
    assert trained.ensemble.card.reason
    assert trained.report.long.coverage + trained.report.short.coverage < 0.05


def test_the_test_block_changes_neither_models_nor_calibration(proven: Trained) -> None:
    data = planted(skill=0.6)
    test = proven.blocks.test
    changed = replace(data, label=data.label.copy(), rows=data.rows.copy())
    changed.label[test] = 1 - changed.label[test]
    changed.rows[test] *= -1
    again = trainer.train(changed, QUICK)
    assert np.array_equal(again.ensemble.predict_many(data.rows), proven.ensemble.predict_many(data.rows))
    assert again.report.auc != proven.report.auc


def test_the_same_seed_gives_the_same_models(proven: Trained) -> None:
    again = trainer.train(planted(skill=0.6), QUICK)
    assert again.report == proven.report
    for part, same in zip(again.ensemble.parts, proven.ensemble.parts, strict=True):
        for mine, theirs in zip(part, same, strict=True):
            assert np.array_equal(mine, theirs)


def test_each_stage_is_told_as_it_begins() -> None:
    told: list[str] = []
    trainer.train(planted(skill=0.6, sessions=12), QUICK, told.append)
    assert tuple(told) == trainer.STAGES


def test_too_few_rows_or_one_outcome_only_are_refused_with_a_remedy() -> None:
    with pytest.raises(DataError, match="Fetch more sessions"):
        trainer.train(planted(skill=0.6, sessions=3), QUICK)
    data = planted(skill=0.6)
    with pytest.raises(DataError, match="both outcomes"):
        trainer.train(replace(data, label=np.ones_like(data.label)), QUICK)


def test_what_the_calendar_tells_is_learnt_from_and_not_watched_for_drift() -> None:
    names = ("pull", "weekday", "half_day", "session_cos", "minutes_to_close")
    trained = trainer.train(replace(planted(skill=0.6), feature_names=names), QUICK)
    assert trained.ensemble.feature_names == names
    assert trained.reference.names == ("pull",)
    assert trained.reference.shares.shape[0] == 1


@pytest.mark.parametrize(
    ("kind", "unseen"),
    [
        (FoldOptions(groups=4, tested=2, embargo_bars=30), 20),  # each row spoken of on three paths
        (
            FoldOptions(groups=5, forward=True, embargo_bars=30),
            14,
        ),  # the first groups only teach and calibrate
    ],
)
def test_other_ways_to_cut_the_past_are_judged_on_as_well(kind: FoldOptions, unseen: int) -> None:
    trained = trainer.train(planted(skill=0.6, sessions=20), replace(QUICK, folds=kind))
    assert trained.report.sessions == pytest.approx(unseen, abs=1)
    assert trained.report.auc.value > 0.55


def test_what_was_tried_before_is_kept_and_counted() -> None:
    trained = trainer.train(planted(skill=0.6, sessions=20), QUICK, trials=40)
    assert trained.report.trials == 40
    assert "DSR, 40 tried" in [one.name for one in trained.report.criteria]
