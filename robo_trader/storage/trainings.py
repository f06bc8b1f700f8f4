"""What was learnt and when: every training as a row, how many trials that makes, and what was said in shadow."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.storage.database import Database


@dataclass(frozen=True)
class Began:
    """A training as it begins: of which models, by whom, with which seed, and how many trials it makes itself."""

    name: str
    by: str
    started: int
    seed: int
    trials: int = 1


@dataclass(frozen=True)
class Ended:
    """What became of a training: `result` is trained or failed, `since` and `until` (UTC ns) what it learnt from.

    Where its model was compared with the `champion` on rows that neither had learnt from, their losses (nats a row).
    """

    ended: int
    result: str
    reason: str
    version: str = ""
    since: int | None = None
    until: int | None = None
    champion: str = ""
    compared: int | None = None
    loss: float | None = None
    champion_loss: float | None = None


@dataclass(frozen=True)
class Shadows:
    """What champion and challenger said of the same bars, in order of time: arrays of one length."""

    ts: NDArray[np.int64]
    symbol: NDArray[np.str_]
    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]


async def begin(database: Database, began: Began, kept: int = 0) -> tuple[int, int]:
    """Note that a training begins; return its number and how many trials are declared: all so far and its own.

    `kept` is what the models there are declare themselves, should another database have counted more.
    """

    def work(connection: sqlite3.Connection) -> tuple[int, int]:
        declared = max(trials_of(connection, began.name), kept) + began.trials
        row = (began.name, began.by, began.started, began.seed, began.trials, declared)
        cursor = connection.execute(
            "INSERT INTO trainings (name, by, started, seed, trials, declared) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        return cursor.lastrowid or 0, declared

    return await database.write(work)


async def end(database: Database, number: int, ended: Ended) -> None:
    """Note what became of a training."""
    values = vars(ended)
    columns = ", ".join(f"{name} = ?" for name in values)
    await database.write(
        lambda connection: connection.execute(
            f"UPDATE trainings SET {columns} WHERE id = ?", (*values.values(), number)
        )
    )


def trials_of(connection: sqlite3.Connection, name: str) -> int:
    """Return how many models of this name were tried until now, those included whose training came to nothing."""
    row = connection.execute("SELECT coalesce(sum(trials), 0) FROM trainings WHERE name = ?", (name,))
    found: int = row.fetchone()[0]
    return found


def ended(connection: sqlite3.Connection, version: str) -> Ended | None:
    """Return how the training of a version went, None where this database was not told."""
    names = tuple(Ended.__dataclass_fields__)
    row = connection.execute(
        f"SELECT {', '.join(names)} FROM trainings WHERE version = ? ORDER BY id DESC LIMIT 1", (version,)
    ).fetchone()
    return None if row is None else Ended(*row)


def last(connection: sqlite3.Connection, name: str) -> Ended | None:
    """Return how the last training of a name went that has ended, None where none has."""
    names = tuple(Ended.__dataclass_fields__)
    row = connection.execute(
        f"SELECT {', '.join(names)} FROM trainings WHERE name = ? AND ended IS NOT NULL ORDER BY id DESC LIMIT 1",
        (name,),
    ).fetchone()
    return None if row is None else Ended(*row)


def shadows(connection: sqlite3.Connection, champion: str, challenger: str) -> Shadows:
    """Return what these two versions said of the same bars, each bar once."""
    rows = connection.execute(
        "SELECT ts, symbol, min(said), min(shadow) FROM shadows WHERE champion = ? AND challenger = ? "
        "GROUP BY ts, symbol ORDER BY ts, symbol",
        (champion, challenger),
    ).fetchall()
    ts, symbol, said, shadow = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Shadows(
        np.array(ts, dtype=np.int64), np.array(symbol, dtype=np.str_), np.array(said), np.array(shadow)
    )
