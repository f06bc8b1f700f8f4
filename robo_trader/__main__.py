"""The command line: `robo-trader` or `python -m robo_trader`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from robo_trader.core.errors import RoboTraderError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
db_app = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(db_app, name="db")

Db = Annotated[
    Path | None,
    typer.Option("--db", help="Database file; default: the one last written in the data directory."),
]


@app.command()
def run(
    symbols: Annotated[str, typer.Option(help="Ticker symbols, comma separated.")],
    use_ml: Annotated[
        bool, typer.Option("--use-ml", help="Trade the model's votes; without it an SMA crossover.")
    ] = False,
    mode: Annotated[str | None, typer.Option(help="paper, dry-run or live.")] = None,
    interval: Annotated[int, typer.Option(help="Seconds of market time between decisions.", min=1)] = 60,
    bar_size: Annotated[
        str, typer.Option(help='Bars to decide on: "1 min", "5 mins" or "30 mins".')
    ] = "1 min",
    once: Annotated[bool, typer.Option("--once", help="Stop after one bar of every symbol.")] = False,
    run_for: Annotated[str | None, typer.Option(help="Stop after this time, such as 90s, 15m or 2h.")] = None,
    practice: Annotated[str | None, typer.Option(help="Practice gateway: auto, always or never.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Practice market: seconds of market time per second.")
    ] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Start neither the page nor the hub.")
    ] = False,
    db: Db = None,
    confirm_live: Annotated[str, typer.Option(help="With --mode live: the account, spelt out.")] = "",
    resume: Annotated[str, typer.Option(help="Lift a halt that stands from before; say why.")] = "",
) -> None:
    """Trade until stopped with Ctrl-C."""

    def work() -> int:
        from robo_trader.bootstrap import places
        from robo_trader.runner_async import Request, start

        settings = _settings(execution_mode=mode, practice_mode=practice, practice_speed=speed)
        return start(
            Request(
                settings,
                places.parse_symbols(symbols),
                use_ml,
                places.parse_bar_size(bar_size),
                interval,
                once,
                None if run_for is None else places.parse_duration(run_for),
                not no_dashboard,
                confirm_live,
                resume,
                db,
            )
        )

    _end(work)


@app.command()
def status(
    db: Db = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the last session: alive or not, account, equity, positions, orders."""
    from robo_trader.bootstrap import commands

    _end(lambda: commands.status(_settings(), db, as_json))


@app.command()
def replay(
    db: Db = None,
    session: Annotated[str | None, typer.Option(help="Session id; default: the last one.")] = None,
) -> None:
    """Run a recorded session through a fresh engine and compare every step."""
    from robo_trader.bootstrap import commands

    _end(lambda: commands.replay_session(_settings(), db, session))


@app.command()
def doctor() -> None:
    """Check this machine: packages, settings, ports, data directory, database, models, TWS."""
    from robo_trader.bootstrap import doctor as checks

    _end(lambda: checks.examine(_settings()))


@app.command("config")
def show_config(
    env_example: Annotated[bool, typer.Option("--env-example", help="Print .env.example instead.")] = False,
) -> None:
    """Print the effective configuration."""
    from robo_trader import config

    if env_example:
        typer.echo(config.env_example(), nl=False)
        return
    _end(lambda: typer.echo(_settings().model_dump_json(indent=2)))


@db_app.command("backup")
def db_backup(target: Annotated[Path, typer.Argument(help="New file.")], db: Db = None) -> None:
    """Copy the database as it is now, while the daemon writes."""
    from robo_trader.bootstrap import commands

    _end(lambda: commands.backup(_settings(), db, target))


def _settings(**flags: Any) -> Any:
    from robo_trader import config, logger

    settings = config.load(**flags)
    logger.configure(settings.monitoring_log_format, settings.monitoring_log_level)
    return settings


def _end(work: Any) -> None:
    """Do the work and leave with its exit code; what goes wrong on purpose is one line, not a traceback."""
    try:
        code = work()
    except RoboTraderError as error:
        typer.echo(f"robo-trader: {error}", err=True)
        code = error.exit_code
    sys.exit(code or 0)


def main() -> None:
    """Enter from the console script."""
    app()


if __name__ == "__main__":
    main()
