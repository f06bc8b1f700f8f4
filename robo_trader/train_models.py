"""Trains the ensemble on the bars of a database, says plainly whether it proved anything, and saves it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError, DataError, RoboTraderError
from robo_trader.core.events import SECOND_NS
from robo_trader.core.parent import parent_ended
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features import feature_pipeline
from robo_trader.features.base import Bars
from robo_trader.features.feature_pipeline import MatrixOptions
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml import registry, trainer
from robo_trader.ml.dataset import build_dataset
from robo_trader.ml.labels import LabelOptions, session_numbers
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.validation import Selected


def read_bars(
    path: Path, symbols: list[str], interval_ns: int, days: int, beside: Collection[str] = ()
) -> dict[str, Bars]:
    """Read the bars of each symbol's last `days` sessions, and those that warm its features, from a database or file.

    No symbols means all there are; what stands `beside` them to compare with is read where it is there. Raises DataError
    where the file cannot be read or holds none of a symbol.
    """
    found = feature_pipeline.read_bars(path, symbols, interval_ns)
    for symbol in beside:
        if symbol not in found:
            with suppress(DataError):
                found |= feature_pipeline.read_bars(path, [symbol], interval_ns)
    calendar = XnysCalendar()
    needed = days + WARM_SESSIONS  # what only warms features is not learnt from
    return {symbol: _last_sessions(symbol, bars, calendar, needed) for symbol, bars in found.items()}


def default_database(home: Path = Path("data")) -> Path:
    """Return the only database in `home`. Raises ConfigurationError where there are none or several."""
    found = sorted(home.glob("*.db"))
    if len(found) != 1:
        there = ", ".join(str(path) for path in found) or "none"
        raise ConfigurationError(f"which database? Name one with --db; in {home}/ there are: {there}")
    return found[0]


def default_name(database: Path) -> str:
    """Return the models' name for a database: its own for a practice market, `ibkr` for all that trade real prices.

    >>> default_name(Path("data/practice-DUP123456.db")), default_name(Path("data/paper-DU7.db"))
    ('practice-DUP123456', 'ibkr')
    """
    return database.stem if database.stem.startswith("practice-") else "ibkr"


def _last_sessions(symbol: str, bars: Bars, calendar: XnysCalendar, days: int) -> Bars:
    if not (np.isfinite(bars.close) & (bars.close > 0)).all():
        raise DataError(
            f"{symbol}: the database holds a close that is not a price; delete that bar and fetch it again"
        )
    number = session_numbers(bars.ts, calendar)
    keep = number > number.max(initial=-1) - days
    keep &= number >= 0
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(bars.ts[keep], *(column[keep] for column in columns))


@contextmanager
def _told(console: Console, total: int) -> Iterator[trainer.Progress]:
    """Tell of each stage: by a moving bar on a terminal, by a line elsewhere."""
    if not console.is_terminal:
        yield lambda stage: console.print(f"training: {stage}")
        return
    columns = (SpinnerColumn(), TextColumn("training: {task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("features", total=total, completed=-1)

        def advance(stage: str) -> None:
            progress.update(task, description=stage, advance=1)

        yield advance


def train_from_database(
    database: Path,
    symbols: list[str],
    name: str,
    models: Path,
    options: trainer.TrainingOptions,
    console: Console,
    days: int = 60,
    interval_ns: int = 60 * SECOND_NS,
    horizon: int = 30,
    market: str = "SPY",
    sectors: Mapping[str, str] | None = None,
) -> Path:
    """Train on the bars of a database or file, save under `models/name/` and tell the verdict; return the model's directory.

    Raises DataError where the bars are too few or unreadable. An unproven model is saved too: the daemon loads it and
    abstains, saying why.
    """
    beside = {market, *(sectors or {}).values()} - {""}
    bars = read_bars(database, symbols, interval_ns, days, beside)
    of = frozenset(
        symbols or bars.keys() - beside or bars
    )  # of what others are compared with nothing is learnt
    with _told(console, len(trainer.STAGES) + len(of)) as progress:
        matrix = MatrixOptions(market, sectors, of, np.float32)
        dataset = build_dataset(bars, XnysCalendar(), LabelOptions(horizon), interval_ns, matrix, progress)
        trained = trainer.train(dataset, options, progress)
        directory = registry.save(trained, models, name, datetime.now(UTC))
    _tell(console, trained, directory)
    return directory


def _tell(console: Console, trained: trainer.Trained, directory: Path) -> None:
    report, card = trained.report, trained.ensemble.card
    table = Table(
        "score", "test block", title=f"{report.rows} bars that no model has seen", title_justify="left"
    )
    for member, area in report.member_auc.items():
        table.add_row(f"AUC {member}", str(area))
    table.add_row("AUC ensemble", str(report.auc))
    table.add_row("AUC on its own training rows", f"{report.train_auc:.3f}")
    table.add_row("bars that went up", f"{report.base_rate:.1%}")
    table.add_row("Brier", f"{report.brier:.4f}")
    table.add_row("Brier skill over the base rate", f"{report.brier_skill.value:+.4f}")
    table.add_row("calibration error", f"{report.calibration_error:.3f}")
    table.add_row(f"votes up, P >= {trained.options.threshold:.2f}", _acted_on(report.long))
    table.add_row(f"votes down, P <= {1 - trained.options.threshold:.2f}", _acted_on(report.short))
    console.print(table)
    console.print(f"{'PROVEN' if card.proven else 'UNPROVEN'}: {card.reason}", style="bold", highlight=False)
    if not card.proven:
        console.print(
            "The daemon will load this model and abstain: it has shown nothing that chance could not."
        )
    console.print(f"saved {directory}", soft_wrap=True, highlight=False)


def _acted_on(found: Selected) -> str:
    if found.precision is None or found.confidence is None or found.move_bps is None:
        return "none"
    return (
        f"{found.coverage:.1%} of bars, right {found.precision:.1%} (said {found.confidence:.1%}), "
        f"{found.move_bps:+.1f} bp each"
    )


def command(
    symbols: Annotated[str, typer.Option(help="Comma-separated; all in the database where not given.")] = "",
    db: Annotated[
        Path | None,
        typer.Option(help="The database, CSV or Parquet file to learn from; the only database in data/."),
    ] = None,
    name: Annotated[str, typer.Option(help="Whose models these are; by the database where not given.")] = "",
    models: Annotated[Path, typer.Option(help="Where models are kept.")] = Path("trained_models"),
    days: Annotated[int, typer.Option(min=1, help="Sessions to learn from, counted from the last.")] = 60,
    bar_seconds: Annotated[int, typer.Option(min=1, help="Size of the bars.")] = 60,
    horizon: Annotated[int, typer.Option(min=1, help="Bars ahead that are forecast.")] = 30,
    market: Annotated[
        str | None, typer.Option(help="What shares are compared with; FEATURES_MARKET where not given.")
    ] = None,
    sectors: Annotated[
        str | None, typer.Option(help="What stands for their sectors; FEATURES_SECTORS where not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws; the same seed gives the same models.")] = 7,
    parent_pid: Annotated[int, typer.Option(min=0, help="End when this process ends.")] = 0,
) -> None:
    """Train random forest, XGBoost and LightGBM on stored bars, calibrate and judge them, and save them."""
    if parent_pid:
        threading.Thread(target=_end_with, args=(parent_pid,), daemon=True).start()
    # Read by the libraries when they are imported, in the trainer.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = load(features_market=market, features_sectors=sectors)
    database = db or default_database()
    train_from_database(
        database,
        [symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()],
        name or default_name(database),
        models,
        trainer.TrainingOptions(members=MemberOptions(seed=seed)),
        Console(soft_wrap=not sys.stdout.isatty()),
        days,
        bar_seconds * SECOND_NS,
        horizon,
        settings.features_market,
        settings.sectors(),
    )


def _end_with(parent_pid: int) -> None:
    asyncio.run(parent_ended(parent_pid))
    os._exit(1)  # training holds no promise to anybody: a model is there whole or not at all


def main() -> None:
    """Run the command line; errors become one line on stderr and their exit code."""
    try:
        typer.run(command)
    except RoboTraderError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"error: {error}", style="red", highlight=False, markup=False
        )
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
