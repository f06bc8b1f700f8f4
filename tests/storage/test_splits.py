"""Splits on disk: bars of before are read in new shares, and a restart knows where a position was protected."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path
from sqlite3 import Connection

import msgspec
import pytest

from robo_trader.core.events import Bar, Submit
from robo_trader.core.steps import SplitBooked, SplitSuspected
from robo_trader.features.feature_pipeline import read_bars
from robo_trader.storage import queries, recall
from robo_trader.storage.database import Database
from robo_trader.storage.schema import MIGRATIONS
from tests.storage.told import Tell, at, held, stop

MINUTE = 60_000_000_000
NIGHT = 100 * MINUTE


def minute(n: int, price: float, history: bool = False) -> Bar:
    return Bar("AAPL", n * MINUTE, price, price, price, price, 10.0, history=history)


def booked(ts: int = NIGHT + 9, new: int = 4, old: int = 1, stop_price: D | None = None) -> SplitBooked:
    return SplitBooked(ts, "AAPL", new, old, NIGHT, stop_price, "operator: announced")


async def test_bars_that_were_told_before_a_split_are_read_in_new_shares_and_others_as_they_are(
    database: Database, tell: Tell, connection: Connection
) -> None:
    await database.store_bars([minute(1, 100.0, history=True)], now=50 * MINUTE)  # as it was then
    await tell((minute(60, 104.0), at(1)[1]), (minute(101, 25.0), at(1)[1]))  # as they were traded
    await database.store_bars([minute(2, 25.5, history=True)], now=102 * MINUTE)  # fetched in new shares
    assert queries.bars(connection, "AAPL").close.tolist() == [100.0, 25.5, 104.0, 25.0]
    await tell(at(NIGHT + 9, booked()))
    found = queries.bars(connection, "AAPL")
    assert found.close.tolist() == found.open.tolist() == [25.0, 25.5, 26.0, 25.0]
    assert found.volume.tolist() == [40.0, 10.0, 40.0, 10.0]
    assert queries.splits(connection, "AAPL") == [(NIGHT, 4, 1)]
    assert queries.last_splits(connection) == {"AAPL": NIGHT}
    trained = read_bars(database.path, ["AAPL"])["AAPL"]
    assert trained.close.tolist() == found.close.tolist()
    assert trained.volume.tolist() == found.volume.tolist()
    await tell(at(NIGHT + 10, booked(new=1, old=2)))  # a second one of the night
    assert queries.bars(connection, "AAPL").close.tolist() == [50.0, 25.5, 52.0, 25.0]
    assert connection.execute("SELECT close FROM bars ORDER BY ts").fetchall()[0] == (
        100.0,
    )  # it stays as told


async def test_a_restart_protects_at_the_price_of_the_split_until_a_stop_stands_there(
    tell: Tell, connection: Connection
) -> None:
    await tell(at(1, Submit(stop("s-1", "98.00"))), at(2, held(2, 10)))
    provisional = at(NIGHT + 1, Submit(stop("s-2", "9.55")))
    await tell(provisional, at(NIGHT + 9, booked(stop_price=D("24.50")), held(NIGHT + 9, 40)))
    assert recall.stored(connection).stops == {"AAPL": D("24.50")}
    await tell(at(NIGHT + 10, Submit(stop("s-3", "24.50"))), at(NIGHT + 11, Submit(stop("s-4", "26.00"))))
    assert recall.stored(connection).stops == {"AAPL": D("26.00")}
    await tell(at(NIGHT + 12, held(NIGHT + 12, 0)), at(NIGHT + 13, held(NIGHT + 13, 5)))
    assert D("24.50") not in recall.stored(connection).stops.values()


async def test_a_suspicion_is_told_until_it_is_answered_or_over(tell: Tell, connection: Connection) -> None:
    suspected = SplitSuspected(NIGHT + 1, "AAPL", 4, 1, "opened so")
    await tell(at(NIGHT + 1, suspected))
    (row,) = queries.suspected_splits(connection)
    assert (row["symbol"], row["new"], row["old"], row["why"]) == ("AAPL", 4, 1, "opened so")
    await tell(at(NIGHT + 2, msgspec.structs.replace(suspected, new=1, why="no")))
    assert queries.suspected_splits(connection) == []
    await tell(at(NIGHT + 3, suspected), at(NIGHT + 4, booked()))
    assert queries.suspected_splits(connection) == []
    assert queries.splits(connection, "AAPL") == [(NIGHT, 4, 1)]


@pytest.mark.parametrize("since", [NIGHT, 5 * MINUTE])
async def test_what_was_fetched_before_times_were_noted_counts_as_told_with_the_newest_bar(
    tmp_path: Path, since: int
) -> None:
    path = tmp_path / "old.db"
    async with await Database.open(path, migrations=MIGRATIONS[:5]):
        pass
    with closing(sqlite3.connect(path)) as old:
        rows = [("AAPL", MINUTE, n * MINUTE, 100.0, 100.0, 100.0, 100.0, 10.0, n == 1) for n in (1, 60)]
        old.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        old.commit()
    assert read_bars(path, ["AAPL"])["AAPL"].close.tolist() == [
        100.0,
        100.0,
    ]  # training reads it all the same
    async with await Database.open(path) as database:
        await database.start_session("s", 1, "paper", "DU1", ["AAPL"], "{}")
        await database.write(
            lambda c: c.execute("INSERT INTO splits (session_id, ts, symbol, new, old, since, why) "
                                "VALUES ('s', 1, 'AAPL', 4, 1, ?, '')", (since,))
        )  # fmt: skip
    with closing(queries.connect_readonly(path)) as connection:
        expected = [25.0, 25.0] if since == NIGHT else [100.0, 100.0]
        assert queries.bars(connection, "AAPL").close.tolist() == expected
