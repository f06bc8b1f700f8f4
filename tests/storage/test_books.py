"""Orders and executions as the tables keep them, whatever the grouping of commits."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from sqlite3 import Connection

import pytest

from robo_trader.core.errors import DeskHalted
from robo_trader.core.events import (
    Holding,
    Lot,
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderUpdate,
    Side,
    Submit,
)
from robo_trader.core.steps import (
    OrderChanged,
    Step,
)
from robo_trader.storage import queries, recall
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from tests.storage.conftest import SESSION
from tests.storage.told import Tell, at, executed, held, opening, stop

# ------------------------------------------------------------------------------------------------------ orders


async def test_an_entry_and_its_stop_are_two_intents_of_one_transaction(
    tell: Tell, connection: Connection
) -> None:
    entry = Order("o-1.1", "o-1", "AAPL", Side.BUY, 10)
    await tell(at(1, Submit(entry, stop("o-2.1", "95.50", attached_to=entry.id))))
    sent, protecting = recall.open_intents(connection)
    assert (sent.order, sent.status) == (entry, OrderStatus.INTENT)
    assert (protecting.order, protecting.status) == (
        stop("o-2.1", "95.50", attached_to=entry.id),
        OrderStatus.INTENT,
    )


async def test_a_stop_with_an_id_that_is_taken_takes_its_entry_down_with_it(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(*at(1, Submit(stop("o-2.1", "95"))))
    with pytest.raises(DeskHalted, match="UNIQUE"):
        await journal.record(*at(2, Submit(Order("o-1.1", "o-1", "AAPL", Side.BUY, 10), stop("o-2.1", "95"))))
    with closing(queries.connect_readonly(database.path)) as connection:
        assert [row["id"] for row in queries.orders(connection)] == ["o-2.1"]


async def test_a_change_is_what_was_asked_for_until_the_broker_says_what_it_works(
    tell: Tell, connection: Connection
) -> None:
    asked = stop("o-2.1", "96.25", quantity=4)
    await tell(at(1, Submit(stop("o-2.1", "95.50"))), at(2, Modify(asked)))
    (row,) = queries.stops(connection)
    assert (row["quantity"], row["shares"], row["stop_price"]) == (4, 4, "96.25")
    refused = OrderUpdate(3, "o-2.1", OrderStatus.WORKING, 0, 10, 4711, "too late to change")
    await tell((refused, Step()))
    (row,) = queries.stops(connection)
    assert (row["quantity"], row["broker_id"]) == (10, 4711)


async def test_a_partial_fill_leaves_an_order_its_size_and_a_stop_the_rest_to_cover(
    tell: Tell, connection: Connection
) -> None:
    update = OrderUpdate(2, "o-2.1", OrderStatus.PARTIAL, 3, 7)
    changed = OrderChanged(2, "o-2.1", OrderStatus.PARTIAL, 3)
    await tell(at(1, Submit(stop("o-2.1", "95.50"))), (update, Step((), (changed,))))
    (row,) = queries.stops(connection)
    assert (row["quantity"], row["filled"], row["shares"]) == (10, 3, 7)


async def test_an_attached_stop_covers_what_its_entry_has_traded(tell: Tell, connection: Connection) -> None:
    entry = Order("o-1.1", "o-1", "AAPL", Side.BUY, 10)
    await tell(at(1, Submit(entry, stop("o-2.1", "95.50", attached_to=entry.id))))
    assert [row["shares"] for row in queries.stops(connection)] == [0]
    await tell(at(2, OrderChanged(2, entry.id, OrderStatus.PARTIAL, 4)))
    assert [row["shares"] for row in queries.stops(connection)] == [4]
    await tell(at(3, OrderChanged(3, entry.id, OrderStatus.FILLED, 10)))
    assert [row["shares"] for row in queries.stops(connection)] == [10]


async def test_an_order_found_at_a_start_has_the_size_the_broker_works(
    tell: Tell, connection: Connection
) -> None:
    await tell(at(1, Submit(stop("o-2.1", "95.50"))), at(2, Modify(stop("o-2.1", "95.50", quantity=4))))
    found = OpenOrder(stop("o-2.1", "95.50", quantity=10), 0, 4711)
    await tell(opening(3, orders=(found,)))
    (row,) = queries.stops(connection)
    assert (row["quantity"], row["status"]) == (10, "working")


# ------------------------------------------------------------------------------------------------------- fills


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
async def test_of_an_execution_the_highest_version_stands_in_whatever_order_they_come(
    tell: Tell, connection: Connection, order: tuple[int, ...]
) -> None:
    versions = [executed(5, f"0000e0d5.6f3d.01.0{n}", 10 * n, str(100 + n)) for n in (1, 2, 3)]
    await tell(*(versions[n] for n in order), executed(6, "0000e0d5.6f3d.02.01", 7))
    rows = {row["exec_id"][-5:]: row for row in queries.fills(connection)}
    assert {name: row["superseded_by"][-5:] for name, row in rows.items()} == {
        "01.01": "01.03", "01.02": "01.03", "01.03": "", "02.01": ""
    }  # fmt: skip
    standing_now = recall.booked(connection)
    assert {stem: fill.quantity for stem, fill in standing_now.items()} == {
        "0000e0d5.6f3d.01": 30, "0000e0d5.6f3d.02": 7
    }  # fmt: skip


async def test_an_execution_taken_back_stays_as_two_rows_that_count_nothing(
    tell: Tell, connection: Connection
) -> None:
    await tell(executed(5, "e.01", 10), executed(6, "e.02", 0))
    assert [(row["exec_id"], row["quantity"], row["superseded_by"]) for row in queries.fills(connection)] == [
        ("e.02", 0, ""), ("e.01", 10, "e.02")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "ids", [("e-1", "e-10"), ("e.1.01", "e.10.01"), ("e.01", "e.01.01"), ("e.1.1", "e-1.1")]
)
async def test_executions_with_ids_that_look_alike_are_not_taken_for_versions(
    tell: Tell, connection: Connection, ids: tuple[str, str]
) -> None:
    await tell(*(executed(5, exec_id, 1) for exec_id in ids))
    assert [row["superseded_by"] for row in queries.fills(connection)] == ["", ""]


async def test_whoever_traded_on_the_account_is_named(tell: Tell, connection: Connection) -> None:
    await tell(
        executed(1, "a.01", 1),
        executed(2, "b.01", 1, order_id="manual:4711"),
        executed(3, "c.01", 1, order_id="client-7:4712"),
    )
    assert [row["origin"] for row in queries.fills(connection)] == ["client-7", "manual", "ours"]


@pytest.mark.parametrize(
    "column", ["exec_id", "order_id", "session_id", "ts", "symbol", "side", "quantity", "price"]
)
async def test_nothing_rewrites_what_was_executed(database: Database, tell: Tell, column: str) -> None:
    await tell(executed(1, "a.01", 1))
    with pytest.raises(DeskHalted, match="only its commission and what supersedes it may change"):
        await database.write(lambda connection: connection.execute(f"UPDATE fills SET {column} = {column}"))


# ------------------------------------------------------------------------------------------ where it was protected


async def test_the_last_stop_since_a_position_was_flat_is_where_it_was_protected(
    tell: Tell, connection: Connection
) -> None:
    await tell(
        at(1, Submit(stop("o-1.1", "80"))), at(2, held(2, 10)),
        at(3, held(3, 0), OrderChanged(3, "o-1.1", OrderStatus.CANCELLED, 0)),
    )  # fmt: skip
    assert recall.last_stops(connection) == {}
    await tell(at(4, Submit(stop("o-2.1", "95"))), at(5, held(5, 10)))
    assert recall.last_stops(connection) == {"AAPL": Decimal(95)}
    await tell(at(6, OrderChanged(6, "o-2.1", OrderStatus.CANCELLED, 0)))
    assert recall.last_stops(connection) == {"AAPL": Decimal(95)}  # ended, but it says where
    await tell(at(7, Submit(stop("o-3.1", "97"))), at(8, Modify(stop("o-3.1", "98", quantity=12))))
    assert recall.last_stops(connection) == {"AAPL": Decimal(98)}


async def test_a_stop_that_was_refused_or_of_another_side_protected_nothing(
    tell: Tell, connection: Connection
) -> None:
    await tell(
        at(1, held(1, 10)),
        at(2, Submit(stop("o-1.1", "80")), OrderChanged(2, "o-1.1", OrderStatus.REJECTED, 0)),
        at(3, Submit(stop("o-2.1", "120", Side.BUY))),
    )
    assert recall.last_stops(connection) == {}


async def test_where_it_was_protected_outlives_restarts(
    tell: Tell, database: Database, connection: Connection
) -> None:
    await tell(at(1, held(1, 0)), at(2, Submit(stop("o-1.1", "80"))), at(3, held(3, 10)))
    for n in (1, 2):
        await database.start_session(f"later-{n}", n, "paper", "DU1234567", [], "{}")
        lost = OpenOrder(stop("o-1.1", "80"), alive=False)
        holding = Holding("AAPL", 10, (Lot(10, Decimal(1)),), 10)
        await tell(
            opening(10 * n, holding, orders=(lost,)),
            (OrderUpdate(10 * n, "o-1.1", OrderStatus.CANCELLED), Step((), (
                OrderChanged(10 * n, "o-1.1", OrderStatus.CANCELLED, 0),))),
            session=f"later-{n}",
        )  # fmt: skip
        assert recall.last_stops(connection) == {"AAPL": Decimal(80)}


async def test_a_position_that_went_away_while_we_were_away_was_flat_then(
    tell: Tell, database: Database, connection: Connection
) -> None:
    gone = OrderChanged(2, "o-1.1", OrderStatus.CANCELLED, 0)
    await tell(at(1, Submit(stop("o-1.1", "80")), held(1, 10)), at(2, gone))
    await database.start_session("later", 1, "paper", "DU1234567", [], "{}")
    await tell(opening(10), at(11, held(11, 10)), session="later")
    assert recall.last_stops(connection) == {}
