"""A split on a person's word: everything that counts the share is counted anew in one event, or nothing is."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    MINUTE_NS,
    AccountSnapshot,
    Bar,
    Cancel,
    Fill,
    Flatten,
    Holding,
    Lot,
    OrderStatus,
    OrderUpdate,
    Side,
    Split,
    Submit,
    Timer,
)
from robo_trader.core.protocols import Suspicion
from robo_trader.core.steps import Agreed, Anomaly, Ignored, Signal, SplitBooked, SplitSuspected, Step
from robo_trader.risk.gates import QuarantineGate
from robo_trader.risk.stops import AtrStop, StopOptions
from tests.desks import OPEN, Scripted, bar, desk, opening, play, quote

LOTS = (Lot(60, D(90), "a"), Lot(45, D("96.04"), "b"))
HELD = Holding("NVDA", 105, LOTS, 105, stop_price=D("98.53"))
NIGHT = OPEN + 10 * MINUTE_NS  # prices after it are in new shares
S = OrderStatus


def held(quantity: int = 105, stop: D | None = HELD.stop_price, **more: object) -> Engine:
    lots = LOTS if quantity == 105 else (Lot(quantity, D(90), "a"),)
    holding = Holding("NVDA", quantity, lots, quantity, stop_price=stop)
    engine = desk(Scripted(), [QuarantineGate()], stops=AtrStop(StopOptions()), **more)
    play(engine, opening(holdings=(holding,)), bar(1), bar(9), Timer(OPEN + 9 * MINUTE_NS, "stop:NVDA"))
    for order in engine.desk.orders.live():
        play(engine, OrderUpdate(OPEN + 9 * MINUTE_NS, order.id, S.WORKING, 0, order.quantity, 1))
    return engine


def told(minute: float, broker: int, cash: str = "100000") -> AccountSnapshot:
    held = (Holding("NVDA", broker, (Lot(broker, D(90)),), broker),) if broker else ()
    return AccountSnapshot(OPEN + int(minute * MINUTE_NS), "DU1", D(cash), D(cash), held)


def split(new: int, old: int, broker: int, minute: float = 12, **more: object) -> Split:
    ts = OPEN + int(minute * MINUTE_NS)
    return Split(ts, "NVDA", new, old, NIGHT, broker, "announced", "operator", **more)


def facts(step: Step, kind: type) -> list:
    return [fact for fact in step.facts if isinstance(fact, kind)]


def stops(engine: Engine) -> list[tuple[int, D | None]]:
    return [(s.order.quantity, s.order.stop_price) for s in engine.desk.orders.stops("NVDA") if s.wanted != 0]


def answer_cancels(engine: Engine, step: Step) -> Step:
    for command in step.commands:
        if isinstance(command, Cancel):
            step = play(engine, OrderUpdate(engine.desk.now, command.order_id, S.CANCELLED))
    return step


@pytest.mark.parametrize(
    ("new", "old", "shares", "lots", "price"),
    [
        (4, 1, 420, [(240, "22.5"), (180, "24.01")], "24.64"),
        (1, 20, 5, [(3, "1800"), (2, "1920.80")], "1970.60"),
        (3, 2, 157, [(90, "60"), (67, "64.02666666666666666666666667")], "65.69"),
    ],
)
def test_lots_and_the_stop_are_counted_anew_and_no_profit_is_made(new, old, shares, lots, price):
    engine = held()
    before = engine.desk.portfolio.summary(0)
    start = engine.desk.day_start
    step = play(engine, split(new, old, shares, minute=9.5))
    assert facts(step, SplitBooked)[0].stop_price == D(price)
    position = engine.desk.portfolio.positions["NVDA"]
    assert [(lot.quantity, lot.price) for lot in position.lots] == [(q, D(p)) for q, p in lots]
    after = engine.desk.portfolio.summary(0)
    assert after.cash + after.value == after.start + after.realised + after.unrealised
    assert after.realised == before.realised
    left = D(105) * new / old - shares  # a fraction of a share, at old prices x old / new
    ours = (after.value + left * 100 * old / new, after.unrealised + left * (100 - 90) * old / new)
    assert abs(ours[0] - before.value) < D(1)  # the mark is rounded to the cent
    assert engine.desk.day_start is not None
    assert start is not None
    assert abs(start - engine.desk.day_start - left * 100 * old / new) < D("0.05")
    # The old stop is taken back, and what stands in its stead is where it was, in new shares.
    assert stops(engine) == []
    answer_cancels(engine, step)
    assert stops(engine) == [(shares, D(price))]


def test_profit_is_the_same_to_the_last_digit_where_the_shares_come_out_whole():
    engine = held()
    before = engine.desk.portfolio.summary(0)
    play(engine, split(4, 1, 420, minute=9.5))
    assert engine.desk.portfolio.summary(0) == before


def test_a_price_of_after_the_night_is_in_new_shares_already():
    engine = held()
    play(engine, bar(11, 25.5))
    play(engine, split(4, 1, 420))
    assert engine.desk.price("NVDA") == 25.5
    assert engine.desk.equity() == 100_000 + 420 * D("25.5")


def test_a_quarantine_that_it_explains_is_lifted_by_the_next_account_and_the_stop_is_where_it_was():
    engine = held()
    (stop,) = engine.desk.orders.stops("NVDA")
    play(engine, OrderUpdate(NIGHT, stop.order.id, S.CANCELLED, reason="Corporate action"))
    play(engine, bar(11, 25.5), told(11.2, 420), told(11.4, 420), quote(11.5, 25.5))
    assert engine.desk.quarantined("NVDA")
    play(engine, told(11.6, 420))
    (placed,) = stops(engine)  # what is surely ours, somewhere below the price
    assert placed[0] == 105
    step = answer_cancels(engine, play(engine, split(4, 1, 420)))
    assert stops(engine) == [(420, D("24.64"))]
    assert not facts(step, Agreed)
    (over,) = facts(play(engine, told(12.1, 420)), Agreed)
    assert over.quantity == 420
    assert stops(engine) == [(420, D("24.64"))]


def test_what_works_is_taken_back_and_a_wish_to_flatten_goes_on_in_new_shares():
    engine = held(100)
    answer_cancels(engine, play(engine, Flatten(NIGHT - 1, "NVDA", "enough", "operator")))
    (exit_,) = [order for order in engine.desk.orders.live() if not order.protects]
    step = play(engine, split(4, 1, 400))
    assert Cancel(exit_.id) in step.commands
    step = play(engine, OrderUpdate(engine.desk.now, exit_.id, S.CANCELLED))
    while not (sent := [order for order in engine.desk.orders.live() if not order.protects]):
        step = answer_cancels(engine, step)  # the stop that stood in between gives way
    assert [(order.side, order.quantity) for order in sent] == [(Side.SELL, 400)]


def test_a_schedule_is_stopped():
    want = Scripted()
    engine = desk(want, [QuarantineGate()], algorithm="twap", stops=AtrStop(StopOptions()))
    want.wants = [("NVDA", 1)]
    step = play(engine, opening(), bar(1))
    (first,) = [c.order for c in step.commands if isinstance(c, Submit)]
    step = play(engine, split(2, 1, 0))
    assert Cancel(first.id) in step.commands
    assert not engine._executor.working("NVDA")


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (split(4, 1, 105), "105 shares would become 420, and the broker holds 105"),
        (split(1, 20, 105), "would become 5.25, and the broker holds 105"),
        (split(4, 4, 105), "no share is split 4 for 4"),
        (split(400, 1, 42000), "no share is split 400 for 1"),
        (msgspec.structs.replace(split(4, 1, 0), symbol="TSLA"), "neither held nor watched"),
    ],
)
def test_what_contradicts_is_refused_and_changes_nothing(wish, why):
    engine = held()
    before = engine.desk.portfolio.summary(0)
    step = play(engine, wish)
    assert why in facts(step, Anomaly)[0].what
    assert not step.commands
    assert engine.desk.portfolio.summary(0) == before


def test_a_share_rounded_up_by_the_broker_is_left_to_the_comparison():
    engine = held()
    assert facts(play(engine, split(1, 20, 6)), SplitBooked)
    play(engine, told(12.1, 6), told(12.2, 6))
    assert engine.desk.theirs == {"NVDA": 6}


def test_the_same_night_is_booked_twice_only_on_demand_also_after_a_restart():
    engine = held()
    play(engine, split(2, 1, 210))
    assert "--again" in facts(play(engine, split(2, 1, 420)), Anomaly)[0].what
    assert facts(play(engine, split(2, 1, 420, again=True)), SplitBooked)
    restarted = Engine(msgspec.structs.replace(held()._parts, split={"NVDA": NIGHT}))
    play(restarted, opening(holdings=(HELD,)), bar(1))
    assert "--again" in facts(play(restarted, split(4, 1, 420)), Anomaly)[0].what


def test_a_short_position_is_split_and_its_stop_not_loosened():
    engine = held(-100, D("101.47"))
    assert facts(play(engine, split(4, 1, -400)), SplitBooked)[0].stop_price == D("25.36")
    assert engine.desk.position("NVDA") == -400


def test_shares_that_are_not_ours_are_split_as_well():
    engine = held(100)
    left = Holding("NVDA", 100, (Lot(100, D(90)),), 110, not_ours=10, not_ours_until=OPEN + 300 * MINUTE_NS)
    engine = desk(Scripted())
    play(engine, opening(holdings=(left,)), bar(1))
    (ignored,) = facts(play(engine, split(4, 1, 440)), Ignored)
    assert ignored.shares == 40
    assert not play(engine, told(12.1, 440), told(12.2, 440)).facts


def test_a_correction_of_an_execution_from_before_moves_cash_and_no_shares():
    engine = desk(Scripted())
    play(engine, opening(), bar(1))
    bought = Fill(OPEN, "manual:1", "x.01", "NVDA", Side.BUY, 100, D(90), D(1))
    play(engine, bought, split(4, 1, 400))
    play(engine, msgspec.structs.replace(bought, exec_id="x.02", price=D(91)))
    books = engine.desk.portfolio.summary(0)
    assert engine.desk.position("NVDA") == 400
    assert books.cash == 100_000 - 9100 - 1
    assert books.cash + books.value == books.start + books.realised + books.unrealised


class Night:
    """Suspects every bar of the eleventh minute, and positions that are four times ours."""

    def on_bar(self, bar: Bar) -> Suspicion | None:
        return Suspicion(4, 1, "so it seems") if bar.ts == NIGHT + MINUTE_NS else None

    def between(self, symbol: str, ours: int, theirs: int) -> Suspicion | None:
        return Suspicion(4, 1, "four times") if theirs == 4 * ours else None

    def forget(self, symbol: str) -> None:
        """Nothing is remembered."""


def suspecting(engine: Engine) -> tuple[Engine, Scripted]:
    want = Scripted()
    engine = Engine(msgspec.structs.replace(engine._parts, nights=Night(), strategy=want))
    play(engine, opening(holdings=(HELD,)), bar(1), bar(9))
    return engine, want


def test_no_strategy_is_asked_of_a_share_that_may_have_been_split_until_the_account_agrees():
    engine, want = suspecting(held())
    want.wants = [("NVDA", 0)]
    step = play(engine, bar(11, 25.5))
    assert facts(step, SplitSuspected)[0].new == 4
    assert not facts(step, Signal)
    assert not facts(play(engine, told(11.2, 105), bar(12, 25.5)), Signal)
    assert facts(play(engine, told(12.1, 105)), SplitSuspected)[0].is_over
    assert facts(play(engine, bar(13, 25.5)), Signal)


def test_what_differs_by_a_split_stays_suspected_until_it_is_booked():
    engine, want = suspecting(held())
    play(engine, bar(11, 25.5), told(11.2, 420), told(11.4, 420))
    want.wants = [("NVDA", 0)]
    assert not facts(play(engine, bar(12, 25.5)), Signal)
    play(engine, split(4, 1, 420, minute=12.5), told(12.6, 420))
    assert facts(play(engine, bar(13, 25.5)), Signal)


def test_a_difference_found_at_the_start_is_suspected_at_once():
    engine = Engine(msgspec.structs.replace(held()._parts, nights=Night()))
    step = play(engine, opening(holdings=(msgspec.structs.replace(HELD, broker_quantity=420),)))
    assert facts(step, SplitSuspected)[0].why == "four times"
