"""Protective stops at the simulated broker: attached, triggered, changed, kept over nights."""

import math
from decimal import Decimal

import pytest

from robo_trader.core.events import SECOND_NS, Order, OrderStatus, OrderType, Side, Trade
from tests.simulation.stop_desk import MONDAY, TUESDAY, Room, entry, stop

S = OrderStatus


@pytest.fixture
def room():
    return Room()


async def held(room, **also):
    """Hold 100 shares with a stop at 99."""
    await room.broker.submit(entry(), stop(**also))
    room.quote()
    room.heard()
    return room


# ------------------------------------------------------------------------------------------------- attached


async def test_an_entry_and_its_stop_stand_together_and_the_stop_waits(room):
    await room.broker.submit(entry(limit="98.00"), stop())
    assert [(e.order_id, e.status, e.remaining) for e in room.heard()] == [
        ("s-1.1", S.WORKING, 100), ("s-2.1", S.WORKING, 100),
    ]  # fmt: skip
    room.quote(98.5)
    room.quote(90.0, ask=98.5)
    assert room.fills() == []
    orders = await room.orders()
    assert orders["s-2.1"].order.attached_to == "s-1.1"


async def test_the_stop_works_what_its_entry_has_traded(room):
    await room.broker.submit(entry(limit="100.02"), stop())
    room.quote(100.0, size=40.0)
    room.quote(98.0, ask=98.9, size=0.0)
    room.quote(97.0, ask=100.50, size=500.0)
    assert room.fills() == [("s-1.1", 40, "100.02"), ("s-2.1", 40, "97.00")]
    assert await room.position() == 0


async def test_a_stop_smaller_than_its_entry_works_in_proportion(room):
    await room.broker.submit(entry(limit="100.02"), stop(quantity=50))
    room.quote(100.0, size=41.0)
    room.quote(98.0, ask=98.9, size=0.0)
    room.quote(98.0, ask=100.50)
    assert room.fills()[1:] == [("s-2.1", 20, "98.00")]


async def test_an_entry_cancelled_half_filled_leaves_its_stop_as_large_as_the_position(room):
    await room.broker.submit(entry(limit="100.02"), stop())
    room.quote(100.0, size=40.0)
    await room.broker.cancel("s-1.1")
    assert room.last("s-2.1") == (S.WORKING, 0, 40)
    assert (await room.orders())["s-2.1"].order.quantity == 40


async def test_an_entry_cancelled_untraded_takes_its_stop_with_it(room):
    await room.broker.submit(entry(limit="98.00"), stop())
    await room.broker.cancel("s-1.1")
    assert room.last("s-2.1") == (S.CANCELLED, 0, 100)
    assert await room.orders() == {}


async def test_a_rejected_entry_takes_its_stop_with_it(room):
    await room.broker.submit(entry(quantity=0), stop())
    assert [(e.order_id, e.status) for e in room.heard()] == [("s-1.1", S.REJECTED), ("s-2.1", S.REJECTED)]


@pytest.mark.parametrize(
    "bad",
    [
        stop(price="99.005"), stop(price="0"), stop(price="NaN"), stop(quantity=101), stop(quantity=0),
        stop(side=Side.BUY), stop(to="s-9.1"), stop(tif="IOC"),
        Order("s-2.1", "s-2", "NVDA", Side.SELL, 100, attached_to="s-1.1"),
        Order("s-2.1", "s-2", "NVDA", Side.SELL, 100, OrderType.STOP, attached_to="s-1.1"),
        Order("s-2.1", "s-2", "AAPL", Side.SELL, 9, OrderType.STOP, stop_price=Decimal(99), attached_to="s-1.1"),
    ],
)  # fmt: skip
async def test_an_entry_never_stands_without_the_stop_it_came_with(room, bad):
    await room.broker.submit(entry(), bad)
    room.quote()
    heard = room.heard()
    assert [(e.order_id, e.status) for e in heard] == [("s-1.1", S.REJECTED), ("s-2.1", S.REJECTED)]
    assert all(e.reason for e in heard)


async def test_the_same_entry_or_the_same_stop_again_is_not_taken(room):
    await held(room)
    await room.broker.submit(entry(), stop())
    assert room.heard() == []
    await room.broker.submit(entry(id="s-3.1"), stop(to="s-3.1"))
    assert [(e.order_id, e.status) for e in room.heard()] == [("s-3.1", S.REJECTED)]
    assert set(await room.orders()) == {"s-2.1"}


# ------------------------------------------------------------------------------------------------ triggered


async def test_a_sell_stop_is_triggered_by_an_ask_at_its_price_and_gets_the_bid(room):
    await held(room)
    room.quote(98.50, ask=99.01)
    assert room.fills() == []
    room.quote(98.98, ask=99.00)
    assert room.fills() == [("s-2.1", 100, "98.98")]


async def test_a_buy_stop_is_triggered_by_a_bid_at_its_price_and_pays_the_ask(room):
    await room.broker.submit(entry(side=Side.SELL), stop("101.00", side=Side.BUY))
    room.quote()
    room.quote(100.99, ask=101.5)
    room.quote(101.00, ask=101.03)
    assert room.fills() == [("s-1.1", 100, "100.00"), ("s-2.1", 100, "101.03")]


async def test_a_print_triggers_and_the_next_quote_fills(room):
    await held(room)
    room.print(99.00)
    assert room.fills() == []
    room.quote(99.40)
    assert room.fills() == [("s-2.1", 100, "99.40")]


async def test_a_gap_through_the_stop_trades_at_the_market(room):
    await held(room)
    room.quote(80.00)
    assert room.fills() == [("s-2.1", 100, "80.00")]


async def test_a_triggered_stop_takes_what_there_is_and_the_rest_later_at_any_price(room):
    await held(room)
    room.quote(98.00, size=30.0)
    room.quote(99.50, size=500.0)
    assert room.fills() == [("s-2.1", 30, "98.00"), ("s-2.1", 70, "99.50")]


@pytest.mark.parametrize("quote", [(math.nan, 98.0), (0.0, 98.0), (98.5, 98.0), (98.0, math.nan)])
async def test_no_stop_is_triggered_by_a_quote_that_is_none(room, quote):
    await held(room)
    room.quote(*quote)
    room.quote(100.0)
    assert room.fills() == []


async def test_a_bar_triggers_where_prints_were_missed_but_not_by_what_was_before_the_fill(room):
    await room.broker.submit(entry(), stop())
    room.quote()
    room.now -= SECOND_NS
    room.bar(low=98.0)  # it began before the fill
    room.quote()
    assert room.fills() == [("s-1.1", 100, "100.02")]
    room.bar(low=99.0)
    room.quote(99.30)
    assert room.fills() == [("s-2.1", 100, "99.30")]


async def test_without_quotes_a_stop_trades_at_its_price_within_the_bar(room):
    room.bar()
    await room.broker.submit(entry(), stop("99.60"))
    room.bar(open=100.0, low=99.61)
    room.bar(open=99.90, low=99.60)
    assert [fill[2] for fill in room.fills()] == ["100.01", "99.60"]


async def test_without_quotes_a_gap_trades_at_the_open(room):
    room.bar()
    await room.broker.submit(entry(), stop("99.60"))
    room.bar(open=100.0, low=99.90)
    room.bar(open=90.0, low=89.0)
    assert [fill[2] for fill in room.fills()] == ["100.01", "90.00"]


async def test_an_entry_and_its_stop_may_both_trade_in_one_bar(room):
    room.bar()
    await room.broker.submit(entry(), stop("99.60"))
    room.bar(open=100.0, low=99.0)
    assert [fill[0] for fill in room.fills()] == ["s-1.1", "s-2.1"]


async def test_an_entry_that_trades_beyond_its_stop_is_stopped_at_that_price_not_a_better_one(room):
    room.bar()
    await room.broker.submit(entry(), stop("99.60"))
    room.bar(open=95.0, low=94.0)
    assert [fill[2] for fill in room.fills()] == ["95.01", "95.00"]


async def test_the_volume_of_a_bar_bounds_a_stop_too(room):
    room.bar()
    await room.broker.submit(entry(), stop("99.60"))
    room.bar(low=99.90)
    room.bar(low=99.0, volume=300.0)
    room.bar(open=99.2, low=99.0)
    assert [fill[1] for fill in room.fills()] == [100, 30, 70]


# -------------------------------------------------------------------------------------------------- changed


async def test_a_stop_modified_is_told_as_it_works_now(room):
    await held(room)
    await room.broker.modify(stop("99.50", quantity=60))
    assert room.last("s-2.1") == (S.WORKING, 0, 60)
    room.quote(99.4)
    assert room.fills() == [("s-2.1", 60, "99.40")]
    assert await room.position() == 40


async def test_a_stop_modified_while_it_trades_ends_at_its_new_size(room):
    await held(room)
    room.quote(98.0, size=30.0)
    room.heard()
    await room.broker.modify(stop(quantity=50))
    assert room.last("s-2.1") == (S.PARTIAL, 30, 20)
    room.quote(98.0)
    assert room.last("s-2.1") == (S.FILLED, 50, 0)
    assert await room.position() == 50


async def test_a_lone_stop_grows(room):
    await held(room)
    await room.broker.modify(stop(quantity=150))
    assert room.last("s-2.1") == (S.WORKING, 0, 150)


@pytest.mark.parametrize(
    "change",
    [stop("99.005"), stop("-1"), stop(quantity=30), stop(quantity=0), stop(side=Side.BUY), stop(tif="FOK"),
     Order("s-2.1", "s-2", "NVDA", Side.SELL, 100)],
)  # fmt: skip
async def test_a_change_refused_is_told_with_the_quantity_that_stands(room, change):
    await held(room)
    room.quote(98.0, size=30.0)
    room.heard()
    await room.broker.modify(change)
    (update,) = room.heard()
    assert (update.status, update.filled, update.remaining) == (S.PARTIAL, 30, 70)
    assert update.reason.startswith("not modified: ")


async def test_shrinking_does_not_make_a_stop_blind_for_the_bar_it_came_in(room):
    room.bar()
    await room.broker.submit(entry(), stop())
    room.bar()
    room.now += SECOND_NS
    room.broker.on_event(Trade("NVDA", room.now, 100.0, 1.0))
    await room.broker.modify(stop(quantity=60))
    room.now -= SECOND_NS
    room.bar(low=98.0)
    assert room.fills()[1:] == [("s-2.1", 60, "99.00")]


async def test_an_entry_made_smaller_leaves_no_stop_larger_than_it_trades(room):
    await room.broker.submit(entry(limit="100.02"), stop())
    room.quote(100.0, size=40.0)
    await room.broker.modify(entry(quantity=60, limit="100.02"))
    room.quote(100.0)
    assert room.last("s-2.1") == (S.WORKING, 0, 60)


async def test_cancelling_a_triggered_stop_takes_back_what_has_not_traded(room):
    await held(room)
    room.quote(98.0, size=30.0)
    await room.broker.cancel("s-2.1")
    room.quote(98.0)
    assert room.last("s-2.1") == (S.CANCELLED, 30, 70)
    assert await room.position() == 70


# --------------------------------------------------------------------------------------------- lone, nightly


async def test_a_stop_alone_protects_at_once(room):
    room.quote()
    await room.broker.submit(stop(to="", quantity=10))
    room.quote(98.0)
    assert room.fills() == [("s-2.1", 10, "98.00")]


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_stop_sent_later_is_attached_to_an_entry_that_lives_or_has_filled(room, how):
    await room.broker.submit(entry())
    if how == "after":
        room.quote()
    await room.broker.submit(stop())
    room.quote()
    room.quote(98.0)
    assert [fill[:2] for fill in room.fills()] == [("s-1.1", 100), ("s-2.1", 100)]


async def test_a_stop_for_an_entry_that_was_cancelled_is_rejected(room):
    await room.broker.submit(entry(limit="98.00"))
    await room.broker.cancel("s-1.1")
    await room.broker.submit(stop())
    assert room.last("s-2.1")[0] is S.REJECTED


async def test_a_stop_good_till_cancelled_works_the_next_day_and_not_at_night(room):
    await held(room)
    room.at(MONDAY.close + 3600 * SECOND_NS).quote(95.0)
    assert room.fills() == []
    assert set(await room.orders()) == {"s-2.1"}
    room.at(TUESDAY.open + SECOND_NS).quote(95.0)
    assert room.fills() == [("s-2.1", 100, "95.00")]


async def test_a_day_order_ends_with_the_day_whichever_share_is_heard_of(room):
    await held(room, tif="DAY")
    await room.broker.submit(entry(limit="50.00", id="s-3.1", quantity=5))
    room.broker.on_event(Trade("AAPL", MONDAY.close + 1, 5.0, 1.0))
    assert [(e.order_id, e.status) for e in room.heard()[1:]] == [
        ("s-2.1", S.CANCELLED), ("s-3.1", S.CANCELLED),
    ]  # fmt: skip
    assert await room.orders() == {}


async def test_an_entry_that_expires_half_filled_leaves_its_stop_for_the_night(room):
    await room.broker.submit(entry(limit="100.02"), stop())
    room.quote(100.0, size=40.0)
    room.at(TUESDAY.open + SECOND_NS).quote(100.0)
    assert room.last("s-2.1") == (S.WORKING, 0, 40)
    room.quote(98.0)
    assert room.fills() == [("s-2.1", 40, "98.00")]


async def test_a_day_order_of_the_night_is_good_for_the_next_session(room):
    room.at(MONDAY.close + SECOND_NS).quote()
    await room.broker.submit(entry(limit="50.00"))
    room.at(TUESDAY.close).quote()
    assert set(await room.orders()) == {"s-1.1"}
    room.at(TUESDAY.close + SECOND_NS).quote()
    assert await room.orders() == {}


async def test_a_stop_changed_to_a_day_order_ends_with_it(room):
    await held(room)
    await room.broker.modify(stop(tif="DAY"))
    room.at(MONDAY.close + SECOND_NS).quote()
    assert await room.orders() == {}
