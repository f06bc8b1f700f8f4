"""The gate lets an honest edge through and names what is wrong with everything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.events import DAY_NS, MINUTE_NS
from robo_trader.ml import gate, report
from robo_trader.ml.gate import GateOptions, Learnt
from robo_trader.ml.report import Report
from robo_trader.ml.trades import Evidence, trade
from robo_trader.ml.validation import Overlap

OVERLAP = Overlap(30 * MINUTE_NS, MINUTE_NS)
OPTIONS = GateOptions()


def evidence(
    sessions: int = 60, reach: float = 0.3, sure: float = 1.0, move: float = 25e-4, seed: int = 3
) -> Evidence:
    """Two symbols of such moves, foretold by probabilities up to `reach` from one half, said `sure` times as far."""
    rng = np.random.default_rng(seed)
    slots = np.arange(12) * 30 * MINUTE_NS
    ts = np.repeat((np.arange(sessions)[:, None] * DAY_NS + slots).ravel(), 2)
    true = 0.5 + rng.uniform(-reach, reach, len(ts))
    label = (rng.random(len(ts)) < true).astype(np.int8)
    said = 0.5 + sure * (true - 0.5)
    forward = np.where(label == 1, move, -move)
    votes = np.column_stack([said, said, said])
    return Evidence(votes, said, label, forward, ts, ts + 30 * MINUTE_NS, np.tile([0, 1], len(ts) // 2))


def cut(seen: Evidence, first: int, stop: int) -> Evidence:
    return Evidence(*(getattr(seen, name)[first:stop] for name in seen.__dataclass_fields__))


def judged(seen: Evidence, trials: int = 1, cost_bps: float = 4.0, options: GateOptions = OPTIONS) -> Report:
    border = len(seen.ts) * 4 // 5 // 24 * 24
    past, test = cut(seen, 0, border), cut(seen, border, len(seen.ts))
    learnt = Learnt(past.label, past.probability)
    return report.judge(learnt, past, test, ("a", "b", "c"), OVERLAP, cost_bps, 0.65, trials, options)


def failed(found: Report) -> set[str]:
    return {one.name for one in found.criteria if not one.passed}


def test_an_honest_edge_passes_and_is_told_in_numbers() -> None:
    found = judged(evidence())
    assert not failed(found)
    proven, reason = report.verdict(found)
    assert proven
    assert f"{found.record.trades} trades in 60 sessions never seen" in reason
    assert found.threshold == found.asked == 0.65


def test_a_coin_is_stopped_by_every_question_about_skill() -> None:
    seen = evidence()
    coin = replace(seen, label=np.random.default_rng(1).permutation(seen.label))
    coin = replace(coin, forward=np.where(coin.label == 1, 25e-4, -25e-4))
    names = failed(judged(coin))
    assert {"AUC, test block", "Brier skill, all unseen bars", "precision - confidence", "PSR"} <= names
    assert "precision at coverage" in names


def test_one_who_is_too_sure_is_stopped_by_what_came_true() -> None:
    assert {"precision - confidence", "calibration error", "reliability slope"} <= failed(
        judged(evidence(sure=1.6))
    )


def test_an_edge_that_costs_eat_is_stopped() -> None:
    names = failed(judged(evidence(move=8e-4), cost_bps=7.0))
    assert {"precision at coverage", "edge a trade", "PSR"} <= names


def test_many_tries_before_must_be_paid_for() -> None:
    seen = evidence(move=12e-4)
    assert not failed(judged(seen))
    assert failed(judged(seen, trials=100_000)) == {"DSR, 100000 tried"}


def test_too_few_votes_are_no_proof_however_right() -> None:
    found = judged(evidence(), options=GateOptions(trades_a_quarter=5_000))
    assert "trades" in failed(found)
    assert "precision at coverage" not in {one.name for one in found.criteria}


def test_one_who_learnt_by_heart_is_stopped_by_the_gap() -> None:
    seen = evidence()
    border = len(seen.ts) * 4 // 5 // 24 * 24
    by_heart = Learnt(seen.label[:border], np.where(seen.label[:border] == 1, 0.95, 0.05))
    parts = cut(seen, 0, border), cut(seen, border, len(seen.ts))
    found = report.judge(by_heart, *parts, ("a", "b", "c"), OVERLAP, 4.0, 0.65, 1, OPTIONS)
    assert failed(found) == {"log-loss, unseen - learnt"}


def test_who_is_too_good_to_be_true_is_not_believed() -> None:
    seen = evidence(reach=0.5)
    knows = replace(seen, label=(seen.probability > 0.5).astype(np.int8))
    assert "AUC, test block" in failed(judged(knows))


def test_where_the_vote_is_hardly_reached_break_even_takes_its_place() -> None:
    shy = evidence(reach=0.12)  # never says 0.65
    found = judged(shy)
    assert [found.threshold, found.break_even] == pytest.approx([0.5 + 4 / 50] * 2)
    assert found.record.trades > 200
    assert gate.break_even(np.full(10, 3e-4), 4.0) == 1.0  # no trade of these moves pays


def test_trades_of_a_symbol_do_not_overlap_and_cost_what_they_cost() -> None:
    seen = evidence()
    long = replace(seen, known_at=seen.ts + 100 * MINUTE_NS)
    made = trade(long, 0.65, 4.0)
    for symbol in (0, 1):
        rows = made.row[long.symbol[made.row] == symbol]
        assert (long.ts[rows[1:]] >= long.known_at[rows[:-1]]).all()
    assert len(made.row) < len(trade(seen, 0.65, 4.0).row)
    won = long.label[made.row] == (made.side > 0)
    assert made.net_bps == pytest.approx(np.where(won, 21.0, -29.0))


def test_a_refusal_says_what_was_found_and_what_was_asked() -> None:
    proven, reason = report.verdict(judged(evidence(sure=1.6)))
    assert not proven
    assert "(must be " in reason
