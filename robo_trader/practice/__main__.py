"""`python -m robo_trader.practice`: run the practice gateway on this machine."""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
from collections.abc import Awaitable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from robo_trader.core.errors import ConfigurationError, RoboTraderError
from robo_trader.core.parent import parent_ended


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. Return 0, or the exit code of what went wrong."""
    asked = _parser().parse_args(arguments)
    try:
        asyncio.run(_serve(asked))
    except RoboTraderError as error:
        print(f"practice gateway: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m robo_trader.practice",
        description="A practice TWS: the same socket protocol, a market and an account of its own, no real money.",
    )
    parser.add_argument("--port", type=_port, default=7497, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="this machine only (default: %(default)s)")
    parser.add_argument(
        "--allow-remote", action="store_true", help="let --host be one that other machines can reach"
    )
    parser.add_argument(
        "--tape",
        type=Path,
        help="Parquet or CSV file of minute bars or of ticks (default: a synthetic market)",
    )
    parser.add_argument("--symbols", help="comma list of the shares that trade (default: any)")
    parser.add_argument(
        "--speed", type=_speed, default=60.0, help="market seconds a second (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic market (default: %(default)s)")
    parser.add_argument(
        "--edge", type=_edge, default=1.0, help="how predictable it is, from 0 (not at all) to 1 (default)"
    )
    parser.add_argument(
        "--turn", metavar="YYYY-MM-DD:FACTOR", help="from that session on it is so many times as loud"
    )
    parser.add_argument(
        "--start", metavar="YYYY-MM-DD", help="first live session; what lies before it is history"
    )
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep orders, account and clock there")
    parser.add_argument(
        "--cash", type=_usd, default=Decimal(100_000), help="USD at the start (default: %(default)s)"
    )
    parser.add_argument(
        "--beats", type=int, default=5, help="moments in five market seconds at which something can happen"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--prints", type=float, default=4.0, help="trades in 5 seconds of 500 shares, up to 24"
    )
    parser.add_argument(
        "--flickers",
        type=float,
        default=2.0,
        help="changes of a quote's size in 5 seconds besides trades, up to 100",
    )
    parser.add_argument("--master-client", type=int, metavar="ID", help="a client that hears of all orders")
    parser.add_argument(
        "--data", choices=("live", "delayed", "none"), default="live", help="the market data one has paid for"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--pacing", choices=("off", "strict"), default="off", help="keep TWS's limits on requests"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--faults", type=Path, metavar="FILE", help="TOML file of faults to plant")
    parser.add_argument(
        "--control", type=Path, metavar="DIR", help="where the control socket is (default: the temporary directory)"
    )  # fmt: skip
    parser.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process is gone")
    return parser


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return port


def _speed(text: str) -> float:
    speed = _number(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError("a market must move; 1 is the speed of the wall clock")
    return speed


def _usd(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount")
    return usd


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _edge(text: str) -> float:
    edge = _number(text)
    if not 0 <= edge <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return edge


async def _serve(asked: argparse.Namespace) -> None:
    # numpy and the market load here, so that --help need not wait for them.
    from robo_trader.practice.data.lines import DataOptions
    from robo_trader.practice.faults.catalogue import read
    from robo_trader.practice.gateway import LOOPBACK, PracticeGateway, PracticeOptions
    from robo_trader.simulation.flow import FlowOptions
    from robo_trader.simulation.market import SyntheticMarket
    from robo_trader.simulation.tape import MinuteSource
    from robo_trader.simulation.tick_tape import open_tape
    from robo_trader.simulation.turn import Turn

    symbols = (
        tuple(s.strip().upper() for s in asked.symbols.split(",") if s.strip()) if asked.symbols else None
    )
    if symbols == ():
        raise ConfigurationError("--symbols names no share")
    options = PracticeOptions(
        asked.host, asked.port, asked.speed, asked.cash, beats=asked.beats, start=asked.start, symbols=symbols,
        state=asked.state, master_client=asked.master_client, allow_remote=asked.allow_remote,
        data=DataOptions(asked.data), pacing=asked.pacing, faults=read(asked.faults) if asked.faults else (),
        control=asked.control or _usual_control(), flow=FlowOptions(asked.prints, asked.flickers),
    )  # fmt: skip
    if asked.host not in LOOPBACK:
        print(  # noqa: T201
            f"practice gateway: WARNING: {asked.host} can be reached from other machines, and TWS's protocol knows"
            " no password: whoever connects may trade on this practice account",
            file=sys.stderr,
        )
    if asked.tape and asked.turn:
        raise ConfigurationError("--turn is for the synthetic market: a tape is what it is")
    turn = Turn.read(asked.turn) if asked.turn else None
    source: MinuteSource = (
        open_tape(asked.tape, symbols) if asked.tape else SyntheticMarket(asked.seed, asked.edge, turn=turn)
    )
    strange = [symbol for symbol in symbols or () if not source.knows(symbol)]
    if strange:
        raise ConfigurationError(f"--symbols: {', '.join(strange)} is not spelled like a US share")
    gateway = PracticeGateway(options, source)
    port = await gateway.start()
    market = f"tape {asked.tape.name}" if asked.tape else f"edge {'on' if asked.edge else 'off'}"
    print(  # noqa: T201
        f"practice gateway listening on {asked.host}:{port} account {gateway.account}"
        f" clock {gateway.greeting_time()} speed {asked.speed:g} {market}",
        flush=True,
    )
    try:
        await _until_stopped(asked.parent_pid, gateway.failed())
    finally:
        await gateway.stop()


def _usual_control() -> Path | None:
    """Return where control sockets usually are; None, said aloud, where that place cannot be had."""
    from robo_trader.practice.control import default_directory, keep_private

    directory = default_directory()
    try:
        keep_private(directory)
    except OSError as error:
        print(f"practice gateway: no control socket: {error}", file=sys.stderr)  # noqa: T201
        return None
    return directory


async def _until_stopped(parent: int | None, failed: Awaitable[None]) -> None:
    """Return on SIGTERM, SIGINT or when the parent process has gone; raise what the gateway failed of."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ends = [loop.create_task(stopped.wait()), asyncio.ensure_future(failed)]
    if parent is not None:
        ends.append(loop.create_task(parent_ended(parent)))
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in done:
        end.result()


if __name__ == "__main__":
    sys.exit(main())
