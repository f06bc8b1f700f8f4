"""Our books beside the broker's: differences are quarantined, told, resolved by a person or by themselves."""

from decimal import Decimal as D

import pytest

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    MINUTE_NS,
    AccountSnapshot,
    Fill,
    Holding,
    Lot,
    Remedy,
    Resolve,
    Side,
    Submit,
)
from robo_trader.core.recovery import Left, Stored, recover
from robo_trader.core.steps import Agreed, Anomaly, CashMoved, Equity, Ignored, Mismatch, Step
from robo_trader.risk.gates import QuarantineGate
from robo_trader.risk.stops import AtrStop, StopOptions
from tests.desks import OPEN, Scripted, bar, desk, opening, play

HELD = Holding("NVDA", 100, (Lot(100, D(90)),), 100)


def told(minute: float, broker: int, cash: str = "100000") -> AccountSnapshot:
    held = (Holding("NVDA", broker, (Lot(broker, D(90)),), broker),) if broker else ()
    return AccountSnapshot(OPEN + int(minute * MINUTE_NS), "DU1", D(cash), D(cash), held)


def differing(want: Scripted | None = None, broker: int = 60) -> Engine:
    engine = desk(want or Scripted(), [QuarantineGate()])
    play(engine, opening(holdings=(HELD,)), bar(1), told(2, broker), told(3, broker))
    assert engine.desk.quarantined("NVDA")
    return engine


def facts(step: Step, kind: type) -> list:
    return [fact for fact in step.facts if isinstance(fact, kind)]


def resolve(engine: Engine, how: Remedy, until: int = 0) -> Step:
    return play(engine, Resolve(OPEN + 4 * MINUTE_NS, "NVDA", how, "seen in TWS", "operator", until))


def test_one_look_that_differs_is_no_quarantine_and_two_are_told_once():
    engine = desk(Scripted())
    assert not play(engine, opening(holdings=(HELD,)), told(1, 60)).facts
    (first,) = facts(play(engine, told(2, 60)), Mismatch)
    assert (first.ours, first.broker) == (100, 60)
    assert not play(engine, told(3, 60)).facts
    assert facts(play(engine, told(4, 50)), Mismatch)


def test_a_quarantine_ends_by_itself_when_both_sides_agree():
    engine = differing()
    (over,) = facts(play(engine, told(4, 100)), Agreed)
    assert (over.symbol, over.quantity) == ("NVDA", 100)
    assert not engine.desk.quarantined("NVDA")


def test_to_adopt_takes_the_brokers_shares_over_and_keeps_the_books_balanced():
    for broker in (60, 150, 0, -40):
        engine = differing(broker=broker)
        step = resolve(engine, Remedy.ADOPT)
        assert engine.desk.position("NVDA") == broker
        (equity,) = facts(step, Equity)
        assert equity.cash + equity.value == equity.start + equity.realised + equity.unrealised
        assert equity.realised == 0
        assert "seen in TWS" in facts(step, Agreed)[0].how
        assert not play(engine, told(5, broker), told(6, broker)).facts


def test_to_flatten_adopts_and_closes_what_is_really_there():
    engine = differing()
    (sent,) = [c for c in resolve(engine, Remedy.FLATTEN).commands if isinstance(c, Submit)]
    assert (sent.order.side, sent.order.quantity, sent.order.reason) == (Side.SELL, 60, "seen in TWS")


def test_to_ignore_leaves_the_difference_alone_until_its_time_and_the_rest_trades():
    engine = differing()
    until = OPEN + 60 * MINUTE_NS
    (left,) = facts(resolve(engine, Remedy.IGNORE, until), Ignored)
    assert (left.shares, left.until) == (-40, until)
    assert not engine.desk.quarantined("NVDA")
    assert not play(engine, told(10, 60), told(11, 60)).facts
    assert facts(play(engine, told(61, 60), told(62, 60)), Mismatch)


def test_what_is_ignored_stays_so_over_a_restart():
    stored = Stored(
        first=False, lots={"NVDA": (Lot(100, D(90)),)}, ignored={"NVDA": Left(-40, OPEN + 60 * MINUTE_NS)}
    )
    engine = desk(Scripted())
    said = [f for event in recover(stored, told(1, 60)) for f in engine.on_event(event).facts]
    assert not [f for f in said if isinstance(f, Mismatch)]
    assert engine.desk.position("NVDA") == 100


@pytest.mark.parametrize(("how", "until"), [(Remedy.IGNORE, OPEN), (Remedy.ADOPT, 0)])
def test_a_remedy_that_cannot_be_is_refused_with_its_reason(how: Remedy, until: int):
    engine = differing() if how is Remedy.IGNORE else desk(Scripted())
    if how is Remedy.ADOPT:
        play(engine, opening(holdings=(HELD,)))
    (why,) = facts(resolve(engine, how, until), Anomaly)
    assert "not done" in why.what


def test_stops_follow_no_more_than_the_broker_holds():
    engine = desk(Scripted(), stops=AtrStop(StopOptions()))
    play(engine, opening(holdings=(HELD,)), bar(1), told(2, 60), told(3, 60))
    stops = engine.desk.orders.stops("NVDA")
    assert sum(stop.order.quantity if stop.wanted is None else stop.wanted for stop in stops) == 60


def test_cash_that_moved_by_no_trade_is_followed_once_it_has_stood():
    engine = desk(Scripted())
    play(engine, opening(), bar(1))
    assert not play(engine, told(2, 0, "100050"), told(4, 0, "100050")).facts
    (moved,) = facts(play(engine, told(7, 0, "100050")), CashMoved)
    assert (moved.amount, moved.cash) == (D(50), D(100050))
    books = engine.desk.portfolio
    assert (books.cash, books.start, books.realised) == (D(100050), D(100050), D(0))
    assert not play(engine, told(20, 0, "100050")).facts


def test_cash_that_is_still_moving_or_waits_for_a_commission_is_not_believed():
    engine = desk(Scripted())
    play(engine, opening(), bar(1))
    for minute, cash in ((2, "100001"), (8, "100002"), (14, "100003")):
        assert not facts(play(engine, told(minute, 0, cash)), CashMoved)
    bought = Fill(OPEN + 15 * MINUTE_NS, "manual:7", "e.1.01", "NVDA", Side.BUY, 1, D(100), None)
    play(engine, bought)
    for minute in (18, 23, 29):
        assert not facts(play(engine, told(minute, 1, "90000")), CashMoved)
    play(engine, told(31, 1, "90000"))  # that commission will not come any more
    assert facts(play(engine, told(36, 1, "90000")), CashMoved)


def test_a_position_told_in_passing_calls_for_a_look_until_it_is_agreed_or_quarantined():
    engine = desk(Scripted())
    assert not engine.doubts({"NVDA": 60})  # the books are not open
    play(engine, opening(holdings=(HELD,)))
    assert not engine.doubts({"NVDA": 100})
    assert engine.doubts({"NVDA": 60})
    assert engine.doubts({})
    play(engine, told(1, 60))
    assert engine.doubts({"NVDA": 60})
    play(engine, told(2, 60))
    assert not engine.doubts({"NVDA": 60})
    assert engine.doubts({"NVDA": 50})


def test_neither_adopted_shares_nor_moved_cash_are_a_result_of_the_day():
    engine = differing(broker=150)
    start = engine.desk.day_start_equity()
    assert start is not None
    step = resolve(engine, Remedy.ADOPT)
    assert engine.desk.day_start_equity() == start + 50 * 100
    assert facts(step, Equity)[-1].day_start == start + 50 * 100
    for minute in (5, 7, 10):
        play(engine, told(minute, 150, "100050"))
    assert engine.desk.day_start_equity() == start + 50 * 100 + 50


def test_a_quarantine_is_told_anew_when_a_fill_moves_both_sides():
    engine = differing()
    (moved,) = facts(
        play(engine, Fill(OPEN, "manual:7", "e.1.01", "NVDA", Side.SELL, 10, D(100), D(1))), Mismatch
    )
    assert (moved.ours, moved.broker) == (90, 50)


def test_an_order_at_work_explains_no_more_than_it_may_trade():
    want = Scripted()
    engine = desk(want)
    play(engine, opening(holdings=(HELD,)), bar(1))
    want.wants = [("NVDA", 0)]
    play(engine, bar(2))  # an exit of 100 is at work, and in doubt
    assert not engine.doubts({"NVDA": 40})
    assert not play(engine, told(3, 40), told(4, 0)).facts
    assert engine.doubts({"NVDA": 130})
    assert facts(play(engine, told(5, 130), told(6, 130)), Mismatch)
