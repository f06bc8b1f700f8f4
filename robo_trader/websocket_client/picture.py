"""The desk as it last told of itself: events and steps turned into rows the page can show."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from robo_trader.core.events import (
    NOT_FILLED,
    AccountSnapshot,
    Bar,
    Depth,
    Event,
    Feed,
    FeedStatus,
    Fill,
    Lot,
    ModelChanged,
    Modify,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    Retrained,
    Submit,
    Timer,
    Trade,
    TradingState,
)
from robo_trader.core.executions import origin
from robo_trader.core.holds import Holds
from robo_trader.core.instrument import Instrument
from robo_trader.core.steps import (
    Abstained,
    Agreed,
    Anomaly,
    CashMoved,
    Corrected,
    Decision,
    Denied,
    Drifted,
    DriftSummary,
    Equity,
    Fact,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    PositionChanged,
    Regime,
    RegimeChanged,
    Resumed,
    Signal,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.websocket_client.protection import Protection
from robo_trader.websocket_client.wire import Board, Outbox, Row, wall_ms

NEW_YORK = ZoneInfo("America/New_York")
SEVERITY = {Feed.LIVE: "info", Feed.GAP: "info", Feed.LOST: "crit"}  # the others are warnings


class Picture:
    """The desk as it last told of itself, kept as rows of a board."""

    def __init__(self, board: Board[Row], outbox: Outbox) -> None:
        self._board = board
        self._outbox = outbox
        self._count = 0
        self._day = ""
        self._day_base: Decimal | None = None
        self._equity: Decimal | None = None
        self._protection = Protection()
        self._holds = Holds()
        self._suspected: dict[str, dict[str, str]] = {}  # nights that look like a split
        self._left: dict[str, dict[str, int]] = {}  # shares that are not ours to trade, until when
        self._opened = False
        self._status: dict[str, Any] = {"state": TradingState.ACTIVE, "holds": [], "market_ts": None}

    def describe(self, **facts: object) -> None:
        """Set fields of the status row that no event carries: mode, session, symbols and the like."""
        self._status.update(facts)
        self._put("status", "status", self._status)

    def on_event(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Bar():
                self._on_bar(event)
            case Quote():
                self._clock(event.ts)
                self._put(f"quotes:{event.symbol}", "quote", event)
            case Trade() | Depth() | Timer():
                self._clock(event.ts)
            case Fill():
                self._on_fill(event)
            case FeedStatus():
                self._on_feed(event)
            case AccountSnapshot():
                self._on_account(event)
            case OrderUpdate():
                self._protect(self._protection.update(event))
            case ModelChanged():
                self._tell("info", event.ts, f"{event.role} {event.version}, by {event.by}: {event.reason}")
            case Retrained():
                how = "warn" if event.result == "failed" else "info"
                self._tell(how, event.ts, f"retraining, {event.result} {event.version}: {event.reason}")
            case _:  # halts and what else a person wants are told by the facts they lead to
                return

    def on_step(self, step: Step) -> None:
        """Take what the desk did about it."""
        for command in step.commands:
            match command:
                case Submit():
                    for order in (command.order, command.stop):
                        if order is not None:
                            self._on_order(order, OrderStatus.INTENT)
                    self._protect(self._protection.submit(command))
                case Modify():
                    self._protection.modify(command)
        for fact in step.facts:
            self._on_fact(fact)

    def _on_fact(self, fact: Fact) -> None:
        match fact:
            case Equity():
                self._on_equity(fact)
            case PositionChanged():
                self._on_position(fact.symbol, fact.quantity, fact.lots, fact.ts, fact.realised)
            case OrderChanged():
                self._on_order_changed(fact)
            case Signal() | Abstained():
                self._append("signals", fact)
            case Decision():
                self._append("decisions", fact)
            case Denied():
                self._append("denied", fact)
            case Halted() | Resumed():
                self._on_hold(fact)
            case Anomaly():
                self._tell("warn", fact.ts, fact.what, fact.symbol)
            case Mismatch() | Agreed():
                self._on_difference(fact)
            case Ignored():
                self._leave_alone(fact.symbol, fact.shares, fact.until)
            case CashMoved():
                self._tell("warn", fact.ts, f"cash {fact.amount:+} USD by no trade: {fact.why}")
            case Corrected():
                self._on_correction(fact)
            case Unprotected():
                self._on_bare(fact)
            case RegimeChanged():
                self._on_regime(fact)
            case SplitSuspected():
                self._on_suspicion(fact)
            case SplitBooked():
                self._tell("warn", fact.ts, f"split {fact.new} for {fact.old}: {fact.why}", fact.symbol)
                self._suspects(fact.symbol, "")
            case Drifted():
                self._on_drifted(fact)
            case DriftSummary():
                self._on_drift_summary(fact)
            case _:  # feature rows are for the database
                return

    def _put(self, channel: str, key: str, data: object) -> None:
        self._board.put(channel, key, Row(key, wall_ms(), data))
        self._outbox.touch(channel, key)

    def _append(self, channel: str, data: object) -> None:
        self._count += 1
        self._put(channel, str(self._count), data)

    def _tell(self, severity: str, ts: int, text: str, symbol: str = "") -> None:
        self._append("events", {"ts": ts, "severity": severity, "symbol": symbol, "text": text})

    def _clock(self, ts: int) -> None:
        if ts > (self._status["market_ts"] or 0):
            self.describe(market_ts=ts)
        for symbol in [symbol for symbol, left in self._left.items() if left["ignored_until"] <= ts]:
            del self._left[symbol]
            self._drop("quarantines", symbol)

    def _on_bar(self, bar: Bar) -> None:
        channel = f"bars:{bar.symbol}"
        if bar.history:
            # Thousands arrive at once: remember them, tell the channel whole once.
            self._board.put(channel, str(bar.ts), Row(str(bar.ts), wall_ms(), bar))
            self._outbox.reset(channel)
        else:
            self._clock(bar.ts)
            self._put(channel, str(bar.ts), bar)
        held = self._board.get("positions", bar.symbol)
        if held is not None and bar.close > 0 and bar.ts >= held.data.get("last_ts", 0):
            self._put("positions", bar.symbol, _marked(held.data, bar.close, bar.ts))

    def _on_fill(self, fill: Fill) -> None:
        known = self._board.get("fills", fill.exec_id)
        if known is None or fill.commission is not None:
            row = {**msgspec.structs.asdict(fill), "origin": origin(fill.order_id)}
            self._put("fills", fill.exec_id, {**row, "superseded_by": ""})

    def _on_correction(self, fact: Corrected) -> None:
        known = self._board.get("fills", fact.replaces)
        if known is not None:
            self._put("fills", fact.replaces, {**known.data, "superseded_by": fact.exec_id})
        was = f"{fact.was_quantity} at {fact.was_price}"
        now = f"{fact.quantity} at {fact.price}" if fact.quantity else "nothing"
        self._tell("crit", fact.ts, f"execution {fact.replaces} of {was} corrected to {now}", fact.symbol)

    def _on_hold(self, fact: Halted | Resumed) -> None:
        self._holds.hear(fact)
        state = self._holds.state
        holds = [
            {"by": hold.by, "state": hold.state, "reason": hold.reason, "ts": hold.ts}
            for hold in self._holds.by.values()
        ]
        self.describe(state=state, holds=holds)
        severity = "crit" if state is TradingState.HALTED else "warn" if holds else "info"
        what = f"{fact.state} by" if isinstance(fact, Halted) else f"resumed, now {fact.state}, by"
        self._tell(severity, fact.ts, f"{what} {fact.by}: {fact.reason}")

    def _on_difference(self, fact: Mismatch | Agreed) -> None:
        left = self._left.get(fact.symbol)
        if isinstance(fact, Mismatch):
            sides = {"ours": fact.ours, "broker": fact.broker}
            self._put(
                "quarantines", fact.symbol, {"symbol": fact.symbol, "since": fact.ts, **sides, **(left or {})}
            )
            said = f"ours {fact.ours}, broker {fact.broker}: quarantined"
            self._tell("crit", fact.ts, said, fact.symbol)
            return
        if left is None:
            self._drop("quarantines", fact.symbol)
        else:
            self._put("quarantines", fact.symbol, {"symbol": fact.symbol, "since": None, **left})
        self._tell("info", fact.ts, f"out of quarantine with {fact.quantity}: {fact.how}", fact.symbol)

    def _on_suspicion(self, fact: SplitSuspected) -> None:
        if fact.is_over:
            self._tell("info", fact.ts, f"no split: {fact.why}", fact.symbol)
            self._suspects(fact.symbol, "")
            return
        ratio = f"{fact.new}:{fact.old}"
        self._tell("crit", fact.ts, f"looks like a {ratio} split: {fact.why}", fact.symbol)
        self._suspects(fact.symbol, ratio)

    def _suspects(self, symbol: str, ratio: str) -> None:
        """Tell which nights look like a split, and were not answered with one."""
        self._suspected.pop(symbol, None)
        if ratio:
            self._suspected[symbol] = {"symbol": symbol, "ratio": ratio}
        self.describe(splits=list(self._suspected.values()))

    def _leave_alone(self, symbol: str, shares: int, until: int) -> None:
        """Note shares that are not ours to trade; they are shown as long as that holds."""
        self._left[symbol] = {"ignored": shares, "ignored_until": until}
        known = self._board.get("quarantines", symbol)
        row = known.data if known else {"symbol": symbol, "since": None}
        self._put("quarantines", symbol, {**row, **self._left[symbol]})

    def _on_bare(self, fact: Unprotected) -> None:
        self._protect(self._protection.bare(fact))
        severity = "crit" if fact.shares else "info"
        bare = f"{fact.shares} shares without a stop at the broker: {fact.why}"
        self._tell(severity, fact.ts, bare if fact.shares else "protected again", fact.symbol)

    def _on_regime(self, fact: RegimeChanged) -> None:
        self._put("regimes", fact.symbol, fact)
        if fact.was:
            how = "warn" if fact.regime is Regime.CRASH else "info"
            self._tell(how, fact.ts, f"{fact.regime} after {fact.was}: {fact.why}", fact.symbol)

    def _on_drifted(self, fact: Drifted) -> None:
        key = f"{fact.feature} {fact.test}"
        if fact.value > fact.limit:
            self._put("drift", key, fact)
        else:
            self._drop("drift", key)

    def _on_drift_summary(self, fact: DriftSummary) -> None:
        self.describe(drift={"drifting": fact.drifting, "columns": fact.columns, "alarm": fact.alarm})
        said = f"drift: {fact.drifting} of {fact.columns} features no longer look as in training"
        self._tell("warn" if fact.alarm else "info", fact.ts, said)

    def _protect(self, symbol: str) -> None:
        """Tell what is protected of a symbol, once it has changed; of none where it has not."""
        if not symbol:
            return
        row = self._protection.row(symbol)
        if row is None:
            self._drop("protection", symbol)
        else:
            self._put("protection", symbol, row)

    def _drop(self, channel: str, key: str) -> None:
        self._board.remove(channel, key)
        self._outbox.touch(channel, key)

    def _on_feed(self, status: FeedStatus) -> None:
        if not status.symbol:
            self.describe(connection={"state": status.state, "detail": status.detail, "ts": status.ts})
        what = f"feed {status.state}" + (f": {status.detail}" if status.detail else "")
        lost = status.state is Feed.GAP and status.detail.startswith(NOT_FILLED)
        self._tell("warn" if lost else SEVERITY.get(status.state, "warn"), status.ts, what, status.symbol)

    def _on_account(self, snapshot: AccountSnapshot) -> None:
        self.describe(account=snapshot.account)
        if not self._day and snapshot.day_start is not None:
            self._day, self._day_base = snapshot.day, snapshot.day_start
        for holding in snapshot.holdings:
            if holding.not_ours_until > snapshot.ts:
                self._leave_alone(holding.symbol, holding.not_ours, holding.not_ours_until)
            # Our books open with the first account; what a later one holds beyond them is a difference, not a position.
            if not self._opened:
                self._on_position(holding.symbol, holding.quantity, holding.lots, snapshot.ts, None)
        for held in snapshot.orders:
            if self._board.get("orders", held.order.id) is None:
                self._on_order(held.order, held.status, held.filled, snapshot.ts)
                self._protect(self._protection.adopt(held))
        self._opened = True

    def _on_equity(self, books: Equity) -> None:
        equity = books.cash + books.value
        day = datetime.fromtimestamp(books.ts / 1e9, NEW_YORK).date().isoformat()
        if day != self._day or self._day_base is None:
            # A day the desk has not begun is measured from the last equity told before it, the very first from itself.
            self._day, self._day_base = day, equity if self._equity is None else self._equity
        if books.day_start is not None:
            self._day_base = books.day_start
        self._equity = equity
        row = {
            **msgspec.structs.asdict(books),
            "equity": equity,
            "day": day,
            "day_start": self._day_base,
            "day_pnl": equity - self._day_base,
        }
        self._put("account", "account", row)
        self._put("equity", str(books.ts), {"ts": books.ts, "equity": equity})

    def _on_position(
        self, symbol: str, quantity: int, lots: tuple[Lot, ...], ts: int, realised: Decimal | None
    ) -> None:
        if quantity == 0:
            self._drop("positions", symbol)
            return
        shares = sum(lot.quantity for lot in lots)
        paid = sum((lot.quantity * lot.price for lot in lots), Decimal(0))
        row: dict[str, Any] = {
            "symbol": symbol,
            "quantity": quantity,
            "average": (paid / shares).quantize(Decimal("0.0001")) if shares == quantity else None,
            "cost": paid if shares == quantity else None,
            "realised": realised,
            "ts": ts,
        }
        bars = self._board.rows(f"bars:{symbol}")
        self._put("positions", symbol, _marked(row, bars[-1].data.close, bars[-1].data.ts) if bars else row)

    def _on_order(self, order: Order, status: OrderStatus, filled: int = 0, ts: int | None = None) -> None:
        created = ts or self._status["market_ts"]
        row = {
            **msgspec.structs.asdict(order),
            "status": status,
            "filled": filled,
            "created": created,
            "message": "",
        }
        self._put("orders", order.id, row)

    def _on_order_changed(self, change: OrderChanged) -> None:
        known = self._board.get("orders", change.order_id)
        row: dict[str, Any] = dict(known.data) if known else {"id": change.order_id, "created": change.ts}
        row["created"] = (
            row["created"] or change.ts
        )  # one that went out as the books opened, before any price
        row.update(status=change.status, filled=change.filled, updated=change.ts, message=change.reason)
        self._put("orders", change.order_id, row)
        self._protect(self._protection.change(change))
        if change.status in (OrderStatus.REJECTED, OrderStatus.UNKNOWN):
            what = f"order {change.order_id} {change.status}: {change.reason}"
            self._tell("warn", change.ts, what, row.get("symbol", ""))


def _marked(row: dict[str, Any], close: float, ts: int) -> dict[str, Any]:
    """Return the position row valued at a bar's close; what cannot be known stays None."""
    last = Instrument(row["symbol"]).price(close)
    value = row["quantity"] * last
    gain = None if row["cost"] is None else value - row["cost"]
    return {**row, "last": last, "last_ts": ts, "value": value, "unrealised": gain}
