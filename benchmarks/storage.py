"""One writer at a live desk's rates beside twenty readers, and what an order waits for the disk.

`python -m benchmarks.storage [--seconds 300] [--readers 20] [--symbols 50] [--orders 4]` lasts about 1.2 times as long.

A desk's journal is written as in trading: quotes of all symbols, a bar of each every five seconds with its features and
signal, and orders with their stop, acknowledgement, execution and commission; what is urgent is committed at once, the
rest ten times a second, the log is moved once a second. For a sixth of the time alone, then beside readers in processes
of four threads each, who ask all that the page asks, once a second, and with the page itself open in a headless Chromium
(`RT_CHROMIUM`), where there is one. `order_ms`: from the decision to the intent on disk.
At the end every event that was told must be there, once, and equal in all tables.

Beside it, in turns: fifty orders of one moment, each with its stop. Committed together (`moment_group`), each by itself
(`moment_single`), and as by a simple program: aiosqlite, the same tables and the same durability, a commit per row
(`moment_naive`). `fsync_ms` is what the disk itself takes for a page. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiosqlite
import msgspec

from benchmarks.live.children import percentile
from benchmarks.live.reader import Said
from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Bar,
    Event,
    Fill,
    Lot,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
    Submit,
    Timer,
    encode,
)
from robo_trader.core.steps import (
    NOTHING,
    Decision,
    Equity,
    FeatureRow,
    OrderChanged,
    PositionChanged,
    Signal,
    Step,
)
from robo_trader.storage import statements as sql
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly
from robo_trader.storage.schema import MIGRATIONS

NAMES = [f"{a}{b}X" for a in "ABCDEFGHJK" for b in "AKLMNPRSTV"]
FEATURES = bytes(8 * 60)
TICK_S = 0.05
QUOTES_PER_S = 4.0  # a symbol's, as TWS samples them
BARS_EVERY_S = 5.0
THREADS = 4
MOMENT, MOMENTS = 50, 15
CHROMIUM = os.environ.get("RT_CHROMIUM", "/usr/bin/chromium")
READER_ENDS_S = 60.0


@dataclass
class Desk:
    """Makes what a trading desk writes down: events with their steps, and counts what it told."""

    symbols: list[str]
    session: str
    now: int = 1_767_623_400 * SECOND_NS
    told: int = 0
    orders: int = 0
    fills: int = 0
    log_bytes: int = 0
    held: dict[str, int] = field(default_factory=dict)

    def quote(self, symbol: str) -> tuple[Event, Step]:
        """Tell a quote, which is written but not urgent."""
        return self._tell(Quote(symbol, self.now, 180.11, 180.13, 300.0, 200.0), NOTHING)

    def bar(self, symbol: str) -> tuple[Event, Step]:
        """Tell a bar with its features and what a strategy said."""
        bar = Bar(symbol, self.now, 180.0, 181.0, 179.5, 180.5, 1200.0, MINUTE_NS)
        said = Signal(self.now, symbol, "ml", 1, 0.75, "0.66 over 0.65", 0.66, "ensemble-1")
        books = (
            Decimal("87191.80"),
            Decimal("12810.00"),
            Decimal(100_000),
            Decimal("-1.00"),
            Decimal("2.80"),
        )
        facts = (FeatureRow(self.now, symbol, "v1", FEATURES), said, Equity(self.now, *books))
        return self._tell(bar, Step((), facts))

    def intent(self, symbol: str) -> tuple[Event, Step]:
        """Tell an order that goes out with its stop."""
        self.orders += 1
        parent = f"{self.session}-{self.orders}"
        order = Order(f"{parent}.1", parent, symbol, Side.BUY, 10, algorithm="twap", reason="0.66 over 0.65")
        stop = Order(
            f"{parent}s.1", f"{parent}s", symbol, Side.SELL, 10, OrderType.STOP,
            stop_price=Decimal("171.05"), tif="GTC", attached_to=order.id,
        )  # fmt: skip
        decision = Decision(
            self.now, symbol, "ml", parent, Side.BUY, 10, "twap", "0.66 over 0.65", {"risk_usd": 1000.0}
        )
        changed = OrderChanged(self.now, order.id, OrderStatus.INTENT, 0)
        return self._tell(
            Timer(self.now, f"{parent}:slice"), Step((Submit(order, stop),), (decision, changed))
        )

    def answers(self, symbol: str) -> Iterator[tuple[Event, Step]]:
        """Tell what comes back of the last order: acknowledged, filled, charged."""
        order_id = f"{self.session}-{self.orders}.1"
        working = OrderChanged(self.now, order_id, OrderStatus.WORKING, 0, self.orders)
        update = OrderUpdate(self.now, order_id, OrderStatus.WORKING, 0, 10, self.orders)
        yield self._tell(update, Step((), (working,)))
        self.fills += 1
        held = self.held[symbol] = self.held.get(symbol, 0) + 10
        lots = tuple(Lot(10, Decimal("180.12")) for _ in range(min(held // 10, 20) - 1))
        lots += (Lot(held - 10 * len(lots), Decimal("180.12")),)
        position = PositionChanged(self.now, symbol, held, lots, Decimal("-1.00"))
        filled = OrderChanged(self.now, order_id, OrderStatus.FILLED, 10)
        for commission in (None, Decimal("1.00")):
            fill = Fill(
                self.now,
                order_id,
                f"{self.fills:08x}.01",
                symbol,
                Side.BUY,
                10,
                Decimal("180.12"),
                commission,
            )
            yield self._tell(fill, Step((), (position, *(() if commission else (filled,)))))

    def _tell(self, event: Event, step: Step) -> tuple[Event, Step]:
        self.told += 1
        self.now += 1_000_000
        return event, step


# ------------------------------------------------------------------------------------------ writer and readers


async def trade(
    database: Database, desk: Desk, journal: SqliteJournal, seconds: float, orders_per_s: float
) -> list[float]:
    """Write at a desk's rates for so long; return how long each intent waited until it was on disk, in seconds."""
    waits: list[float] = []
    log = database.path.with_name(f"{database.path.name}-wal")
    began = time.perf_counter()
    quoted, barred, ordered, flushed = 0.0, 0.0, 0.0, 0.0
    while (passed := time.perf_counter() - began) < seconds:
        moment: list[tuple[Event, Step]] = []
        for _ in range(int((passed - quoted) * QUOTES_PER_S * len(desk.symbols))):
            quoted += 1 / (QUOTES_PER_S * len(desk.symbols))
            moment.append(desk.quote(desk.symbols[desk.told % len(desk.symbols)]))
        if passed >= barred:
            barred += BARS_EVERY_S
            moment += [desk.bar(symbol) for symbol in desk.symbols]
        for told in moment:
            journal.add(*told)
        if passed >= ordered:
            ordered += 1 / orders_per_s
            await _order(desk, journal, waits)
        elif moment:
            await journal.commit()
        if passed >= flushed:
            flushed += 1.0
            await journal.flush()
            await database.record_job("desk", time.time_ns(), None, "alive", desk.session)
            desk.log_bytes = max(desk.log_bytes, log.stat().st_size)
        await asyncio.sleep(TICK_S)
    await journal.flush()
    return waits


async def _order(desk: Desk, journal: SqliteJournal, waits: list[float]) -> None:
    symbol = desk.symbols[desk.orders % len(desk.symbols)]
    decided = time.perf_counter()
    journal.add(*desk.intent(symbol))
    await journal.commit()
    waits.append(time.perf_counter() - decided)
    for told in desk.answers(symbol):
        await journal.record(*told)


class Readers:
    """Processes that read while they are in this block; afterwards what they saw is in `said`."""

    def __init__(self, path: Path, number: int) -> None:
        shares = [min(THREADS, number - first) for first in range(0, number, THREADS)]
        self._words = [
            [sys.executable, "-m", "benchmarks.live.reader", str(path), str(n), "1.0"] for n in shares
        ]
        self._running: list[subprocess.Popen[str]] = []
        self.said: list[Said] = []

    def __enter__(self) -> Readers:
        pipe = subprocess.PIPE
        self._running = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for words in self._words]
        for process in self._running:
            assert process.stdout is not None
            process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            said, _errors = process.communicate("", timeout=READER_ENDS_S)
            self.said.append(msgspec.json.decode(said.splitlines()[-1], type=Said))


@contextmanager
def page(path: Path) -> Iterator[bool]:
    """Keep the real page open in a headless Chromium, where there is one; say whether it is."""
    if not Path(CHROMIUM).exists():
        yield False
        return
    words = [
        "-m",
        "robo_trader.dashboard",
        "--port",
        "0",
        "--db",
        str(path),
        "--parent-pid",
        str(os.getpid()),
    ]
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[-1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        browser = subprocess.Popen(
            [CHROMIUM, *flags, "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield True
            assert browser.poll() is None, "the browser ended by itself"
        finally:
            for process in (browser, server):
                process.terminate()
                process.wait(READER_ENDS_S)
            server.stdout.close()


def lost(path: Path, desk: Desk) -> int:
    """Count what was told and is not there, or is there twice."""
    with closing(connect_readonly(path)) as connection:
        ask = connection.execute
        assert ask("PRAGMA integrity_check").fetchone()[0] == "ok"
        events = ask(
            "SELECT count(*), max(seq) FROM journal WHERE session_id = ?", (desk.session,)
        ).fetchone()
        orders = ask("SELECT count(*) FROM orders WHERE status = 'filled'").fetchone()[0]
        stops = ask("SELECT count(*) FROM orders WHERE type = 'STP'").fetchone()[0]
        fills = ask("SELECT count(*) FROM fills WHERE commission = '1.00'").fetchone()[0]
        held = dict(ask("SELECT symbol, quantity FROM positions").fetchall())
    missing: int = sum(abs(desk.told - count) for count in events)
    missing += abs(desk.orders - orders) + abs(desk.orders - stops) + abs(desk.fills - fills)
    return missing + (held != desk.held)


async def live(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Write alone, then beside readers; return what was measured."""
    symbols = NAMES[: asked.symbols]
    async with await Database.open(path) as database:
        desk = Desk(symbols, "20260105-1")
        await database.start_session(desk.session, desk.now, "paper", "DU1234567", symbols, "{}")
        journal = SqliteJournal(database, desk.session)
        alone = await trade(database, desk, journal, asked.seconds / 6, asked.orders)
        readers = Readers(path, asked.readers)
        with readers, page(path) as is_open:
            beside = await trade(database, desk, journal, asked.seconds, asked.orders)
        await journal.flush()
    return {
        **_waits("order_ms_alone", alone),
        **_waits("order_ms_beside_readers", beside),
        "orders": len(beside),
        "events": desk.told,
        "readers": asked.readers,
        "page_open": is_open,
        "rounds_read": sum(said.rounds for said in readers.said),
        "lock_errors": sum(len(said.refused) for said in readers.said),
        "torn_reads": sum(said.torn for said in readers.said),
        "lost_writes": lost(path, desk),
        "read_round_ms_p50": round(max(said.ms_p50 for said in readers.said), 3),
        "read_round_ms_p99": round(max(said.ms_p99 for said in readers.said), 3),
        "log_mb_most": round(desk.log_bytes / 1e6, 1),
        "file_mb": round(path.stat().st_size / 1e6, 1),
    }


def _waits(name: str, waits_s: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {f"{name}_{key}": round(percentile(waits_s, share) * 1e3, 3) for key, share in shares.items()}


# --------------------------------------------------------------------------------------- fifty orders of a moment


async def together(journal: SqliteJournal, desk: Desk) -> None:
    """Commit the orders of a moment as one."""
    for symbol in desk.symbols:
        journal.add(*desk.intent(symbol))
    await journal.commit()


async def one_by_one(journal: SqliteJournal, desk: Desk) -> None:
    """Commit each order with all its rows."""
    for symbol in desk.symbols:
        await journal.record(*desk.intent(symbol))


async def row_by_row(connection: aiosqlite.Connection, desk: Desk) -> None:
    """Write as a simple program does: a commit after each row."""
    for symbol in desk.symbols:
        event, step = desk.intent(symbol)
        seq, words = desk.told, (encode(event).decode(), encode(step).decode())
        await connection.execute(sql.EVENT, (desk.session, seq, event.ts, *words))
        await connection.commit()
        for order in _sent(step):
            row = (
                order.id, order.parent_id, desk.session, symbol, order.side, order.quantity, order.type, None,
                None if order.stop_price is None else str(order.stop_price), order.tif, order.attached_to,
                order.algorithm, order.reason, "intent", 0, 0, event.ts, event.ts,
            )  # fmt: skip
            await connection.execute(sql.ORDER, row)
            await connection.commit()


def _sent(step: Step) -> list[Order]:
    submits = [command for command in step.commands if isinstance(command, Submit)]
    return [order for submit in submits for order in (submit.order, submit.stop) if order is not None]


async def moments(directory: Path) -> dict[str, float]:
    """Write the orders of one moment in each of three ways, in turns; return the medians in ms."""
    taken: dict[str, list[float]] = {"group": [], "single": [], "naive": []}
    syncs: list[float] = []
    desk = Desk(NAMES[:MOMENT], "s")
    path = directory / "naive.db"
    async with await Database.open(directory / "ours.db") as database, aiosqlite.connect(path) as connection:
        await database.start_session("s", 0, "paper", "DU1234567", desk.symbols, "{}")
        await connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + "".join(MIGRATIONS)
        )
        await connection.execute("INSERT INTO sessions VALUES ('s', 0, 0, 0, '', '', '', '', '', '')")
        together_in, alone_in = SqliteJournal(database, "s"), SqliteJournal(database, "s")
        alone_in._seq = 1_000_000  # two journals of one session, so that neither waits for rows of the other
        for _ in range(MOMENTS):
            ways = {
                "group": together(together_in, desk),
                "single": one_by_one(alone_in, desk),
                "naive": row_by_row(connection, desk),
            }
            for name, way in ways.items():
                began = time.perf_counter()
                await way
                taken[name].append(time.perf_counter() - began)
            syncs += [_sync(directory / "page") for _ in range(20)]
            await database.checkpoint()
    found = {f"moment_{name}_ms": round(percentile(each, 0.5) * 1e3, 2) for name, each in taken.items()}
    found["times_single"] = round(found["moment_single_ms"] / found["moment_group_ms"], 1)
    found["times_naive"] = round(found["moment_naive_ms"] / found["moment_group_ms"], 1)
    return found | {"fsync_ms_p50": round(percentile(syncs, 0.5) * 1e3, 3)}


def _sync(path: Path) -> float:
    began = time.perf_counter()
    with path.open("ab") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


async def measure(asked: argparse.Namespace) -> dict[str, float]:
    """Measure both in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="robo-storage-", dir=asked.dir) as made:
        directory = Path(made)
        return await live(directory / "desk.db", asked) | await moments(directory)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="beside the readers")
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--orders", type=float, default=4.0, help="a second")
    parser.add_argument("--dir", type=Path, help="where to write; without it where temporary files go")
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
