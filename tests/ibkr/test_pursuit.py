"""What TWS keeps quiet about is asked for; nothing is assumed, nothing is sent twice, and asking comes to an end."""

import asyncio
from decimal import Decimal

import pytest
from ib_async.contract import Stock

from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import OrderStatus, OrderType
from robo_trader.core.executions import stem
from robo_trader.ibkr.broker import BrokerOptions, IbBroker
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.refusals import RequestRefused
from tests.ibkr.conftest import UNPACED, buy
from tests.ibkr.test_broker import signed, statuses, trading

S = OrderStatus


def limit(order_id="s-1.1", quantity=10, at="50.01"):
    return buy(order_id, quantity, type=OrderType.LIMIT, limit_price=Decimal(at))


def live(gateway):
    return [ticket.ref for ticket in gateway[0].orders.working()]


def standing(desk):
    """The fills told, each as its last version."""
    return {stem(fill.exec_id): fill for fill in desk.inbox.fills}


async def at_rest(desk):
    await desk.settle()
    await desk.until(lambda: not any(ticket.confirming for ticket in desk.broker._orders))


@pytest.fixture
async def desk(gateway, desks, wire):
    return await trading(gateway, desks(wire.port))


@pytest.fixture
async def hasty(gateway, desks, wire):
    """A desk that takes the first silence for a reason to ask."""
    made = desks(wire.port)
    made.broker = IbBroker(
        made.connection,
        made.contracts,
        made.inbox,
        Pacer(UNPACED),
        lambda: made.now,
        BrokerOptions(0.0, answer_within_s=0.0),
    )
    return await trading(gateway, made)


# -------------------------------------------------------------------------------------------------- silence


async def test_an_order_tws_says_nothing_of_is_unknown_and_found_by_asking(gateway, hasty):
    """Every word of it is lost but the answers to questions."""
    fault = gateway[0].plant("missing-open-order", times=1)
    gateway[0].plant("missing-status", times=1)
    await hasty.broker.submit(limit())
    await hasty.until(lambda: statuses(hasty)[-1:] == [S.WORKING])
    assert statuses(hasty)[0] is S.UNKNOWN
    assert live(gateway) == ["s-1.1"]
    assert fault


async def test_an_order_that_never_arrived_is_asked_back_and_was_never_sent(gateway, hasty, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(hasty.connection.ib.client, "placeOrder", lambda *_: None)
        await hasty.broker.submit(limit())
    await hasty.until(lambda: statuses(hasty)[-1:] == [S.NEVER_SENT])
    assert statuses(hasty)[0] is S.UNKNOWN
    await at_rest(hasty)


async def test_an_order_held_back_by_tws_is_never_thought_lost(gateway, hasty):
    """No answer shows it for a while, though TWS has it: it is taken back, and what it traded is booked."""
    gateway[0].plant("delay-ack", seconds=60)
    await hasty.broker.submit(buy("s-1.1"))
    await hasty.until(lambda: S.UNKNOWN in statuses(hasty))
    await at_rest(hasty)
    assert S.NEVER_SENT not in statuses(hasty)
    await gateway[0].advance(61)
    await hasty.until(lambda: statuses(hasty)[-1] is S.FILLED)
    assert signed(standing(hasty).values()) == 10


# ---------------------------------------------------------------------------------------- what is not shown


async def test_a_working_order_that_vanished_is_unknown_until_asking_is_exhausted(gateway, desk, wire):
    await desk.broker.submit(limit())
    await desk.settle()
    wire.cut()
    await desk.connection.wait_lost()
    gateway[0].lose_everything()
    await desk.open()
    (first,) = await desk.broker.resolve(["s-1.1"])
    assert (first.status, first.filled) == (S.UNKNOWN, 0)
    assert "neither open nor completed nor executed" in first.reason
    await desk.until(lambda: statuses(desk)[-1] is S.CANCELLED)
    assert desk.inbox.updates[-1].reason == "TWS knows it no more"


async def test_completed_orders_say_what_became_of_one_that_is_open_no_more(gateway, desk, wire):
    await desk.broker.submit(limit())
    await desk.settle()
    wire.cut()
    await desk.connection.wait_lost()
    (ticket,) = gateway[0].orders.working()
    gateway[0].orders.cancel_at_exchange(ticket.perm_id, "by the exchange", gateway[0].now())
    await desk.open()
    (outcome,) = await desk.broker.resolve(["s-1.1"])
    assert (outcome.status, outcome.broker_id) == (S.CANCELLED, ticket.perm_id)


async def test_an_answer_without_its_end_decides_nothing_and_ends_the_session(gateway, desks, wire, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    before = statuses(desk)
    gateway[0].plant("withhold-end", of="completed-orders")
    object.__setattr__(desk.connection.options, "request_timeout_s", 0.05)
    with pytest.raises(ConnectionLost, match="completed orders"):
        await desk.broker.resolve(["s-1.1"])
    assert "completed orders" in await desk.connection.wait_lost()
    assert statuses(desk) == before


async def test_a_question_tws_refuses_is_asked_again_and_harms_nobody(gateway, hasty, monkeypatch):
    look, refused = hasty.broker._questions.look, []

    async def refuses():
        if not refused:
            refused.append(1)
            raise RequestRefused(321, "not now")
        return await look()

    monkeypatch.setattr(hasty.broker._questions, "look", refuses)
    with monkeypatch.context() as patch:
        patch.setattr(hasty.connection.ib.client, "placeOrder", lambda *_: None)
        await hasty.broker.submit(limit())
    await hasty.until(lambda: statuses(hasty)[-1:] == [S.NEVER_SENT])


async def test_a_hundred_doubts_are_settled_by_a_few_looks(gateway, hasty, monkeypatch):
    asked = []
    ask = hasty.connection.ib.reqCompletedOrdersAsync
    monkeypatch.setattr(
        hasty.connection.ib, "reqCompletedOrdersAsync", lambda only: asked.append(1) or ask(only)
    )
    with monkeypatch.context() as patch:
        patch.setattr(hasty.connection.ib.client, "placeOrder", lambda *_: None)
        await asyncio.gather(*(hasty.broker.submit(limit(f"s-{i}.1", 1)) for i in range(100)))
    ends = {f"s-{i}.1" for i in range(100)}
    await hasty.until(lambda: ends == {u.order_id for u in hasty.inbox.updates if u.status is S.NEVER_SENT})
    assert len(asked) < 15


async def test_before_positions_are_in_nothing_is_said_of_what_is_held(desks):
    desk = desks()
    with pytest.raises(ConnectionLost):
        desk.broker.positions()
    with pytest.raises(ConnectionLost):
        await desk.broker.snapshot()


async def test_positions_without_their_end_are_no_snapshot(gateway, desk):
    await desk.broker.submit(buy("s-1.1"))
    await desk.settle()
    gateway[0].plant("withhold-end", of="positions")
    object.__setattr__(desk.connection.options, "request_timeout_s", 0.05)
    with pytest.raises(ConnectionLost, match="positions"):
        await desk.broker.snapshot()


async def test_a_position_that_went_unsaid_is_gone_after_the_next_snapshot(gateway, desk):
    await desk.broker.submit(buy("s-1.1"))
    await desk.settle()
    (held,) = desk.connection.ib.wrapper.positions[desk.connection.account].values()
    ghost = held._replace(contract=Stock("GONE", conId=77))
    desk.connection.ib.wrapper.positions[desk.connection.account][77] = ghost
    assert sorted(desk.broker.positions()) == ["AAPL", "GONE"]
    assert [h.symbol for h in (await desk.broker.snapshot()).holdings] == ["AAPL"]


# ----------------------------------------------------------------------------------- words lost and out of order


@pytest.mark.parametrize(
    "fault",
    [
        "duplicate",
        "reorder",
        "missing-status",
        "missing-open-order",
        "partial-fills",
        "commission-first",
        "commission-late",
        "delay-ack",
        "coalesce",
        "slow-drip",
    ],
)
async def test_every_share_is_told_once_with_its_commission(gateway, desk, fault):
    number = gateway[0].plant(fault)
    await desk.broker.submit(buy("s-1.1", 2500))
    await desk.broker.submit(limit("s-2.1"))
    for _ in range(20):
        await gateway[0].advance(10)
    gateway[0].lift(str(number))
    await gateway[0].advance(60)
    await at_rest(desk)
    await desk.broker.snapshot()
    fills = [fill for fill in standing(desk).values() if fill.order_id == "s-1.1"]
    assert signed(fills) == 2500
    assert len({fill.exec_id for fill in desk.inbox.fills}) == len(fills)
    assert None not in [fill.commission for fill in fills]
    assert statuses(desk)[-1] is S.FILLED
    paid = sum(fill.quantity * fill.price + fill.commission for fill in fills)
    assert (await desk.broker.snapshot()).cash == Decimal(100_000) - paid


@pytest.mark.parametrize("fault", ["lose-before-accept", "accept-then-drop"])
async def test_an_order_in_flight_at_a_drop_is_there_once_or_not_at_all(gateway, desk, fault):
    gateway[0].plant(fault)
    await desk.broker.submit(buy("s-1.1"))
    await desk.connection.wait_lost()
    assert statuses(desk) == [S.UNKNOWN]
    await desk.open()
    (outcome,) = await desk.broker.resolve(["s-1.1"])
    arrived = fault == "accept-then-drop"
    assert outcome.status is (S.FILLED if arrived else S.NEVER_SENT)
    assert outcome.filled == (10 if arrived else 0)
    assert [h.quantity for h in (await desk.broker.snapshot()).holdings] == [10] * arrived
    await gateway[0].advance(60)
    await desk.settle()
    assert [h.quantity for h in (await desk.broker.snapshot()).holdings] == [10] * arrived


@pytest.mark.parametrize(("fault", "kept"), [("restart-keep", True), ("restart-lose", False)])
async def test_a_gateway_restart_is_survived_whether_it_kept_the_orders_or_not(gateway, desk, fault, kept):
    await desk.broker.submit(buy("s-1.1"))
    await desk.broker.submit(limit("s-2.1"))
    await desk.settle()
    gateway[0].plant(fault, **{"for": 5})
    await desk.connection.wait_lost()
    await gateway[0].advance(10)
    await desk.open()
    snapshot = await desk.broker.snapshot()
    assert [one.order.id for one in snapshot.orders] == ["s-2.1"] * kept
    (outcome,) = await desk.broker.resolve(["s-2.1"])
    assert outcome.status is (S.WORKING if kept else S.UNKNOWN)
    await at_rest(desk)
    await desk.broker.submit(limit("s-3.1"))  # its number may have been that of another before
    await desk.settle()
    assert statuses(desk, "s-3.1") == [S.WORKING]
    assert live(gateway) == ["s-2.1"] * kept + ["s-3.1"]
    assert statuses(desk, "s-1.1")[-1] is S.FILLED


async def test_a_next_id_that_was_used_before_is_not_used_again(gateway, desk, wire):
    await desk.broker.submit(limit())
    await desk.broker.submit(buy("s-2.1"))
    await desk.settle()
    gateway[0].plant("next-id-backwards", by=50)
    wire.cut()
    await desk.connection.wait_lost()
    await desk.open()
    await desk.broker.submit(limit("s-3.1"))
    await desk.settle()
    assert live(gateway) == ["s-1.1", "s-3.1"]
    assert statuses(desk, "s-3.1") == [S.WORKING]
