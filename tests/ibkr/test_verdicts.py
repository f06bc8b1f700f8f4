"""What TWS says of orders that is not so, or not all: errors, refusals, corrections, and trades of others."""

from decimal import Decimal

import pytest

from robo_trader.core.events import OrderStatus, Side
from tests.ibkr.conftest import buy
from tests.ibkr.test_broker import signed, statuses, trading
from tests.ibkr.test_pursuit import at_rest, limit, live, standing

S = OrderStatus


@pytest.fixture
async def desk(gateway, desks, wire):
    return await trading(gateway, desks(wire.port))


# -------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize("code", [10349, 10148, 399, 404, 110, 105, 201, 202])
async def test_an_error_about_an_order_that_lives_ends_nothing(gateway, desk, code):
    gateway[0].plant("error-on-live", code=code)
    await desk.broker.submit(limit())
    await at_rest(desk)
    assert set(statuses(desk)) <= {S.WORKING, S.UNKNOWN}
    assert statuses(desk)[-1] is S.WORKING
    await desk.broker.cancel("s-1.1")
    await at_rest(desk)
    assert statuses(desk)[-1] is S.CANCELLED


@pytest.mark.parametrize("code", [399, 201, 10148])
async def test_an_error_about_an_order_that_is_full_changes_nothing(gateway, desk, code):
    gateway[0].plant("error-after-fill", code=code)
    await desk.broker.submit(buy("s-1.1"))
    await at_rest(desk)
    assert statuses(desk)[-1] is S.FILLED


@pytest.mark.parametrize("sequence", ["error-first", "status-first", "cancelled-first"])
async def test_a_reject_is_an_end_in_whatever_order_it_is_told(gateway, desk, sequence):
    gateway[0].plant("reject", sequence=sequence)
    await desk.broker.submit(buy("s-1.1"))
    await at_rest(desk)
    assert statuses(desk)[-1] in (S.REJECTED, S.CANCELLED)
    assert live(gateway) == []


async def test_an_inactive_order_that_works_on_is_found_to(gateway, desk):
    gateway[0].plant("ghost-inactive")
    await desk.broker.submit(limit())
    await at_rest(desk)
    assert S.UNKNOWN in statuses(desk)
    assert statuses(desk)[-1] is S.WORKING


async def test_a_cancel_that_is_ignored_is_repeated_and_then_told(gateway, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    gateway[0].plant("cancel-ignored", times=2)
    await desk.broker.cancel("s-1.1")
    await desk.until(lambda: statuses(desk)[-1] is S.CANCELLED)
    await desk.broker.submit(limit("s-2.1"))
    await desk.settle()
    gateway[0].plant("cancel-ignored")
    await desk.broker.cancel("s-2.1")
    await desk.until(lambda: desk.inbox.updates[-1].reason == "TWS was told to take it back and does not")
    assert statuses(desk, "s-2.1")[-1] is S.WORKING
    assert live(gateway) == ["s-2.1"]


async def test_a_cancel_refused_as_too_late_ends_nothing_and_is_asked_for_again(gateway, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    gateway[0].plant("cancel-fill-race")
    await desk.broker.cancel("s-1.1")
    await desk.until(lambda: statuses(desk)[-1] is S.CANCELLED)
    reasons = [update.reason for update in desk.inbox.updates]
    assert any("(10148)" in reason for reason in reasons)


async def test_an_order_said_to_be_cancelled_that_lives_is_taken_back_for_good(gateway, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    gateway[0].plant("fill-after-cancel")
    await desk.broker.cancel("s-1.1")
    await at_rest(desk)
    assert statuses(desk)[-1] is S.CANCELLED
    assert live(gateway) == ["s-1.1"]
    assert (await desk.broker.snapshot()).orders == ()
    await at_rest(desk)
    assert live(gateway) == []


async def test_a_fill_after_a_cancel_is_told(gateway, desk):
    await desk.broker.submit(buy("s-1.1", 2500))
    await desk.settle()
    gateway[0].plant("fill-after-cancel")
    await desk.broker.cancel("s-1.1")
    await desk.settle()
    before = signed(standing(desk).values())
    await gateway[0].advance(100)
    await desk.settle()
    assert before < signed(standing(desk).values()) == 2500
    assert statuses(desk)[-1] is S.FILLED


async def test_an_order_the_exchange_cancels_is_told_with_its_reason(gateway, desk):
    await desk.broker.submit(limit())
    await desk.settle()
    gateway[0].plant("exchange-cancel", reason="halted")
    await at_rest(desk)
    assert statuses(desk)[-1] is S.CANCELLED


# ----------------------------------------------------------------------------------------------- from outside


async def test_a_correction_and_a_bust_reach_the_desk_and_the_books_agree(gateway, desk):
    await desk.broker.submit(buy("s-1.1"))
    await desk.settle()
    (first,) = standing(desk).values()
    gateway[0].plant("correction", by=-0.05, shares=7)
    await desk.settle()
    (second,) = standing(desk).values()
    assert (second.order_id, second.side, second.quantity) == ("s-1.1", Side.BUY, 7)
    assert second.price == first.price - Decimal("0.05")
    assert second.commission is not None
    snapshot = await desk.broker.snapshot()
    assert snapshot.fills == (second,)
    assert [h.quantity for h in snapshot.holdings] == [7]
    assert snapshot.cash == Decimal(100_000) - 7 * second.price - second.commission
    gateway[0].plant("bust")
    await desk.settle()
    (third,) = standing(desk).values()
    assert third.quantity == 0
    snapshot = await desk.broker.snapshot()
    assert (snapshot.holdings, snapshot.cash) == ((), Decimal(100_000) - third.commission)
    assert statuses(desk)[-1] is S.FILLED


async def test_a_correction_made_while_we_were_away_is_in_the_snapshot(gateway, desk, wire):
    await desk.broker.submit(buy("s-1.1"))
    await desk.settle()
    wire.cut()
    await desk.connection.wait_lost()
    gateway[0].plant("bust")
    await desk.open()
    (fill,) = (await desk.broker.snapshot()).fills
    assert (fill.quantity, fill.exec_id.endswith(".02")) == (0, True)


async def test_trades_of_others_are_told_with_their_origin_once(gateway, desk):
    gateway[0].plant("manual-order", symbol="AAPL", side="BUY", shares=5)
    gateway[0].plant("foreign-order", symbol="AAPL", side="SELL", shares=2)
    await gateway[0].advance(5)
    await desk.broker.snapshot()
    await desk.broker.snapshot()
    told = {fill.order_id.partition(":")[0]: fill for fill in standing(desk).values()}
    assert {origin: fill.quantity for origin, fill in told.items()} == {"manual": 5, "client-77": 2}
    assert len({fill.exec_id for fill in desk.inbox.fills}) == 2
    assert [h.quantity for h in (await desk.broker.snapshot()).holdings] == [3]
    assert not desk.inbox.updates
