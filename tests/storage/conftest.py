"""A session in a real database file, and one of every message."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Abstained,
    AccountSnapshot,
    Anomaly,
    Bar,
    Cancel,
    Decision,
    Denied,
    Equity,
    Event,
    FeatureRow,
    Feed,
    FeedStatus,
    Fill,
    Halt,
    Halted,
    Holding,
    Lot,
    Mismatch,
    Modify,
    OpenOrder,
    Order,
    OrderChanged,
    OrderStatus,
    OrderType,
    OrderUpdate,
    PositionChanged,
    Quote,
    Resume,
    Resumed,
    SetTimer,
    Side,
    Signal,
    Step,
    Submit,
    Timer,
    Trade,
)
from robo_trader.storage.database import Database

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
    at = [OPENING + minute * MINUTE_NS for minute in range(12)]
    child = Order(
        f"{SESSION}-1.1", f"{SESSION}-1", "AAPL", Side.BUY, 100, algorithm="twap", reason="cross up"
    )
    found = Order("yesterday-4.2", "yesterday-4", "MSFT", Side.SELL, 5, OrderType.LIMIT, Decimal("410.50"))
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
        (
            Bar("AAPL", at[3], 180.5, 181.5, 180.25, 181.0, 900.0),
            Step(
                (Submit(child), SetTimer(at[5], f"{child.parent_id}:slice")),
                (
                    FeatureRow(at[3], "AAPL", "v1", bytes(range(16))),
                    Signal(at[3], "AAPL", "ma_crossover", 1, 0.75, "5 over 20", 0.66, "ensemble-1"),
                    Abstained(at[3], "MSFT", "ml", "below 0.65", 0.52),
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
        (Resume(at[8], "looked at it", "user"), Step((), (Resumed(at[8], "looked at it", "user"),))),
    ]  # fmt: skip
