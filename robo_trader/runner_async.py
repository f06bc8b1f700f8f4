"""Starts the daemon: `python -m robo_trader.runner_async --symbols AAPL,NVDA --use-ml`, or `robo-trader run`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from robo_trader import config, logger
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, RoboTraderError


def run(
    symbols: Annotated[str, typer.Option(help="Ticker symbols, comma separated.")],
    use_ml: Annotated[
        bool, typer.Option("--use-ml", help="Trade the model's votes; without it an SMA crossover.")
    ] = False,
    allow_unproven: Annotated[
        bool,
        typer.Option(
            "--allow-unproven",
            help="Trade on a model that has proven nothing; marks each signal, never live.",
        ),
    ] = False,
    mode: Annotated[
        str | None, typer.Option(help="Where orders go; default: paper.", metavar="paper|dry-run|live")
    ] = None,
    interval: Annotated[int, typer.Option(help="Seconds of market time between decisions.", min=1)] = 60,
    bar_size: Annotated[
        str, typer.Option(help='Bars to decide on: "1 min", "5 mins" or "30 mins".')
    ] = "1 min",
    once: Annotated[bool, typer.Option("--once", help="Stop after one bar of every symbol.")] = False,
    run_for: Annotated[str | None, typer.Option(help="Stop after this time, such as 90s, 15m or 2h.")] = None,
    practice: Annotated[
        str | None,
        typer.Option(
            help="Start a practice gateway; default: where nothing listens and no TWS was named.",
            metavar="auto|always|never",
        ),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Practice market: seconds of market time per second.")
    ] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Start neither the page nor the hub.")
    ] = False,
    db: Annotated[
        Path | None, typer.Option(help="Database file; default: one per account in the data directory.")
    ] = None,
    confirm_live: Annotated[str, typer.Option(help="With --mode live: the account, spelt out.")] = "",
    resume: Annotated[str, typer.Option(help="Lift a halt that stands from before; say why.")] = "",
) -> None:
    """Trade until stopped with Ctrl-C."""

    def work() -> int:
        # Heavy to import; `--help` should not wait for it.
        from robo_trader.bootstrap import places
        from robo_trader.bootstrap.daemon import Daemon, Request

        settings = settings_of(
            execution_mode=mode,
            practice_mode=practice,
            practice_speed=speed,
            ml_allow_unproven=allow_unproven or None,
        )
        _require_live_broker(settings)
        bar_s = places.parse_bar_size(bar_size)
        places.require_bars_to_learn_from(use_ml, bar_s)
        request = Request(
            settings,
            places.parse_symbols(symbols),
            use_ml,
            bar_s,
            interval,
            once,
            None if run_for is None else places.parse_duration(run_for),
            not no_dashboard,
            confirm_live,
            resume,
            db,
        )
        return start(settings, Daemon(request).run())

    end(work)


def start(settings: Settings, daemon: Coroutine[Any, Any, None]) -> int:
    """Run the daemon; return its exit code. Why it ended is left in `last_exit.txt` of the data directory."""
    try:
        asyncio.run(_unwrapped(daemon))
    except RoboTraderError as error:
        _leave_reason(settings, f"{type(error).__name__}: {error}")
        structlog.get_logger().error("ended", exit_code=error.exit_code, why=str(error))
        return error.exit_code
    except BaseException as error:
        _leave_reason(settings, repr(error))
        raise
    _leave_reason(settings, "ended as asked")
    return 0


def settings_of(**flags: Any) -> Settings:
    """Read the settings, flags first, and start logging as they say."""
    settings = config.load(**flags)
    logger.configure(settings.monitoring_log_format, settings.monitoring_log_level)
    return settings


def end(work: Callable[[], int | None]) -> None:
    """Do the work and leave with its exit code; what goes wrong on purpose is one line, not a traceback."""
    try:
        code = work()
    except RoboTraderError as error:
        typer.echo(f"robo-trader: {error}", err=True)
        code = error.exit_code
    sys.exit(code or 0)


async def _unwrapped(daemon: Coroutine[Any, Any, None]) -> None:
    """Let the first error of a task group reach the command line as itself."""
    try:
        await daemon
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _require_live_broker(settings: Settings) -> None:
    """Refuse live trading where only a practice or paper market can answer, before anything is started."""
    if settings.execution_mode != "live":
        return
    if settings.ibkr_port not in config.LIVE_PORTS:
        raise ConfigurationError(
            f"--mode live on port {settings.ibkr_port}, where a paper or practice account may answer: set IBKR_PORT to"
            " 7496 for live TWS, 4001 for live IB Gateway"
        )
    if settings.practice_mode == "always":
        raise ConfigurationError("--mode live cannot be practised: leave --practice always out")


def _leave_reason(settings: Settings, reason: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = settings.robo_data_dir / "last_exit.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{now} {reason}\n")
    except OSError as error:  # a full disk may be what ended it, and must not hide behind this
        structlog.get_logger().warning("reason_not_left", what=str(path), why=error.strerror)


if __name__ == "__main__":
    typer.run(run)
