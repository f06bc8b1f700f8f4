"""One process of readers of a database that is being written: `python -m benchmarks.live.reader FILE THREADS PAUSE_S`.

Each thread asks all that the page asks, again and again, from a connection of its own, until its standard input ends.
The last line is one JSON object.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.live.children import percentile
from robo_trader.core.errors import DataError
from robo_trader.storage import queries

QUESTIONS: tuple[Callable[[sqlite3.Connection], Any], ...] = (
    queries.status,
    queries.positions,
    queries.orders,
    queries.fills,
    queries.last_signals,
    queries.last_decisions,
    queries.last_violations,
    queries.equity_curve,
    lambda connection: queries.bars(connection, "AAX", limit=500),
)


class Said(msgspec.Struct):
    """What a process of readers saw: `torn` counts answers that contradict each other or an earlier one."""

    rounds: int
    refused: list[str]
    torn: int
    ms_p50: float
    ms_p99: float


class Reader:
    """A viewer of the page who never stops asking."""

    def __init__(self, path: Path, pause_s: float) -> None:
        self._path, self._pause_s = path, pause_s
        self.rounds_s: list[float] = []
        self.refused: list[str] = []
        self.torn = 0
        self._events = 0

    def run(self, done: threading.Event) -> None:
        """Ask until done."""
        while not done.is_set():
            began = time.perf_counter()
            try:
                self._ask()
            except (sqlite3.Error, DataError) as error:
                self.refused.append(str(error))
            self.rounds_s.append(time.perf_counter() - began)
            done.wait(self._pause_s)

    def _ask(self) -> None:
        # As the page does: a connection for each request.
        with closing(queries.connect_readonly(self._path)) as connection:
            for question in QUESTIONS:
                question(connection)
            connection.execute("BEGIN")
            (events,) = connection.execute("SELECT count(*) FROM journal").fetchone()
            (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
            (held,) = connection.execute("SELECT coalesce(sum(quantity), 0) FROM positions").fetchone()
            (filled,) = connection.execute("SELECT coalesce(sum(quantity), 0) FROM fills").fetchone()
        # A transaction is there whole or not at all, and what was there once stays.
        self.torn += events != last or held != filled or events < self._events
        self._events = events


def main() -> None:
    """Read until standard input ends, then say how it was."""
    path, threads, pause_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    done = threading.Event()
    readers = [Reader(path, pause_s) for _ in range(threads)]
    running = [threading.Thread(target=reader.run, args=(done,)) for reader in readers]
    for thread in running:
        thread.start()
    print("reading", flush=True)
    sys.stdin.read()
    done.set()
    for thread in running:
        thread.join()
    rounds_s = [each for reader in readers for each in reader.rounds_s]
    said = Said(
        rounds=len(rounds_s),
        refused=[words for reader in readers for words in reader.refused],
        torn=sum(reader.torn for reader in readers),
        ms_p50=percentile(rounds_s, 0.5) * 1e3,
        ms_p99=percentile(rounds_s, 0.99) * 1e3,
    )
    print(msgspec.json.encode(said).decode())


if __name__ == "__main__":
    main()
