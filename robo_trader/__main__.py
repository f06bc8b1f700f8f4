"""The command line: `robo-trader` or `python -m robo_trader`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robo_trader import runner_async
from robo_trader.runner_async import end, settings_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="An asyncio trading daemon for US equities at Interactive Brokers.",
    epilog="Beside it: `python -m robo_trader.train_models` trains models on stored bars, "
    "`python -m robo_trader.practice` runs a practice TWS alone.",
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(db_app, name="db")

Db = Annotated[
    Path | None,
    typer.Option("--db", help="Database file; default: the one last written in the data directory."),
]


app.command()(runner_async.run)


@app.command()
def status(
    db: Db = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the last session: alive or not, account, equity, positions, orders."""
    from robo_trader.bootstrap import commands

    end(lambda: commands.status(settings_of(), db, as_json))


@app.command()
def replay(
    db: Db = None,
    session: Annotated[str | None, typer.Option(help="Session id; default: the last one.")] = None,
) -> None:
    """Run a recorded session through a fresh engine and compare every step."""
    from robo_trader.bootstrap import commands

    end(lambda: commands.replay_session(settings_of(), db, session))


@app.command()
def doctor() -> None:
    """Check this machine: packages, settings, ports, data directory, database, models, TWS."""
    from robo_trader import config, logger
    from robo_trader.bootstrap import doctor as checks

    def work() -> int:
        settings = config.load()
        # The findings tell what TWS said; its own words would stand between them.
        logger.configure("console", "ERROR")
        return checks.examine(settings)

    end(work)


@app.command("config")
def show_config(
    env_example: Annotated[bool, typer.Option("--env-example", help="Print .env.example instead.")] = False,
) -> None:
    """Print the effective configuration."""
    from robo_trader import config

    if env_example:
        typer.echo(config.env_example(), nl=False)
        return
    end(lambda: typer.echo(settings_of().model_dump_json(indent=2)))


@db_app.command("backup")
def db_backup(target: Annotated[Path, typer.Argument(help="New file.")], db: Db = None) -> None:
    """Copy the database as it is now, while the daemon writes."""
    from robo_trader.bootstrap import commands

    end(lambda: commands.backup(settings_of(), db, target))


def main() -> None:
    """Enter from the console script."""
    app()


if __name__ == "__main__":
    main()
