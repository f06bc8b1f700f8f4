"""What a bad minute does to the desk: cancels that come too late, nights that move the price, fills from before the open."""

from decimal import Decimal as D

from robo_trader.core.events import Cancel, Fill, Holding, Lot, Order, Side, Submit
from robo_trader.core.inbox import Inbox
from robo_trader.core.recovery import Stored, recover
from robo_trader.risk.gates import QuarantineGate
from tests.desks import OPEN, Scripted, bar, desk, opening, play, quote


def orders(step) -> list[Order]:
    return [c.order for c in step.commands if isinstance(c, Submit)]


def fill(order: Order, ts: int = OPEN) -> Fill:
    return Fill(ts, order.id, f"x-{order.id}", order.symbol, order.side, order.quantity, D(100), D(1))


def test_shares_of_an_exit_that_was_given_up_and_may_still_trade_are_not_sold_twice():
    want = Scripted(wants=[("NVDA", 1)])
    engine = desk(want, algorithm="twap")
    (entry,) = orders(play(engine, opening(), bar(1)))
    play(engine, fill(entry))
    held = engine.desk.position("NVDA")
    want.wants = [("NVDA", 0)]
    (exit_,) = orders(play(engine, bar(3)))
    assert (exit_.side, exit_.quantity) == (Side.SELL, -(-held // 5))
    want.wants = [("NVDA", 1)]
    changed_its_mind = play(engine, bar(4))
    assert Cancel(exit_.id) in changed_its_mind.commands
    want.wants = [("NVDA", 0)]
    play(engine, bar(5))
    still_to_sell = sum(coming for _, coming in engine._executor.working("NVDA"))
    # The broker has yet to answer the cancel: the old exit and the new one together sell what is held, no more.
    assert still_to_sell - exit_.quantity == -held


def test_the_day_begins_with_what_the_evening_left_whether_a_quote_or_a_bar_comes_first():
    lots = {"NVDA": (Lot(10, D(100)),)}
    for first in (quote(0.5, mid=90.0), bar(1, close=90.0)):
        engine = desk(Scripted())
        stored = Stored(first=False, lots=lots)
        opened = recover(stored, opening("1000"))
        play(engine, *opened)
        engine.desk.portfolio.mark("NVDA", 100.0, OPEN)
        play(engine, first)
        assert engine.desk.day_start_equity() == D(2000)
        assert engine.desk.equity() == D(1900)


async def test_the_books_are_open_before_a_missed_fill_of_an_earlier_minute_arrives():
    order = Order("old-1.1", "old-1", "NVDA", Side.BUY, 10)
    missed = [fill(order, OPEN - 120 * 10**9)]
    inbox = Inbox()
    for event in recover(Stored(first=False), opening("9000", fills=tuple(missed))):
        inbox.put(event)
    inbox.close()
    engine = desk(Scripted())
    play(engine, *[event async for event in inbox])
    assert engine.desk.position("NVDA") == 10
    assert engine.desk.portfolio.cash == D(9000)


def test_an_exit_never_sells_more_than_the_broker_knows_of():
    sold = {}
    for theirs in (100, 120, 77, 0, -5):
        want = Scripted(wants=[("NVDA", 0)])
        engine = desk(want, gates=[QuarantineGate()])
        held = (Holding("NVDA", 100, (Lot(100, D(100)),), theirs),)
        sold[theirs] = [o.quantity for o in orders(play(engine, opening(holdings=held), bar(1)))]
    assert sold == {100: [100], 120: [100], 77: [], 0: [], -5: []}


def test_a_quarantine_outlasts_the_orders_of_its_symbol_and_ends_when_both_agree():
    engine = desk(Scripted(wants=[("NVDA", 0)]), gates=[QuarantineGate()])
    play(engine, opening(holdings=(Holding("NVDA", 100, (Lot(100, D(100)),), 120),)))
    (exit_,) = orders(play(engine, bar(1)))
    play(engine, opening(holdings=(Holding("NVDA", 120, (), 120),)))
    assert engine.desk.quarantined("NVDA")
    play(engine, fill(exit_), opening())
    assert not engine.desk.quarantined("NVDA")
