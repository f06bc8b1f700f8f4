"""What survives: a reconnecting client, a restarted gateway, a full disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path

import pytest
from ib_async import Contract, LimitOrder, MarketOrder

from robo_trader.core.errors import DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.practice.account.books import Position
from robo_trader.practice.account.state import State
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions, account_of
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of

Restart = Callable[[], AbstractAsyncContextManager[Desk]]


async def test_a_client_that_comes_back_finds_its_orders_and_executions(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    filled = ib.placeOrder(stock, MarketOrder("BUY", 3, orderRef="run-1.1"))
    resting = ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0, orderRef="run-1.2"))
    await desk.settle()
    ib.disconnect()
    again = await desk.connect(3)
    again.disconnect()
    back = await desk.connect(1)
    (fill,) = back.fills()
    assert fill.execution.execId == filled.fills[0].execution.execId
    by_ref = {trade.order.orderRef: trade for trade in back.trades()}
    assert by_ref["run-1.1"].orderStatus.status == "Filled"
    assert by_ref["run-1.1"].order.permId == filled.order.permId
    assert by_ref["run-1.2"].orderStatus.status == "Submitted"
    back.cancelOrder(by_ref["run-1.2"].order)
    await desk.settle()
    assert by_ref["run-1.2"].orderStatus.status == "Cancelled"
    assert back.client.getReqId() > resting.order.orderId


async def test_a_restarted_gateway_has_forgotten_nothing(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5 + 60)
        ib.placeOrder(stock, MarketOrder("BUY", 30, orderRef="run-1.1"))
        resting = ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0, orderRef="run-1.2"))
        cancelled = ib.placeOrder(stock, LimitOrder("BUY", 9, 150.0, orderRef="run-1.3"))
        await desk.settle()
        ib.cancelOrder(cancelled.order)
        await desk.settle()
        told = {(v.tag, v.currency): v.value for v in ib.accountValues()}
        time, fills = await ib.reqCurrentTimeAsync(), ib.fills()
    async with restart() as desk:
        ib = await desk.connect()
        assert {(v.tag, v.currency): v.value for v in ib.accountValues()} == told
        assert await ib.reqCurrentTimeAsync() == time
        assert [f.execution for f in ib.fills()] == [f.execution for f in fills]
        assert [p.position for p in ib.positions()] == [30]
        by_ref = {trade.order.orderRef: trade for trade in ib.trades()}
        assert {ref: trade.orderStatus.status for ref, trade in by_ref.items()} == {
            "run-1.1": "Filled",
            "run-1.2": "Submitted",
            "run-1.3": "Cancelled",
        }
        order = by_ref["run-1.2"].order
        assert order.permId == resting.order.permId
        order.lmtPrice = 250.0
        ib.placeOrder(stock, order)
        await desk.settle()
        assert [p.position for p in ib.positions()] == [37]
        new = ib.placeOrder(stock, MarketOrder("BUY", 1))
        await desk.settle()
        assert new.order.permId > resting.order.permId
        assert new.orderStatus.status == "Filled"


async def test_what_was_told_is_on_disk_even_if_the_process_dies_now(
    desk: Desk, tape: TapeMarket, stock: Contract, tmp_path: Path
) -> None:
    options = PracticeOptions(speed=0, state=tmp_path / "a")
    gateway = PracticeGateway(options, tape)
    running = Desk(gateway, await gateway.start())
    ib = await running.connect()
    await running.advance(5)
    ib.placeOrder(stock, MarketOrder("BUY", 2, orderRef="run-1.1"))
    await running.advance(15)
    # Copies of the files as they are now are what a kill would leave.
    (tmp_path / "b").mkdir()
    for file in (tmp_path / "a").iterdir():
        (tmp_path / "b" / file.name).write_bytes(file.read_bytes())
    running.close()
    await gateway.stop()
    survivor = PracticeGateway(PracticeOptions(speed=0, state=tmp_path / "b"), tape)
    running = Desk(survivor, await survivor.start())
    ib = await running.connect()
    assert [f.execution.orderRef for f in ib.fills()] == ["run-1.1"]
    assert [p.position for p in ib.positions()] == [2]
    assert str(await ib.reqCurrentTimeAsync()) == "2026-01-13 14:30:15+00:00"
    running.close()
    await survivor.stop()


async def test_two_gateways_never_share_one_account(tape: TapeMarket, tmp_path: Path) -> None:
    options = PracticeOptions(speed=0, state=tmp_path)
    gateway = PracticeGateway(options, tape)
    with pytest.raises(DataError, match="another practice gateway"):
        PracticeGateway(options, tape)
    await gateway.stop()


async def test_a_state_file_that_is_none_is_refused(tape: TapeMarket, tmp_path: Path) -> None:
    (tmp_path / f"{account_of(tape)}.db").write_text("This is not a database. " * 100)
    with pytest.raises(DataError, match="not a database"):
        PracticeGateway(PracticeOptions(speed=0, state=tmp_path), tape)


async def test_what_changes_nothing_writes_nothing(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5)
        state = desk.gateway._state
        assert state is not None
        before = state._db.total_changes
        ib.placeOrder(stock, LimitOrder("BUY", 7, 150.001))  # refused: no whole cent
        await desk.settle()
        desk.gateway.deliver(desk.gateway.orders.commit())
        assert state._db.total_changes == before
        ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0))
        await desk.settle()
        assert state._db.total_changes > before


async def test_what_cannot_be_saved_is_not_told(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5)
        assert desk.gateway._state is not None
        desk.gateway._state._db.execute("PRAGMA query_only=ON")  # as a full disk would
        trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
        with pytest.raises(DataError, match="cannot be written"):
            await desk.gateway.failed()
        assert not trade.fills


async def test_a_damaged_state_file_is_an_error_with_a_way_out(restart: Restart, tmp_path: Path) -> None:
    async with restart():
        pass
    (file,) = tmp_path.rglob("DUP*.db")
    pages = bytearray(file.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    file.write_bytes(pages)
    with pytest.raises(DataError, match="begin anew"):
        async with restart():
            pass


# ------------------------------------------------------------------------------------------- earlier versions

EARLIER = Path(__file__).with_name("state_v1.sql")


@pytest.fixture
def earlier(tape: TapeMarket, tmp_path: Path) -> Path:
    """A state directory as the first version left it, at 09:31:20 of the last day."""
    account, directory = account_of(tape), tmp_path / "state"
    directory.mkdir()
    with sqlite3.connect(directory / f"{account}.db") as db:
        db.executescript(EARLIER.read_text().replace("DUP956814", account))
    db.close()
    return directory


def test_a_file_of_the_first_version_is_brought_up_to_this_one_and_keeps_its_content(
    earlier: Path, tape: TapeMarket
) -> None:
    state = State(earlier, account_of(tape))
    saved = state.load()
    state.close()
    assert saved is not None
    assert saved.books.cash == Decimal("5967.55")
    assert saved.books.positions == {
        "AAPL": Position(
            470, Decimal("94080.31666666666666666666667"), Decimal("-1.633333333333333333333333")
        ),
        "THIN": Position(-1, Decimal("-49.5000"), Decimal(0)),
    }
    assert saved.books.opening is not None
    assert (saved.books.opening.label, saved.books.opening.cash) == ("2026-01-13", 100_000)
    assert saved.next_perm_id == 469855182
    assert [t.status for t in saved.tickets] == [
        "Filled", "Submitted", "Submitted", "Cancelled", "Filled", "Filled", "Filled",
    ]  # fmt: skip
    assert [e.quantity for e in saved.executions] == [30, 10, 1, 60, 100, 100, 100, 90]
    again = State(earlier, account_of(tape))
    assert again.load() == saved
    again.close()


async def test_an_account_of_the_first_version_goes_on(
    earlier: Path, restart: Restart, stock: Contract
) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        assert {p.contract.symbol: p.position for p in ib.positions()} == {"AAPL": 470, "THIN": -1}
        assert {t.order.orderRef for t in ib.openTrades()} == {"run-1.2", "run-1.3"}
        assert len(ib.fills()) == 8
        pnl = ib.reqPnL(desk.gateway.account)
        await desk.settle()
        last = desk.gateway.exchange.last
        made = desk.gateway.books.net_liquidation(last) - 100_000
        assert pnl.dailyPnL == pytest.approx(float(made), abs=0.006)
        close = desk.gateway.exchange.session.close
    (clock,) = earlier.glob("*.clock")
    clock.write_text(f"{close - 10 * SECOND_NS:020d}")
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(10)
        assert {t.order.orderRef for t in ib.openTrades()} == {"run-1.2"}  # the other one was for the day


def test_a_file_of_a_later_version_is_left_alone(earlier: Path, tape: TapeMarket) -> None:
    account = account_of(tape)
    with sqlite3.connect(earlier / f"{account}.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataError, match="later version"):
        State(earlier, account)


def test_a_damaged_file_of_the_first_version_is_left_as_it_was(earlier: Path, tape: TapeMarket) -> None:
    account = account_of(tape)
    with sqlite3.connect(earlier / f"{account}.db") as db:
        db.execute("UPDATE execution SET body = CAST('x' AS BLOB) WHERE rowid = 1")
    db.close()
    for _ in range(2):
        with pytest.raises(DataError, match="begin anew"):
            State(earlier, account)


# --------------------------------------------------------------------------------------- what lies over the market


async def test_halts_corporate_actions_and_shares_to_borrow_survive(restart: Restart) -> None:
    async with restart() as desk:
        await desk.gateway.advance(5)
        exchange, orders = desk.gateway.exchange, desk.gateway.orders
        orders.borrow.limit("THIN", 0)
        orders.borrow.limit("AAPL", None)
        exchange.begin_halt("AAPL", "news")
        exchange.dividend("AAPL", Decimal(1))
        before = exchange.overlays()
        await desk.gateway.advance(5)  # saved with the clock, if nothing else was saved before
    async with restart() as desk:
        assert desk.gateway.exchange.overlays() == before
        assert desk.gateway.exchange.halt("AAPL") is not None
        assert desk.gateway.orders.borrow.shares == {"THIN": 0, "AAPL": None}


async def test_a_dividend_is_booked_once_however_often_the_gateway_dies_that_morning(
    tape: TapeMarket, tmp_path: Path, stock: Contract
) -> None:
    options = PracticeOptions(speed=0, start="2026-01-12", state=tmp_path / "state")
    async with desk_of(options, tape) as desk:
        ib = await desk.connect()
        await desk.advance(5)
        ib.placeOrder(stock, MarketOrder("BUY", 10))
        await desk.advance(5)
        desk.gateway.exchange.dividend("AAPL", Decimal(2))
        desk.gateway.orders.commit()
        cash = desk.gateway.books.cash
        exchange = desk.gateway.exchange
        exchange.seek(exchange.session.close - 10 * SECOND_NS)
        await desk.gateway.advance(10)
        for file in (tmp_path / "state").iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        await desk.gateway.advance(5)
        assert desk.gateway.books.cash == cash + 20
        # What a kill leaves between the clock's step into the morning and the books being saved:
        (clock,) = (tmp_path / "state").glob("*.clock")
        morning = clock.read_bytes()
    for _ in range(2):
        async with desk_of(options, tape) as desk:
            assert desk.gateway.books.cash == cash + 20
    for name in (
        clock.with_suffix(".db").name,
        clock.with_suffix(".db-wal").name,
        clock.with_suffix(".db-shm").name,
    ):
        (tmp_path / "state" / name).unlink(missing_ok=True)
        if (tmp_path / name).exists():
            (tmp_path / "state" / name).write_bytes((tmp_path / name).read_bytes())
    clock.write_bytes(morning)
    for _ in range(2):
        async with desk_of(options, tape) as desk:
            assert desk.gateway.books.cash == cash + 20


async def test_a_day_order_whose_day_is_over_ends_when_the_gateway_comes_back(
    restart: Restart, tmp_path: Path, stock: Contract
) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5)
        ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, orderRef="day"))
        ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, tif="GTC", orderRef="gtc"))
        await desk.settle()
        close = desk.gateway.exchange.session.close
    (clock,) = tmp_path.rglob("*.clock")
    clock.write_text(f"{close:020d}")  # the close was reached, and the process killed before it took effect
    async with restart() as desk:
        ib = await desk.connect()
        assert [t.order.orderRef for t in ib.openTrades()] == ["gtc"]
        (ended,) = [t for t in ib.trades() if t.order.orderRef == "day"]
        assert ended.orderStatus.status == "Cancelled"


async def test_order_ids_go_on_for_each_client(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        first, second = await desk.connect(1), await desk.connect(2)
        await desk.advance(5)
        used = [
            ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0)).order.orderId for ib in (first, first, second)
        ]
        await desk.settle()
    async with restart() as desk:
        assert desk.gateway.orders.next_id(1) == used[1] + 1
        assert desk.gateway.orders.next_id(2) == used[2] + 1
        assert desk.gateway.orders.next_id(3) == 1
