"""Stops go out with the order they protect, as one; they are changed with a confirmation, and found again."""

from decimal import Decimal

import pytest

from robo_trader.core.errors import DeskHalted
from robo_trader.core.events import OrderStatus, OrderType, Side
from tests.ibkr.conftest import buy
from tests.ibkr.test_broker import statuses, trading

S = OrderStatus
FAR = Decimal("50.01")


def stop(order_id="s-1.9", quantity=10, at="100.00", **more):
    return buy(
        order_id,
        quantity,
        side=Side.SELL,
        type=OrderType.STOP,
        stop_price=Decimal(at),
        tif="GTC",
        **more,
    )


def limit(order_id="s-1.1", quantity=10, at=FAR):
    return buy(order_id, quantity, type=OrderType.LIMIT, limit_price=at)


def at_tws(gateway, ref):
    """The one order of that reference that is alive at TWS, None where there is none; never two."""
    found = [ticket for ticket in gateway[0].orders.working() if ticket.ref == ref]
    assert len(found) < 2
    return found[0] if found else None


def last(desk, order_id="s-1.9"):
    return [update for update in desk.inbox.updates if update.order_id == order_id][-1]


@pytest.fixture
async def desk(gateway, desks, wire):
    return await trading(gateway, desks(wire.port))


async def protected(desk, quantity=10):
    """An entry that has traded, and its stop."""
    await desk.broker.submit(buy("s-1.1", quantity), stop(quantity=quantity, attached_to="s-1.1"))
    await desk.settle()
    assert statuses(desk)[-1] is S.FILLED


async def test_an_entry_and_its_stop_are_one_and_the_stop_is_there_when_the_entry_fills(gateway, desk):
    await protected(desk)
    assert statuses(desk, "s-1.9") == [S.WORKING]
    there = at_tws(gateway, "s-1.9")
    assert (there.side, there.quantity, there.type, there.tif) == (Side.SELL, 10, "STP", "GTC")
    assert there.stop == Decimal("100.00")
    assert there.parent == last(desk, "s-1.1").broker_id


async def test_nothing_but_the_entry_and_then_the_stop_is_written_in_one_turn(desk, monkeypatch):
    sent = []
    client = desk.connection.ib.client
    monkeypatch.setattr(client, "placeOrder", lambda number, _, order: sent.append((number, order)))
    await desk.broker.submit(limit(), stop(attached_to="s-1.1"))
    (first, entry), (second, child) = sent
    assert second == first + 1
    assert (entry.transmit, entry.parentId, entry.orderRef) == (False, 0, "s-1.1")
    assert (child.transmit, child.parentId, child.orderRef) == (True, first, "s-1.9")
    assert (child.orderType, child.tif, child.auxPrice) == ("STP", "GTC", 100.0)


async def test_a_stop_alone_works_without_a_parent(gateway, desk):
    await protected(desk)
    await desk.broker.submit(stop("s-2.9", 5, "99.00", attached_to="s-1.1"))
    await desk.settle()
    assert statuses(desk, "s-2.9") == [S.WORKING]
    assert (at_tws(gateway, "s-2.9").parent, at_tws(gateway, "s-2.9").quantity) == (0, 5)


async def test_a_stop_sent_after_its_entry_is_attached_while_that_works(gateway, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    await desk.broker.submit(stop(attached_to="s-1.1"))
    await desk.settle()
    assert at_tws(gateway, "s-1.9").parent == at_tws(gateway, "s-1.1").perm_id


async def test_an_entry_that_is_refused_takes_its_stop_with_it(gateway, desk):
    await desk.broker.submit(buy("s-1.1", 90_000), stop(quantity=90_000, attached_to="s-1.1"))
    await desk.until(lambda: S.REJECTED in statuses(desk))
    await desk.until(lambda: set(statuses(desk, "s-1.9")) & {S.CANCELLED, S.REJECTED})
    assert not gateway[0].orders.working()


async def test_an_entry_whose_price_is_refused_takes_its_stop_with_it(gateway, desk):
    await desk.broker.submit(limit(at=Decimal("50.013")), stop(attached_to="s-1.1"))
    await desk.until(lambda: statuses(desk)[-1:] == [S.REJECTED])
    await desk.until(lambda: statuses(desk, "s-1.9")[-1:] == [S.REJECTED])
    assert "(110)" in last(desk, "s-1.1").reason
    assert not gateway[0].orders.working()


async def test_a_stop_whose_price_is_refused_leaves_no_entry_to_work(gateway, desk):
    """TWS keeps the entry untransmitted: it is not shown, and taking it back makes an end of it."""
    await desk.broker.submit(limit(), stop(at="100.003", attached_to="s-1.1"))
    await desk.until(lambda: statuses(desk, "s-1.9")[-1:] == [S.REJECTED])
    await desk.until(lambda: set(statuses(desk)) & {S.CANCELLED, S.NEVER_SENT})
    assert not gateway[0].orders.working()


async def test_neither_is_sent_where_one_id_was_sent_before(gateway, desk):
    await protected(desk)
    with pytest.raises(DeskHalted, match=r"s-1\.9 was about to be sent a second time"):
        await desk.broker.submit(buy("s-2.1"), stop(attached_to="s-2.1"))
    assert not desk.broker.was_given("s-2.1")


async def test_without_a_session_neither_was_sent(gateway, desk):
    await desk.connection.close()
    await desk.broker.submit(buy("s-1.1"), stop(attached_to="s-1.1"))
    assert statuses(desk) == statuses(desk, "s-1.9") == [S.NEVER_SENT]


async def test_a_cancelled_entry_takes_its_stop_with_it(gateway, desk):
    await desk.broker.submit(limit(), stop(attached_to="s-1.1"))
    await desk.settle()
    await desk.broker.cancel("s-1.1")
    await desk.settle()
    assert (statuses(desk)[-1], statuses(desk, "s-1.9")[-1]) == (S.CANCELLED, S.CANCELLED)


async def test_an_entry_cancelled_half_filled_leaves_a_stop_of_what_has_traded_and_tells_it(gateway, desk):
    await desk.broker.submit(buy("s-1.1", 2500), stop(quantity=2500, attached_to="s-1.1"))
    await desk.settle()
    await desk.broker.cancel("s-1.1")
    await desk.settle()
    traded = sum(fill.quantity for fill in {f.exec_id: f for f in desk.inbox.fills}.values())
    assert 0 < traded < 2500
    assert statuses(desk)[-1] is S.CANCELLED
    assert (last(desk).status, last(desk).filled, last(desk).remaining) == (S.WORKING, 0, traded)


# ------------------------------------------------------------------------------------------------------ changes


async def test_a_change_of_quantity_is_confirmed_with_what_tws_works(gateway, desk):
    await protected(desk)
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    await desk.settle()
    assert (last(desk).status, last(desk).filled, last(desk).remaining) == (S.WORKING, 0, 4)
    assert last(desk).reason == ""
    assert at_tws(gateway, "s-1.9").quantity == 4


async def test_a_change_of_price_alone_is_confirmed_too(gateway, desk):
    await protected(desk)
    heard = len(desk.inbox.updates)
    await desk.broker.modify(stop(at="101.50", attached_to="s-1.1"))
    await desk.settle()
    confirmed = desk.inbox.updates[heard:]
    assert [(one.order_id, one.remaining, one.reason) for one in confirmed] == [("s-1.9", 10, "")]
    assert at_tws(gateway, "s-1.9").stop == Decimal("101.50")


@pytest.mark.parametrize("code", [104, 105, 110, 161, 201, 329, 10006, 10147])
async def test_a_refused_change_is_told_with_the_quantity_as_it_was(gateway, desk, code, monkeypatch):
    await protected(desk)
    number = desk.broker._orders.get("s-1.9").tws_id
    monkeypatch.setattr(desk.connection.ib.client, "placeOrder", lambda *_: None)
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    desk.broker.on_order_error(number, code, "no")
    assert (last(desk).status, last(desk).remaining, last(desk).reason) == (S.WORKING, 10, f"no ({code})")
    await desk.until(lambda: not desk.broker._orders.get("s-1.9").confirming)
    assert last(desk).remaining == 10
    assert last(desk).status is S.WORKING


async def test_tws_itself_refuses_a_price_that_is_none_and_the_old_one_stands(gateway, desk):
    await protected(desk)
    await desk.broker.modify(stop(quantity=5, at="100.003", attached_to="s-1.1"))
    await desk.settle()
    assert (last(desk).status, last(desk).remaining) == (S.WORKING, 10)
    assert "(110)" in last(desk).reason
    assert (at_tws(gateway, "s-1.9").quantity, at_tws(gateway, "s-1.9").stop) == (10, Decimal("100.00"))


async def test_a_notice_while_a_change_is_on_its_way_is_no_refusal(gateway, desk, monkeypatch):
    await protected(desk)
    number, heard = desk.broker._orders.get("s-1.9").tws_id, len(desk.inbox.updates)
    with monkeypatch.context() as patch:
        patch.setattr(desk.connection.ib.client, "placeOrder", lambda *_: None)
        await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    desk.broker.on_order_error(number, 399, "the market is closed")
    assert desk.inbox.updates[heard:] == []


async def test_a_change_tws_says_nothing_of_is_told_as_not_made(gateway, desk, monkeypatch):
    await protected(desk)
    monkeypatch.setattr(desk.connection.ib.client, "placeOrder", lambda *_: None)
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    await desk.until(lambda: last(desk).reason)
    assert (last(desk).status, last(desk).remaining) == (S.WORKING, 10)
    assert "works on as before" in last(desk).reason


@pytest.mark.parametrize("fault", ["missing-status", "missing-open-order", "duplicate", "reorder"])
async def test_a_change_is_confirmed_however_tws_says_it(gateway, desk, fault):
    await protected(desk)
    gateway[0].plant(fault)
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    await desk.until(lambda: last(desk).remaining == 4)
    assert not last(desk).reason


async def test_a_stop_partly_traded_is_told_with_what_is_left_of_its_new_quantity(gateway, desk):
    await protected(desk)
    ticket = desk.broker._orders.get("s-1.9")
    desk.broker.on_order_status(ticket.tws_id, "Submitted", 3.0, 7.0, ticket.perm_id, 1)
    await desk.broker.modify(stop(quantity=8, attached_to="s-1.1"))
    await desk.settle()
    assert (last(desk).status, last(desk).filled, last(desk).remaining) == (S.PARTIAL, 3, 5)


# --------------------------------------------------------------------------------------------- without a session


async def lose(desk, wire):
    wire.cut()
    await desk.connection.wait_lost()


async def test_a_change_wanted_without_a_session_is_made_after_the_next_snapshot(gateway, desk, wire):
    await protected(desk)
    await lose(desk, wire)
    heard = len(desk.inbox.updates)
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    assert desk.inbox.updates[heard:] == []
    await desk.connection.connect()
    assert at_tws(gateway, "s-1.9").quantity == 10
    await desk.broker.snapshot()
    await desk.until(lambda: last(desk).remaining == 4)
    assert at_tws(gateway, "s-1.9").quantity == 4


async def test_a_change_lost_on_the_way_is_sent_again_and_one_that_arrived_is_not(gateway, desk, wire):
    await protected(desk)
    wire.blocked = True
    await desk.broker.modify(stop(quantity=4, attached_to="s-1.1"))
    await lose(desk, wire)
    wire.blocked = False
    await desk.open()
    await desk.until(lambda: last(desk).remaining == 4)
    ticket = desk.broker._orders.get("s-1.9")
    assert (ticket.change, ticket.unsent) == (None, False)
    await lose(desk, wire)
    await desk.open()
    placed = []
    desk.connection.ib.client.placeOrder = lambda *said: placed.append(said)
    await desk.broker.snapshot()
    await desk.settle()
    assert placed == []


async def test_a_cancel_wanted_without_a_session_is_made_after_the_next_snapshot(gateway, desk, wire):
    await desk.broker.submit(limit())
    await desk.settle()
    await lose(desk, wire)
    await desk.broker.cancel("s-1.1")
    await desk.open()
    await desk.until(lambda: statuses(desk)[-1] is S.CANCELLED)
    assert at_tws(gateway, "s-1.1") is None


async def test_a_change_of_an_order_that_has_filled_meanwhile_is_forgotten(gateway, desk, wire):
    await desk.broker.submit(buy("s-1.1", 2500))
    await desk.settle()
    await lose(desk, wire)
    await desk.broker.modify(buy("s-1.1", 2400))
    await gateway[0].advance(100)
    await desk.open()
    (outcome,) = await desk.broker.resolve(["s-1.1"])
    assert (outcome.status, outcome.filled) == (S.FILLED, 2500)


async def test_a_cancel_before_the_order_is_sent_keeps_it_from_being_sent(gateway, desk):
    pacer, broker = desk.broker._pacer, desk.broker
    passed = pacer.order

    async def cancels_first():
        pacer.order = passed
        await broker.cancel("s-1.1")

    pacer.order = cancels_first
    await broker.submit(limit(), stop(attached_to="s-1.1"))
    assert (statuses(desk), statuses(desk, "s-1.9")) == ([S.NEVER_SENT], [S.NEVER_SENT])
    await desk.settle()
    assert not gateway[0].orders.working()


async def test_a_cancel_before_the_first_answer_is_carried_out(gateway, desk):
    await desk.broker.submit(limit())
    await desk.broker.cancel("s-1.1")
    await desk.settle()
    assert statuses(desk)[-1] is S.CANCELLED


# ------------------------------------------------------------------------------------------------- found again


async def test_a_new_daemon_finds_the_stop_with_what_it_is_attached_to(gateway, desk, desks):
    await desk.broker.submit(limit(), stop(attached_to="s-1.1"))
    await desk.settle()
    await desk.connection.close()
    new = desks()
    await new.connection.connect()
    found = {one.order.id: one.order for one in (await new.broker.snapshot()).orders}
    assert found["s-1.9"] == stop(
        at="100.0", attached_to="s-1.1", reason="found at the broker", parent_id="s-1"
    )
    assert found["s-1.9"].protects
    await new.broker.modify(stop(quantity=6, attached_to="s-1.1"))
    await new.settle()
    assert at_tws(gateway, "s-1.9").quantity == 6
    assert at_tws(gateway, "s-1.9").parent == at_tws(gateway, "s-1.1").perm_id
    await new.broker.cancel("s-1.9")
    await new.settle()
    assert statuses(new, "s-1.9")[-1] is S.CANCELLED
    assert at_tws(gateway, "s-1.1") is not None


async def test_the_stop_of_an_entry_that_has_filled_still_names_it(gateway, desk, desks):
    await protected(desk)
    await desk.connection.close()
    new = desks()
    await new.connection.connect()
    (found,) = (await new.broker.snapshot()).orders
    assert (found.order.id, found.order.attached_to, found.status) == ("s-1.9", "s-1.1", S.WORKING)


async def test_a_stop_sent_under_another_client_id_is_seen_and_its_cancel_is_answered(gateway, desk, desks):
    await protected(desk)
    await desk.connection.close()
    new = desks(client_id=2)
    await new.connection.connect()
    (found,) = (await new.broker.snapshot()).orders
    assert found.order.id == "s-1.9"
    await new.broker.cancel("s-1.9")
    assert last(new).status is S.WORKING
    assert "client id 1" in last(new).reason
    assert at_tws(gateway, "s-1.9") is not None
