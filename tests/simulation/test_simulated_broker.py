"""The simulated broker's contract, card by card."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import LedgerError
from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Bar,
    Fill,
    Holding,
    Lot,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
    Timer,
)
from robo_trader.core.inbox import Inbox
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker

CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 6))
T = MONDAY.open + 10 * MINUTE_NS
S = OrderStatus


class Room:
    """A broker, the inbox it talks to, and what it said."""

    def __init__(self, holdings=()):
        self.inbox = Inbox()
        self.broker = SimulatedBroker(
            self.inbox, Matching(), CALENDAR, "SIM000001", Decimal(100_000), holdings=holdings
        )

    async def heard(self):
        """Return what came since the last time, oldest first."""
        return [await anext(self.inbox) for _ in range(len(self.inbox))]

    async def statuses(self):
        return [event.status for event in await self.heard() if isinstance(event, OrderUpdate)]

    def quote(self, ts=T + SECOND_NS, bid=100.0, ask=100.02, size=1000.0, symbol="NVDA"):
        self.broker.on_event(Quote(symbol, ts, bid, ask, size, size))

    def bar(self, ts=T, open=100.0, volume=60_000.0, symbol="NVDA", history=False):
        self.broker.on_event(
            Bar(symbol, ts, open, open + 0.5, open - 0.5, open + 0.25, volume, history=history)
        )


def market(side=Side.BUY, quantity=100, id="s-1.1"):
    return Order(id, id.partition(".")[0], "NVDA", side, quantity)


def limit(price, side=Side.BUY, quantity=100, id="s-1.1"):
    return Order(id, id.partition(".")[0], "NVDA", side, quantity, OrderType.LIMIT, Decimal(price))


@pytest.fixture
def room():
    return Room()


# ------------------------------------------------------------------------------------------ 1. market orders


async def test_a_market_order_fills_on_the_next_quote(room):
    room.quote(T, bid=99.0, ask=99.02)
    await room.broker.submit(market())
    working, *rest = await room.heard()
    assert (working.status, working.remaining, working.broker_id, rest) == (S.WORKING, 100, 1, [])
    room.quote()
    fill, filled = await room.heard()
    assert fill == Fill(
        T + SECOND_NS, "s-1.1", "SIM000001.s-1.1.1.01", "NVDA", Side.BUY, 100, Decimal("100.02"), Decimal(1)
    )
    assert (filled.status, filled.filled, filled.remaining) == (S.FILLED, 100, 0)


async def test_a_sale_gets_the_bid(room):
    await room.broker.submit(market(Side.SELL))
    room.quote()
    fill = next(event for event in await room.heard() if isinstance(event, Fill))
    assert fill.price == Decimal("100.00")


async def test_without_quotes_it_fills_at_the_next_open_and_never_on_the_bar_that_decided(room):
    room.bar(T, open=90.0)
    await room.broker.submit(market())
    room.bar(T + MINUTE_NS, open=100.0)
    fill = next(event for event in await room.heard() if isinstance(event, Fill))
    assert fill.price in (Decimal("100.01"), Decimal("100.02"))
    assert fill.ts == T + MINUTE_NS


async def test_an_order_given_inside_a_bar_waits_for_a_bar_that_begins_later(room):
    room.bar(T)
    room.broker.on_event(Timer(T + 20 * SECOND_NS, "slice"))
    await room.broker.submit(market())
    room.bar(T + MINUTE_NS)
    assert await room.statuses() == [S.WORKING]
    room.bar(T + 2 * MINUTE_NS)
    assert await room.statuses() == [S.FILLED]


async def test_history_and_other_symbols_fill_nothing(room):
    await room.broker.submit(market())
    room.bar(T, history=True)
    room.bar(T, symbol="AAPL")
    room.quote(T, symbol="AAPL")
    assert await room.statuses() == [S.WORKING]


async def test_where_there_are_quotes_bars_fill_nothing(room):
    room.quote(T)
    await room.broker.submit(market())
    room.bar(T + MINUTE_NS)
    room.bar(T + 2 * MINUTE_NS)
    assert await room.statuses() == [S.WORKING]


# ------------------------------------------------------------------------------------- 2. limits and partials


async def test_a_limit_order_rests_until_the_quote_comes_to_it(room):
    await room.broker.submit(limit("99.90"))
    room.quote(T)
    room.quote(T + 1, bid=99.89, ask=99.91)
    assert await room.statuses() == [S.WORKING]
    room.quote(T + 2, bid=99.87, ask=99.89)
    fill, _ = await room.heard()
    assert fill.price == Decimal("99.89")


async def test_a_large_order_fills_in_parts_of_the_displayed_size(room):
    await room.broker.submit(market(quantity=250))
    for k in range(3):
        room.quote(T + k, size=100.0)
    heard = await room.heard()
    fills = [event for event in heard if isinstance(event, Fill)]
    assert [fill.quantity for fill in fills] == [100, 100, 50]
    assert [fill.exec_id for fill in fills] == [f"SIM000001.s-1.1.{k}.01" for k in (1, 2, 3)]
    assert [fill.commission for fill in fills] == [1, 0, Decimal("0.250")]
    assert [u.status for u in heard if isinstance(u, OrderUpdate)] == [
        S.WORKING,
        S.PARTIAL,
        S.PARTIAL,
        S.FILLED,
    ]


async def test_orders_of_one_side_share_what_there_is_the_oldest_first(room):
    await room.broker.submit(market(quantity=80, id="s-1.1"))
    await room.broker.submit(market(quantity=80, id="s-2.1"))
    room.quote(size=100.0)
    fills = [event for event in await room.heard() if isinstance(event, Fill)]
    assert [(fill.order_id, fill.quantity) for fill in fills] == [("s-1.1", 80), ("s-2.1", 20)]


async def test_a_bar_gives_its_participation_only(room):
    await room.broker.submit(market(quantity=500))
    room.bar(volume=1234.0)
    fill = next(event for event in await room.heard() if isinstance(event, Fill))
    assert fill.quantity == 123


# ----------------------------------------------------------------------------------------- 3. cancel, modify


async def test_a_cancelled_order_trades_no_more(room):
    await room.broker.submit(market(quantity=150))
    room.quote(T, size=100.0)
    await room.broker.cancel("s-1.1")
    room.quote(T + 1)
    *_, last = await room.heard()
    assert (last.status, last.filled, last.remaining) == (S.CANCELLED, 100, 50)


async def test_a_finished_order_cannot_be_cancelled_and_is_told_again_as_it_ended(room):
    await room.broker.submit(market())
    room.quote(T)
    await room.heard()
    await room.broker.cancel("s-1.1")
    assert await room.statuses() == [S.FILLED]


async def test_an_unknown_order_is_said_to_be_unknown(room):
    await room.broker.cancel("s-9.9")
    await room.broker.modify(limit("99.00", id="s-9.8"))
    assert await room.statuses() == [S.NEVER_SENT, S.NEVER_SENT]


async def test_a_moved_limit_trades_at_its_new_price(room):
    await room.broker.submit(limit("99.00"))
    await room.broker.modify(limit("100.02", quantity=40))
    room.quote()
    fill = next(event for event in await room.heard() if isinstance(event, Fill))
    assert (fill.quantity, fill.price) == (40, Decimal("100.02"))


@pytest.mark.parametrize("change", [limit("99.00", Side.SELL), limit("99.00", quantity=50), limit("-1")])
async def test_a_change_that_makes_no_sense_is_refused_and_the_order_stands(room, change):
    await room.broker.submit(limit("100.02", quantity=100))
    room.quote(T, size=60.0)
    await room.heard()
    await room.broker.modify(change)
    (update,) = await room.heard()
    assert (update.status, update.remaining) == (S.PARTIAL, 40)
    assert update.reason.startswith("not modified")
    assert (await room.broker.snapshot()).orders[0].order.quantity == 100


# ----------------------------------------------------------------------------------------------- 4. refusals


@pytest.mark.parametrize(
    "nonsense",
    [
        market(quantity=0),
        market(quantity=-5),
        limit("0"),
        limit("-1"),
        limit("NaN"),
        limit("100.005"),
        Order("s-1.1", "s-1", "NVDA", Side.BUY, 10, OrderType.LIMIT),
    ],
)
async def test_nonsense_is_rejected_with_a_reason(room, nonsense):
    await room.broker.submit(nonsense)
    room.quote()
    (update,) = await room.heard()
    assert update.status is S.REJECTED
    assert update.reason


async def test_the_same_order_twice_is_one_order(room):
    await room.broker.submit(market())
    await room.broker.submit(market())
    room.quote(T)
    await room.broker.submit(market())
    room.quote(T + 1)
    assert await room.statuses() == [S.WORKING, S.FILLED]


# ------------------------------------------------------------------------------------------------ 5. the day


async def test_nothing_trades_outside_regular_hours(room):
    room.quote(MONDAY.open - MINUTE_NS)
    await room.broker.submit(market())
    room.quote(MONDAY.open - SECOND_NS)
    assert await room.statuses() == [S.WORKING]
    room.quote(MONDAY.open + SECOND_NS)
    assert await room.statuses() == [S.FILLED]


async def test_an_order_is_good_for_its_day_only(room):
    room.quote(MONDAY.close - MINUTE_NS)
    await room.broker.submit(limit("50.00"))
    room.quote(TUESDAY.open + SECOND_NS, bid=49.0, ask=49.02)
    assert await room.statuses() == [S.WORKING, S.CANCELLED]


async def test_an_order_of_the_closing_bell_waits_for_the_next_open(room):
    room.bar(MONDAY.close)
    await room.broker.submit(market())
    room.bar(TUESDAY.open + MINUTE_NS, open=101.0)
    assert await room.statuses() == [S.WORKING, S.FILLED]


# ---------------------------------------------------------------------------------------------- 6. the books


async def test_the_snapshot_is_the_account_to_the_cent():
    room = Room([Holding("AAPL", -10, (Lot(-10, Decimal(200)),))])
    await room.broker.submit(market(quantity=100, id="s-1.1"))
    await room.broker.submit(limit("90.00", id="s-2.1"))
    room.quote(T)
    await room.broker.submit(market(Side.SELL, quantity=30, id="s-3.1"))
    room.quote(T + 1, bid=101.0, ask=101.02)
    account = await room.broker.snapshot()
    assert account.account == "SIM000001"
    assert account.cash == 100_000 - Decimal("10002.00") - 1 + 3030 - 1
    assert account.holdings == (
        Holding("AAPL", -10, (Lot(-10, Decimal(200)),), -10),
        Holding("NVDA", 70, (Lot(70, Decimal("100.02")),), 70),
    )
    assert account.net_liquidation == account.cash - 2000 + 70 * Decimal("101.01")
    assert [(one.order.id, one.filled, one.broker_id) for one in account.orders] == [("s-2.1", 0, 2)]
    assert [fill.order_id for fill in account.fills] == ["s-1.1", "s-3.1"]


async def test_a_position_without_its_lots_is_refused():
    with pytest.raises(LedgerError):
        Room([Holding("AAPL", 10)])


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"), st.sampled_from(list(Side)), st.integers(1, 300), st.integers(9_980, 10_020)
        ),
        st.tuples(st.just("quote"), st.integers(9_980, 10_020), st.integers(1, 4), st.integers(0, 200)),
        st.tuples(st.just("cancel"), st.integers(1, 6)),
    ),
    max_size=25,
)


@given(ACTIONS)
async def test_whatever_happens_the_books_add_up_and_repeat(actions):
    async def play():
        room = Room()
        for k, action in enumerate(actions, 1):
            match action:
                case ("submit", side, quantity, cents):
                    await room.broker.submit(limit(Decimal(cents) / 100, side, quantity, f"s-{k}.1"))
                case ("quote", cents, wide, size):
                    room.quote(T + k, cents / 100, (cents + wide) / 100, float(size))
                case ("cancel", number):
                    await room.broker.cancel(f"s-{number}.1")
        return await room.heard(), await room.broker.snapshot()

    heard, account = await play()
    assert (heard, account) == await play()
    fills = [event for event in heard if isinstance(event, Fill)]
    paid = sum(fill.side.sign * fill.quantity * fill.price + fill.commission for fill in fills)
    assert account.cash == 100_000 - paid
    assert sum(one.quantity for one in account.holdings) == sum(f.side.sign * f.quantity for f in fills)
    assert len({fill.exec_id for fill in fills}) == len(fills)
    last = {event.order_id: event for event in heard if isinstance(event, OrderUpdate)}
    for order_id, update in last.items():
        assert update.filled == sum(fill.quantity for fill in fills if fill.order_id == order_id)
        assert (update.status is S.FILLED) == (update.remaining == 0 and update.status is not S.NEVER_SENT)
