"""The desk: one event in, orders and facts out; a pure function of its event log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

from robo_trader.core.cover import TIMER as STOP_TIMER
from robo_trader.core.cover import Cover
from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.events import (
    DAY_NS,
    AccountSnapshot,
    Bar,
    Cancel,
    Depth,
    Event,
    FeedStatus,
    Fill,
    Flatten,
    Halt,
    ModelChanged,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    Remedy,
    Resolve,
    Resume,
    Retrained,
    SetTimer,
    Side,
    Split,
    Timer,
    Trade,
    TradingState,
)
from robo_trader.core.flattening import Flattening
from robo_trader.core.orders import LIVE
from robo_trader.core.parts import Parts
from robo_trader.core.reconciliation import Reconciliation
from robo_trader.core.splits import Splits
from robo_trader.core.steps import (
    NOTHING,
    Abstained,
    Anomaly,
    Corrected,
    Decision,
    FeatureRow,
    Signal,
    Step,
)
from robo_trader.core.way_out import WayOut

MEMORY_NS = 8 * DAY_NS  # TWS tells the executions of seven days at most


class Engine:
    """Turns each event into a Step. Holds no clock and does no I/O, so a recorded session replays byte for byte."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._features = parts.features
        self._executor = parts.executor
        known = (parts.instruments, parts.calendar, parts.features.names, parts.regimes)
        self.desk = Desk(parts.session_id, *known)
        self.desk.vectors.update(parts.warmed)
        self._portfolio = self.desk.portfolio
        self._orders = self.desk.orders
        self._cover = Cover(self.desk, parts.stop_rule)
        self._way_out = WayOut(self.desk, parts.gates, parts.executor, self._cover)
        self._flattening = Flattening(self.desk, parts.executor, self._way_out)
        self._reconciliation = Reconciliation(self.desk)
        self._splits = Splits(
            self.desk, parts, self._cover, self._way_out, self._flattening, self._reconciliation
        )
        self._opened = False
        self._equity_ts = 0

    def on_event(self, event: Event) -> Step:
        """Advance the desk by one event; return the commands to carry out and the facts to remember."""
        if event.ts > self.desk.now:
            self.desk.now = event.ts
        if isinstance(event, Quote):
            self._on_quote(event)
            return NOTHING
        draft = Draft()
        match event:
            case Bar():
                self._on_bar(event, draft)
            case Trade():
                self._features.on_trade(event)
            case Depth():
                self._features.on_depth(event)
            case FeedStatus() | Retrained():
                pass
            case ModelChanged():
                for successor in self._parts.successors:
                    successor.adopt(event)
            case Fill():
                self._on_fill(event, draft)
            case OrderUpdate():
                self._on_update(event, draft)
            case Timer():
                self._on_timer(event, draft)
            case AccountSnapshot():
                self._on_account(event, draft) if self._opened else self._open(event, draft)
            case Halt():
                self._on_halt(event, draft)
            case Resume():
                self._on_resume(event, draft)
            case Flatten():
                self._flattening.begin(event, draft)
            case Resolve():
                self._on_resolve(event, draft)
            case Split():
                if self._splits.book(event, draft):
                    self._state_equity(event.ts, draft)
            case _:
                assert_never(event)
        return draft.step()

    def doubts(self, positions: Mapping[str, int]) -> bool:
        """Return whether the broker's positions, by symbol, call for comparing the account now."""
        return self._opened and (self._cover.wants_look or self._reconciliation.is_news(positions))

    # ------------------------------------------------------------------------------------------- the market

    def _on_bar(self, bar: Bar, draft: Draft) -> None:
        if not bar.history:
            self._begin_day(bar.ts)
        self._portfolio.mark(bar.symbol, bar.close, bar.ts)
        vector = self._features.update(bar)
        watch = self._parts.watch
        noticed = watch.on_bar(bar, vector) if watch is not None and vector is not None else ()
        changed = self._parts.regimes.on_bar(bar) if self._parts.regimes is not None else ()
        if vector is not None:
            self.desk.vectors[bar.symbol] = vector
        elif not bar.history:  # the last bar of the warm-up comes once more, for its price
            self.desk.vectors.pop(bar.symbol, None)  # what an earlier bar said is not known of this one
        self._splits.on_bar(bar, draft)
        if bar.history or not self._opened:
            return
        if self.desk.day_start is None:  # a holding had no price yet when the day began
            self.desk.day_start = self._portfolio.equity()
        if vector is not None:
            draft.fact(FeatureRow(bar.ts, bar.symbol, self._features.version, vector.tobytes()))
        for fact in (*noticed, *changed):
            draft.fact(fact)
        asked = bar.symbol in self._parts.traded and not self._splits.are_suspected(bar.symbol)
        for said in self._parts.strategy.on_bar(bar, self.desk) if asked else ():
            if isinstance(said, Signal | Abstained):
                said = msgspec.structs.replace(said, regime=self.desk.regime_name(bar.symbol))
            draft.fact(said)
            if isinstance(said, Signal):
                self._act(said, draft)
        if bar.ts > self._equity_ts:
            self._equity_ts = bar.ts
            self._state_equity(bar.ts, draft)

    def _begin_day(self, ts: int) -> None:
        """Note the equity a session begins with, before its first price is marked: the night belongs to it."""
        session = self.desk.session_at(ts)
        if session is None or session.label == self.desk.day:
            return
        self.desk.day = session.label
        self._portfolio.forget_before(ts - MEMORY_NS)
        self._orders.forget_before(ts - MEMORY_NS)
        self.desk.day_start = self._portfolio.equity()

    def _on_quote(self, quote: Quote) -> None:
        self._begin_day(quote.ts)
        self._portfolio.mark(quote.symbol, (quote.bid + quote.ask) / 2, quote.ts)
        self._features.on_quote(quote)

    def _on_timer(self, timer: Timer, draft: Draft) -> None:
        if not timer.key.startswith(STOP_TIMER):
            self._way_out.emit(self._executor.on_timer(timer, self.desk), draft)
            return
        symbol = timer.key.removeprefix(STOP_TIMER)
        self._cover.on_timer(symbol, draft)
        self._way_out.settle(symbol, draft)

    # ------------------------------------------------------------------------------------- signals to orders

    def _act(self, signal: Signal, draft: Draft) -> None:
        """Move from what is held and still coming to what the signal wants; closing goes before opening."""
        symbol, sizing = signal.symbol, self._parts.sizer.size(signal, self.desk)
        target = sizing.shares
        self._give_up_opposing(symbol, target, draft)
        coming = sum(shares for _, shares in self._executor.working(symbol))
        expected = self.desk.position(symbol) + coming
        side = Side.BUY if target > expected else Side.SELL
        if signal.direction and not target and expected * signal.direction >= 0:
            none = Order("", "", symbol, side, 0, algorithm="", reason=sizing.reason)
            draft.fact(self._decision(signal, none, sizing.steps))
            return
        if target == expected or target * expected > 0:
            return  # on that side already: a size that drifts is not worth a commission
        # What was given up may trade before the broker has taken it back: those shares are not ordered twice.
        at_large = self._orders.coming(symbol, side, {p.id for p, _ in self._executor.working(symbol)})
        for quantity in (abs(expected), abs(target)):
            spared = min(quantity, at_large)
            at_large -= spared
            if quantity > spared:
                self._work(signal, side, quantity - spared, sizing.steps, draft)

    def _give_up_opposing(self, symbol: str, target: int, draft: Draft) -> None:
        """Stop the parents whose shares would lead away from the target."""
        for parent, coming in self._executor.working(symbol):
            if (target - self.desk.position(symbol)) * coming <= 0:
                self._way_out.emit(self._executor.stop(parent.id), draft)

    def _work(self, signal: Signal, side: Side, quantity: int, steps: dict[str, float], draft: Draft) -> None:
        parent_id = self.desk.next_parent_id()
        order = Order(parent_id, parent_id, signal.symbol, side, quantity, reason=signal.reason)
        algorithm = self._executor.choose(order, self.desk)
        order = msgspec.structs.replace(order, algorithm=algorithm)
        draft.fact(self._decision(signal, order, steps))
        self._way_out.emit(self._executor.start(order, self.desk), draft)

    def _decision(self, signal: Signal, order: Order, steps: dict[str, float]) -> Decision:
        worked = (order.id, order.side, order.quantity, order.algorithm, order.reason, steps)
        return Decision(self.desk.now, signal.symbol, signal.strategy, *worked, signal.regime)

    # ------------------------------------------------------------------------------------- what comes back

    def _on_fill(self, fill: Fill, draft: Draft) -> None:
        booking = self._portfolio.apply(fill)
        if booking is None:
            return
        was = booking.replaced
        if was is not None:
            now = (fill.quantity, fill.price, was.quantity, was.price)
            draft.fact(Corrected(self.desk.now, fill.symbol, fill.exec_id, was.exec_id, *now))
        if booking.shares:
            self._reconciliation.on_fill(fill, booking.shares, draft)
            if booking.shares > 0:
                self._executor.on_fill(msgspec.structs.replace(fill, quantity=booking.shares))
            changed = self._orders.fill(fill, booking.shares)
            if changed is not None:
                draft.fact(changed)
        draft.fact(self._portfolio.changed(fill.symbol, fill.ts))
        self._state_equity(self.desk.now, draft)
        self._way_out.settle(fill.symbol, draft)
        self._flattening.go_on(fill.symbol, draft)

    def _on_update(self, update: OrderUpdate, draft: Draft) -> None:
        state = self._orders.state(update.order_id)
        was_over = state is not None and state.status not in LIVE
        changed = self._orders.update(update)
        if changed is None:
            return
        draft.fact(changed)
        if isinstance(changed, Anomaly) or state is None:
            return
        if was_over and state.status in LIVE and not state.order.protects:
            draft.command(Cancel(state.order.id))  # nobody counts on it any more
        self._way_out.emit(self._executor.on_update(update), draft)
        if state.order.protects:
            if state.status not in LIVE:
                self._cover.on_end(state, update.reason)
            elif state.status in (OrderStatus.WORKING, OrderStatus.PARTIAL):
                self._cover.note_sound(state.order.symbol, update.ts)
        self._way_out.settle(state.order.symbol, draft)
        self._flattening.go_on(state.order.symbol, draft)

    # ------------------------------------------------------------------------------------- what people want

    def _on_halt(self, halt: Halt, draft: Draft) -> None:
        """Stop what adds exposure. A halt also drops slices still to come and cancels entries at work."""
        halted = self.desk.holds.halt(halt)
        if halted is None:
            return
        draft.fact(halted)
        for symbol in self.desk.held() if halt.state is TradingState.HALTED else ():
            for parent, coming in self._executor.working(symbol):
                if self.desk.position(symbol) * coming >= 0:
                    self._way_out.emit(self._executor.stop(parent.id), draft)

    def _on_resume(self, resume: Resume, draft: Draft) -> None:
        resumed = self.desk.holds.resume(resume)
        if resumed is not None:
            draft.fact(resumed)

    def _on_resolve(self, wish: Resolve, draft: Draft) -> None:
        if not self._reconciliation.resolve(wish, draft):
            return
        self._state_equity(wish.ts, draft)
        if wish.how is not Remedy.IGNORE:
            self._cover.forget(wish.symbol)
        if wish.how is Remedy.FLATTEN:
            self._flattening.begin(Flatten(wish.ts, wish.symbol, wish.reason, wish.by), draft)
        self._way_out.settle(wish.symbol, draft)

    # ----------------------------------------------------------------------------------------- the account

    def _open(self, snapshot: AccountSnapshot, draft: Draft) -> None:
        """Open the books. Orders found alive, stops aside, belong to schedules that died with their process: cancel them."""
        self._opened = True
        self._portfolio.open(snapshot)
        if snapshot.day_start is not None:
            self.desk.day, self.desk.day_start = snapshot.day, snapshot.day_start
        for holding in snapshot.holdings:
            self._reconciliation.open(holding, snapshot.ts, draft)
        self._cover.open(snapshot)
        self._splits.on_account(draft)
        for found in snapshot.orders:
            self._orders.adopt(found)
            if found.alive and not found.order.protects:
                draft.command(Cancel(found.order.id))
        self._state_equity(snapshot.ts, draft)
        # The past comes next, and with it the prices that stops need.
        symbols = {*self._portfolio.held(), *(found.order.symbol for found in snapshot.orders)}
        for symbol in sorted(symbols) if self._cover.is_kept else ():
            draft.command(SetTimer(snapshot.ts + 1, STOP_TIMER + symbol))

    def _on_account(self, snapshot: AccountSnapshot, draft: Draft) -> None:
        self._cover.on_account(snapshot)
        changed = self._reconciliation.compare(snapshot, draft)
        self._splits.on_account(draft)
        for symbol in sorted({*changed, *self._portfolio.held(), *self._orders.stopped_symbols()}):
            self._way_out.settle(symbol, draft)

    def _state_equity(self, ts: int, draft: Draft) -> None:
        equity = self._portfolio.summary(ts)
        if equity is not None:
            began = self.desk.day_start if self.desk.session() is not None else None
            draft.fact(msgspec.structs.replace(equity, day_start=began))
