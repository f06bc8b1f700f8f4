"""Processes that die, in every way a process can, and what is on disk afterwards."""

import asyncio
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from robo_trader.core.events import Fill, Timer, decode_event
from robo_trader.storage.database import Database
from robo_trader.storage.queries import connect_readonly, fills, journal_rows
from robo_trader.storage.recall import holdings

ROOT = Path(__file__).resolve().parents[2]

TRADE_UNTIL_KILLED = """
import asyncio, sys
from decimal import Decimal
from pathlib import Path
from robo_trader.core.events import *
from robo_trader.core.steps import *
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await database.start_session("s", 0, "paper", "DU1", [], "{}")
    journal = SqliteJournal(database, "s")
    for n in range(1, 1_000_000):
        await journal.record(Quote("AAPL", n, 1.0, 1.1, 1.0, 1.0), NOTHING)
        order = Order(f"o-{n}", "o", "AAPL", Side.BUY, 1)
        await journal.record(Timer(n, "t"), Step((Submit(order),)))
        changed = PositionChanged(n, "AAPL", n, (Lot(n, Decimal(1)),), Decimal(0))
        await journal.record(Fill(n, order.id, f"e-{n}", "AAPL", Side.BUY, 1, Decimal(1)), Step((), (changed,)))
        print(n, flush=True)

asyncio.run(main())
"""

DIE_BEFORE_THE_COMMIT = """
import asyncio, os, signal, sys
from pathlib import Path
from robo_trader.storage.database import Database

def half(connection):
    connection.execute("INSERT INTO jobs VALUES ('half', NULL, NULL, 'ok', '')")
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await database.record_job("whole", 1, 2, "ok")
    await database.write(half)

asyncio.run(main())
"""


DIE_WITHOUT_CLOSING = """
import asyncio, sys
from pathlib import Path
from robo_trader.storage.database import Database

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await database.record_job("whole", 1, 2, "ok")
    raise SystemExit(4)

asyncio.run(main())
"""


def trade_until_killed(path: Path, lines: int) -> int:
    """Let a desk trade in a process of its own, kill it after `lines` trades; return the last one it told of."""
    command = [sys.executable, "-c", TRADE_UNTIL_KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as desk:
        assert desk.stdout is not None
        told = [int(desk.stdout.readline()) for _ in range(lines)]
        desk.kill()
        told += [int(line) for line in desk.stdout if line.endswith("\n")]
    assert desk.returncode == -signal.SIGKILL
    return told[-1]


@pytest.mark.parametrize("lines", [1, 37, 150])
async def test_killed_at_any_point_everything_told_is_on_disk_and_whole(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "desk.db"
    told = await asyncio.to_thread(trade_until_killed, path, lines)
    await (await Database.open(path)).close()
    with closing(connect_readonly(path)) as connection:
        rows = list(journal_rows(connection, "s"))
        events = [type(decode_event(event)) for _, event, _ in rows]
        assert [seq for seq, _, _ in rows] == list(range(1, len(rows) + 1))
        assert len(rows) >= 3 * told
        filled = len(fills(connection, limit=1_000_000))
        assert filled == events.count(Fill) == holdings(connection)["AAPL"].quantity
        sent = connection.execute("SELECT count(*) FROM orders").fetchone()[0]
        assert sent == events.count(Timer)


async def test_killed_inside_a_transaction_nothing_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    command = [sys.executable, "-c", DIE_BEFORE_THE_COMMIT, str(path)]
    done = await asyncio.to_thread(subprocess.run, command, check=False)
    assert done.returncode == -signal.SIGKILL
    async with await Database.open(path) as database:
        names = await database.write(
            lambda connection: connection.execute("SELECT name FROM jobs").fetchall()
        )
    assert names == [("whole",)]


def test_a_process_that_forgets_to_close_still_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_WITHOUT_CLOSING, str(tmp_path / "desk.db")]
    assert subprocess.run(command, check=False, timeout=10, stderr=subprocess.DEVNULL).returncode == 4


@pytest.mark.parametrize(
    ("how", "n"),
    [
        pytest.param("statements", 16, id="at every statement of a transaction, and between two"),
        pytest.param("rounds", 30, id="thirty times on one file at statements drawn by lot"),
    ],
)
def test_killed_again_and_again_no_order_no_fill_and_no_share_is_lost_or_there_twice(
    tmp_path: Path, how: str, n: int
) -> None:
    command = [sys.executable, "-m", "tests.storage.killed", str(tmp_path / "desk.db"), how, str(n), "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{n} killed")
    assert "none lost, none twice" in done.stdout
