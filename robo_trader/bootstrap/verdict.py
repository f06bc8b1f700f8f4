"""What came of a training, told at a terminal: scores, criteria and the verdict."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from robo_trader.ml.report import Report
from robo_trader.ml.search import Searched
from robo_trader.ml.trainer import Trained
from robo_trader.ml.validation import Selected


def tell_verdict(console: Console, trained: Trained, directory: Path) -> None:
    """Print what a training found, how the model did on rows it had not seen, and whether it may be traded on."""
    report, card = trained.report, trained.ensemble.card
    if trained.searched:
        console.print(_found(trained.searched))
    console.print(_scores(report))
    console.print(_criteria(report))
    for one in report.criteria:
        if not one.passed:
            console.print(f"{one.name}: a model that is traded on {one.meaning}", highlight=False)
    console.print(f"{'PROVEN' if card.proven else 'UNPROVEN'}: {card.reason}", style="bold", highlight=False)
    if not card.proven:
        console.print(
            "The daemon will load this model and abstain: it has not shown what it must. --allow-unproven trades on it "
            "all the same, on paper, and marks every signal."
        )
    console.print(f"saved {directory}", soft_wrap=True, highlight=False)


def _found(searched: Searched) -> Table:
    """Lay out the best of each kind of model beside what was there before."""
    title = f"{len(searched.tried)} configurations on {searched.folds} folds of the training block"
    table = Table("kind", "nats a bar", "before", "best", title=title, title_justify="left")
    for kind, best in searched.best.items():
        before = next(one for one in searched.tried if one.kind == kind)
        values = ", ".join(f"{name} {value:.3g}" for name, value in best.values.items())
        table.add_row(kind, f"{best.losses[-1]:.4f}", f"{before.losses[-1]:.4f}", values or "as it was")
    return table


def _scores(report: Report) -> Table:
    table = Table(
        "score", "test block", title=f"{report.rows} bars that no model has seen", title_justify="left"
    )
    for member, area in report.member_auc.items():
        table.add_row(f"AUC {member}", str(area))
    table.add_row("AUC on its own training rows", f"{report.train_auc:.3f}")
    table.add_row("bars that went up first", f"{report.base_rate:.1%}")
    table.add_row("Brier", f"{report.brier:.4f}")
    table.add_row("calibration error", f"{report.calibration_error:.3f}")
    table.add_row(f"votes up, P >= {report.threshold:.2f}", _acted_on(report.long))
    table.add_row(f"votes down, P <= {1 - report.threshold:.2f}", _acted_on(report.short))
    return table


def _criteria(report: Report) -> Table:
    """Lay out what the gate asked, over the test block and, fold by fold, the sessions before it."""
    table = Table(title=f"{report.sessions} sessions unseen", title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("criterion", "found", "must be"):
        table.add_column(name)
    for one in report.criteria:
        table.add_row("ok" if one.passed else "NO", one.name, one.value, one.limit)
    return table


def _acted_on(found: Selected) -> str:
    if found.precision is None or found.confidence is None or found.move_bps is None:
        return "none"
    return (
        f"{found.coverage:.1%} of bars, right {found.precision:.1%} (said {found.confidence:.1%}), "
        f"{found.move_bps:+.1f} bp each before costs"
    )
