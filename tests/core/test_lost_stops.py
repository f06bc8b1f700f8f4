"""A broker takes stops away for a split: none is placed again at the old price, whatever order the news come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal as D
from fractions import Fraction

import msgspec
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    AccountSnapshot,
    Bar,
    Cancel,
    Event,
    Holding,
    Lot,
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Remedy,
    Resolve,
    SetTimer,
    Side,
    Split,
    Submit,
)
from robo_trader.core.inbox import Inbox
from robo_trader.core.steps import SplitBooked, Unprotected
from robo_trader.risk.stops import AtrStop, StopOptions
from tests.desks import OPEN, Scripted, Week, desk

S = OrderStatus
SHARES = 105
ASK_AGAIN_NS = 2 * SECOND_NS  # how often the account is looked at where a stop waits for it


@dataclass
class Broker:
    """The market and the account as they are, and the desk that hears of them through its inbox, late or at once."""

    ratio: Fraction = Fraction(4)
    sign: int = 1
    day: int = 0
    offset: int = 380 * MINUTE_NS  # since the open of the day
    move: float = 0.0
    is_split: bool = False
    tells_new: bool = False  # whether the account is told in new shares
    stops: dict[str, Order] = field(default_factory=dict)
    unsaid: list[str] = field(default_factory=list)  # stops that have ended, and nobody has been told
    inbox: Inbox = field(default_factory=Inbox)
    told: list[Unprotected] = field(default_factory=list)
    level: D = D("98.50")
    is_booked: bool = False
    placed: list[tuple[int, D]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.level = D(100) - self.sign * D("1.50")
        self.engine = self.desk()
        side = Side.SELL if self.sign > 0 else Side.BUY
        stop = Order("s-0.1", "s-0", "NVDA", side, SHARES, OrderType.STOP, stop_price=self.level, tif="GTC")
        self.stops[stop.id] = stop
        self.inbox.put(self.account())
        self.quote()
        self.hear()

    def desk(self) -> Engine:
        return desk(Scripted(), stops=AtrStop(StopOptions()), calendar=Week())

    @property
    def now(self) -> int:
        return OPEN + self.day * Week.day_ns + self.offset

    @property
    def is_open(self) -> bool:
        return 0 < self.offset <= 390 * MINUTE_NS

    @property
    def price(self) -> float:
        return (100.0 + self.move) / (self.ratio if self.is_split else 1)

    @property
    def held(self) -> int:
        return self.sign * int(SHARES * (self.ratio if self.tells_new else 1))

    def account(self, ours: int | None = None) -> AccountSnapshot:
        ours = self.held if ours is None else ours
        holding = Holding("NVDA", ours, (Lot(ours, D(90)),), self.held, stop_price=self.level)
        orders = tuple(OpenOrder(stop) for stop in self.stops.values())
        return AccountSnapshot(self.now, "DU1", D(100_000), D(100_000), (holding,), orders)

    # --------------------------------------------------------------------------------------- what may happen

    def quote(self) -> None:
        self.offset += SECOND_NS
        if self.is_open:
            self.inbox.put(Quote("NVDA", self.now, self.price - 0.001, self.price + 0.001, 100, 100))

    def bar(self) -> None:
        self.offset += MINUTE_NS - self.offset % MINUTE_NS
        if self.is_open:
            p = self.price
            self.inbox.put(Bar("NVDA", self.now, p, p, p, p, 1000.0))

    def look(self) -> None:
        self.offset += ASK_AGAIN_NS
        self.inbox.put(self.account())

    def wander(self) -> None:
        self.move = 0.03 if self.move <= 0 else -0.03

    def lose(self) -> None:
        """Somebody cancels the stops at the broker in the middle of a session."""
        self.end_stops()
        self.say()
        self.hear()

    def night(self) -> None:
        """The share is split, its stops go; nobody need hear of that before the prices or the account."""
        if self.is_split:
            return
        if not self.stops:
            # What is decided by the day's prices is decided by day: who hears of them a night later cannot know better.
            self.quote()
            self.look()
            self.hear()
        self.day, self.offset, self.is_split = self.day + 1, -60 * MINUTE_NS, True
        self.end_stops()

    def morning(self) -> None:
        self.offset = max(self.offset, 0)

    def account_follows(self) -> None:
        self.tells_new = self.is_split

    def split(self) -> None:
        if self.tells_new:
            now = self.inbox.latest
            since = OPEN + (self.day - 1) * Week.day_ns + 390 * MINUTE_NS
            new, old = self.ratio.numerator, self.ratio.denominator
            self.inbox.put(Split(now, "NVDA", new, old, since, self.held, "announced", "operator"))

    def adopt(self) -> None:
        self.inbox.put(Resolve(self.inbox.latest, "NVDA", Remedy.ADOPT, "it is theirs", "operator"))

    def restart(self) -> None:
        """The daemon dies, and comes back to what it had stored; of its last bars it knows the price."""
        self.hear()
        last = self.engine.desk.price("NVDA"), self.engine.desk.portfolio.price_ts("NVDA")
        position = self.engine.desk.position("NVDA")
        self.engine, self.inbox, self.unsaid = self.desk(), Inbox(), []
        # Their ids are those of another session.
        self.stops = {
            f"r{key}": msgspec.structs.replace(stop, id=f"r{key}") for key, stop in self.stops.items()
        }
        self.offset += SECOND_NS
        if last[0] is not None:
            p = last[0]
            self.inbox.put(Bar("NVDA", last[1] // MINUTE_NS * MINUTE_NS, p, p, p, p, 1.0, history=True))
        self.inbox.put(self.account(position))

    def end_stops(self) -> None:
        self.unsaid += self.stops
        self.stops = {}

    def say(self) -> None:
        for order_id in self.unsaid:
            self.word(order_id, S.CANCELLED, 0)
        self.unsaid = []

    def word(self, order_id: str, status: S, left: int) -> None:
        self.inbox.put(
            OrderUpdate(self.inbox.latest, order_id, status, 0, left, 1, "gone" if not left else "")
        )

    # ------------------------------------------------------------------------------------------ what the desk does

    def hear(self, most: int = 10_000) -> None:
        """Let the desk take as many events, or all there are."""
        for _ in range(most):
            event = taken(self.inbox)
            if event is None:
                return
            self.take(event)

    def take(self, event: Event) -> None:
        step = self.engine.on_event(event)
        self.told += [fact for fact in step.facts if isinstance(fact, Unprotected)]
        self.is_booked |= any(isinstance(fact, SplitBooked) for fact in step.facts)
        for command in step.commands:
            match command:
                case SetTimer():
                    self.inbox.set_timer(command)
                case Submit(order):
                    self.receive(order)
                case Cancel(order_id) if order_id in self.stops:
                    del self.stops[order_id]
                    self.word(order_id, S.CANCELLED, 0)
                case Modify(order) if order.id in self.stops:
                    self.stops[order.id] = order
                    self.word(order.id, S.WORKING, order.quantity)

    def receive(self, order: Order) -> None:
        assert order.stop_price is not None
        assert (self.price - float(order.stop_price)) * self.sign > 0, (
            f"{order.quantity} shares would be traded at once: stop {order.stop_price}, market {self.price}"
        )
        self.placed.append((order.quantity, order.stop_price))
        self.stops[order.id] = order
        self.level = order.stop_price
        self.word(order.id, S.WORKING, order.quantity)


def taken(inbox: Inbox) -> Event | None:
    """Return the next event, None where none waits."""
    if not len(inbox):
        return None
    try:
        inbox.__anext__().send(None)
    except StopIteration as event:
        return event.value
    raise AssertionError("an event waits, and none came")


def bare(broker: Broker) -> int:
    return abs(broker.engine.desk.surely_held("NVDA")) - sum(stop.quantity for stop in broker.stops.values())


def settle(broker: Broker) -> None:
    """The account follows, all is said and heard, and a session goes on for ten seconds."""
    broker.say()
    broker.account_follows()
    if not broker.is_open:
        broker.offset = 0
    for _ in range(4):
        broker.quote()
        broker.look()
        broker.quote()
        broker.hear()


def test_old_prices_that_still_wait_when_the_stop_is_taken_are_no_news():
    broker = Broker()
    for _ in range(5):
        broker.bar()
    broker.hear(2)
    broker.night()
    broker.say()
    broker.hear()
    broker.look()
    broker.look()
    broker.hear()
    assert not broker.placed
    assert bare(broker) == SHARES
    assert [one.shares for one in broker.told] == [SHARES]


def test_the_last_bar_of_before_is_no_news_to_a_daemon_that_comes_back_in_the_night():
    broker = Broker()
    broker.bar()
    broker.night()
    broker.restart()
    for _ in range(3):
        broker.look()
        broker.hear()
    assert not broker.placed
    settle(broker)
    assert bare(broker) == 0


def test_an_account_that_follows_late_is_no_proof_the_stop_goes_where_todays_market_puts_it():
    broker = Broker()
    broker.night()
    broker.say()
    for _ in range(5):
        broker.look()
    broker.morning()
    broker.quote()
    broker.hear()
    assert not broker.placed, "looks of the night prove nothing of the morning"
    for _ in range(2):
        broker.look()
        broker.quote()
        broker.hear()
    assert [price for _, price in broker.placed] == [D("23.75")]
    assert bare(broker) == 0
    broker.account_follows()
    broker.look()
    broker.look()
    broker.split()
    broker.hear()
    assert broker.placed[-1] == (420, D("24.63"))  # 98.50 in new shares, rounded so that nothing is loosened


def test_a_stop_lost_in_the_middle_of_a_session_is_back_with_the_next_price():
    broker = Broker()
    broker.lose()
    lost = broker.now
    broker.quote()
    broker.quote()
    broker.hear()
    assert broker.placed == [(SHARES, D("98.50"))]
    assert broker.engine.desk.now - lost <= 2 * SECOND_NS


def test_a_stop_lost_in_a_night_that_was_none_is_back_where_it_was_with_the_second_look_of_the_morning():
    broker = Broker(ratio=Fraction(1))
    broker.night()
    broker.say()
    broker.look()
    broker.look()
    broker.morning()
    opened = broker.now
    for _ in range(2):
        broker.quote()
        broker.hear()
        assert not broker.placed
        broker.look()
    broker.quote()
    broker.hear()
    assert broker.placed == [(SHARES, D("98.50"))]
    assert broker.engine.desk.now - opened < 10 * SECOND_NS


def test_shares_that_are_adopted_before_the_market_opens_wait_for_its_price():
    broker = Broker()
    broker.night()
    broker.say()
    broker.account_follows()
    for _ in range(3):
        broker.look()
    broker.hear()
    broker.adopt()
    broker.hear()
    assert broker.engine.desk.position("NVDA") == 420
    assert not broker.placed
    settle(broker)
    assert [(shares, price) for shares, price in broker.placed] == [(420, D("23.75"))]


def test_a_stop_that_the_broker_says_to_reject_in_the_night_is_not_sent_again_at_the_old_price():
    broker = Broker()
    (stop,) = broker.stops
    broker.night()
    broker.unsaid = []
    broker.look()
    broker.word(stop, S.REJECTED, 0)
    broker.look()
    broker.hear()
    assert bare(broker) == SHARES
    assert not broker.placed


ACTIONS = [
    "quote", "bar", "look", "wander", "lose", "night", "morning", "say", "account_follows", "split", "adopt", "restart",
]  # fmt: skip
RATIOS = [
    Fraction(4),
    Fraction(3, 2),
    Fraction(10),
    Fraction(11, 10),
    Fraction(1, 20),
    Fraction(1, 4),
    Fraction(4, 5),
]


@settings(max_examples=400, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    ratio=st.sampled_from(RATIOS),
    sign=st.sampled_from([1, -1]),
    plan=st.lists(
        st.one_of(st.sampled_from(ACTIONS), st.integers(1, 6), st.sampled_from(["quote", "look", "say"])),
        max_size=40,
    ),
)
@example(Fraction(4), 1, ["bar", "bar", "bar", 1, "night", "say", 6, "look", "look", 6, "morning", "quote"])
@example(Fraction(4), 1, ["night", "say", "look", "look", "look", 6, "morning", "quote", "quote", 6, 6])
@example(Fraction(4), 1, ["night", "say", "morning", "quote", 6, "look", "look", "quote", "quote", 6, 6])
@example(Fraction(1, 20), 1, ["night", "morning", "quote", 6, "say", "quote", "look", "look", "quote", 6, 6])
def test_no_stop_is_sent_that_would_trade_at_once_because_the_shares_are_others(ratio, sign, plan):
    broker = Broker(ratio, sign)
    for one in plan:
        broker.hear(one) if isinstance(one, int) else getattr(broker, one)()
    settle(broker)
    desk = broker.engine.desk
    assert bare(broker) == 0
    assert desk.quarantined("NVDA") == (desk.position("NVDA") != broker.held)
