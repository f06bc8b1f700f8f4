"""The command line: `robo-trader` or `python -m robo_trader`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from robo_trader import runner_async
from robo_trader.core.errors import ConfigurationError
from robo_trader.drills.commands import app as drill_app
from robo_trader.practice_commands import Share
from robo_trader.practice_commands import app as practice_app
from robo_trader.runner_async import end, settings_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="An asyncio trading daemon for US equities at Interactive Brokers.",
    epilog="Beside it: `python -m robo_trader.train_models` trains models on stored bars, "
    "`python -m robo_trader.practice` runs a practice TWS alone, as `robo-trader practice run` does.",
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(db_app, name="db")
data_app = typer.Typer(no_args_is_help=True, help="Look at files of bars.")
app.add_typer(data_app, name="data")
alert_app = typer.Typer(no_args_is_help=True, help="How you are told when something needs you.")
app.add_typer(alert_app, name="alert")
app.add_typer(drill_app, name="drill")
app.add_typer(practice_app, name="practice")

Db = Annotated[
    Path | None,
    typer.Option("--db", help="Database file; default: the one last written in the data directory."),
]


app.command()(runner_async.run)


Account = Annotated[
    str | None, typer.Option(help="Whose daemon; default: the one of the data directory.")
]  # fmt: skip
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]
OfShare = Annotated[str, typer.Option("--symbol", help="Of which share.")]
ByThen = Annotated[
    str, typer.Option("--at", help="The last one by then, such as 2026-01-05T10:31 (New York); default: the newest.")
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def status(account: Account = None, db: Db = None, as_json: AsJson = False) -> None:
    """Show the last session: alive or not, who stops it, the link, equity, positions and their stops, orders."""
    from robo_trader.bootstrap import operating

    end(lambda: operating.status(settings_of(), operating.Which(account, db, as_json)))


@app.command()
def halt(reason: Reason = "", account: Account = None, db: Db = None, as_json: AsJson = False) -> None:
    """Stop the daemon from opening anything and take back what works and would open; stops and exits stay."""
    _tell(account, db, as_json, {"do": "halt", "reason": reason})


@app.command()
def reduce(reason: Reason = "", account: Account = None, db: Db = None, as_json: AsJson = False) -> None:
    """Stop the daemon from opening anything new; exits go on."""
    _tell(account, db, as_json, {"do": "reduce", "reason": reason})


@app.command()
def resume(
    reason: Annotated[str, typer.Option(help="What was found and mended; it is recorded.")],
    account: Account = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Let the daemon open positions again, and remove the KILL file."""
    from robo_trader.bootstrap import operating

    end(lambda: operating.resume(settings_of(), operating.Which(account, db, as_json), reason))


@app.command()
def flatten(
    symbol: Annotated[str, typer.Argument(help="The position to close.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Close every position.")] = False,
    reason: Reason = "",
    account: Account = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Close a position at the market, or all of them."""
    wish = {"do": "flatten", "symbol": symbol, "all": every, "reason": reason}
    _tell(account, db, as_json, wish)


@app.command()
def reconcile(
    symbol: Annotated[str, typer.Argument(help="A quarantined symbol to resolve.")] = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="The broker is right: our books follow.")] = False,
    flatten_it: Annotated[bool, typer.Option("--flatten", help="Adopt, then close what is there.")] = False,
    ignore_until: Annotated[
        str, typer.Option(help="Leave it out of account until then: 2h, 3d, 2026-01-05T16:00 (New York).")
    ] = "",
    reason: Reason = "",
    account: Account = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Compare the books with the broker, or say what to do about a symbol that differs."""
    from robo_trader.bootstrap import operating

    which = operating.Which(account, db, as_json)
    remedies = [("adopt", adopt), ("flatten", flatten_it), ("ignore", bool(ignore_until))]
    chosen = [how for how, wanted in remedies if wanted]
    end(lambda: operating.reconcile(settings_of(), which, symbol, chosen, ignore_until, reason))


@app.command()
def split(
    symbol: Share,
    ratio: Annotated[str, typer.Argument(help="New shares for old ones: 4, 4:1, 3/2, 1:20, 0.05.")],
    reason: Reason = "",
    since: Annotated[str, typer.Option(help="First session at the new price, as 2026-01-05.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Though one of that night is booked.")] = False,
    account: Account = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Count a share anew after a split: position, stop, features and stored bars."""
    wish = {"do": "split", "symbol": symbol, "ratio": ratio, "reason": reason, "since": since, "again": again}
    _tell(account, db, as_json, wish)


@app.command()
def kill(
    reason: Reason = "killed by hand", account: Account = None, db: Db = None, as_json: AsJson = False
) -> None:
    """Halt when nothing else does: a KILL file, the control socket, and where it is silent a signal."""
    from robo_trader.bootstrap import operating

    end(lambda: operating.kill(_data_directory(), operating.Which(account, db, as_json), reason))


def _data_directory() -> Path:
    """Return the data directory, though other settings be wrong."""
    try:
        return settings_of().robo_data_dir
    except ConfigurationError:
        return Path(os.environ.get("ROBO_DATA_DIR", "data"))


def _tell(account: str | None, db: Path | None, as_json: bool, wish: dict[str, object]) -> None:
    """Give the running daemon a command and print what it did."""
    from robo_trader.bootstrap import operating

    end(lambda: operating.command(settings_of(), operating.Which(account, db, as_json), wish))


@app.command()
def replay(
    db: Db = None,
    session: Annotated[str | None, typer.Option(help="Session id; default: the last one.")] = None,
) -> None:
    """Run a recorded session through a fresh engine and compare every step."""
    from robo_trader.bootstrap import commands

    end(lambda: commands.replay_session(settings_of(), db, session))


@app.command()
def explain(symbol: OfShare, at: ByThen = "", db: Db = None, as_json: AsJson = False) -> None:
    """Say why a share was traded, or was not: votes, regime, size, gates, orders and fills of its last decision."""
    from robo_trader.bootstrap import explain as explanation

    end(lambda: explanation.explain(settings_of(), symbol, at, db, as_json))


@app.command()
def features(
    symbol: Annotated[str, typer.Option(help="Of which share to show one vector.")] = "",
    at: Annotated[str, typer.Option(help="Its last bar by then (New York); default: the newest.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="New .parquet, .csv or .npz file to write instead.")
    ] = None,
    symbols: Annotated[str, typer.Option(help="To the file, of which shares: A,B; default: all.")] = "",
    since: Annotated[str, typer.Option("--from", help="To the file, from which bar on (New York).")] = "",
    until: Annotated[
        str, typer.Option("--to", help="To the file, up to which bar, or end of which day.")
    ] = "",
    version: Annotated[str, typer.Option(help="To the file, of which version where there are several.")] = "",
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show what the features of a share said at a bar, with group, value and warmth; or write many to a file.

    robo-trader features --symbol NVDA --at 2026-01-05T10:31

    robo-trader features --symbols AAPL,NVDA --from 2026-01-05 --to 2026-01-30 --out january.parquet
    """
    from robo_trader.bootstrap import feature_files, shown_features

    wanted = feature_files.Wanted(symbols, since, until, version)
    if out and not (symbol or at or as_json):
        end(lambda: feature_files.export(settings_of(), wanted, db, out))
    if out or not symbol or wanted != feature_files.Wanted():
        raise typer.BadParameter(
            "give --symbol, --at, --json for one bar, or --out and the others for a file"
        )
    end(lambda: shown_features.show(settings_of(), symbol, at, db, as_json))


@app.command()
def models(
    action: Annotated[str, typer.Argument(help="`promote` or `rollback`; without it they are listed.")] = "",
    version: Annotated[str, typer.Argument(help="The version to promote.")] = "",
    name: Annotated[str, typer.Option(help="Whose models; default: the only ones there are.")] = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """List the models with their verdicts and roles, trade on another one, or go back to the one before."""
    from robo_trader.bootstrap import versions

    end(lambda: versions.command(settings_of(), action, version, name, reason, as_json))


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


@data_app.command("check")
def data_check(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or SQLite file of bars.")],
    symbol: Annotated[str, typer.Option(help="One of its symbols; default: all of them.")] = "",
    zone: Annotated[
        str, typer.Option(help="Zone of its times, as America/New_York; default: found out.")
    ] = "",
    stamped: Annotated[
        str, typer.Option(help="What its times name, a bar's `start` or `end`; default: found out.")
    ] = "",
    date_order: Annotated[
        str, typer.Option(help="How it writes 05/01/2026: `day-first` or `month-first`; default: found out.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a file of bars, what reading it repairs, and how good the rest is; changes nothing."""
    from robo_trader.bootstrap import bar_files

    end(lambda: bar_files.check(file, symbol, zone, stamped, date_order, as_json))


@alert_app.command("test")
def alert_test() -> None:
    """Send a test by every way that is set up, and print how it went."""
    from robo_trader.bootstrap import watch

    end(lambda: watch.try_alerts(settings_of()))


def main() -> None:
    """Enter from the console script."""
    app()


if __name__ == "__main__":
    main()
