"""The desk as a pure function: signals to orders, gates on every slice, books from fills."""

from decimal import Decimal as D

from robo_trader.core.events import (
    Bar,
    Cancel,
    Fill,
    Flatten,
    Halt,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    OrderUpdate,
    Resume,
    SetTimer,
    Side,
    Submit,
    Timer,
    TradingState,
    decode_event,
    encode,
)
from robo_trader.core.steps import (
    Decision,
    Denied,
    Equity,
    Halted,
    Mismatch,
    PositionChanged,
    Resumed,
    decode_step,
)
from robo_trader.risk.gates import GateOptions, HaltGate, OrderNotionalGate, all_gates
from tests.desks import OPEN, PlainFeatures, Scripted, bar, desk, opening, play


def orders(step) -> list[Order]:
    return [c.order for c in step.commands if isinstance(c, Submit)]


def facts(step, kind) -> list:
    return [f for f in step.facts if isinstance(f, kind)]


def filled(order: Order, price: str = "100", quantity: int | None = None) -> Fill:
    return Fill(
        OPEN, order.id, f"x-{order.id}", order.symbol, order.side, quantity or order.quantity, D(price), D(1)
    )


def test_a_signal_becomes_one_order_with_its_reason_and_its_fill_moves_the_books():
    want = Scripted()
    engine = desk(want)
    play(engine, opening(), bar(1))
    want.wants = [("NVDA", 1)]
    step = play(engine, bar(2))
    (order,) = orders(step)
    assert (order.side, order.quantity, order.parent_id) == (Side.BUY, 100, "s-1")
    assert facts(step, Decision)[0].reason == "told to"
    step = play(engine, filled(order))
    assert facts(step, PositionChanged)[0].quantity == 100
    equity = facts(step, Equity)[0]
    assert equity.cash == D(89999)
    assert equity.cash + equity.value == equity.start + equity.realised + equity.unrealised


def test_fifty_signals_for_one_symbol_are_one_order():
    want = Scripted(wants=[("NVDA", 1)] * 50)
    engine = desk(want)
    step = play(engine, opening(), bar(1))
    assert sum(order.quantity for order in orders(step)) == 100


def test_history_warms_and_never_trades():
    engine = desk(Scripted(wants=[("NVDA", 1)]))
    step = play(engine, opening(), bar(1, history=True))
    assert not step.commands
    assert engine.desk.feature("NVDA", "atr_14") == 0.5


def test_every_slice_meets_the_gates_so_a_halt_stops_the_slices_still_to_come():
    engine = desk(Scripted(wants=[("NVDA", 1)]), all_gates(GateOptions()), algorithm="twap")
    step = play(engine, opening(), bar(1))
    assert [o.quantity for o in orders(step)] == [20]
    timers = [c for c in step.commands if isinstance(c, SetTimer)]
    assert len(timers) == 4
    step = play(engine, Halt(timers[0].ts - 1, "enough", "owner"))
    assert facts(step, Halted)[0].reason == "enough"
    assert step.commands == [Cancel("s-1.1")]
    assert not play(engine, Timer(timers[0].ts, timers[0].key)).commands


def test_a_halted_desk_refuses_entries_and_lets_reductions_out_until_it_is_resumed():
    want = Scripted()
    engine = desk(want, [HaltGate()])
    held = Holding("NVDA", 100, (Lot(100, D(90)),), 100)
    play(engine, opening(holdings=(held,)), bar(1), Halt(OPEN, "enough", "owner"))
    want.wants = [("NVDA", 0)]
    (out,) = orders(play(engine, bar(2)))
    assert (out.side, out.quantity) == (Side.SELL, 100)
    play(engine, filled(out))
    want.wants = [("NVDA", 1)]
    step = play(engine, bar(3))
    assert not orders(step)
    assert facts(step, Denied)[0].gate == "halted"
    want.wants = [("NVDA", 1)]
    assert orders(play(engine, Resume(OPEN, "looked into it", "owner"), bar(4)))


def test_a_flip_closes_first_and_only_the_opening_part_meets_the_gates():
    engine = desk(Scripted(wants=[("NVDA", -1)]), [HaltGate()])
    held = Holding("NVDA", 100, (Lot(100, D(90)),), 100)
    step = play(engine, opening(holdings=(held,)), Halt(OPEN, "enough", "owner"), bar(1))
    assert [(o.side, o.quantity) for o in orders(step)] == [(Side.SELL, 100)]
    assert [d.gate for d in facts(step, Denied)] == ["halted"]


def test_an_exit_while_the_entry_still_works_cancels_it_and_never_sells_more_than_is_held():
    want = Scripted(wants=[("NVDA", 1)])
    engine = desk(want)
    (entry,) = orders(play(engine, opening(), bar(1)))
    play(engine, filled(entry, quantity=60))
    want.wants = [("NVDA", 0)]
    step = play(engine, bar(2))
    assert Cancel(entry.id) in step.commands
    assert [(o.side, o.quantity) for o in orders(step)] == [(Side.SELL, 60)]


def test_an_entry_that_is_given_up_before_any_fill_is_only_cancelled():
    want = Scripted(wants=[("NVDA", 1)])
    engine = desk(want)
    (entry,) = orders(play(engine, opening(), bar(1)))
    want.wants = [("NVDA", 0)]
    step = play(engine, bar(2))
    assert step.commands == [Cancel(entry.id)]


def test_a_signal_for_the_side_that_is_held_changes_nothing_though_the_size_has_drifted():
    held = Holding("NVDA", 97, (Lot(97, D(90)),), 97)
    step = play(desk(Scripted(wants=[("NVDA", 1)])), opening(holdings=(held,)), bar(1))
    assert not orders(step)


def test_a_signal_that_cannot_be_sized_says_so_and_keeps_what_is_held():
    held = Holding("NVDA", 97, (Lot(97, D(90)),), 97)
    engine = desk(Scripted(wants=[("NVDA", 1)]), shares=0)
    step = play(engine, opening(holdings=(held,)), bar(1))
    assert not orders(step)
    assert [(d.order_id, d.quantity) for d in facts(step, Decision)] == [("", 0)]


def test_a_refusal_is_told_once_in_fifteen_minutes_and_frees_the_symbol():
    want = Scripted()
    engine = desk(want, [OrderNotionalGate(GateOptions(max_order_notional_usd=9_999))])
    play(engine, opening())
    told = []
    for minute in range(1, 20):
        want.wants = [("NVDA", 1)]
        step = play(engine, bar(minute))
        assert not orders(step)
        told += facts(step, Denied)
    assert [(d.value, d.limit) for d in told] == [(10_000.0, 9_999)] * 2


def test_an_order_the_broker_rejects_frees_the_symbol_for_the_next_signal():
    want = Scripted(wants=[("NVDA", 1)])
    engine = desk(want)
    (first,) = orders(play(engine, opening(), bar(1)))
    play(engine, OrderUpdate(OPEN, first.id, OrderStatus.REJECTED, reason="201"))
    want.wants = [("NVDA", 1)]
    (second,) = orders(play(engine, bar(2)))
    assert second.id != first.id


def test_orders_found_alive_at_the_start_are_cancelled_and_count_until_they_are():
    found = OpenOrder(Order("old-1.1", "old-1", "NVDA", Side.BUY, 10), 4, 9)
    engine = desk(Scripted())
    assert play(engine, opening(orders=(found,))).commands == [Cancel("old-1.1")]
    assert engine.desk.working("NVDA") == 6


def test_a_position_that_differs_twice_is_quarantined_until_it_agrees():
    engine = desk(Scripted())
    other = opening(holdings=(Holding("NVDA", 5, (), 5),))
    play(engine, opening(), bar(1))
    assert not play(engine, other).facts
    assert facts(play(engine, other), Mismatch)[0].broker == 5
    assert engine.desk.quarantined("NVDA")
    play(engine, opening())
    assert not engine.desk.quarantined("NVDA")


def test_the_daily_loss_counts_from_the_days_start_that_a_restart_remembers():
    engine = desk(Scripted(), all_gates(GateOptions()))
    play(engine, opening("96000", day="2026-01-05", day_start=D(100_000)), bar(1))
    assert engine.desk.day_start_equity() == D(100_000)


def test_the_daily_loss_counts_from_the_moment_every_holding_has_a_price():
    engine = desk(Scripted())
    held = Holding("AAPL", 10, (Lot(10, D(90)),), 10)
    play(engine, opening(holdings=(held,)), bar(1))
    assert engine.desk.day_start_equity() is None
    play(engine, bar(2, 95.0, symbol="AAPL"), bar(3, 80.0, symbol="AAPL"))
    assert engine.desk.day_start_equity() == D(100_950)


def test_a_symbol_that_is_only_watched_is_never_traded():
    engine = desk(Scripted(wants=[("AAPL", 1), ("NVDA", 1)]))
    play(engine, opening())
    assert not orders(play(engine, bar(1, symbol="AAPL")))
    assert orders(play(engine, bar(1)))


def test_no_feature_means_no_order():
    engine = desk(
        Scripted(wants=[("NVDA", 1)]), all_gates(GateOptions()), features=PlainFeatures(atr_14=float("nan"))
    )
    step = play(engine, opening(), bar(1))
    assert not orders(step)
    assert facts(step, Denied)[0].gate == "portfolio_heat"


def test_the_same_events_give_the_same_steps_byte_for_byte_through_the_journal():
    def session() -> tuple[list[bytes], list[bytes]]:
        want = Scripted(wants=[("NVDA", 1)])
        engine = desk(want, all_gates(GateOptions()), algorithm="twap")
        events = [opening(), bar(1), bar(2, 101.25), Timer(OPEN + 10**12, "s-1"), bar(3)]
        steps = [engine.on_event(event) for event in events]
        return [encode(event) for event in events], [encode(step) for step in steps]

    events, steps = session()
    assert session() == (events, steps)
    assert [encode(decode_event(event)) for event in events] == events
    assert [encode(decode_step(step)) for step in steps] == steps
    assert isinstance(decode_event(events[1]), Bar)


def test_who_only_reduces_keeps_entries_at_work_and_lifts_it_himself():
    want = Scripted(wants=[("NVDA", 1)])
    engine = desk(want, [HaltGate()])
    play(engine, opening(), bar(1))
    reducing = Halt(OPEN, "TWS restarts at 23:45", "restart window", TradingState.REDUCING)
    step = play(engine, reducing)
    assert facts(step, Halted)[0].state is TradingState.REDUCING
    assert not step.commands
    assert not play(engine, reducing).facts
    assert engine.desk.state is TradingState.REDUCING
    assert not play(engine, Resume(OPEN, "not mine to lift", "operator")).facts
    (over,) = facts(play(engine, Resume(OPEN, "reconciled", "restart window")), Resumed)
    assert (over.lifted, over.state) == (("restart window",), TradingState.ACTIVE)


def test_a_halt_is_lifted_by_a_person_whoever_called_it_and_what_reduces_stays():
    engine = desk(Scripted(), [HaltGate()])
    play(
        engine,
        opening(),
        Halt(OPEN, "kill", "KILL file"),
        Halt(OPEN, "lost", "session", TradingState.REDUCING),
    )
    assert engine.desk.state is TradingState.HALTED
    assert "kill (KILL file); lost (session)" in engine.desk.stopped
    (over,) = facts(play(engine, Resume(OPEN, "looked into it", "operator")), Resumed)
    assert (over.lifted, over.state) == (("KILL file",), TradingState.REDUCING)


def test_who_has_halted_can_only_resume_not_make_it_less():
    engine = desk(Scripted(), [HaltGate()])
    play(engine, opening(), Halt(OPEN, "kill", "operator"))
    assert not play(engine, Halt(OPEN, "a little", "operator", TradingState.REDUCING)).facts
    assert engine.desk.state is TradingState.HALTED


def test_to_flatten_closes_once_though_an_exit_is_at_work_already():
    want = Scripted()
    engine = desk(want)
    held = Holding("NVDA", 100, (Lot(100, D(90)),), 100)
    play(engine, opening(holdings=(held,)), bar(1))
    want.wants = [("NVDA", 0)]
    (first,) = orders(play(engine, bar(2)))
    step = play(engine, Flatten(OPEN, "", "enough", "operator"))
    assert step.commands == [Cancel(first.id)]
    play(engine, filled(first, quantity=40))
    (rest,) = orders(play(engine, OrderUpdate(OPEN, first.id, OrderStatus.CANCELLED)))
    assert (rest.side, rest.quantity) == (Side.SELL, 60)


def test_an_order_taken_for_never_sent_that_turns_out_alive_counts_and_is_taken_back():
    engine = desk(Scripted(wants=[("NVDA", 1)]))
    (order,) = orders(play(engine, opening(), bar(1)))
    play(engine, OrderUpdate(OPEN, order.id, OrderStatus.NEVER_SENT))
    assert engine.desk.working("NVDA") == 0
    step = play(engine, OrderUpdate(OPEN, order.id, OrderStatus.WORKING, 0, 100, 7))
    assert step.commands == [Cancel(order.id)]
    assert engine.desk.working("NVDA") == 100
