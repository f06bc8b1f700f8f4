"""Orders go to the practice market over the wire, and what becomes of them comes back once."""

import asyncio
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from robo_trader.core.errors import DeskHalted
from robo_trader.core.events import SECOND_NS, Fill, OrderStatus, OrderType, Side
from robo_trader.ibkr.executions import Executions
from robo_trader.ibkr.voice import Voice
from tests.ibkr.conftest import ListInbox

S = OrderStatus
LIMIT = OrderType.LIMIT


async def trading(gateway, desk):
    """Open a session with a market that trades."""
    await desk.open()
    await desk.feed.subscribe(["AAPL"])
    await desk.settle()
    await gateway[0].advance(120)
    await desk.settle()
    return desk


def statuses(desk, order_id="s-1.1"):
    return [update.status for update in desk.inbox.updates if update.order_id == order_id]


def signed(fills):
    return sum(fill.side.sign * fill.quantity for fill in fills)


async def test_a_market_order_is_filled_and_its_commission_follows(gateway, desks, order):
    desk = await trading(gateway, desks())
    desk.now = gateway[0].now() - 60 * SECOND_NS
    await desk.broker.submit(order("s-1.1", 10))
    await desk.settle()
    assert statuses(desk) == [S.WORKING, S.FILLED]
    first, second = desk.inbox.fills
    # A word rests on the executions told before it, and events wait in order of time.
    assert [update.ts for update in desk.inbox.updates] == [desk.now, first.ts]
    assert (first.order_id, first.symbol, first.side, first.quantity) == ("s-1.1", "AAPL", Side.BUY, 10)
    assert first.price == first.price.quantize(Decimal("0.01"))
    assert first.ts // 10**9 == gateway[0].now() // 10**9
    assert (first.commission, second.commission) == (None, Decimal(1))
    assert second.exec_id == first.exec_id


async def test_nothing_that_is_told_after_the_account_is_dated_before_it(gateway, desks, order):
    """Else it would come before the account in the inbox, where no books are open yet, and be lost."""
    desk = desks()
    await desk.connection.connect()
    account = await desk.broker.snapshot()
    assert desk.now == 0
    await desk.broker.submit(order("s-1.1", 10))
    await desk.settle()
    assert desk.inbox.events
    assert min(event.ts for event in desk.inbox.events) >= account.ts


def test_a_fill_older_than_the_account_of_its_session_is_dated_as_it_became_known():
    inbox, executions = ListInbox(), Executions()
    voice = Voice(inbox, executions, questions=None, now=lambda: 0)
    voice.speak(since=100)
    voice.speak(since=200)  # each later account of the session
    for ts in (99, 150):
        voice.tell_fill(Fill(ts, "s-1.1", f"{ts}.01", "AAPL", Side.BUY, 10, Decimal(100)))
    assert [fill.ts for fill in inbox.fills] == [100, 150]


async def test_the_books_of_the_broker_agree_to_the_cent(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10))
    await desk.settle()
    fill = desk.inbox.fills[-1]
    snapshot = await desk.broker.snapshot()
    assert snapshot.account == desk.connection.account
    assert snapshot.cash == Decimal(100_000) - 10 * fill.price - fill.commission
    assert [(h.symbol, h.quantity, h.broker_quantity) for h in snapshot.holdings] == [("AAPL", 10, 10)]
    assert snapshot.holdings[0].lots[0].quantity == 10
    assert snapshot.fills == (fill,)
    assert snapshot.orders == ()
    assert snapshot.ts >= fill.ts


async def test_a_large_order_fills_in_parts(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 2500))
    await desk.settle()
    assert statuses(desk)[-1] is S.PARTIAL
    for _ in range(20):
        await gateway[0].advance(5)
    await desk.settle()
    assert statuses(desk)[-1] is S.FILLED
    by_id = {fill.exec_id: fill for fill in desk.inbox.fills}
    assert len(by_id) > 1
    assert signed(by_id.values()) == 2500
    assert all(fill.commission is not None for fill in by_id.values())
    assert desk.inbox.updates[-1].remaining == 0


async def test_a_resting_limit_is_cancelled(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10, type=LIMIT, limit_price=Decimal("50.01")))
    await desk.settle()
    snapshot = await desk.broker.snapshot()
    found = snapshot.orders[0]
    assert (found.order.id, found.order.limit_price, found.filled) == ("s-1.1", Decimal("50.01"), 0)
    assert found.broker_id == desk.inbox.updates[-1].broker_id > 0
    await desk.broker.cancel("s-1.1")
    await desk.settle()
    assert statuses(desk)[-1] is S.CANCELLED
    assert not desk.inbox.fills
    assert not (await desk.broker.snapshot()).orders


async def test_a_limit_moved_through_the_market_fills(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10, type=LIMIT, limit_price=Decimal("50.01")))
    await desk.settle()
    await desk.broker.modify(order("s-1.1", 20, type=LIMIT, limit_price=Decimal("500.25")))
    await desk.settle()
    assert statuses(desk)[-1] is S.FILLED
    assert signed({fill.exec_id: fill for fill in desk.inbox.fills}.values()) == 20
    assert len({ticket.order_id for ticket in gateway[0]._orders.completed()}) == 1


async def test_an_order_beyond_buying_power_is_rejected_with_the_reason(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 90_000))
    await desk.until(lambda: S.REJECTED in statuses(desk))
    assert "(201)" in desk.inbox.updates[-1].reason
    assert not desk.inbox.fills


async def test_an_unknown_symbol_is_rejected_here(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10, "NOSUCHCO"))
    assert statuses(desk) == [S.REJECTED]
    assert "unknown symbol" in desk.inbox.updates[0].reason


async def test_the_same_id_is_never_sent_twice(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1"))
    with pytest.raises(DeskHalted, match=r"s-1\.1 was about to be sent a second time"):
        await desk.broker.submit(order("s-1.1"))
    await desk.settle()
    assert len({fill.exec_id for fill in desk.inbox.fills}) == 1


async def test_without_a_session_an_order_was_never_sent(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.connection.close()
    await desk.broker.submit(order("s-1.1"))
    assert statuses(desk) == [S.NEVER_SENT]


async def test_a_failed_send_leaves_the_order_unknown(gateway, desks, order, monkeypatch):
    desk = await trading(gateway, desks())

    def broken(*_):
        raise OSError("broken pipe")

    monkeypatch.setattr(desk.connection.ib.client, "placeOrder", broken)
    await desk.broker.submit(order("s-1.1"))
    assert statuses(desk) == [S.UNKNOWN]
    assert "broken pipe" in desk.inbox.updates[0].reason


# ----------------------------------------------------------------------------------------- losing the session


async def test_an_order_in_flight_at_a_drop_is_unknown_and_found_again(gateway, desks, order, wire):
    desk = await trading(gateway, desks(wire.port))
    wire.blocked = True
    await desk.broker.submit(order("s-1.1"))
    wire.cut()
    await desk.connection.wait_lost()
    assert statuses(desk) == [S.UNKNOWN]
    wire.blocked = False
    await desk.open()
    outcome = (await desk.broker.resolve(["s-1.1"]))[0]
    assert (outcome.status, outcome.filled) == (S.NEVER_SENT, 0)


async def test_a_reconnect_tells_what_was_filled_meanwhile_with_the_same_ids(gateway, desks, order, wire):
    desk = await trading(gateway, desks(wire.port))
    await desk.broker.submit(order("s-1.1", 10))
    await desk.broker.submit(order("s-2.1", 10, type=LIMIT, limit_price=Decimal("50.01")))
    await desk.broker.submit(order("s-3.1", 2500))
    await desk.settle()
    known = {fill.exec_id: fill for fill in desk.inbox.fills}
    wire.cut()
    await desk.connection.wait_lost()
    await gateway[0].advance(100)
    heard = len(desk.inbox.events)
    await desk.connection.connect()
    assert len(desk.inbox.events) == heard  # nothing before the snapshot
    snapshot = await desk.broker.snapshot()
    fills = {fill.exec_id: fill for fill in snapshot.fills}
    assert known.items() <= fills.items()
    assert signed(fill for fill in fills.values() if fill.order_id == "s-3.1") == 2500
    assert [found.order.id for found in snapshot.orders] == ["s-2.1"]
    outcomes = await desk.broker.resolve(["s-2.1", "s-3.1", "s-4.1"])
    assert [outcome.status for outcome in outcomes] == [S.WORKING, S.FILLED, S.NEVER_SENT]
    assert all(outcome.ts >= max(fill.ts for fill in snapshot.fills) for outcome in outcomes)
    await desk.broker.cancel("s-2.1")  # bound again, so it can still be cancelled
    await desk.settle()
    assert statuses(desk, "s-2.1")[-1] is S.CANCELLED


async def test_a_new_daemon_finds_the_orders_and_fills_of_the_one_before(gateway, desks, order):
    old = await trading(gateway, desks())
    await old.broker.submit(order("s-1.1", 10))
    await old.broker.submit(order("s-2.1", 10, type=LIMIT, limit_price=Decimal("50.01")))
    await old.settle()
    await old.connection.close()
    new = desks()
    await new.connection.connect()
    snapshot = await new.broker.snapshot()
    assert snapshot.fills == (old.inbox.fills[-1],)
    found = snapshot.orders[0].order
    assert (found.id, found.parent_id, found.symbol, found.side) == ("s-2.1", "s-2", "AAPL", Side.BUY)
    assert (found.quantity, found.type, found.limit_price) == (10, LIMIT, Decimal("50.01"))
    await new.broker.cancel("s-2.1")
    await new.settle()
    assert set(statuses(new, "s-2.1")) == {S.CANCELLED}


# -------------------------------------------------------------- what TWS may say, in every order it may say it


async def test_a_hundred_orders_at_once_are_all_answered(gateway, desks, order):
    desk = await trading(gateway, desks())
    await asyncio.gather(*(desk.broker.submit(order(f"s-{i}.1", 1)) for i in range(100)))
    await desk.settle()
    by_id = {fill.exec_id: fill for fill in desk.inbox.fills}
    assert {fill.order_id for fill in by_id.values()} == {f"s-{i}.1" for i in range(100)}
    assert len(by_id) == 100


async def test_completed_orders_nobody_asked_for_are_no_noise_and_asked_for_they_are_read(
    gateway, desks, order
):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10))
    await desk.settle()
    with capture_logs() as logs:
        gateway[0].plant("unsolicited-completed")
        await desk.settle()
    assert [entry for entry in logs if entry["event"] == "unreadable_message"] == []
    assert statuses(desk) == [S.WORKING, S.FILLED]
    assert (await desk.broker.resolve(["s-1.1"]))[0].status is S.FILLED
