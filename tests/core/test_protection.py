"""Protective stops: as many shares as are held, never more, whatever order the broker's words come in."""

from __future__ import annotations

from decimal import Decimal as D

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    SECOND_NS,
    Cancel,
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
    Remedy,
    Resolve,
    SetTimer,
    Side,
    Submit,
    Timer,
)
from robo_trader.core.steps import Denied, Step, Unprotected
from robo_trader.risk.stops import AtrStop, StopOptions
from tests.desks import OPEN, PlainFeatures, Scripted, bar, desk, opening, play, quote

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


def looked_again(engine: Engine, minute: float, mid: float = 100.0) -> Step:
    """A price is seen, and the timer of the stop comes."""
    return play(engine, quote(minute, mid), Timer(quote(minute).ts, "stop:NVDA"))


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
    step = looked_again(engine, 3)
    assert Cancel(stop.id) in step.commands
    sent = submits(said(engine, stop, S.CANCELLED))
    assert [one.order.quantity for one in sent] == [80, 20] or [one.order.quantity for one in sent] == [
        20,
        80,
    ]


def test_a_stop_lost_at_the_broker_is_placed_again_at_the_next_price_and_a_second_loss_is_told():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    assert not submits(said(engine, stop, S.CANCELLED, reason="by hand"))
    (again,) = submits(looked_again(engine, 1.1))
    assert (again.order.quantity, again.order.stop_price, again.order.attached_to) == (100, D("98.50"), "")
    step = said(engine, again.order, S.REJECTED, reason="no (201)")
    assert not submits(step)
    (bare,) = [f for f in step.facts if isinstance(f, Unprotected)]
    assert (bare.shares, "no (201)" in bare.why) == (100, True)
    (third,) = submits(looked_again(engine, 2))
    step = said(engine, third.order, S.WORKING)
    assert [f.shares for f in step.facts if isinstance(f, Unprotected)] == [0]


def test_a_stop_is_never_loosened():
    for price, expected in ((99.0, "98.50"), (110.0, "108.50")):
        want = Scripted()
        engine = protected(want)
        _, stop = entered(want, engine)
        said(engine, stop, S.CANCELLED)
        (again,) = submits(looked_again(engine, 1.1, price))
        assert again.order.stop_price == D(expected)


def test_a_stop_lost_before_a_gap_is_placed_again_only_once_the_account_agrees():
    """A broker cancels stops for a split: at the old price the new shares would be sold at once."""
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    said(engine, stop, S.CANCELLED, reason="corporate action")
    step = looked_again(engine, 2, 50.0)
    assert not submits(step)
    assert [f.shares for f in step.facts if isinstance(f, Unprotected)] == [100]
    same = Holding("NVDA", 100, (Lot(100, D(100)),), 100)
    for _ in range(2):
        assert engine.doubts({"NVDA": 100})  # nothing differs, but the stop waits for the comparison
        step = play(engine, opening(holdings=(same,)))
    (again,) = submits(step)
    assert again.order.stop_price == D("98.50")  # a gap after all: it sells at the market
    assert not engine.doubts({"NVDA": 100})


def test_after_a_split_what_is_surely_ours_is_stopped_at_the_new_price():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    said(engine, stop, S.CANCELLED, reason="corporate action")
    looked_again(engine, 2, 50.0)
    doubled = Holding("NVDA", 200, (Lot(200, D(50)),), 200)
    assert not submits(play(engine, opening(holdings=(doubled,))))
    (again,) = submits(play(engine, opening(holdings=(doubled,))))
    assert (again.order.quantity, again.order.stop_price) == (100, D("48.50"))


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


def test_with_many_stops_a_standing_one_grows_instead():
    want = Scripted()
    engine = protected(want, algorithm="twap", slices=20)
    want.wants = [("NVDA", 1)]
    step = play(engine, opening(), bar(1))
    timers = [c for c in step.commands if isinstance(c, SetTimer) and not c.key.startswith("stop:")]
    changes: list[Modify] = []
    for timer in [None, *timers]:
        if timer is not None:
            step = play(engine, Timer(timer.ts, timer.key))
        (sent,) = submits(step)
        if sent.stop is not None:
            said(engine, sent.stop, S.WORKING)
        step = play(engine, fill(sent.order, 5))
        for change in [c for c in step.commands if isinstance(c, Modify)]:
            changes.append(change)
            said(engine, change.order, S.WORKING)
    stops = engine.desk.orders.stops("NVDA")
    assert len(stops) == 8
    assert changes
    assert sum(-stop.remaining for stop in stops) == engine.desk.position("NVDA") == 100


def test_to_flatten_lasts_until_what_was_given_up_can_trade_no_more():
    engine = protected(Scripted(wants=[("NVDA", 1)]))
    (sent,) = submits(play(engine, opening(), bar(1)))
    assert sent.stop is not None
    said(engine, sent.stop, S.WORKING)
    step = play(engine, Flatten(OPEN, "NVDA", "enough", "operator"))
    assert step.commands == [Cancel(sent.order.id)]
    step = play(engine, fill(sent.order, 100))
    assert Cancel(sent.stop.id) in step.commands
    (out,) = submits(said(engine, sent.stop, S.CANCELLED))
    assert (out.order.side, out.order.quantity, out.order.reason) == (Side.SELL, 100, "enough")


def test_to_adopt_forgets_the_old_stop_price():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    said(engine, stop, S.CANCELLED, reason="corporate action")
    looked_again(engine, 2, 50.0)
    doubled = Holding("NVDA", 200, (Lot(200, D(50)),), 200)
    step = play(engine, opening(holdings=(doubled,)), opening(holdings=(doubled,)))
    (half,) = submits(step)
    said(engine, half.order, S.WORKING)
    step = play(engine, Resolve(OPEN + 9, "NVDA", Remedy.ADOPT, "a split", "operator"))
    (rest,) = submits(step)
    assert (rest.order.quantity, rest.order.stop_price) == (100, D("48.50"))


def test_a_stop_that_never_left_us_is_placed_with_the_next_look_at_the_account():
    want = Scripted()
    engine = protected(want)
    _, stop = entered(want, engine)
    want.wants = [("NVDA", 0)]
    play(engine, bar(2))
    (out,) = submits(said(engine, stop, S.CANCELLED))
    (again,) = submits(said(engine, out.order, S.NEVER_SENT, reason="no session"))
    (third,) = submits(said(engine, again.order, S.NEVER_SENT, reason="no session"))
    step = said(engine, third.order, S.NEVER_SENT, reason="no session")
    assert not submits(step)
    assert [f.shares for f in step.facts if isinstance(f, Unprotected)] == [100]
    same = Holding("NVDA", 100, (Lot(100, D(100)),), 100)
    (placed,) = submits(play(engine, opening(holdings=(same,))))
    assert (placed.order.quantity, placed.order.stop_price) == (100, D("98.50"))
