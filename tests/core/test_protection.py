"""Protective stops: as many shares as are held, never more, whatever order the broker's words come in."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from decimal import Decimal as D

import pytest

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    SECOND_NS,
    Cancel,
    Event,
    Fill,
    Flatten,
    Halt,
    Holding,
    Lot,
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    SetTimer,
    Side,
    Submit,
    Timer,
)
from robo_trader.core.steps import Denied, Step, Unprotected
from robo_trader.risk.stops import AtrStop, StopOptions
from tests.desks import OPEN, PlainFeatures, Scripted, bar, desk, opening, play

RULE = AtrStop(StopOptions())
S = OrderStatus


def protected(want: Scripted, **more: object) -> Engine:
    return desk(want, stops=RULE, **more)


def submits(step: Step) -> list[Submit]:
    return [c for c in step.commands if isinstance(c, Submit)]


def entered(want: Scripted, engine: Engine) -> tuple[Order, Order]:
    """A long position of 100 with its stop at work."""
    want.wants = [("NVDA", 1)]
    (sent,) = submits(play(engine, opening(), bar(1)))
    assert sent.stop is not None
    said(engine, sent.stop, S.WORKING)
    play(engine, fill(sent.order, 100))
    return sent.order, sent.stop


def fill(order: Order, shares: int, price: str = "100", number: str = "") -> Fill:
    return Fill(OPEN, order.id, f"x-{order.id}{number}.01", "NVDA", order.side, shares, D(price), D(1))


def said(engine: Engine, order: Order, status: S, quantity: int | None = None, reason: str = "") -> Step:
    left = order.quantity if quantity is None else quantity
    live = status in (S.WORKING, S.PARTIAL)
    return play(engine, OrderUpdate(OPEN + SECOND_NS, order.id, status, 0, left if live else 0, 1, reason))


def test_an_entry_takes_its_stop_along_below_for_a_long_above_for_a_short():
    for direction, price in ((1, "98.50"), (-1, "101.50")):
        engine = protected(Scripted(wants=[("NVDA", direction)]))
        (sent,) = submits(play(engine, opening(), bar(1)))
        stop = sent.stop
        assert stop is not None
        assert (stop.type, stop.tif, stop.quantity, stop.attached_to) == (
            OrderType.STOP,
            "GTC",
            100,
            sent.order.id,
        )
        assert (stop.stop_price, stop.side.sign) == (D(price), -direction)


def test_without_a_price_to_stop_at_an_entry_is_refused():
    class Unknown:
        def price(self, symbol: str, side: Side, view: object) -> None:
            return None

    engine = desk(Scripted(wants=[("NVDA", 1)]), stops=Unknown())
    step = play(engine, opening(), bar(1))
    assert not submits(step)
    assert [f.gate for f in step.facts if isinstance(f, Denied)] == ["protective_stop"]


def test_without_an_atr_a_stop_keeps_a_fraction_of_the_price_away():
    engine = protected(Scripted(wants=[("NVDA", 1)]), features=PlainFeatures(atr_14=float("nan")))
    (sent,) = submits(play(engine, opening(), bar(1)))
    assert sent.stop is not None
    assert sent.stop.stop_price == D("95.00")


def test_an_exit_waits_until_the_stop_is_gone_and_then_goes_out_once():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    want.wants = [("NVDA", 0)]
    step = play(engine, bar(2))
    assert not submits(step)
    assert Cancel(stop.id) in step.commands
    assert engine.desk.working("NVDA") == -100
    want.wants = [("NVDA", 0)]
    assert not submits(play(engine, bar(3)))
    (sent,) = submits(said(engine, stop, S.CANCELLED))
    assert (sent.order.side, sent.order.quantity, sent.stop) == (Side.SELL, 100, None)
    play(engine, fill(sent.order, 100))
    assert engine.desk.position("NVDA") == 0
    assert not engine.desk.orders.live()


def test_an_exit_that_meets_a_stop_that_traded_is_cut_or_dropped():
    for traded, left in ((100, []), (40, [60])):
        want = Scripted()
        engine = protected(want)
        _, stop = entered(want, engine)
        want.wants = [("NVDA", 0)]
        play(engine, bar(2))
        play(engine, fill(stop, traded, "98.5"))
        step = said(engine, stop, S.CANCELLED) if left else Step()
        assert [sent.order.quantity for sent in submits(step)] == left
        assert engine.desk.position("NVDA") == 100 - traded
        assert engine.desk.working("NVDA") == -sum(left)


def test_each_slice_of_an_exit_shrinks_the_stop_first():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    want.wants = [("NVDA", 0)]
    engine._parts.executor.choose = lambda order, view: "twap"
    step = play(engine, bar(2))
    (change,) = [c for c in step.commands if isinstance(c, Modify)]
    assert change.order.quantity == 80
    assert not submits(step)
    (sent,) = submits(said(engine, stop, S.WORKING, 80))
    assert sent.order.quantity == 20
    play(engine, fill(sent.order, 20))
    assert sum(-s.remaining for s in engine.desk.orders.stops("NVDA")) == engine.desk.position("NVDA") == 80


def test_a_stop_that_refuses_to_shrink_is_cancelled_after_a_pause_and_the_exit_goes_out():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    engine._parts.executor.choose = lambda order, view: "twap"
    want.wants = [("NVDA", 0)]
    play(engine, bar(2))
    step = said(engine, stop, S.WORKING, 100, "cannot be changed (201)")
    assert not [c for c in step.commands if isinstance(c, Modify | Cancel)]
    (timer,) = [c for c in step.commands if isinstance(c, SetTimer) and c.key == "stop:NVDA"]
    step = play(engine, Timer(timer.ts, timer.key))
    assert Cancel(stop.id) in step.commands
    sent = submits(said(engine, stop, S.CANCELLED))
    assert [one.order.quantity for one in sent] == [80, 20] or [one.order.quantity for one in sent] == [
        20,
        80,
    ]


def test_a_stop_lost_at_the_broker_is_placed_again_at_once_and_then_told():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    (again,) = submits(said(engine, stop, S.CANCELLED, reason="by hand"))
    assert (again.order.quantity, again.order.stop_price, again.order.attached_to) == (100, D("98.50"), "")
    step = said(engine, again.order, S.REJECTED, reason="no (201)")
    assert not submits(step)
    (bare,) = [f for f in step.facts if isinstance(f, Unprotected)]
    assert (bare.shares, "no (201)" in bare.why) == (100, True)
    (timer,) = [c for c in step.commands if isinstance(c, SetTimer)]
    (third,) = submits(play(engine, Timer(timer.ts, timer.key)))
    step = said(engine, third.order, S.WORKING)
    assert [f.shares for f in step.facts if isinstance(f, Unprotected)] == [0]


def test_a_stop_is_never_loosened():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    play(engine, bar(2, close=90.0))
    (again,) = submits(said(engine, stop, S.CANCELLED))
    assert again.order.stop_price == D("98.50")
    engine = protected(want)
    _, stop = entered(want, engine)
    play(engine, bar(2, close=110.0))
    (again,) = submits(said(engine, stop, S.CANCELLED))
    assert again.order.stop_price == D("108.50")


def test_a_start_keeps_the_stops_it_finds_and_restores_what_is_missing_at_its_old_price():
    found = Order("old-2.1", "old-2", "NVDA", Side.SELL, 60, OrderType.STOP, stop_price=D(97), tif="GTC")
    held = Holding("NVDA", 100, (Lot(100, D(90)),), 100, stop_price=D(97))
    engine = protected(Scripted())
    step = play(engine, opening(holdings=(held,), orders=(OpenOrder(found, 0, 7),)))
    assert not [c for c in step.commands if isinstance(c, Cancel)]
    (timer,) = [c for c in step.commands if isinstance(c, SetTimer)]
    (more,) = submits(play(engine, bar(0, close=90.0, history=True), Timer(timer.ts, timer.key)))
    assert (more.order.quantity, more.order.stop_price) == (40, D(97))


def test_a_halt_takes_entries_back_and_leaves_stops_and_lets_flatten_through():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    step = play(engine, Halt(OPEN + SECOND_NS, "enough", "operator"))
    assert not step.commands
    step = play(engine, Flatten(OPEN + SECOND_NS, "", "enough of it", "operator"))
    assert Cancel(stop.id) in step.commands
    (sent,) = submits(said(engine, stop, S.CANCELLED))
    assert (sent.order.side, sent.order.quantity, sent.order.reason) == (Side.SELL, 100, "enough of it")


def test_a_flip_closes_wholly_before_it_opens_with_a_stop_of_its_own():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    want.wants = [("NVDA", -1)]
    assert not submits(play(engine, bar(2)))
    (out,) = submits(said(engine, stop, S.CANCELLED))
    assert (out.order.quantity, out.stop) == (100, None)
    (short,) = submits(play(engine, fill(out.order, 100)))
    assert (short.order.side, short.order.quantity) == (Side.SELL, 100)
    assert short.stop is not None
    assert (short.stop.side, short.stop.stop_price) == (Side.BUY, D("101.50"))


# ------------------------------------------------------------------------------------- whatever the order of words


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
        self.engine = desk(self.want, stops=RULE, algorithm=self.chance.choice(["market", "twap"]))
        self.there: deque = deque()  # commands on their way
        self.back: deque[Event] = deque()  # words on their way
        self.orders: dict[str, AtBroker] = {}
        self.timers: list[SetTimer] = []
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
                self._hear(Timer(max(timer.ts, self.engine.desk.now), timer.key))

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
        self.there += [c for c in step.commands if not isinstance(c, SetTimer)]

    def _stops_never_exceed_the_position(self) -> None:
        """Whatever may trade against the position without opening a new one is no more than the position."""
        stops = [one for one in self.orders.values() if one.order.protects]
        side = Side.SELL if self.position > 0 else Side.BUY
        covering = sum(self._may_trade(one) for one in stops if one.order.side is side)
        exits = sum(
            one.left
            for one in self.orders.values()
            if not one.order.protects and one.order.side is side and not self._opens(one)
        )
        assert covering + exits <= abs(self.position), self.orders

    def _opens(self, one: AtBroker) -> bool:
        return any(other.order.attached_to == one.order.id for other in self.orders.values())


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
