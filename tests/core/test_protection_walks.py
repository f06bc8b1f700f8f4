"""Random walks of desk and broker: exits and stops never sell the same shares, whatever order words come in."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from decimal import Decimal as D

import pytest

from robo_trader.core.events import (
    Cancel,
    Event,
    Fill,
    Modify,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    SetTimer,
    Side,
    Submit,
    Timer,
)
from tests.core.test_protection import RULE
from tests.desks import OPEN, Scripted, bar, desk, opening

S = OrderStatus


@dataclass
class AtBroker:
    """One order as the broker works it."""

    order: Order
    quantity: int
    traded: int = 0
    is_live: bool = True

    @property
    def left(self) -> int:
        return self.quantity - self.traded if self.is_live else 0


class Exchange:
    """A broker behind two wires on which messages keep their order and take their time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.want = Scripted()
        self.engine = desk(
            self.want,
            stops=RULE,
            algorithm=self.chance.choice(["market", "twap"]),
            slices=self.chance.choice([5, 20]),
        )
        self.there: deque = deque()  # commands on their way
        self.back: deque[Event] = deque()  # words on their way
        self.orders: dict[str, AtBroker] = {}
        self.timers: list[SetTimer] = []
        self.openers: set[str] = set()  # orders decided on to open or to add
        self.position = 0
        self.executions = 0
        self.minute = 1
        self._hear(opening())
        self._hear(bar(1))

    def act(self) -> None:
        self.chance.choice(
            [self._carry, self._carry, self._tell, self._tell, self._trade, self._trade, self._bar]
        )()
        self._stops_never_exceed_the_position()

    def settle(self) -> None:
        """Let everything arrive and every market order trade."""
        for _ in range(400):
            self._carry()
            self._tell()
            for one in list(self.orders.values()):
                if one.left and not one.order.protects:
                    self._execute(one, one.left)
            if not self.there and not self.back:
                if not self.timers:
                    return
                timer = self.timers.pop(0)
                now = max(timer.ts, self.engine.desk.now)
                self._hear(Quote("NVDA", now, 99.99, 100.01, 1, 1))
                self._hear(Timer(now, timer.key))

    def _carry(self) -> None:
        if not self.there:
            return
        command = self.there.popleft()
        match command:
            case Submit(order, stop):
                for one in (order, stop):
                    if one is not None:
                        self.orders[one.id] = AtBroker(one, one.quantity)
                        if one.protects and self.chance.random() < 0.1:
                            self._end(self.orders[one.id], S.REJECTED)
                        else:
                            self._say(one.id, S.WORKING)
            case Modify(order):
                one = self.orders[order.id]
                if one.is_live and order.quantity > one.traded and self.chance.random() > 0.2:
                    one.quantity = order.quantity
                    self._say(order.id, S.PARTIAL if one.traded else S.WORKING)
                elif one.is_live:
                    self._say(order.id, S.PARTIAL if one.traded else S.WORKING, "refused")
            case Cancel(order_id):
                one = self.orders[order_id]
                if one.is_live:
                    self._end(one, S.CANCELLED)

    def _end(self, one: AtBroker, status: S) -> None:
        one.is_live = False
        self._say(one.order.id, status, "ended")
        for child in self.orders.values():
            if child.order.attached_to == one.order.id and child.is_live:
                if not one.traded:
                    self._end(child, S.CANCELLED)
                elif child.quantity > one.traded:
                    child.quantity = max(one.traded, child.traded)
                    child.is_live = child.left > 0
                    self._say(child.order.id, S.WORKING if child.is_live else S.FILLED)

    def _say(self, order_id: str, status: S, reason: str = "") -> None:
        one = self.orders[order_id]
        self.back.append(OrderUpdate(OPEN, order_id, status, one.traded, one.left, 1, reason))

    def _tell(self) -> None:
        if self.back:
            self._hear(self.back.popleft())

    def _trade(self) -> None:
        live = [one for one in self.orders.values() if self._may_trade(one) > 0]
        if live:
            one = self.chance.choice(live)
            self._execute(one, self.chance.randint(1, self._may_trade(one)))

    def _may_trade(self, one: AtBroker) -> int:
        entry = self.orders.get(one.order.attached_to)
        return one.left if entry is None else min(one.left, entry.traded - one.traded)

    def _execute(self, one: AtBroker, shares: int) -> None:
        one.traded += shares
        self.position += one.order.side.sign * shares
        self.executions += 1
        self.back.append(
            Fill(OPEN, one.order.id, f"e{self.executions}.01", "NVDA", one.order.side, shares, D(100), D(0))
        )
        if not one.left:
            one.is_live = False
            self._say(one.order.id, S.FILLED)

    def _bar(self) -> None:
        self.minute += 1
        if self.chance.random() < 0.4:
            self.want.wants = [("NVDA", self.chance.choice([-1, 0, 1, 1]))]
        now = bar(min(self.minute, 380))
        due = [timer for timer in self.timers if timer.ts <= now.ts]
        self.timers = [timer for timer in self.timers if timer.ts > now.ts]
        for timer in due:
            self._hear(Timer(max(timer.ts, self.engine.desk.now), timer.key))
        self._hear(now)

    def _hear(self, event: Event) -> None:
        step = self.engine.on_event(event)
        self.timers += [c for c in step.commands if isinstance(c, SetTimer)]
        self.timers.sort(key=lambda timer: timer.ts)
        sent = [c for c in step.commands if not isinstance(c, SetTimer)]
        held = self.engine.desk.position("NVDA")
        self.openers |= {c.order.id for c in sent if isinstance(c, Submit) and held * c.order.side.sign >= 0}
        self.there += sent

    def _stops_never_exceed_the_position(self) -> None:
        """Whatever may trade against the position without opening a new one is no more than the position."""
        stops = [one for one in self.orders.values() if one.order.protects]
        side = Side.SELL if self.position > 0 else Side.BUY
        covering = sum(self._may_trade(one) for one in stops if one.order.side is side)
        exits = sum(
            one.left
            for one in self.orders.values()
            if not one.order.protects and one.order.side is side and one.order.id not in self.openers
        )
        assert covering + exits <= abs(self.position), self.orders


@pytest.mark.parametrize("batch", range(10))
def test_exits_and_stops_never_sell_the_same_shares_and_in_the_end_all_is_covered(batch: int):
    for seed in range(batch * 40, batch * 40 + 40):
        exchange = Exchange(seed)
        for _ in range(exchange.chance.randint(20, 120)):
            exchange.act()
        exchange.settle()
        assert exchange.engine.desk.position("NVDA") == exchange.position, seed
        stops = [one for one in exchange.orders.values() if one.order.protects and one.left]
        assert sum(one.left for one in stops) == abs(exchange.position), (seed, exchange.orders)
        assert all(one.order.side.sign * exchange.position < 0 for one in stops), seed
