"""`robo-trader practice ...`: run a practice TWS, and command it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robo_trader.runner_async import end

app = typer.Typer(
    no_args_is_help=True, help="Run a practice TWS, and command it: faults, halts, splits, orders by hand."
)
Port = Annotated[int, typer.Option(help="The practice gateway's port.")]
ControlDir = Annotated[
    Path | None, typer.Option("--control", help="Where its control socket is; default: the temporary directory.")
]  # fmt: skip
Share = Annotated[str, typer.Argument(metavar="SYMBOL", help="A share.")]
ShareOrMarket = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="A share, or `market` for all of them.")
]  # fmt: skip


@app.command(
    "run",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def practice_run(context: typer.Context) -> None:
    """Run a practice TWS; the options are those of `python -m robo_trader.practice`."""
    from robo_trader.practice.__main__ import main as serve

    end(lambda: serve(context.args))


@app.command("faults")
def practice_faults(
    markdown: Annotated[bool, typer.Option("--markdown", help="As tables for the documentation.")] = False,
) -> None:
    """List every fault there is, with its parameters."""
    from robo_trader.practice.faults import catalogue

    typer.echo(catalogue.markdown() if markdown else catalogue.listing())


@app.command("fault")
def practice_fault(
    name: Annotated[str, typer.Argument(help="A name of `practice faults`.")],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...")] = None,
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Plant a fault in a running practice gateway."""
    given = dict(pair.partition("=")[::2] for pair in parameters or ())
    _command(port, control, {"do": "plant", "name": name, "parameters": given})


@app.command("lift")
def practice_lift(
    name: Annotated[str, typer.Argument(help="A fault's name or number, or `all`.")] = "all",
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Lift faults."""
    _command(port, control, {"do": "lift", "name": name})


@app.command("status")
def practice_status(port: Port = 7497, control: ControlDir = None) -> None:
    """Show a running practice gateway: its clock, clients, account and faults."""
    _command(port, control, {"do": "status"})


@app.command("halt")
def practice_halt(
    symbol: ShareOrMarket,
    reason: Annotated[str, typer.Option(help="As it is recorded.")] = "news",
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Halt trading."""
    _command(port, control, {"do": "halt", "symbol": symbol, "reason": reason})


@app.command("resume")
def practice_resume(symbol: ShareOrMarket, port: Port = 7497, control: ControlDir = None) -> None:
    """End a halt."""
    _command(port, control, {"do": "resume", "symbol": symbol})


@app.command("split")
def practice_split(
    symbol: Share,
    ratio: Annotated[str, typer.Argument(help="New shares for one old one.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Split a share, from its next session on."""
    _command(port, control, {"do": "split", "symbol": symbol, "ratio": ratio})


@app.command("dividend")
def practice_dividend(
    symbol: Share,
    usd: Annotated[str, typer.Argument(help="USD a share.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Pay a dividend; the share trades without it from its next session on."""
    _command(port, control, {"do": "dividend", "symbol": symbol, "usd": usd})


@app.command("borrow")
def practice_borrow(
    symbol: Share,
    shares: Annotated[str, typer.Argument(help="How many: a number, `none` or `plenty`.")],
    port: Port = 7497,
    control: ControlDir = None,
) -> None:
    """Say how many shares can be borrowed: with 0 short sales wait, with `none` they are refused."""
    _command(port, control, {"do": "borrow", "symbol": symbol, "shares": shares})


@app.command("order")
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
