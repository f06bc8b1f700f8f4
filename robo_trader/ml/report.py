"""What an ensemble was worth on rows that it had never seen, and whether that proves anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.steps import Payoff
from robo_trader.ml import gate, validation
from robo_trader.ml.gate import Criterion, GateOptions, Learnt, Record
from robo_trader.ml.model import sides
from robo_trader.ml.trades import Evidence, trade
from robo_trader.ml.validation import Interval, Overlap, Selected

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """What the ensemble was worth: scores of the test block; `record` and most `criteria` of all unseen rows.

    Votes of `threshold` count, where `asked` is hardly ever reached; at `break_even` a trade just earns its cost.
    `trials` is how many models were tried for this, `sessions` how many the unseen rows reach over.
    """

    rows: int
    base_rate: float
    auc: Interval
    train_auc: float
    brier: float
    brier_skill: Interval
    log_loss: float
    calibration_error: float
    long: Selected
    short: Selected
    member_auc: dict[str, Interval]
    sessions: int
    asked: float
    threshold: float
    break_even: float
    trials: int
    record: Record
    criteria: tuple[Criterion, ...]


def judge(
    learnt: Learnt,
    past: Evidence,
    test: Evidence,
    names: tuple[str, ...],
    overlap: Overlap,
    cost_bps: float,
    asked: float,
    trials: int,
    options: GateOptions,
    tried: Floats | None = None,
) -> Report:
    """Judge the ensemble by what was said of the test block and, fold by fold, of the rows before it (`past`).

    `tried` (sessions, configurations) is what each earned that was searched among.
    """
    threshold = gate.acting_threshold(past, asked, cost_bps, options)
    seen = past.and_then(test)
    trades = trade(seen, threshold, cost_bps)
    even = gate.break_even(seen.forward, cost_bps)
    auc = validation.auc_interval(test.label, test.probability, test.ts, overlap)
    skill = validation.brier_skill(test.label, test.probability, test.session)
    group, side = validation.equal_mass(test.probability), sides(test.votes, test.probability, threshold)
    return Report(
        rows=len(test.label),
        base_rate=float(test.label.mean()),
        auc=auc,
        train_auc=validation.auc(learnt.label, learnt.probability),
        brier=validation.brier(test.label, test.probability),
        brier_skill=skill,
        log_loss=validation.log_loss(test.label, test.probability),
        calibration_error=validation.calibration_error(test.label, test.probability, group),
        long=validation.selected(side, 1, test.label, test.probability, test.forward),
        short=validation.selected(side, -1, test.label, test.probability, test.forward),
        member_auc={
            name: validation.auc_interval(test.label, test.votes[:, i], test.ts, overlap)
            for i, name in enumerate(names)
        },
        sessions=len(np.unique(seen.session)),
        asked=asked,
        threshold=threshold,
        break_even=even,
        trials=trials,
        record=gate.record(seen, trades),
        criteria=(
            *gate.forecasts(seen, auc, skill, learnt, overlap, options),
            *gate.trading(seen, trades, even, options),
            *gate.luck(seen, trades, names, trials, options, tried),
        ),
    )


def payoff(report: Report) -> Payoff | None:
    """Return what votes came to, None where there were none that came true, or none that did not."""
    made = report.record
    if made.win_bps is None or made.loss_bps is None:
        return None
    return Payoff(made.win_bps, made.loss_bps, made.trades)


def verdict(report: Report) -> tuple[bool, str]:
    """Say whether the model has proven itself by every criterion, and in words which it failed."""
    if report.auc.low == report.auc.high:
        return (
            False,
            "it gives every bar the same odds: on the calibration block no member did better than chance",
        )
    failed = [one for one in report.criteria if not one.passed]
    if failed:
        said = [f"{one.name} {one.value} (must be {one.limit})" for one in failed[:3]]
        return False, ", ".join(said) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    return True, f"AUC {report.auc}, {_acting(report)}"


def _acting(report: Report) -> str:
    made = report.record
    lowered = (
        f", break-even, for {report.asked:g} is hardly ever reached"
        if report.threshold < report.asked
        else ""
    )
    return (
        f"{made.trades} trades in {report.sessions} sessions never seen, right {made.precision:.1%}, {made.net_bps:+.1f} bp "
        f"each after costs at P >= {report.threshold:.2f}{lowered}"
    )
