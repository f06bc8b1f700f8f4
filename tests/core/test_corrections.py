"""Executions that change after the fact: a correction replaces, a bust takes back, an older version is no news."""

from decimal import Decimal as D

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import (
    DAY_NS,
    AccountSnapshot,
    Fill,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    Side,
)
from robo_trader.core.portfolio import Portfolio
from robo_trader.core.recovery import Stored, recover
from robo_trader.core.steps import Corrected, Mismatch, PositionChanged
from tests.desks import OPEN, Scripted, bar, desk, opening, play


def fill(
    trade: int, version: int, quantity: int, price: str, side: Side = Side.BUY, paid: str | None = "1"
) -> Fill:
    commission = None if paid is None else D(paid)
    return Fill(OPEN, "s-1.1", f"e.{trade}.{version:02d}", "NVDA", side, quantity, D(price), commission)


def books(*fills: Fill) -> Portfolio:
    portfolio = Portfolio({})
    portfolio.open(opening())
    for one in fills:
        portfolio.apply(one)
    return portfolio


def test_a_correction_of_the_price_revalues_the_lot_and_the_cash():
    after = books(fill(1, 1, 100, "50"), fill(1, 2, 100, "51"))
    assert after.positions["NVDA"].lots[0] == Lot(100, D(51), "e.1")
    assert (after.cash, after.cost, after.realised) == (D(100000 - 5100 - 1), D(5100), D(-1))


def test_a_correction_of_shares_already_sold_changes_what_was_earned():
    after = books(fill(1, 1, 100, "50"), fill(2, 1, 100, "60", Side.SELL), fill(1, 2, 100, "51"))
    assert after.quantity("NVDA") == 0
    assert after.realised == D(900 - 2)


def test_a_bust_takes_the_shares_and_the_commission_back():
    after = books(fill(1, 1, 100, "50"), fill(1, 2, 0, "50", paid="0"))
    assert (after.quantity("NVDA"), after.cash, after.cost, after.realised) == (0, D(100000), D(0), D(0))


def test_an_older_version_told_again_changes_nothing():
    after = books(fill(1, 1, 100, "50"), fill(1, 2, 100, "51"), fill(1, 1, 100, "50"))
    assert after.cash == D(100000 - 5100 - 1)


def test_a_correction_before_its_commission_keeps_the_old_one():
    after = books(fill(1, 1, 100, "50"), fill(1, 2, 100, "51", paid=None))
    assert after.cash == D(100000 - 5100 - 1)
    after.apply(fill(1, 2, 100, "51", paid="2"))
    assert after.cash == D(100000 - 5100 - 2)


versions = st.tuples(st.integers(1, 6), st.integers(0, 300), st.integers(40, 60), st.integers(0, 3))


@given(st.lists(versions, max_size=25))
def test_the_books_are_those_of_the_versions_that_stand(story):
    portfolio, standing = books(), {}
    for trade, quantity, price, paid in story:
        known = standing.get(trade)
        side = Side.SELL if trade % 2 else Side.BUY
        number = 1 if known is None else int(known.exec_id[-2:]) + 1
        told = fill(trade, number, quantity or (0 if known else 1), str(price), side, str(paid))
        portfolio.apply(told)
        portfolio.apply(told)
        standing[trade] = told
    signed = [(one.side.sign * one.quantity, one.price, one.commission) for one in standing.values()]
    assert portfolio.quantity("NVDA") == sum(quantity for quantity, _, _ in signed)
    assert portfolio.cash == D(100000) - sum(quantity * price + paid for quantity, price, paid in signed)
    position = portfolio.positions.get("NVDA")
    assert portfolio.cost == (sum(lot.quantity * lot.price for lot in position.lots) if position else 0)
    assert portfolio.cash + portfolio.cost == portfolio.start + portfolio.realised
    assert len({lot.quantity > 0 for lot in position.lots} if position else ()) <= 1


def test_the_desk_tells_a_correction_and_its_order_counts_what_stands():
    engine = desk(Scripted(wants=[("NVDA", 1)]))
    play(engine, opening(), bar(1), fill(1, 1, 60, "50"))
    step = play(engine, fill(1, 2, 40, "50"))
    (told,) = [f for f in step.facts if isinstance(f, Corrected)]
    assert (told.replaces, told.was_quantity, told.quantity) == ("e.1.01", 60, 40)
    assert [f.quantity for f in step.facts if isinstance(f, PositionChanged)] == [40]
    assert engine.desk.working("NVDA") == 60


def test_a_correction_missed_while_away_is_booked_at_the_start():
    first, then = fill(1, 1, 100, "50"), fill(1, 2, 90, "51")
    stored = Stored(first=False, lots={"NVDA": (Lot(100, D(50), "e.1"),)}, booked={"e.1": first})
    cash = D(100000) - 90 * 51 - 1
    held = (Holding("NVDA", 90, (Lot(90, D(51)),), 90),)
    broker = AccountSnapshot(OPEN, "DU1", cash, cash, held, (), (first, then))
    engine = desk(Scripted())
    facts = [fact for event in recover(stored, broker) for fact in engine.on_event(event).facts]
    assert engine.desk.position("NVDA") == 90
    assert engine.desk.portfolio.cash == cash
    assert not [f for f in facts if isinstance(f, Mismatch)]


def test_an_order_that_was_busted_does_not_come_alive_again():
    order = Order("old-1.1", "old-1", "NVDA", Side.BUY, 100)
    engine = desk(Scripted())
    play(engine, opening(orders=(OpenOrder(order, 0, 7, OrderStatus.WORKING, alive=False),)))
    done = Fill(OPEN, order.id, "e.1.01", "NVDA", Side.BUY, 100, D(50), D(1))
    play(engine, done, Fill(OPEN, order.id, "e.1.02", "NVDA", Side.BUY, 0, D(50), D(0)))
    assert engine.desk.position("NVDA") == 0
    assert not engine.desk.orders.live()


def test_fills_of_last_week_are_forgotten_when_a_day_begins_and_those_of_this_week_are_not():
    engine = desk(Scripted())
    week = 8 * DAY_NS
    play(engine, opening(), bar(1))
    old, young = fill(1, 1, 100, "50"), msgspec.structs.replace(fill(2, 1, 100, "50"), ts=OPEN + week)
    play(engine, old, young)
    engine.desk.portfolio.forget_before(OPEN + 1)
    assert engine.desk.portfolio.apply(young) is None
    assert engine.desk.portfolio.apply(old) is not None
