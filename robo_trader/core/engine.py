"""The desk: one event in, orders and facts out; a pure function of its event log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from robo_trader.core.desk import Desk
from robo_trader.core.events import (
    MINUTE_NS,
    NOTHING,
    AccountSnapshot,
    Anomaly,
    Bar,
    Cancel,
    Command,
    Decision,
    Denied,
    Event,
    Fact,
    FeatureRow,
    FeedStatus,
    Fill,
    Halt,
    Halted,
    Mismatch,
    Modify,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    Resume,
    Resumed,
    SetTimer,
    Side,
    Signal,
    Step,
    Submit,
    Timer,
    Trade,
)
from robo_trader.core.instrument import Instrument
from robo_trader.core.protocols import (
    Broker,
    Calendar,
    Executor,
    FeatureEngine,
    Inbox,
    Journal,
    RiskGate,
    Sizer,
    Strategy,
)

# The same gate refusing the same side of the same symbol is told again only after this long.
LIFE_OF_A_REFUSAL_NS = 15 * MINUTE_NS


class Parts(msgspec.Struct, frozen=True):
    """What an engine is made of; put together in one place, `bootstrap`."""

    session_id: str
    traded: frozenset[str]  # strategies speak on these; other instruments are watched because they are held
    instruments: Mapping[str, Instrument]
    calendar: Calendar
    features: FeatureEngine
    strategy: Strategy
    sizer: Sizer
    gates: Sequence[RiskGate]
    executor: Executor


class Engine:
    """Turns each event into a Step. Holds no clock and does no I/O, so a recorded session replays byte for byte."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._features = parts.features
        self._executor = parts.executor
        self.desk = Desk(parts.instruments, parts.calendar, parts.features.names)
        self._portfolio = self.desk.portfolio
        self._orders = self.desk.orders
        self._parents = 0
        self._opened = False
        self._equity_ts = 0
        self._told: dict[tuple[str, Side, str], int] = {}  # refusals already told, and when

    def on_event(self, event: Event) -> Step:
        """Advance the desk by one event; return the commands to carry out and the facts to remember."""
        if event.ts > self.desk.now:
            self.desk.now = event.ts
        match event:
            case Bar():
                return self._on_bar(event)
            case Quote():
                return self._on_quote(event)
            case Trade() | FeedStatus():
                return NOTHING
            case Fill():
                return self._on_fill(event)
            case OrderUpdate():
                return self._on_update(event)
            case Timer():
                return self._out(self._executor.on_timer(event, self.desk))
            case AccountSnapshot():
                return self._on_account(event) if self._opened else self._open(event)
            case Halt():
                return self._on_halt(event)
            case Resume():
                self.desk.halted = ""
                return Step(facts=(Resumed(event.ts, event.reason, event.by),))
            case _:
                assert_never(event)

    # ------------------------------------------------------------------------------------------- the market

    def _on_bar(self, bar: Bar) -> Step:
        if not bar.history:
            self._begin_day(bar.ts)
        self._portfolio.mark(bar.symbol, bar.close, bar.ts)
        vector = self._features.update(bar)
        if vector is not None:
            self.desk.vectors[bar.symbol] = vector
        else:
            self.desk.vectors.pop(bar.symbol, None)  # what an earlier bar said is not known of this one
        if bar.history or not self._opened:
            return NOTHING
        if self.desk.day_start is None:  # a holding had no price yet when the day began
            self.desk.day_start = self._portfolio.equity()
        facts: list[Fact] = []
        commands: list[Command] = []
        if vector is not None:
            facts.append(FeatureRow(bar.ts, bar.symbol, self._features.version, vector.tobytes()))
        for said in self._parts.strategy.on_bar(bar, self.desk) if bar.symbol in self._parts.traded else ():
            facts.append(said)
            if isinstance(said, Signal):
                self._act(said, commands, facts)
        if bar.ts > self._equity_ts:
            self._equity_ts = bar.ts
            self._state_equity(bar.ts, facts)
        return Step(commands, facts)

    def _begin_day(self, ts: int) -> None:
        """Note what the day began with, before its first price counts: the night's gain or loss belongs to it."""
        session = self.desk.session_at(ts)
        if session is None or session.label == self.desk.day:
            return
        self.desk.day = session.label
        self.desk.day_start = self._portfolio.equity()

    def _on_quote(self, quote: Quote) -> Step:
        self._begin_day(quote.ts)
        self._portfolio.mark(quote.symbol, (quote.bid + quote.ask) / 2, quote.ts)
        return NOTHING

    # ------------------------------------------------------------------------------------- signals to orders

    def _act(self, signal: Signal, commands: list[Command], facts: list[Fact]) -> None:
        """Move from what is held and still coming to what the signal wants; closing goes before opening."""
        symbol, sizing = signal.symbol, self._parts.sizer.size(signal, self.desk)
        target = sizing.shares
        self._give_up_opposing(symbol, target, commands, facts)
        coming = sum(shares for _, shares in self._executor.working(symbol))
        expected = self.desk.position(symbol) + coming
        side = Side.BUY if target > expected else Side.SELL
        if signal.direction and not target and expected * signal.direction >= 0:
            facts.append(self._decision(signal, "", side, 0, "", sizing.reason, sizing.steps))
            return
        if target == expected or target * expected > 0:
            return  # on that side already: a size that drifts is not worth a commission
        # What was given up may trade before the broker has taken it back: those shares are not ordered twice.
        at_large = self._orders.coming(symbol, side, {p.id for p, _ in self._executor.working(symbol)})
        for quantity in (abs(expected), abs(target)):
            spared = min(quantity, at_large)
            at_large -= spared
            if quantity > spared:
                self._work(signal, side, quantity - spared, sizing.steps, commands, facts)

    def _give_up_opposing(self, symbol: str, target: int, commands: list[Command], facts: list[Fact]) -> None:
        """Stop the parents whose shares would lead away from the target."""
        for parent, coming in self._executor.working(symbol):
            if (target - self.desk.position(symbol)) * coming <= 0:
                self._emit(self._executor.stop(parent.id), commands, facts)

    def _work(
        self,
        signal: Signal,
        side: Side,
        quantity: int,
        steps: dict[str, float],
        commands: list[Command],
        facts: list[Fact],
    ) -> None:
        self._parents += 1
        parent_id = f"{self._parts.session_id}-{self._parents}"
        order = Order(parent_id, parent_id, signal.symbol, side, quantity, reason=signal.reason)
        algorithm = self._executor.choose(order, self.desk)
        order = msgspec.structs.replace(order, algorithm=algorithm)
        facts.append(self._decision(signal, parent_id, side, quantity, algorithm, signal.reason, steps))
        self._emit(self._executor.start(order, self.desk), commands, facts)

    def _decision(
        self,
        signal: Signal,
        order_id: str,
        side: Side,
        quantity: int,
        algorithm: str,
        reason: str,
        steps: dict[str, float],
    ) -> Decision:
        return Decision(
            self.desk.now, signal.symbol, signal.strategy, order_id, side, quantity, algorithm, reason, steps
        )

    # ---------------------------------------------------------------------------------------- the way out

    def _out(self, commands: Iterable[Command]) -> Step:
        sent: list[Command] = []
        facts: list[Fact] = []
        self._emit(commands, sent, facts)
        return Step(sent, facts) if sent or facts else NOTHING

    def _emit(self, wanted: Iterable[Command], commands: list[Command], facts: list[Fact]) -> None:
        """Let commands out. Every Submit meets every gate here, the tenth slice as the first; cancels pass."""
        for command in wanted:
            match command:
                case Submit():
                    self._emit_order(command, commands, facts)
                case Cancel() | Modify() | SetTimer():
                    commands.append(command)
                case _:
                    assert_never(command)

    def _emit_order(self, submit: Submit, commands: list[Command], facts: list[Fact]) -> None:
        order = submit.order
        denied = None if self._reduces(order) else self._refuse(order)
        if denied is None:
            changed = self._orders.submit(order)
            if changed is None:
                facts.append(Anomaly(self.desk.now, order.symbol, f"{order.id} was about to be sent twice"))
                return
            commands.append(submit)
            facts.append(msgspec.structs.replace(changed, ts=self.desk.now))
            return
        key = (order.symbol, order.side, denied.gate)
        if self.desk.now - self._told.get(key, -LIFE_OF_A_REFUSAL_NS) >= LIFE_OF_A_REFUSAL_NS:
            self._told[key] = self.desk.now
            facts.append(denied)
        refused = OrderUpdate(self.desk.now, order.id, OrderStatus.REJECTED, reason=denied.reason)
        self._emit(self._executor.on_update(refused), commands, facts)

    def _reduces(self, order: Order) -> bool:
        """Whether the order only takes exposure away, counting orders that may still fill."""
        held = self._surely_held(order.symbol)
        if held * order.side.sign >= 0:
            return False
        return order.quantity <= abs(held) - self._orders.coming(order.symbol, order.side)

    def _surely_held(self, symbol: str) -> int:
        """Return the position; in quarantine no more of it than the broker knows of, or an exit might open one there."""
        ours = self.desk.position(symbol)
        if not self.desk.quarantined(symbol):
            return ours
        theirs = self.desk.theirs.get(symbol, 0)
        return min(ours, theirs, key=abs) if ours * theirs > 0 else 0

    def _refuse(self, order: Order) -> Denied | None:
        for gate in self._parts.gates:
            refusal = gate.check(order, self.desk)
            if refusal is not None:
                return Denied(
                    self.desk.now,
                    order.id,
                    order.symbol,
                    refusal.gate,
                    refusal.reason,
                    refusal.value,
                    refusal.limit,
                )
        return None

    # ------------------------------------------------------------------------------------- what comes back

    def _on_fill(self, fill: Fill) -> Step:
        traded_before = self._portfolio.quantity(fill.symbol)
        if not self._portfolio.apply(fill):
            return NOTHING
        facts: list[Fact] = []
        if self._portfolio.quantity(fill.symbol) != traded_before:
            if fill.symbol in self.desk.theirs:
                self.desk.theirs[fill.symbol] += fill.side.sign * fill.quantity
            self._executor.on_fill(fill)
            changed = self._orders.fill(fill)
            if changed is not None:
                facts.append(changed)
        facts.append(self._portfolio.changed(fill.symbol, fill.ts))
        self._state_equity(self.desk.now, facts)
        return Step(facts=facts)

    def _on_update(self, update: OrderUpdate) -> Step:
        changed = self._orders.update(update)
        if changed is None:
            return NOTHING
        commands: list[Command] = []
        facts: list[Fact] = [changed]
        if not isinstance(changed, Anomaly):
            self._emit(self._executor.on_update(update), commands, facts)
        return Step(commands, facts)

    def _on_halt(self, halt: Halt) -> Step:
        """Stop what adds exposure: its slices still to come are dropped, its working orders cancelled."""
        self.desk.halted = halt.reason
        facts: list[Fact] = [Halted(halt.ts, halt.reason, halt.by)]
        commands: list[Command] = []
        for symbol in self.desk.held():
            for parent, coming in self._executor.working(symbol):
                if self.desk.position(symbol) * coming >= 0:
                    self._emit(self._executor.stop(parent.id), commands, facts)
        return Step(commands, facts)

    # ----------------------------------------------------------------------------------------- the account

    def _open(self, snapshot: AccountSnapshot) -> Step:
        """Open the books. Orders found alive belong to schedules that died with their process: cancel them."""
        self._opened = True
        self._portfolio.open(snapshot)
        if snapshot.day_start is not None:
            self.desk.day, self.desk.day_start = snapshot.day, snapshot.day_start
        facts: list[Fact] = []
        for holding in snapshot.holdings:
            if holding.quantity != holding.broker_quantity:
                self.desk.mismatched[holding.symbol] = 2
                self.desk.theirs[holding.symbol] = holding.broker_quantity
                facts.append(Mismatch(snapshot.ts, holding.symbol, holding.quantity, holding.broker_quantity))
        for found in snapshot.orders:
            self._orders.adopt(found)
        self._state_equity(snapshot.ts, facts)
        return Step([Cancel(found.order.id) for found in snapshot.orders if found.alive], facts)

    def _on_account(self, snapshot: AccountSnapshot) -> Step:
        """Compare positions; a symbol with live orders is in motion and says nothing."""
        facts: list[Fact] = []
        theirs = {h.symbol: h.broker_quantity for h in snapshot.holdings}
        for symbol in sorted({*theirs, *self._portfolio.held(), *self.desk.mismatched}):
            ours, broker = self.desk.position(symbol), theirs.get(symbol, 0)
            if ours == broker:
                self.desk.mismatched.pop(symbol, None)
                self.desk.theirs.pop(symbol, None)
            if ours == broker or self._orders.working(symbol):
                continue
            self.desk.theirs[symbol] = broker
            times = self.desk.mismatched[symbol] = self.desk.mismatched.get(symbol, 0) + 1
            if times == 2:
                facts.append(Mismatch(snapshot.ts, symbol, ours, broker))
        return Step(facts=facts)

    def _state_equity(self, ts: int, facts: list[Fact]) -> None:
        equity = self._portfolio.summary(ts)
        if equity is not None:
            facts.append(equity)


async def run(
    engine: Engine, inbox: Inbox, broker: Broker, journal: Journal, listeners: Sequence[Journal] = ()
) -> None:
    """Work the inbox until it closes: decide, write down, send, and only then tell. The same loop in every mode."""
    async for event in inbox:
        step = engine.on_event(event)
        await journal.record(event, step)
        for command in step.commands:
            match command:
                case Submit():
                    await broker.submit(command.order)
                case Modify():
                    await broker.modify(command.order)
                case Cancel():
                    await broker.cancel(command.order_id)
                case SetTimer():
                    inbox.set_timer(command)
                case _:
                    assert_never(command)
        for listener in listeners:
            await listener.record(event, step)
