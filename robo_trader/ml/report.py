"""What an ensemble was worth on rows that it had never seen, and whether that proves anything."""

from __future__ import annotations

from dataclasses import dataclass

from robo_trader.ml import validation
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.model import Ensemble, sides
from robo_trader.ml.validation import Blocks, Interval, Overlap, Selected


@dataclass(frozen=True)
class Report:
    """What the test block said: the ensemble's scores, each member's AUC, and the rows it would have acted on."""

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


def judge(ensemble: Ensemble, dataset: Dataset, blocks: Blocks, threshold: float) -> Report:
    """Score the ensemble on the test block; `threshold` is the vote it would act on."""
    overlap = Overlap(dataset.horizon * dataset.interval_ns, dataset.interval_ns)
    label, ts = dataset.label[blocks.test], dataset.ts[blocks.test]
    answers = ensemble.answers(dataset.rows[blocks.test])
    votes, probability, forward = answers[:, :-2], answers[:, -2], dataset.forward[blocks.test]
    side = sides(votes, probability, ensemble.weight, threshold)
    return Report(
        rows=len(label),
        base_rate=float(label.mean()),
        auc=validation.auc_interval(label, probability, ts, overlap),
        train_auc=validation.auc(
            dataset.label[blocks.train], ensemble.predict_many(dataset.rows[blocks.train])
        ),
        brier=validation.brier(label, probability),
        brier_skill=validation.brier_skill(label, probability, ts, overlap),
        log_loss=validation.log_loss(label, probability),
        calibration_error=validation.calibration_error(label, probability),
        long=validation.selected(side, 1, label, probability, forward),
        short=validation.selected(side, -1, label, probability, forward),
        member_auc={
            name: validation.auc_interval(label, votes[:, i], ts, overlap)
            for i, name in enumerate(ensemble.names)
        },
    )


def verdict(report: Report) -> tuple[bool, str]:
    """Say whether the model has proven anything on the test block, and why in words."""
    if report.auc.low == report.auc.high:
        return (
            False,
            "it gives every bar the same odds: on the calibration block no member did better than chance",
        )
    doubts = []
    if report.auc.low <= 0.5:
        doubts.append(f"AUC {report.auc} may be chance")
    if report.brier_skill.value <= 0:
        doubts.append(f"Brier skill {report.brier_skill.value:+.4f} is no better than saying the base rate")
    if doubts:
        return False, ", ".join(doubts)
    return (
        True,
        f"AUC {report.auc}, Brier skill {report.brier_skill.value:+.4f} on {report.rows} rows never seen",
    )
