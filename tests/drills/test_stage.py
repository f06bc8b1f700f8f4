"""A real daemon on a drill's stage: what is clean counts nothing, and each defect planted in it is seen."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ib_async import IB, MarketOrder, Stock

from robo_trader.drills.ledger import compare
from robo_trader.drills.stage import Stage, StageOptions

pytestmark = pytest.mark.daemon
Plant = Callable[[Stage], None]


def doctor(*statements: str) -> Plant:
    def plant(stage: Stage) -> None:
        assert stage.home.database is not None
        with closing(sqlite3.connect(stage.home.database)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return plant


def lose_a_stop(stage: Stage) -> None:
    orders = stage.market.gateway.orders
    stop = next(ticket for ticket in orders.working() if ticket.type == "STP")
    orders.cancel_at_exchange(stop.perm_id, "gone", stage.market.now)


DEFECTS: dict[str, Plant] = {
    "stops_missing": lose_a_stop,
    "fills_doubled": doctor(
        "INSERT INTO fills SELECT exec_id || '9.01', order_id, session_id, ts, symbol, side, quantity, price,"
        " commission, '' FROM fills LIMIT 1"
    ),
    "fills_lost": doctor("DELETE FROM fills WHERE rowid = (SELECT min(rowid) FROM fills)"),
    "books_differ": doctor("UPDATE positions SET quantity = quantity + 1 WHERE quantity != 0"),
    "orders_lost": doctor("DELETE FROM orders WHERE broker_id = (SELECT max(broker_id) FROM orders)"),
}


async def send_again(stage: Stage) -> None:
    """Another client sends an order under a ref of ours."""
    ref = next(order.ref for order in stage.market.gateway.truth().orders.values() if order.ref)
    ib = IB()
    await ib.connectAsync("127.0.0.1", stage.market.port, clientId=55)
    (contract,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    trade = ib.placeOrder(contract, MarketOrder("BUY", 5, orderRef=ref))
    while not trade.orderStatus.permId:
        await asyncio.sleep(0.01)
    ib.disconnect()


async def test_every_defect_planted_in_a_daemon_that_was_clean_is_seen(tmp_path: Path):
    async with Stage(tmp_path / "home", StageOptions(seed=3)) as stage:
        assert await stage.start() is not None, stage.died()
        while stage.market.gateway.witness.executions < 40 or not stage.market.gateway.truth().positions:
            await stage.pass_time(60)
        assert await stage.settle() == []
        await stage.kill()
        for counter, plant in DEFECTS.items():
            plant(stage)
            assert counter in {finding.counter for finding in compare(*stage.look())}, counter
        await send_again(stage)
        assert "sent_twice" in {finding.counter for finding in compare(*stage.look())}


async def test_a_daemon_that_ends_by_itself_is_told(tmp_path: Path):
    options = StageOptions(settings={"strategy_fast": 20, "strategy_slow": 10})
    async with Stage(tmp_path / "home", options) as stage:
        assert await stage.start() is None
        assert stage.is_dead
        assert "code 2" in stage.died().what
        assert "STRATEGY_FAST" in stage.died().what
