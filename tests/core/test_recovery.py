"""Opening the books after a death at any point: nothing lost, nothing twice, nothing sent again."""

from decimal import Decimal as D

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    AccountSnapshot,
    Cancel,
    Fill,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TradingState,
)
from robo_trader.core.recovery import Stored, recover
from robo_trader.core.steps import Anomaly, Mismatch, OrderChanged
from tests.desks import OPEN, Scripted, desk

ENTRY = Order("old-1.1", "old-1", "NVDA", Side.BUY, 100)


def fill(n: int, quantity: int, commission: str | None = "1") -> Fill:
    return Fill(
        OPEN,
        ENTRY.id,
        f"e{n}",
        "NVDA",
        Side.BUY,
        quantity,
        D(100),
        None if commission is None else D(commission),
    )


def at_broker(cash: str, quantity: int = 0, fills=(), orders=()) -> AccountSnapshot:
    holdings = (Holding("NVDA", quantity, (Lot(quantity, D("100.01")),), quantity),) if quantity else ()
    return AccountSnapshot(
        OPEN, "DU1", D(cash), D(cash) + 100 * quantity, holdings, tuple(orders), tuple(fills)
    )


def started(stored: Stored, broker: AccountSnapshot) -> tuple[Engine, list, list]:
    engine = desk(Scripted())
    steps = [engine.on_event(event) for event in recover(stored, broker)]
    engine.desk.portfolio.mark("NVDA", 100.0, OPEN)
    return engine, [c for s in steps for c in s.commands], [f for s in steps for f in s.facts]


def test_a_first_start_takes_the_account_as_the_broker_has_it():
    engine, commands, facts = started(Stored(), at_broker("5000", 50))
    assert engine.desk.position("NVDA") == 50
    assert engine.desk.portfolio.cash == D(5000)
    assert not commands
    assert not [f for f in facts if isinstance(f, Mismatch)]


def test_fills_missed_while_away_are_booked_once_and_end_their_order():
    stored = Stored(
        first=False,
        unresolved=(OpenOrder(ENTRY, 40, 9, OrderStatus.PARTIAL),),
        lots={"NVDA": (Lot(40, D(100)),)},
        booked={"e1": fill(1, 40)},
    )
    broker = at_broker("89998", 100, [fill(1, 40), fill(2, 60)])
    engine, commands, facts = started(stored, broker)
    assert engine.desk.position("NVDA") == 100
    assert engine.desk.portfolio.cash == D(89998)
    assert [f.status for f in facts if isinstance(f, OrderChanged)] == [OrderStatus.FILLED]
    assert not commands
    assert not [f for f in facts if isinstance(f, Anomaly | Mismatch)]


def test_a_commission_missed_while_away_is_booked_alone():
    stored = Stored(first=False, lots={"NVDA": (Lot(100, D(100)),)}, booked={"e1": fill(1, 100, None)})
    engine, _, _ = started(stored, at_broker("89999", 100, [fill(1, 100)]))
    assert (engine.desk.position("NVDA"), engine.desk.portfolio.cash) == (100, D(89999))
    assert engine.desk.portfolio.realised == D(-1)


def test_an_intent_the_broker_does_not_know_is_never_sent_again():
    stored = Stored(first=False, unresolved=(OpenOrder(ENTRY, 0, 0, OrderStatus.INTENT),))
    _, commands, facts = started(stored, at_broker("100000"))
    assert [f.status for f in facts if isinstance(f, OrderChanged)] == [OrderStatus.NEVER_SENT]
    assert not commands


def test_an_order_that_still_works_is_cancelled_and_one_that_ended_is_noted():
    alive = OpenOrder(ENTRY, 0, 9)
    gone = OpenOrder(Order("old-2.1", "old-2", "NVDA", Side.BUY, 10), 3, 8, OrderStatus.PARTIAL)
    stored = Stored(first=False, unresolved=(OpenOrder(ENTRY, 0, 9), gone))
    _, commands, facts = started(stored, at_broker("100000", orders=[alive]))
    assert commands == [Cancel("old-1.1")]
    assert [(f.order_id, f.status) for f in facts if isinstance(f, OrderChanged)] == [
        ("old-2.1", OrderStatus.CANCELLED)
    ]


def test_a_position_nothing_explains_is_quarantined_and_the_halt_that_stood_still_stands():
    stored = Stored(
        first=False,
        lots={"NVDA": (Lot(40, D(100)),)},
        halts=(("operator", TradingState.HALTED, "enough"),),
        day="2026-01-05",
        day_start=D(7),
    )
    engine, _, facts = started(stored, at_broker("1000", 50))
    assert [(f.ours, f.broker) for f in facts if isinstance(f, Mismatch)] == [(40, 50)]
    assert engine.desk.quarantined("NVDA")
    assert "enough" in engine.desk.stopped
    assert engine.desk.day_start_equity() == D(7)


def test_what_an_order_still_at_work_traded_while_we_were_away_is_counted_once():
    stop = Order("old-2.1", "old-2", "NVDA", Side.SELL, 100, OrderType.STOP, stop_price=D(98), tif="GTC")
    sold = Fill(OPEN, stop.id, "e2", "NVDA", Side.SELL, 40, D(98), D(1))
    stored = Stored(first=False, lots={"NVDA": (Lot(100, D(100)),)}, unresolved=(OpenOrder(stop, 0, 9),))
    found = OpenOrder(stop, 40, 9, OrderStatus.PARTIAL)
    engine, commands, facts = started(stored, at_broker("3919", 60, [sold], [found]))
    assert engine.desk.position("NVDA") == 60
    (left,) = engine.desk.orders.stops("NVDA")
    assert -left.remaining == 60
    assert not [f for f in facts if isinstance(f, Anomaly | Mismatch)]
    assert not [c for c in commands if isinstance(c, Cancel)]


def test_cash_that_came_while_we_were_away_is_no_result_of_the_day():
    stored = Stored(first=False, cash=D(5000), day="2026-01-05", day_start=D(5100))
    engine, _, _ = started(stored, at_broker("4000"))
    assert engine.desk.day_start_equity() == D(4100)
