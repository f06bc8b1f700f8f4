"""`robo-trader drill ...`: proofs that a user can run, on practice markets of their own and in directories of their own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from robo_trader.core.errors import ConfigurationError, GateFailed, RoboTraderError

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    help="Prove on a practice market that nothing is lost and nothing doubled, whatever happens to the daemon.",
)
Seed = Annotated[int, typer.Option(help="Of the market and of what happens when.", min=0)]
Speed = Annotated[float, typer.Option(help="Market seconds a second.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[
    Path | None, typer.Option("--dir", help="Keep all files there; default: a temporary directory.")
]


@app.command()
def crash(
    rounds: Annotated[int, typer.Option(help="Deaths at random moments.", min=0)] = 100,
    steps: Annotated[int, typer.Option(help="Deaths at each numbered step.", min=0)] = 2,
    seed: Seed = 1,
    workers: Annotated[int, typer.Option(help="Accounts drilled side by side.", min=1, max=16)] = 1,
    speed: Speed = 600.0,
    as_json: AsJson = False,
    directory: Where = None,
) -> None:
    """Kill the daemon with SIGKILL at random moments and at each step of an order, and compare both books each time."""
    from robo_trader.drills import crash as drill
    from robo_trader.drills.report import as_json as in_json
    from robo_trader.drills.report import table

    options = drill.CrashOptions(rounds, steps, seed, workers, speed)

    def work(home: Path) -> bool:
        began = time.monotonic()
        result = run(drill.crash(options, home))
        rows = list(result.rows.values())
        told = {
            "seed": seed,
            "workers": workers,
            "seconds": round(time.monotonic() - began, 1),
            **result.as_dict(),
        }
        typer.echo(
            in_json("crash", result.ledger, rows, **told) if as_json else f"{table(rows)}\n\n{_words(told)}"
        )
        return result.ledger.is_clean

    judge(work, directory)


@app.command()
def kill(
    way: Annotated[
        list[str] | None, typer.Option(help="Only this way to stop the desk; may be repeated.")
    ] = None,
    night: Annotated[list[str] | None, typer.Option(help="Only this bad night; may be repeated.")] = None,
    seed: Seed = 1,
    as_json: AsJson = False,
    directory: Where = None,
) -> None:
    """Stop the desk by every way there is, in every bad night, and measure at the broker when nothing opens any more."""
    from robo_trader.drills import kill as drill
    from robo_trader.drills.report import as_json as in_json

    options = drill.KillOptions(tuple(way or ()), tuple(night or ()), seed)

    def work(home: Path) -> bool:
        result = run(drill.kill(options, home))
        rows, told = result.rows(), {"seed": seed, **result.counts}
        pulls = [asdict(pull) for pull in result.pulls]
        text = f"{drill.table(result.pulls)}\n\n{_words(told)}"
        typer.echo(in_json("kill", result.ledger, rows, **told, pulls=pulls) if as_json else text)
        return result.is_clean

    judge(work, directory)


@app.command()
def faults(
    rounds: Annotated[int, typer.Option(help="How often each fault strikes alone.", min=0)] = 1,
    pairs: Annotated[int, typer.Option(help="Random pairs of faults after that.", min=0)] = 200,
    seed: Seed = 1,
    only: Annotated[str, typer.Option(help="Only this one of `practice faults`.", metavar="NAME")] = "",
    workers: Annotated[int, typer.Option(help="Rounds played side by side.", min=1, max=16)] = 1,
    speed: Speed = 600.0,
    night: Annotated[
        bool,
        typer.Option("--night", help="Instead: one session with an outage, a freeze and a restart of TWS."),
    ] = False,
    as_json: AsJson = False,
    directory: Where = None,
) -> None:
    """Let every fault of the practice gateway strike a trading daemon, alone and in pairs, and judge what it did."""
    from robo_trader.drills import faults as drill
    from robo_trader.drills import night as whole

    if night:
        judge(lambda home: whole.run(seed, whole.SPEED, as_json, home), directory)
        return
    wish = drill.Wish(rounds, pairs, seed, only, workers, speed, as_json)
    judge(lambda home: drill.run(wish, home), directory)


@app.command()
def soak(
    days: Annotated[int, typer.Option(help="Market days.", min=1)] = 30,
    seed: Seed = 1,
    speed: Speed = 600.0,
    disturbed: Annotated[bool, typer.Option("--faults/--no-faults", help="Faults at random moments.")] = True,
    as_json: AsJson = False,
    directory: Where = None,
) -> None:
    """Trade many market days at speed: books equal at each close, memory and files flat, the loop never blocked."""
    from robo_trader.drills import soak as drill

    wish = drill.Wish(days, speed, seed, disturbed, as_json)
    judge(lambda home: drill.run(wish, home), directory)


@app.command()
def nights(
    count: Annotated[
        int, typer.Option("--nights", help="Nights; the last is killed in the midst.", min=2)
    ] = 3,
    days: Annotated[int, typer.Option(help="Sessions to learn from.", min=12)] = 60,
    seed: Seed = 1,
    speed: Speed = 600.0,
    as_json: AsJson = False,
    directory: Where = None,
) -> None:
    """Retrain each night: a challenger is promoted, one refused, a training killed, a model rolled back, all replayed."""
    from robo_trader.drills import nights as drill

    wish = drill.Wish(count, days, speed, seed, as_json)
    judge(lambda home: drill.run(wish, home), directory)


def judge(work: Callable[[Path], bool], directory: Path | None) -> None:
    """Run a drill in a directory and leave with its verdict: exit 0 where it is clean, 7 where not, files kept then."""
    home = directory or Path(tempfile.mkdtemp(prefix="robo-drill-"))
    try:
        _quieten()
        home.mkdir(parents=True, exist_ok=True)
        if any(home.iterdir()):
            raise ConfigurationError(f"--dir {home} is not empty: name a new directory")
        if not work(home):
            raise GateFailed(f"FAIL: what was found is above, all files are kept in {home}")
    except RoboTraderError as error:
        typer.echo(f"robo-trader: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    if directory is None:
        shutil.rmtree(home, ignore_errors=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a drill to its end; the first error of a task group is raised as itself."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _quieten() -> None:
    from robo_trader import logger

    logger.configure("console", "ERROR")  # of the gateway in this process; the daemons write to files


def _words(told: Mapping[str, object]) -> str:
    return "  ".join(f"{name} {value}" for name, value in told.items())
