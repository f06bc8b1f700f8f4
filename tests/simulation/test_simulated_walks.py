"""Random walks of a market and a client: stops never outgrow their entries, and the books add up."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import SECOND_NS, Fill, OrderStatus, Side
from tests.simulation.stop_desk import TUESDAY, Room, T, entry, stop

S = OrderStatus
CENTS = st.integers(9_700, 10_300)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(list(Side)), st.integers(1, 300), CENTS, st.integers(1, 300)),
        st.tuples(st.just("quote"), CENTS, st.integers(0, 30), st.integers(0, 200)),
        st.tuples(st.just("print"), CENTS),
        st.tuples(st.just("bar"), CENTS, st.integers(0, 200), st.integers(0, 3_000)),
        st.tuples(st.just("cancel"), st.integers(1, 10), st.sampled_from("es")),
        st.tuples(st.just("modify"), st.integers(1, 10), st.integers(1, 300), CENTS),
        st.tuples(st.just("night")),
    ),
    max_size=40,
)  # fmt: skip


class Walk:
    """What was asked for, and a market that does as it is told."""

    def __init__(self):
        self.room = Room()
        self.entries, self.stops = {}, {}

    async def do(self, number, action):
        room = self.room
        match action:
            case ("enter", side, quantity, cents, shares):
                await self.enter(number, side, quantity, Decimal(cents) / 100, min(shares, quantity))
            case ("quote", cents, wide, size):
                room.quote(cents / 100, (cents + wide) / 100, float(size))
            case ("print", cents):
                room.print(cents / 100)
            case ("bar", cents, wide, volume):
                room.bar(cents / 100, (cents - wide) / 100, (cents + wide) / 100, float(volume))
            case ("cancel", which, kind):
                await room.broker.cancel(f"{kind}-{which}.1")
            case ("modify", which, quantity, cents):
                await self.modify(f"s-{which}.1", quantity, Decimal(cents) / 100)
            case ("night",):
                room.at(TUESDAY.open + (room.now - T) + SECOND_NS)

    async def enter(self, number, side, quantity, price, shares):
        away = Side.SELL if side is Side.BUY else Side.BUY
        order = entry(quantity, str(price), f"e-{number}.1", side)
        guard = stop(str(price - side.sign), shares, order.id, f"s-{number}.1", away)
        self.entries[order.id], self.stops[guard.id] = order, guard
        await self.room.broker.submit(order, guard)

    async def modify(self, order_id, quantity, price):
        guard = self.stops.get(order_id)
        live = (await self.room.orders()).get(order_id)
        if guard is not None and live is not None and quantity <= live.order.quantity:
            away = Side.SELL if guard.side is Side.SELL else Side.BUY
            change = stop(str(price), quantity, guard.attached_to, order_id, away)
            await self.room.broker.modify(change)


def check(walk, traded, snapshot):
    """No order trades more than it wanted; no stop, live or done, is for more than its entry has traded."""
    live = {one.order.id: one for one in snapshot.orders}
    for order_id, order in walk.entries.items():
        assert traded[order_id] <= order.quantity
    for order_id, guard in walk.stops.items():
        entered = traded[guard.attached_to]
        assert traded[order_id] <= entered
        alone = order_id in live and guard.attached_to not in live
        if alone:
            assert traded[order_id] < live[order_id].order.quantity <= entered
    assert all(one.filled == traded[order_id] < one.order.quantity for order_id, one in live.items())


@given(ACTIONS)
async def test_whatever_happens_stops_never_trade_more_than_entries_and_the_cash_adds_up(actions):
    walk, traded, ids, paid = Walk(), defaultdict(int), set(), Decimal(0)
    words = {}
    for number, action in enumerate(actions, 1):
        await walk.do(number, action)
        for event in walk.room.heard():
            if isinstance(event, Fill):
                traded[event.order_id] += event.quantity
                paid += event.side.sign * event.quantity * event.price + event.commission
                assert event.exec_id not in ids
                ids.add(event.exec_id)
            else:
                words[event.order_id] = event
                assert event.filled == traded[event.order_id]
        snapshot = await walk.room.broker.snapshot()
        check(walk, traded, snapshot)
        assert snapshot.cash == 100_000 - paid
        alive = {one.order.id: one.order.quantity for one in snapshot.orders}
        assert alive == {
            order_id: word.filled + word.remaining
            for order_id, word in words.items()
            if word.status in (S.WORKING, S.PARTIAL)
        }
