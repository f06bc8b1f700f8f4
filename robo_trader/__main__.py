"""The command line: `robo-trader` or `python -m robo_trader`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from robo_trader import runner_async
from robo_trader.core.errors import ConfigurationError
from robo_trader.drills.commands import app as drill_app
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
practice_app = typer.Typer(
    no_args_is_help=True, help="Run a practice TWS, and command it: faults, halts, splits, orders by hand."
)
app.add_typer(practice_app, name="practice")

Db = Annotated[
    Path | None,
    typer.Option("--db", help="Database file; default: the one last written in the data directory."),
]
Port = Annotated[int, typer.Option(help="The practice gateway's port.")]
ControlDir = Annotated[
    Path | None, typer.Option("--control", help="Where its control socket is; default: the temporary directory.")
]  # fmt: skip
Share = Annotated[str, typer.Argument(metavar="SYMBOL", help="A share.")]
ShareOrMarket = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="A share, or `market` for all of them.")
]  # fmt: skip


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
def features(symbol: OfShare, at: ByThen = "", db: Db = None, as_json: AsJson = False) -> None:
    """Show what the features of a share said: each with its group, its value, and whether it was warm."""
    from robo_trader.bootstrap import shown_features

    end(lambda: shown_features.show(settings_of(), symbol, at, db, as_json))


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


@practice_app.command(
    "run",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def practice_run(context: typer.Context) -> None:
    """Run a practice TWS; the options are those of `python -m robo_trader.practice`."""
    from robo_trader.practice.__main__ import main as serve

    end(lambda: serve(context.args))


@practice_app.command("faults")
def practice_faults(
    markdown: Annotated[bool, typer.Option("--markdown", help="As tables for the documentation.")] = False,
) -> None:
    """List every fault there is, with its parameters."""
    from robo_trader.practice.faults import catalogue

    typer.echo(catalogue.markdown() if markdown else catalogue.listing())


@practice_app.command("fault")
def practice_fault(
    name: Annotated[str, typer.Argument(help="A name of `practice faults`.")],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...")] = None,
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Plant a fault in a running practice gateway."""
    given = dict(pair.partition("=")[::2] for pair in parameters or ())
    _command(port, control, {"do": "plant", "name": name, "parameters": given})


@practice_app.command("lift")
def practice_lift(
    name: Annotated[str, typer.Argument(help="A fault's name or number, or `all`.")] = "all",
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Lift faults."""
    _command(port, control, {"do": "lift", "name": name})


@practice_app.command("status")
def practice_status(port: Port = 7497, control: ControlDir = None) -> None:
    """Show a running practice gateway: its clock, clients, account and faults."""
    _command(port, control, {"do": "status"})


@practice_app.command("halt")
def practice_halt(
    symbol: ShareOrMarket,
    reason: Annotated[str, typer.Option(help="As it is recorded.")] = "news",
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Halt trading."""
    _command(port, control, {"do": "halt", "symbol": symbol, "reason": reason})


@practice_app.command("resume")
def practice_resume(symbol: ShareOrMarket, port: Port = 7497, control: ControlDir = None) -> None:
    """End a halt."""
    _command(port, control, {"do": "resume", "symbol": symbol})


@practice_app.command("split")
def practice_split(
    symbol: Share,
    ratio: Annotated[str, typer.Argument(help="New shares for one old one.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Split a share, from its next session on."""
    _command(port, control, {"do": "split", "symbol": symbol, "ratio": ratio})


@practice_app.command("dividend")
def practice_dividend(
    symbol: Share,
    usd: Annotated[str, typer.Argument(help="USD a share.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Pay a dividend; the share trades without it from its next session on."""
    _command(port, control, {"do": "dividend", "symbol": symbol, "usd": usd})


@practice_app.command("borrow")
def practice_borrow(
    symbol: Share,
    shares: Annotated[str, typer.Argument(help="How many: a number, `none` or `plenty`.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Say how many shares can be borrowed: with 0 short sales wait, with `none` they are refused."""
    _command(port, control, {"do": "borrow", "symbol": symbol, "shares": shares})


@practice_app.command("order")
def practice_order(
    side: Annotated[str, typer.Argument(help="BUY or SELL.")],
    shares: Annotated[int, typer.Argument(help="How many.")],
    symbol: Share,
    limit: Annotated[str | None, typer.Argument(help="USD; default: a market order.")] = None,
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Place an order as by hand in TWS: of no API client."""
    if side.upper() not in ("BUY", "SELL"):
        raise typer.BadParameter(f"{side!r}: BUY or SELL", param_hint="SIDE")
    order = {"do": "order", "side": side.upper(), "shares": shares, "symbol": symbol, "limit": limit}
    _command(port, control, order)


def _command(port: int, control: Path | None, command: dict[str, object]) -> None:
    """Give a running practice gateway a command and print its answer."""
    import json

    from robo_trader.practice.control import ask, default_directory

    def work() -> None:
        answer = ask(control or default_directory(), port, command)
        typer.echo(json.dumps(answer, indent=2) if answer else "done")

    end(work)


def main() -> None:
    """Enter from the console script."""
    app()


if __name__ == "__main__":
    main()
