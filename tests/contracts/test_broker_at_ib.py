"""Cards for a broker behind a wire: what it says and knows when the wire, or TWS, does not keep its word."""

import pytest

from robo_trader.core.events import OrderStatus, OrderType, Side
from tests.contracts.conftest import LIVE, NEXT_DAY, Cards, limit, market, stop
from tests.contracts.test_broker import FAR, GONE, half, held, rest_of

S = OrderStatus
SENT = ["s-1.1", "s-2.1"]


@pytest.fixture
def cards(at_ib):
    return Cards(at_ib)


async def reconnect(cards):
    """Get a new session and catch up, as the daemon does."""
    bench = cards.bench
    await bench.desk.connection.wait_lost()
    await bench.desk.connection.close()
    await bench.desk.connection.connect()
    account = await bench.broker.snapshot()
    for event in [*account.fills, *await bench.broker.resolve(SENT)]:
        bench.inbox.put(event)
    await bench.settle()


async def protected(cards):
    """Whatever became of them: the account is as told, and stops are as large as the position, no more and no less."""
    account = await cards.agreed()
    stops = [one for one in account.orders if one.order.type is OrderType.STOP]
    entered = [one for one in account.orders if one.order.type is not OrderType.STOP]
    covered = sum(one.order.quantity - one.filled for one in stops)
    assert covered == cards.position() + sum(one.order.quantity - one.filled for one in entered)
    return account


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("fault", ["lose-before-accept", "accept-then-drop"])
async def test_25_of_an_entry_and_its_stop_lost_with_the_wire_both_live_or_neither(
    cards: Cards, fault: str, after: int
):
    cards.bench.gateway.plant(fault, after=after)
    await cards.broker.submit(market(60), stop(FAR, 60))
    await reconnect(cards)
    await cards.bench.step()
    account = await protected(cards)
    lives = fault == "accept-then-drop"
    assert (cards.position(), len(account.orders)) == ((60, 1) if lives else (0, 0))
    assert (cards.status("s-1.1") is S.FILLED) == lives
    assert (cards.status("s-2.1") in LIVE) == lives
    if not lives:
        assert cards.status("s-1.1") in GONE
        assert cards.status("s-2.1") in GONE


async def test_26_an_entry_that_fills_while_the_wire_is_cut_is_told_once_and_its_stop_found_again(
    cards: Cards,
):
    bought = await half(cards)
    for client in cards.bench.gateway.clients():
        client.abort()
    await cards.bench.gateway.advance(290)
    await cards.bench.gateway.advance(60)
    await reconnect(cards)
    assert cards.position() == bought + 100
    account = await protected(cards)
    assert [one.order.id for one in account.orders] == ["s-2.1"]
    await cards.broker.modify(stop("151.00", bought + 50))
    await cards.until(lambda: cards.working("s-2.1") == bought + 50)


async def test_27_a_fill_after_a_confirmed_cancel_is_told(cards: Cards):
    price, size = cards.bench.offer()
    await cards.broker.submit(limit(price, size + 100))
    await cards.bench.meet()
    cards.bench.provoke("fill-after-cancel")
    await cards.broker.cancel("s-1.1")
    await cards.bench.settle()
    await cards.bench.fall()
    await cards.until(lambda: cards.position() == size + 100)
    account = await cards.broker.snapshot()
    assert sum(holding.quantity for holding in account.holdings) == size + 100
    assert account.orders == ()


async def test_28_a_cancel_refused_as_too_late_is_no_end_of_an_order_that_lives(cards: Cards):
    await rest_of(cards)
    cards.bench.provoke("cancel-fill-race")
    await cards.broker.cancel("s-1.1")
    await cards.until(lambda: cards.status("s-1.1") is S.CANCELLED)
    assert (await cards.agreed()).orders == ()
    assert cards.bench.gateway.orders.working() == []


@pytest.mark.parametrize("how", ["error-first", "status-first", "cancelled-first"])
async def test_29_a_stop_that_is_refused_keeps_its_entry_from_the_market(cards: Cards, how: str):
    cards.bench.gateway.plant("reject", after=1, times=1, sequence=how)
    await cards.broker.submit(market(60), stop(FAR, 60))
    await cards.bench.hear(lambda: cards.status("s-1.1") in GONE and cards.status("s-2.1") in GONE)
    await cards.bench.step()
    assert cards.position() == 0
    await protected(cards)


@pytest.mark.parametrize("code", [10349, 10148, 399, 110, 201])
async def test_30_an_error_about_a_stop_that_lives_is_no_end_of_it(cards: Cards, code: int):
    await held(cards, 60, FAR)
    cards.bench.gateway.plant("error-on-live", code=code)
    await cards.broker.modify(stop(FAR, 40))
    await cards.until(lambda: cards.status("s-2.1") in LIVE and cards.working("s-2.1") == 40)
    account = await cards.agreed()
    assert [(one.order.id, one.order.quantity) for one in account.orders] == [("s-2.1", 40)]


async def test_31_a_restart_of_tws_over_night_keeps_the_stop(cards: Cards):
    await held(cards, 60, FAR)
    await cards.bench.gateway.advance_to(NEXT_DAY.open)
    cards.bench.gateway.plant("restart-keep")
    await cards.bench.gateway.advance(60)
    await reconnect(cards)
    account = await cards.broker.snapshot()
    ((found),) = account.orders
    assert (found.order.id, found.order.side, found.order.quantity) == ("s-2.1", Side.SELL, 60)
    await cards.broker.cancel("s-2.1")
    await cards.until(lambda: cards.status("s-2.1") is S.CANCELLED)
