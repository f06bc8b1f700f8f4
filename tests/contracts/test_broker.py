"""The broker's contract: the same cards for every implementation, the simulated one first."""

from decimal import Decimal

import pytest

from robo_trader.core.events import OrderStatus, Side
from tests.contracts.conftest import LIVE, Cards, limit, market, stop

S = OrderStatus
FAR, NEAR = "150.00", "198.00"  # stop prices the market never and surely reaches
GONE = (S.REJECTED, S.CANCELLED, S.NEVER_SENT)


async def rest_of(cards, quantity=10):
    """Let a limit order of that size rest far below the market."""
    await cards.broker.submit(limit("150.00", quantity))
    await cards.bench.settle()
    return cards.word("s-1.1")


async def half(cards, more=100, guard=FAR):
    """Have an entry filled by the best offer with that many shares left, and its stop; return what was bought."""
    price, size = cards.bench.offer()
    await cards.broker.submit(limit(price, size + more), stop(guard, size + more))
    await cards.bench.meet()
    assert cards.traded("s-1.1") == size
    return size


async def held(cards, quantity=10, guard=NEAR):
    """Hold that many shares with a stop."""
    await cards.broker.submit(market(quantity), stop(guard, quantity))
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)


async def half_stopped(cards):
    """Hold 1,200 shares of which a triggered stop has sold some; return how many."""
    await held(cards, 1_200)
    await cards.bench.fall()
    await cards.until(lambda: cards.traded("s-2.1"))
    sold = cards.traded("s-2.1")
    assert 0 < sold < 1_200
    return sold


# ------------------------------------------------------------------------------------------- 1-5: plain orders


async def test_01_a_market_order_fills(cards: Cards):
    await cards.broker.submit(market())
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)
    (fill,) = cards.fills()
    assert (fill.order_id, fill.side, fill.quantity, fill.commission) == ("s-1.1", Side.BUY, 10, Decimal(1))
    assert fill.exec_id.endswith(".01")
    await cards.agreed()


async def test_02_a_limit_order_rests(cards: Cards):
    word = await rest_of(cards)
    assert (word.status, word.filled, word.remaining) == (S.WORKING, 0, 10)
    account = await cards.agreed()
    assert account.orders[0].order.limit_price == 150
    assert account.orders[0].broker_id == word.broker_id > 0


async def test_03_an_order_fills_in_parts(cards: Cards):
    price, size = cards.bench.offer()
    await cards.broker.submit(limit(price, size + 100))
    await cards.bench.meet()
    word = cards.word("s-1.1")
    assert (word.status, word.filled, word.remaining) == (S.PARTIAL, size, 100)
    await cards.agreed()
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)
    assert cards.position() == size + 100
    await cards.agreed()


async def test_04_a_cancelled_order_keeps_what_it_traded(cards: Cards):
    price, size = cards.bench.offer()
    await cards.broker.submit(limit(price, size + 100))
    await cards.bench.meet()
    await cards.broker.cancel("s-1.1")
    await cards.until(lambda: cards.status("s-1.1") is S.CANCELLED)
    assert cards.word("s-1.1").filled == cards.position() == size
    assert (await cards.agreed()).orders == ()


async def test_05_what_cannot_be_ordered_is_rejected_with_a_reason(cards: Cards):
    await cards.broker.submit(limit("150.005"))
    await cards.until(lambda: cards.status("s-1.1") is S.REJECTED)
    assert cards.word("s-1.1").reason
    assert (await cards.agreed()).orders == ()


# ------------------------------------------------------------------------------------------------ 6-10: changes


@pytest.mark.parametrize("quantity", [25, 4])
async def test_06_a_changed_quantity_is_confirmed(cards: Cards, quantity: int):
    await rest_of(cards)
    await cards.broker.modify(limit("150.00", quantity))
    await cards.until(lambda: cards.working("s-1.1") == quantity)
    assert cards.status("s-1.1") is S.WORKING
    await cards.agreed()


@pytest.mark.parametrize("change", [limit("150.005", 20), limit("150.00", 1)])
async def test_07_a_refused_change_is_told_with_the_quantity_that_stands(cards: Cards, change):
    price, size = cards.bench.offer()
    await cards.broker.submit(limit(price, size + 100))
    await cards.bench.meet()
    before = len(cards.inbox.updates)
    await cards.broker.modify(change)
    await cards.until(lambda: len(cards.inbox.updates) > before)
    word = cards.word("s-1.1")
    assert (word.status, word.filled, word.remaining) == (S.PARTIAL, size, 100)
    assert word.reason
    account = await cards.agreed()
    assert account.orders[0].order.limit_price == price


async def test_08_a_limit_moved_through_the_market_fills(cards: Cards):
    await rest_of(cards)
    await cards.broker.modify(limit(cards.bench.offer()[0] + 1))
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)
    assert cards.position() == 10
    await cards.agreed()


async def test_09_a_cancel_that_comes_after_the_fill_changes_nothing(cards: Cards):
    await cards.broker.submit(market())
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)
    await cards.broker.cancel("s-1.1")
    await cards.bench.step()
    assert cards.status("s-1.1") is S.FILLED
    await cards.agreed()


@pytest.mark.parametrize("fault", ["duplicate", "reorder", "commission-first"])
async def test_10_an_execution_is_one_however_often_and_in_whatever_order_it_is_told(
    cards: Cards, fault: str
):
    cards.bench.provoke(fault)
    await held(cards, 60, FAR)
    once = cards.fills()
    await cards.agreed()
    await cards.agreed()
    assert cards.fills() == once
    assert cards.position() == 60


# --------------------------------------------------------------------------------------- 11-16: entry and stop


async def test_11_the_stop_stands_the_moment_its_entry_fills(cards: Cards):
    await held(cards)
    account = await cards.agreed()
    (found,) = account.orders
    assert (found.order.id, found.order.side, found.order.quantity) == ("s-2.1", Side.SELL, 10)
    assert (found.order.protects, found.order.stop_price, found.order.tif) == (True, Decimal(NEAR), "GTC")


async def test_12_an_entry_and_its_stop_are_two_orders_and_the_stop_knows_its_entry(cards: Cards):
    await cards.broker.submit(limit("150.00"), stop("140.00"))
    await cards.until(lambda: cards.status("s-1.1") in LIVE and cards.status("s-2.1") in LIVE)
    account = await cards.agreed()
    assert {one.order.id: one.order.attached_to for one in account.orders} == {"s-1.1": "", "s-2.1": "s-1.1"}
    assert len({one.broker_id for one in account.orders}) == 2


async def test_13_a_rejected_entry_takes_its_stop_with_it(cards: Cards):
    await cards.broker.submit(limit("150.005"), stop("140.00"))
    await cards.bench.hear(lambda: cards.status("s-1.1") in GONE and cards.status("s-2.1") in GONE)
    assert cards.status("s-1.1") is S.REJECTED
    assert (await cards.agreed()).orders == ()


async def test_14_an_entry_never_trades_without_the_stop_it_came_with(cards: Cards):
    await cards.broker.submit(market(), stop("198.005"))
    await cards.bench.hear(lambda: cards.status("s-1.1") in GONE and cards.status("s-2.1") in GONE)
    await cards.bench.step()
    assert cards.position() == 0
    assert (await cards.agreed()).orders == ()


async def test_15_an_entry_cancelled_half_filled_leaves_a_stop_for_what_was_traded(cards: Cards):
    bought = await half(cards)
    assert cards.working("s-2.1") == bought + 100
    await cards.broker.cancel("s-1.1")
    await cards.until(lambda: cards.status("s-1.1") is S.CANCELLED and cards.working("s-2.1") == bought)
    (found,) = (await cards.agreed()).orders
    assert (found.order.id, found.order.quantity) == ("s-2.1", bought)


async def test_16_an_entry_cancelled_untraded_takes_its_stop_with_it(cards: Cards):
    await cards.broker.submit(limit("150.00"), stop("140.00"))
    await cards.bench.settle()
    await cards.broker.cancel("s-1.1")
    await cards.until(lambda: cards.status("s-1.1") is S.CANCELLED and cards.status("s-2.1") in GONE)
    assert (await cards.agreed()).orders == ()


# ------------------------------------------------------------------------------------- 17-24: stops that trade


async def test_17_a_triggered_stop_sells_what_was_bought_once(cards: Cards):
    await held(cards)
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    for _ in range(5):
        await cards.bench.step()
    assert (cards.traded("s-1.1"), cards.traded("s-2.1"), cards.position()) == (10, 10, 0)
    assert (await cards.agreed()).orders == ()


async def test_18_entry_and_stop_in_one_fall_never_turn_the_position(cards: Cards):
    await half(cards, 100, guard=NEAR)
    await cards.bench.fall()
    seen = 0

    def flat() -> bool:
        nonlocal seen
        position = 0
        for fill in cards.fills():
            position += fill.side.sign * fill.quantity
            assert position >= 0
        seen = max(seen, cards.traded("s-1.1"))
        return cards.status("s-2.1") is S.FILLED

    await cards.until(flat)
    assert cards.traded("s-2.1") == seen == cards.traded("s-1.1")
    await cards.agreed()


async def test_19_a_stop_made_smaller_while_it_trades_ends_there(cards: Cards):
    sold = await half_stopped(cards)
    await cards.broker.modify(stop(NEAR, sold + 10))
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    assert (cards.traded("s-2.1"), cards.position()) == (sold + 10, 1_190 - sold)
    await cards.agreed()


async def test_20_cancelling_a_triggered_stop_takes_back_what_has_not_traded(cards: Cards):
    sold = await half_stopped(cards)
    await cards.broker.cancel("s-2.1")
    await cards.until(lambda: cards.status("s-2.1") is S.CANCELLED)
    await cards.bench.step()
    assert cards.position() == 1_200 - sold
    assert (await cards.agreed()).orders == ()


async def test_21_a_stop_shrinks_before_an_exit_and_both_are_right(cards: Cards):
    await held(cards)
    await cards.broker.modify(stop(NEAR, 6))
    await cards.until(lambda: cards.working("s-2.1") == 6)
    await cards.broker.submit(market(4, Side.SELL, "s-3.1"))
    await cards.until(lambda: cards.status("s-3.1") is S.FILLED)
    assert cards.position() == 6
    await cards.agreed()
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    assert cards.position() == 0
    await cards.agreed()


async def test_22_a_stop_moved_closer_is_triggered_where_it_stands_now(cards: Cards):
    await held(cards, guard=FAR)
    await cards.broker.modify(stop(NEAR))
    await cards.bench.settle()
    assert (await cards.agreed()).orders[0].order.stop_price == Decimal(NEAR)
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    assert Decimal(190) < cards.fills()[-1].price < Decimal("198.10")
    await cards.agreed()


async def test_23_a_stop_alone_protects_what_is_held(cards: Cards):
    await cards.broker.submit(market())
    await cards.until(lambda: cards.status("s-1.1") is S.FILLED)
    await cards.broker.submit(stop(NEAR, attached_to=""))
    await cards.until(lambda: cards.status("s-2.1") in LIVE)
    (found,) = (await cards.agreed()).orders
    assert found.order.attached_to == ""
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    assert cards.position() == 0
    await cards.agreed()


async def test_24_a_stop_made_smaller_while_its_entry_still_trades_is_that_small_when_it_has(cards: Cards):
    bought = await half(cards, 100, guard=NEAR)
    await cards.broker.modify(stop(NEAR, bought))
    await cards.until(lambda: cards.working("s-2.1") == bought)
    await cards.agreed()
    await cards.bench.fall()
    await cards.until(lambda: cards.status("s-2.1") is S.FILLED)
    assert (cards.traded("s-1.1"), cards.position()) == (bought + 100, 100)
    await cards.agreed()
