"""From a minute's last bar on the socket to the order's bytes coming back: `python -m benchmarks.wire`.

The practice gateway runs in this process, moved by hand, so that both ends are read off one clock; the daemon is a
process of its own with ib_async, SQLite and its log, and every intent is committed before it is sent. Meanwhile the
gateway sends bid and ask ticks of all symbols in turn. All symbols close their minute in one packet, so an order may
wait for the symbols before it. The time the gateway itself is busy after the bars have left, and cannot read, is in
the figure (`gateway_busy_ms_p50`): it is an upper bound.

All minutes pass much faster than in the market, so that far more quotes and trades wait to be written with an intent
than in its real time: another reason why the figures are upper bounds.

Beside it, under the same market and ticks, a bare ib_async script that places its order straight from the callback;
the parts of the daemon's time by replaying the recorded session here (deciding, journal commit); and placeOrder to
filledEvent of ib_async against the gateway in another process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ib_async import IB, MarketOrder, Stock

from benchmarks.live.children import DAEMON_ENDS, GATEWAY_ENDS, Child, Silent, child, percentile
from benchmarks.live.market import TimedGateway
from robo_trader.bootstrap.plan import build_engine, read_plan
from robo_trader.core.events import Submit, decode_event
from robo_trader.storage import queries
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

SEED = 7
PATIENCE_S = 60.0
FAST, SLOW = 5, 10
NAMES = [f"{a}{b}X" for a in "ABCDEFGHJK" for b in "KLMNP"]
SETTINGS = {
    "ibkr_port": "{port}",
    "execution_algorithm": "market",
    "risk_target_fraction": 0.03,
    "risk_min_notional_usd": 0,
    "risk_max_daily_loss_fraction": 1,
    "features_sessions": 1,  # twenty symbols' thirty sessions would wait for TWS's pacing
}


async def through(
    words: list[str], home: Path, asked: argparse.Namespace, symbols: int, minutes: int, **settings: object
) -> TimedGateway:
    """Let a child that trades go through so many minutes; return the gateway with what it measured.

    `{port}` in `words` and `settings` becomes the gateway's port.
    """
    gateway = TimedGateway(SEED)
    port = await gateway.start()
    told = {name: str(value).format(port=port) for name, value in settings.items()}
    quoting = asyncio.create_task(gateway.quote(asked.ticks))
    try:
        with child([word.format(port=port) for word in words], home, **told) as trader:
            await _subscribed(gateway, symbols, trader)
            await gateway.open()
            gc.collect()
            gc.disable()
            for _ in range(minutes):
                await gateway.minute(asked.slice_s, asked.settle_s)
            await asyncio.to_thread(trader.stop)
        if not gateway.latencies:
            raise Silent(f"no order in {minutes} minutes:\n{trader.text[-3000:]}")
    finally:
        gc.enable()
        quoting.cancel()
        await asyncio.gather(quoting, return_exceptions=True)
        await gateway.stop()
    return gateway


async def _subscribed(gateway: TimedGateway, symbols: int, trader: Child) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while not gateway.hears(symbols):
        if not trader.running or time.perf_counter() > deadline:
            raise Silent(f"it does not listen to {symbols} symbols:\n{trader.text[-3000:]}")
        await asyncio.sleep(0.01)


async def parts(database: Path, home: Path) -> dict[str, float]:
    """Replay the session that was recorded: microseconds to decide on a live bar, milliseconds to commit an intent."""
    deciding, commits = [], []
    with closing(queries.connect_readonly(database)) as connection:
        row = queries.session_row(connection)
        assert row is not None, "the daemon opened a session"
        engine = build_engine(read_plan(row["id"], row["config"]))
        events = [decode_event(event) for _, event, _ in queries.journal_rows(connection, row["id"])]
        described = (row["id"], 0, row["mode"], row["account"], (), "{}")
    async with await Database.open(home / "again.db") as again:
        await again.start_session(*described)
        journal = SqliteJournal(again, row["id"])
        for event in events:
            began = time.perf_counter_ns()
            step = engine.on_event(event)
            decided = time.perf_counter_ns()
            await journal.record(event, step)
            if any(isinstance(command, Submit) for command in step.commands):
                deciding.append((decided - began) / 1e3)
                commits.append((time.perf_counter_ns() - decided) / 1e6)
    return {
        "decide_us_p50": round(percentile(deciding, 0.5), 1),
        **told("commit", commits),
    }


async def place_to_filled(home: Path, orders: int) -> dict[str, float]:
    """Place one-share market orders one after the other with ib_async; return milliseconds until each is filled."""
    words = ["-m", "robo_trader.practice", "--port", "0", "--speed", "10", "--seed", str(SEED), *GATEWAY_ENDS]
    with child(words, home) as gateway:
        await asyncio.to_thread(gateway.until, "listening on", 30.0)
        found = re.search(r"listening on [^ ]+:(\d+) ", gateway.text)
        assert found is not None, gateway.text
        ib = IB()
        await ib.connectAsync("127.0.0.1", int(found[1]), clientId=1)
        try:
            contract = Stock("NVDA", "SMART", "USD")
            await ib.qualifyContractsAsync(contract)
            ticker = ib.reqMktData(contract)
            while not ticker.hasBidAsk():
                await asyncio.wait_for(ticker.updateEvent, 10)
            ib.cancelMktData(contract)
            taken = [await _fill_ms(ib, contract, "BUY" if n % 2 else "SELL") for n in range(orders)]
        finally:
            ib.disconnect()
    return told("place_to_filled", taken)


async def _fill_ms(ib: IB, contract: Stock, side: str) -> float:
    filled = asyncio.Event()
    began = time.perf_counter_ns()
    ib.placeOrder(contract, MarketOrder(side, 1)).filledEvent += lambda _: filled.set()
    await asyncio.wait_for(filled.wait(), 30)
    taken = (time.perf_counter_ns() - began) / 1e6
    await asyncio.sleep(0.03)  # ib_async sends at most 45 messages a second
    return taken


def trader(home: Path, symbols: Sequence[str]) -> list[str]:
    """Make the daemon's directory; return the words that start it."""
    home.mkdir()
    (home / "robo_trader.toml").write_text(f"strategy_fast = {FAST}\nstrategy_slow = {SLOW}\n")
    return ["-m", "robo_trader", "run", "--no-dashboard", "--symbols", ",".join(symbols), *DAEMON_ENDS]


def told(name: str, latencies: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile under a name."""
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    return {f"{name}_ms_p50": round(p50, 3), f"{name}_ms_p99": round(p99, 3)}


async def measure(asked: argparse.Namespace, home: Path) -> dict[str, float]:
    """Measure the daemon, the bare script, the parts, and ib_async's own round trip, one after the other."""
    symbols, minutes = NAMES[: asked.symbols], asked.minutes
    desk_home, many = home / "desk", len(symbols)
    desk = await through(trader(desk_home, symbols), desk_home, asked, many, minutes, **SETTINGS)
    bare_words = ["-m", "benchmarks.live.bare", "{port}", ",".join(symbols), str(FAST), str(SLOW)]
    bare = await through(bare_words, home / "bare", asked, many, minutes)
    (database,) = (desk_home / "data").glob("*.db")
    result = {
        **told("bar_to_wire", desk.latencies),
        "orders": len(desk.latencies),
        "symbols": many,
        "ticks_per_s": desk.ticks_per_s,
        "gateway_busy_ms_p50": round(percentile(desk.steps, 0.5), 3),
        **told("bare", bare.latencies),
        "bare_orders": len(bare.latencies),
        "times_bare": round(percentile(desk.latencies, 0.5) / percentile(bare.latencies, 0.5), 2),
        **await parts(database, home),
        **await place_to_filled(home / "round", asked.fills),
    }
    if asked.alone:
        few_home = home / "two"
        few = await through(trader(few_home, symbols[:2]), few_home, asked, 2, asked.alone, **SETTINGS)
        result |= {**told("two_symbols", few.latencies), "two_symbols_orders": len(few.latencies)}
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--symbols", type=int, default=20, help=f"at most {len(NAMES)}")
    parser.add_argument("--minutes", type=int, default=100, help="of market time, 12 to 380")
    parser.add_argument(
        "--ticks", type=int, default=5_000, help="bid and ask ticks a second, over all symbols"
    )
    parser.add_argument("--fills", type=int, default=300, help="orders of the round trip")
    parser.add_argument("--alone", type=int, default=100, help="minutes of a desk of two symbols; 0: none")
    parser.add_argument("--slice-s", type=float, default=0.015, help="wall seconds after each 5-second slice")
    parser.add_argument(
        "--settle-s", type=float, default=0.15, help="wall seconds before and after a minute closes"
    )
    asked = parser.parse_args(arguments)
    if not 1 <= asked.symbols <= len(NAMES) or not 12 <= max(asked.minutes, asked.alone) <= 380:
        parser.error("too many symbols, or not 12 to 380 minutes")
    with tempfile.TemporaryDirectory(prefix="robo-trader-wire-") as home:
        print(json.dumps(asyncio.run(measure(asked, Path(home)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
