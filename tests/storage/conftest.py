"""A session in a real database file, and one of every message."""

from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from sqlite3 import Connection

import pytest

from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    AccountSnapshot,
    Bar,
    Cancel,
    Depth,
    Event,
    Feed,
    FeedStatus,
    Fill,
    Flatten,
    Halt,
    Holding,
    Lot,
    ModelChanged,
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Remedy,
    Resolve,
    Resume,
    Retrained,
    Role,
    SetTimer,
    Side,
    Split,
    Submit,
    Timer,
    Trade,
    TradingState,
)
from robo_trader.core.steps import (
    Abstained,
    Agreed,
    Anomaly,
    CashMoved,
    Corrected,
    Decision,
    Denied,
    Drifted,
    DriftSummary,
    Equity,
    FeatureRow,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    PositionChanged,
    Regime,
    RegimeChanged,
    Resumed,
    Shadow,
    Signal,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly
from tests.storage.told import Tell

OPENING = 1_767_623_400 * SECOND_NS  # 2026-01-05 09:30 in New York
SESSION = "20260105-1"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(tmp_path / "desk.db") as opened:
        await opened.start_session(SESSION, OPENING, "paper", "DU1234567", ["AAPL", "MSFT"], '{"seed":7}')
        yield opened


@pytest.fixture
def day() -> list[tuple[Event, Step]]:
    """A made-up morning that uses every event, command and fact there is, told in a possible order."""
    at = [OPENING + minute * MINUTE_NS for minute in range(16)]
    child = Order(
        f"{SESSION}-1.1", f"{SESSION}-1", "AAPL", Side.BUY, 100, algorithm="twap", reason="cross up"
    )
    found = Order("yesterday-4.2", "yesterday-4", "MSFT", Side.SELL, 5, OrderType.LIMIT, Decimal("410.50"))
    exit_ = Order(f"{SESSION}-2.1", f"{SESSION}-2", "AAPL", Side.SELL, 50)
    stop = Order(
        f"{SESSION}-3.1", f"{SESSION}-3", "AAPL", Side.BUY, 50, OrderType.STOP,
        stop_price=Decimal("190.05"), tif="GTC", attached_to=exit_.id,
    )  # fmt: skip
    lot = Lot(10, Decimal("400.25"))
    fill = Fill(at[4], child.id, "0001.01", "AAPL", Side.BUY, 60, Decimal("180.12"))
    late = Fill(at[0], "yesterday-3.1", "0000.09", "MSFT", Side.BUY, 10, Decimal("400.25"), Decimal("1.00"))
    books = (Decimal("87191.80"), Decimal("12810.00"), Decimal(100_000), Decimal("-1.00"), Decimal("2.80"))
    return [
        (
            AccountSnapshot(
                at[0], "DU1234567", Decimal("95997.50"), Decimal(100_000),
                (Holding("MSFT", 10, (lot,), 10),), (OpenOrder(found, 2, 77, OrderStatus.PARTIAL),), (late,),
            ),
            Step(),
        ),
        (Bar("AAPL", at[1], 180.0, 181.0, 179.5, 180.5, 1200.0, history=True), Step()),
        (Quote("AAPL", at[2], 180.11, 180.13, 300.0, 200.0), Step()),
        (Trade("AAPL", at[2], 180.12, 100.0), Step()),
        (Depth("AAPL", at[2], ((180.11, 300.0), (180.1, 20.5)), ((180.13, 200.0),)), Step()),
        (
            Bar("AAPL", at[3], 180.5, 181.5, 180.25, 181.0, 900.0),
            Step(
                (Submit(child), SetTimer(at[5], f"{child.parent_id}:slice")),
                (
                    FeatureRow(at[3], "AAPL", "v1", bytes(range(16))),
                    Signal(at[3], "AAPL", "ma_crossover", 1, 0.75, "5 over 20", 0.66, "ensemble-1"),
                    Abstained(at[3], "MSFT", "ml", "below 0.65", 0.52),
                    RegimeChanged(at[3], "AAPL", Regime.VOLATILE, "bull", "at rank 0.93"),
                    Drifted(at[3], "rsi_14", "psi", 0.31, 0.25),
                    Shadow(at[3], "AAPL", "v1", "v2", 0.52, 0.57),
                    DriftSummary(at[3], "2026-01-05", 720, 34, 2, True,
                                 (Drifted(at[3], "rsi_14", "psi", 0.31, 0.25),)),
                    Decision(at[3], "AAPL", "ma_crossover", child.parent_id, Side.BUY, 100, "twap", "ok",
                             {"risk_usd": 1000.0}),
                ),
            ),
        ),
        (
            OrderUpdate(at[3], child.id, OrderStatus.WORKING, 0, 100, 4711),
            Step((), (OrderChanged(at[3], child.id, OrderStatus.WORKING, 0, 4711),)),
        ),
        (
            fill,
            Step((), (
                PositionChanged(at[4], "AAPL", 60, (Lot(60, fill.price),), Decimal("-1.00")),
                OrderChanged(at[4], child.id, OrderStatus.PARTIAL, 60),
                Equity(at[4], *books),
            )),
        ),
        (Fill(at[4], child.id, "0001.01", "AAPL", Side.BUY, 60, Decimal("180.12"), Decimal("1.00")), Step()),
        (
            Timer(at[5], f"{child.parent_id}:slice"),
            Step(
                (Modify(Order(child.id, child.parent_id, "AAPL", Side.BUY, 80, OrderType.LIMIT,
                              Decimal("181.01"))),),
                (Denied(at[5], f"{SESSION}-1.2", "AAPL", "daily_loss", "too much lost", -1200.0, -1000.0),
                 Denied(at[5], f"{SESSION}-1.3", "AAPL", "heat", "volatility unknown")),
            ),
        ),
        (FeedStatus(at[6], "MSFT", Feed.STALE, "no bar for 3 minutes"), Step((), (
            Anomaly(at[6], "MSFT", "a foreign fill"), Mismatch(at[6], "MSFT", 10, 8)))),
        (Halt(at[7], "enough for today", "user"),
         Step((Cancel(child.id),), (Halted(at[7], "enough for today", "user"),))),
        (Resume(at[8], "looked at it", "user"), Step((), (Resumed(at[8], "looked at it", "user", ("user",)),))),
        (
            Fill(at[9], child.id, "0001.02", "AAPL", Side.BUY, 50, Decimal("180.10"), Decimal("0.90")),
            Step((), (
                Corrected(at[9], "AAPL", "0001.02", "0001.01", 50, Decimal("180.10"), 60, fill.price),
                PositionChanged(at[9], "AAPL", 50, (Lot(50, Decimal("180.10"), "0001"),), Decimal("-0.90")),
                Unprotected(at[9], "AAPL", 50, "no price is known"),
                CashMoved(at[9], Decimal("-12.34"), Decimal("87179.46"), "a fee"),
            )),
        ),
        (
            Resolve(at[10], "MSFT", Remedy.IGNORE, "mine", "operator", at[15]),
            Step((), (Ignored(at[10], "MSFT", -2, at[15], "mine"), Agreed(at[10], "MSFT", 10, "ignored: mine"))),
        ),
        (
            Flatten(at[11], "AAPL", "enough", "operator"),
            Step((Submit(exit_, stop),), (Halted(at[11], "reopening", "session", TradingState.REDUCING),)),
        ),
        (ModelChanged(at[11], Role.CHALLENGER, "v2", "ab" * 32, "proven", "night"), Step()),
        (Retrained(at[11], "v2", "challenger", "it is proven"), Step()),
        (
            Split(at[12], "MSFT", 4, 1, at[0], 40, "announced", "operator"),
            Step((), (
                SplitSuspected(at[12], "MSFT", 4, 1, "opened at a quarter"),
                SplitBooked(at[12], "MSFT", 4, 1, at[0], Decimal("91.10"), "operator: announced"),
            )),
        ),
    ]  # fmt: skip


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    with closing(connect_readonly(database.path)) as opened:
        yield opened


@pytest.fixture(params=["each its own commit", "one commit"])
async def tell(request: pytest.FixtureRequest, database: Database) -> Tell:
    """Record events with their steps, each in a transaction of its own or all in one."""

    journals: dict[str, SqliteJournal] = {}

    async def recorded(*told: tuple[Event, Step], session: str = SESSION) -> None:
        journal = journals.setdefault(session, SqliteJournal(database, session))
        for event, step in told:
            journal.add(event, step)
            if request.param != "one commit":
                await journal.commit()
        await journal.commit()

    return recorded
