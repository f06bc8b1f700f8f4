"""Trains the ensemble on the bars of a database, says plainly whether it proved anything, and saves it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from robo_trader.bootstrap.lesson import BY_HAND, Lesson
from robo_trader.bootstrap.places import model_name
from robo_trader.bootstrap.verdict import tell_verdict
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError, DataError, RoboTraderError
from robo_trader.core.events import DAY_NS, SECOND_NS
from robo_trader.core.parent import parent_ended
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features import feature_pipeline
from robo_trader.features.base import Bars
from robo_trader.features.feature_pipeline import MatrixOptions
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml import registry, trainer
from robo_trader.ml.crew import Crew, cluster, processes, threads
from robo_trader.ml.dataset import Dataset, build_dataset
from robo_trader.ml.labels import LabelOptions, session_numbers
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.search import SearchOptions
from robo_trader.storage.database import SQLITE_ERRORS, readonly

ALL = 1_000_000  # sessions


@dataclass(frozen=True)
class Comparison:
    """What shares are compared with; what is `required` of it must be in the source, the rest is used where it is."""

    market: str = "SPY"
    sectors: Mapping[str, str] = field(default_factory=dict)
    required: bool = False

    @property
    def symbols(self) -> frozenset[str]:
        """The market and what stands for the sectors."""
        return frozenset({self.market, *self.sectors.values()} - {""})


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


def default_name(source: Path) -> str:
    """Return the name of the models of a source: that of the account that traded in a database, whatever it is called.

    Where none has, or in a file of bars, nobody knows whose prices these are: the models are named after the file, and no
    daemon takes them for its own.

    >>> default_name(Path("bars/ibkr.csv"))
    'file-ibkr'
    """
    account = _account_of(source)
    return model_name(account) if account else f"file-{source.stem}"


def _account_of(source: Path) -> str:
    if source.suffix not in feature_pipeline.DATABASES:
        return ""
    with suppress(*SQLITE_ERRORS), closing(readonly(source)) as connection:
        row = connection.execute("SELECT account FROM sessions ORDER BY rowid DESC LIMIT 1").fetchone()
        return row[0].removeprefix("SIM-") if row else ""
    return ""


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
    comparison: Comparison | None = None,
    start: date | None = None,
    lesson: Lesson | None = None,
    crew: Crew | None = None,
) -> Path:
    """Train on the bars of a database or file, save under `models/name/` and tell the verdict; return the model's directory.

    Learnt from are the last `days` sessions, or with `start` those from that New York date on; what is there of the
    WARM_SESSIONS before them warms the features. Raises DataError where the bars are too few or unreadable. An unproven
    model is saved too: the daemon loads it and abstains, saying why. The `lesson` says how many were tried, and hears
    what came of it.
    """
    compared = comparison or Comparison()
    bars = read_bars(database, symbols, interval_ns, ALL if start else days, compared.symbols)
    if start:
        days = _sessions_from(database, bars, start)
        calendar, needed = XnysCalendar(), days + WARM_SESSIONS
        bars = {symbol: _last_sessions(symbol, one, calendar, needed) for symbol, one in bars.items()}
    # Of what others are compared with nothing is learnt.
    of = frozenset(symbols or bars.keys() - compared.symbols or bars)
    _tell_missing(console, database, compared, bars.keys(), of)
    with _told(console, len(trainer.STAGES) + options.search.rounds + len(of)) as progress:
        since = _start_of_last([bars[symbol] for symbol in of], days)
        matrix = MatrixOptions(compared.market, compared.sectors, of, np.float32, since=since)
        dataset = build_dataset(bars, XnysCalendar(), LabelOptions(horizon), interval_ns, matrix, progress)
        console.print(_window(dataset, bars, days), highlight=False)
        trials = lesson.trials - lesson.tries if lesson else 1  # the search adds its own
        trained = trainer.train(dataset, options, progress, trials, crew)
        directory = registry.save(trained, models, name, datetime.now(UTC))
    tell_verdict(console, trained, directory)
    if lesson:
        lesson.trained(trained, directory)
    return directory


def _sessions_from(source: Path, bars: Mapping[str, Bars], start: date) -> int:
    first = (start - date(1970, 1, 1)).days
    days = np.unique(np.concatenate([one.ts for one in bars.values()]) // DAY_NS)
    found = int((days >= first).sum())
    if not found:
        raise DataError(f"{source} has no bars since --from {start}")
    return found


def _start_of_last(bars: Sequence[Bars], days: int) -> int:
    """Return where the last `days` sessions of any of these bars begin, ns UTC; none of the US reaches over midnight."""
    found = np.unique(np.concatenate([one.ts for one in bars]) // DAY_NS)
    return int(found[-days:].min(initial=found.max(initial=0))) * DAY_NS


def _tell_missing(
    console: Console, source: Path, compared: Comparison, there: Collection[str], of: Collection[str]
) -> None:
    """Say what shares cannot be compared with. Raises DataError where that was asked for."""
    missing = ", ".join(sorted(compared.symbols - set(there)))
    strangers = ", ".join(sorted(set(compared.sectors) - set(there)))
    if compared.required and missing:
        raise DataError(
            f"{source} holds no bars of {missing}, which --market or --sectors name; run the daemon with the same "
            "FEATURES_MARKET and FEATURES_SECTORS once, it stores their history"
        )
    if compared.required and strangers:
        raise DataError(
            f"--sectors names {strangers}, which {source} holds no bars of: learnt from are {', '.join(sorted(of))}"
        )
    if missing:
        console.print(f"not compared with {missing}: no bars in {source}", highlight=False)


def _window(dataset: Dataset, bars: Mapping[str, Bars], days: int) -> str:
    """Say which sessions are learnt from, and what else of the bars only warmed the features."""
    first, last = (datetime.fromtimestamp(int(ts) // SECOND_NS, UTC).date() for ts in dataset.ts[[0, -1]])
    read = len(np.unique(np.concatenate([one.ts for one in bars.values()]) // DAY_NS))
    said = f"learning from {dataset.sessions} sessions, {first} to {last}"
    if dataset.sessions < days:
        said += f", of {days} asked for: there are no more in which the features are warm"
    return f"{said}; {read - dataset.sessions} more only warm the features"


def command(
    symbols: Annotated[str, typer.Option(help="Comma-separated; all in the database where not given.")] = "",
    db: Annotated[
        Path | None,
        typer.Option(help="The database, CSV or Parquet file to learn from; the only database in data/."),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="Whose models these are: practice-<account>, or ibkr for real prices; by the account that traded in the "
            "database where not given, file-<name> where none has."
        ),
    ] = "",
    models: Annotated[Path, typer.Option(help="Where models are kept.")] = Path("trained_models"),
    days: Annotated[
        int,
        typer.Option(
            min=1,
            help=f"Sessions to learn from, the last there are; up to {WARM_SESSIONS} before them warm the features.",
        ),
    ] = 60,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="DATE", help="Learn from the sessions since then, and not from so many days."
        ),
    ] = "",
    bar_seconds: Annotated[int, typer.Option(min=1, help="Size of the bars.")] = 60,
    horizon: Annotated[int, typer.Option(min=1, help="Bars ahead that are forecast.")] = 30,
    threshold: Annotated[
        float | None, typer.Option(help="Vote to be judged at; ML_THRESHOLD where not given.")
    ] = None,
    tried_before: Annotated[
        int,
        typer.Option(min=0, help="Models tried for this until now, where that is more than are recorded."),
    ] = 0,
    trials: Annotated[
        int, typer.Option(min=0, help="Configurations of each kind of model to try on the training block.")
    ] = 0,
    trial_seconds: Annotated[
        float, typer.Option(min=0, help="When no more of them are begun; 0 for when all are tried.")
    ] = 0.0,
    cluster_at: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="tcp://HOST:PORT",
            help="A dask scheduler whose workers grow the models of folds.",
        ),
    ] = "",
    market: Annotated[
        str | None, typer.Option(help="What shares are compared with; FEATURES_MARKET where not given.")
    ] = None,
    sectors: Annotated[
        str | None, typer.Option(help="What stands for their sectors; FEATURES_SECTORS where not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws; the same seed gives the same models.")] = 7,
    promote: Annotated[
        bool,
        typer.Option("--promote", help="If it proves itself, trade on it at once; without it may challenge."),
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Folds learnt at once; 0 for all processors.")] = 0,
    nice: Annotated[int, typer.Option(min=0, max=19, help="How far to give way to other processes.")] = 0,
    by: Annotated[str, typer.Option(help="Who wants it; it is recorded.")] = BY_HAND,
    parent_pid: Annotated[int, typer.Option(min=0, help="End when this process ends.")] = 0,
) -> None:
    """Train models on stored bars, calibrate and judge them, and save them; each training counts as a trial."""
    if parent_pid:
        threading.Thread(target=_end_with, args=(parent_pid,), daemon=True).start()
    _give_way(nice)
    # Read by the libraries when they are imported, in the trainer.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = load(features_market=market, features_sectors=sectors, ml_threshold=threshold)
    database = db or default_database()
    console = Console(soft_wrap=not sys.stdout.isatty())
    search = SearchOptions(trials, trial_seconds or None)
    lesson = Lesson(
        database, models, name or default_name(database), by, seed, promote, tried_before + 1, search.count
    )
    lesson.begin(lambda said: console.print(said, highlight=False))
    try:
        train_from_database(
            database,
            [symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()],
            lesson.name,
            models,
            trainer.TrainingOptions(
                threshold=settings.ml_threshold,
                members=MemberOptions(seed=seed),
                search=search,
            ),
            console,
            days,
            bar_seconds * SECOND_NS,
            horizon,
            Comparison(settings.features_market, settings.sectors(), required=bool(market or sectors)),
            _date(start),
            lesson,
            _crew(cluster_at, trials, workers),
        )
    except RoboTraderError as error:
        lesson.failed(str(error))
        raise


def _give_way(nice: int) -> None:
    os.nice(nice)
    if nice:  # where Linux shares the processors among sessions first, and then within each
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"--from {text!r}: expected a date such as 2026-01-05") from None


def _crew(address: str, trials: int, workers: int) -> Crew:
    """Choose who grows the models of folds: processes where many are to come, for they take seconds to start."""
    if address:
        return cluster(address)
    return processes(workers or None) if trials else threads(workers or None)


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
