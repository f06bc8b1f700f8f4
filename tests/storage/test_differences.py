"""Who stops new exposure, and where our books and the broker differ, as the tables keep it."""

from __future__ import annotations

from decimal import Decimal
from sqlite3 import Connection

import pytest

from robo_trader.core.events import (
    Flatten,
    Halt,
    TradingState,
)
from robo_trader.core.recovery import Left
from robo_trader.core.steps import (
    Agreed,
    CashMoved,
    Fact,
    Halted,
    Ignored,
    Mismatch,
    Resumed,
    Step,
    Unprotected,
)
from robo_trader.storage import queries, recall
from robo_trader.storage.database import Database
from robo_trader.storage.halts import halt_state, standing
from robo_trader.storage.journal import is_urgent
from tests.storage.told import Tell, at, opening

# --------------------------------------------------------------------------------------- who stops new exposure


def halted(ts: int, by: str, state: TradingState = TradingState.HALTED, why: str = "why") -> Halted:
    return Halted(ts, why, by, state)


REDUCING, HALTED, ACTIVE = TradingState.REDUCING, TradingState.HALTED, TradingState.ACTIVE


async def test_several_may_stop_new_exposure_and_each_is_lifted_alone(
    tell: Tell, connection: Connection
) -> None:
    await tell(
        at(1, halted(1, "restart window", REDUCING)), at(2, halted(2, "operator")), at(3, halted(3, "session", REDUCING))
    )  # fmt: skip
    found = halt_state(connection)
    assert found is not None
    assert (found["state"], found["by"], found["ts_ns"], found["halted"]) == ("halted", "operator", 2, True)
    assert [row["by"] for row in found["standing"]] == ["operator", "restart window", "session"]
    await tell(at(4, Resumed(4, "fine", "operator", ("operator",), REDUCING)))
    found = halt_state(connection)
    assert found is not None
    assert (found["state"], found["by"], found["ts_ns"], found["halted"]) == (
        "reducing",
        "restart window",
        1,
        False,
    )
    await tell(
        at(5, Resumed(5, "over", "restart window", ("restart window",), REDUCING)),
        at(6, Resumed(6, "back", "session", ("session",), ACTIVE)),
    )
    found = halt_state(connection)
    assert found is not None
    assert (found["state"], found["reason"], found["standing"]) == ("active", "back", [])


async def test_over_a_restart_stands_what_a_person_has_to_lift(
    tell: Tell, database: Database, connection: Connection
) -> None:
    await tell(
        at(1, halted(1, "session", REDUCING)), at(2, halted(2, "operator", REDUCING)), at(3, halted(3, "a gate"))
    )  # fmt: skip
    assert [row["by"] for row in standing(connection)] == ["a gate", "session", "operator"]
    assert recall.stored(connection).halts == (("a gate", HALTED, "why"), ("operator", REDUCING, "why"))
    await database.start_session("later", 1, "paper", "DU1234567", [], "{}")
    assert [row["by"] for row in standing(connection)] == ["a gate", "operator"]


async def test_a_halt_told_again_by_a_restart_stands_since_it_was_told_first(
    tell: Tell, database: Database, connection: Connection
) -> None:
    await tell((Halt(1, "why", "operator"), Step((), (halted(1, "operator"),))))
    await database.start_session("later", 1, "paper", "DU1234567", [], "{}")
    await tell((Halt(9, "why", "operator"), Step((), (halted(9, "operator"),))), session="later")
    found = halt_state(connection)
    assert found is not None
    assert (found["ts_ns"], len(found["standing"])) == (1, 1)


# --------------------------------------------------------------------------------- what differs from the broker


async def test_a_quarantine_says_both_sides_as_told_last_and_since_when(
    tell: Tell, connection: Connection
) -> None:
    await tell(at(1, Mismatch(1, "AAPL", 10, 8)), at(2, Mismatch(2, "AAPL", 10, 7)))
    (row,) = queries.quarantines(connection)
    assert (row["symbol"], row["since_ns"], row["ours"], row["broker"], row["ended"]) == (
        "AAPL",
        1,
        10,
        7,
        None,
    )


async def test_a_quarantine_ends_and_may_begin_again(tell: Tell, connection: Connection) -> None:
    await tell(
        at(1, Mismatch(1, "AAPL", 10, 8)), at(2, Agreed(2, "AAPL", 10, "both sides agree again")),
        at(3, Mismatch(3, "AAPL", 10, 9)),
    )  # fmt: skip
    (row,) = queries.quarantines(connection)
    assert (row["since_ns"], row["broker"]) == (3, 9)
    assert [row["how"] for row in queries.quarantines(connection, open_only=False)] == [
        "", "both sides agree again"
    ]  # fmt: skip


async def test_a_quarantine_outlives_a_restart_with_its_beginning_or_ends_with_it(
    tell: Tell, database: Database, connection: Connection
) -> None:
    await tell(at(1, Mismatch(1, "AAPL", 10, 8), Mismatch(1, "MSFT", 5, 0)))
    await database.start_session("later", 1, "paper", "DU1234567", [], "{}")
    await tell(opening(9, facts=(Mismatch(9, "AAPL", 10, 6),)), session="later")
    (row,) = queries.quarantines(connection)
    assert (row["symbol"], row["since_ns"], row["broker"]) == ("AAPL", 1, 6)
    (_, ended) = sorted(queries.quarantines(connection, open_only=False), key=lambda row: row["symbol"])
    assert (ended["ended_ns"], ended["how"]) == (9, "both sides agreed at a start")


async def test_what_a_person_left_alone_is_known_to_a_restart(tell: Tell, connection: Connection) -> None:
    await tell(
        at(1, Mismatch(1, "AAPL", 10, 8)),
        at(2, Ignored(2, "AAPL", -2, 99, "mine"), Agreed(2, "AAPL", 10, "ignore by operator: mine")),
        at(3, Mismatch(3, "AAPL", 10, 7)),
    )
    assert recall.stored(connection).ignored == {"AAPL": Left(-2, 99)}


async def test_cash_that_moved_without_a_trade_is_listed(tell: Tell, connection: Connection) -> None:
    await tell(at(1, CashMoved(1, Decimal("-1.25"), Decimal("98.75"), "a fee")))
    (row,) = queries.cash_moves(connection)
    assert (row["amount"], row["cash"], row["why"]) == ("-1.25", "98.75", "a fee")


async def test_shares_without_a_stop_are_told_until_they_have_one(
    tell: Tell, database: Database, connection: Connection
) -> None:
    await tell(
        opening(1), at(2, Unprotected(2, "AAPL", 10, "no price"), Unprotected(2, "MSFT", 5, "no price"))
    )
    assert [(row["symbol"], row["shares"]) for row in queries.unprotected(connection)] == [
        ("AAPL", 10),
        ("MSFT", 5),
    ]
    await tell(opening(3), at(4, Unprotected(4, "AAPL", 0, "")))
    assert [row["symbol"] for row in queries.unprotected(connection)] == ["MSFT"]
    await database.start_session("later", 1, "paper", "DU1234567", [], "{}")
    assert queries.unprotected(connection)  # until the books are opened nothing has been looked at
    await tell(opening(5), session="later")
    assert queries.unprotected(connection) == []


@pytest.mark.parametrize(
    "fact",
    [
        Mismatch(1, "AAPL", 1, 2), Agreed(1, "AAPL", 1, "how"), Ignored(1, "AAPL", 1, 2, "why"),
        CashMoved(1, Decimal(1), Decimal(1), "why"), Unprotected(1, "AAPL", 1, "why"), halted(1, "operator"),
    ],
)  # fmt: skip
def test_what_differs_from_the_broker_is_urgent(fact: Fact) -> None:
    assert is_urgent(*at(1, fact))
    assert is_urgent(Flatten(1, "AAPL", "why", "operator"), Step())
