"""A gateway killed at any moment has lost nothing that a client was told."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path

from ib_async import IB, Contract, Fill, LimitOrder, MarketOrder, Trade

from robo_trader.practice.account.books import FLAT, Books
from robo_trader.practice.account.state import State
from robo_trader.practice.gateway import account_of
from robo_trader.simulation.tape import TapeMarket

ROUNDS = int(os.environ.get("PRACTICE_KILLS", "6"))
LONGEST = 0.25  # seconds of trading before a kill
CASH = Decimal(100_000)
WHERE = re.compile(r"listening on 127\.0\.0\.1:(\d+) ")


class Memory:
    """What the client was told and may therefore rely on."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[int, str]] = {}  # permanent id and last status, by reference
        self.fills: dict[str, tuple[str, float, float]] = {}  # reference, shares and price, by execution id

    def listen(self, ib: IB) -> None:
        ib.openOrderEvent += self._note_order
        ib.orderStatusEvent += self._note_order
        ib.execDetailsEvent += self._note_fill

    def _note_order(self, trade: Trade) -> None:
        if trade.order.permId:
            self.orders[trade.order.orderRef] = trade.order.permId, trade.orderStatus.status

    def _note_fill(self, _trade: Trade, fill: Fill) -> None:
        e = fill.execution
        self.fills[e.execId] = e.orderRef, e.shares, e.price

    def check(self, ib: IB) -> None:
        """Everything is there, and what had ended has ended the same way."""
        found: dict[str, Trade] = {trade.order.orderRef: trade for trade in ib.trades()}
        for ref, (perm_id, status) in self.orders.items():
            assert found[ref].order.permId == perm_id
            if status in ("Filled", "Cancelled"):
                assert found[ref].orderStatus.status == status
        executed = {f.execution.execId: f.execution for f in ib.fills()}
        for exec_id, told in self.fills.items():
            e = executed[exec_id]
            assert (e.orderRef, e.shares, e.price) == told


@asynccontextmanager
async def running(tape_file: Path, state: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "robo_trader.practice", "--tape", tape_file, "--state", state,
        "--port", "0", "--speed", "60", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        found = WHERE.search(line)
        assert found, line
        yield process, int(found[1])
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await process.stdout.read()


async def connected(port: int) -> IB:
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", port, clientId=1, raiseSyncErrors=True)
    return ib


async def trade_until_killed(ib: IB, stock: Contract, chance: random.Random, name: str) -> None:
    """Place and cancel orders, one each time the gateway has answered, until it answers no more."""
    with suppress(ConnectionError):
        for i in range(10_000):
            side, ref = chance.choice(("BUY", "SELL")), f"{name}.{i}"
            far = 150.0 if side == "BUY" else 290.0
            near = 290.0 if side == "BUY" else 150.0
            match chance.randrange(4):
                case 0:
                    ib.placeOrder(stock, MarketOrder(side, chance.randint(1, 5), orderRef=ref))
                case 1:
                    ib.placeOrder(stock, LimitOrder(side, chance.randint(1, 5), near, orderRef=ref))
                case 2:
                    ib.placeOrder(stock, LimitOrder(side, chance.randint(1, 5), far, orderRef=ref))
                case _:
                    for open_trade in ib.openTrades()[:1]:
                        ib.cancelOrder(open_trade.order)
            await ib.reqCurrentTimeAsync()


def check_books(tape: TapeMarket, state: Path) -> int:
    """The saved books are those of all executions. Return how many there are."""
    kept = State(state, account_of(tape))
    saved = kept.load()
    kept.close()
    assert saved is not None
    books = Books(CASH)
    for f in saved.executions:
        books.book(f.symbol, f.side, f.quantity, f.price, f.commission)
    assert saved.books.cash == books.cash
    assert saved.books.positions.get("AAPL", FLAT) == books.positions.get("AAPL", FLAT)
    for ticket in saved.tickets:
        of_ticket = [f.quantity for f in saved.executions if f.perm_id == ticket.perm_id]
        assert ticket.filled == sum(of_ticket) <= ticket.quantity
    return len(saved.executions)


async def test_what_a_client_was_told_survives_any_kill(
    tape_file: Path, tape: TapeMarket, stock: Contract, tmp_path: Path
) -> None:
    chance, memory, state = random.Random(20260113), Memory(), tmp_path / "state"
    for number in range(ROUNDS):
        async with running(tape_file, state) as (process, port):
            ib = await connected(port)
            memory.check(ib)
            memory.listen(ib)
            ib.reqMktData(stock)  # starts the clock
            asyncio.get_running_loop().call_later(chance.uniform(0, LONGEST), process.kill)
            await trade_until_killed(ib, stock, chance, f"{number}")
            ib.disconnect()
    async with running(tape_file, state) as (_, port):
        ib = await connected(port)
        memory.check(ib)
        ib.disconnect()
    assert len(memory.orders) >= ROUNDS
    assert check_books(tape, state) >= len(memory.fills) > 0
