"""Watches over a session: what a person must know becomes an alert within a minute, and its end another."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from robo_trader.alerts import AlertOptions, Alerts, Severity, try_ways
from robo_trader.bootstrap.reopening import RESTART, SESSION
from robo_trader.bootstrap.wishes import split_command
from robo_trader.config import Settings
from robo_trader.core.errors import RoboTraderError
from robo_trader.core.events import SECOND_NS, Event, OrderStatus, TradingState
from robo_trader.core.steps import (
    Agreed,
    Anomaly,
    CashMoved,
    DriftSummary,
    Fact,
    Halted,
    Mismatch,
    OrderChanged,
    Resumed,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)

REJECTED_IN_A_ROW = 3
STUCK_S, DOUBT_S = 10.0, 30.0
LONG_BLOCK_S, CALM_S = 1.0, 60.0
ONLY_THE_LOG = "alerts go to the log only: set ALERT_WEBHOOK_URL, ALERT_SMTP_HOST or ALERT_APPRISE_URLS"
_MANY, _FEW = 0.5, 0.25  # of what a queue holds


def alert_options(settings: Settings) -> AlertOptions:
    """Say where alerts go."""
    return AlertOptions(
        webhook_url=settings.alert_webhook_url.get_secret_value(),
        smtp_host=settings.alert_smtp_host,
        smtp_port=settings.alert_smtp_port,
        smtp_user=settings.alert_smtp_user,
        smtp_password=settings.alert_smtp_password.get_secret_value(),
        mail_from=settings.alert_mail_from,
        mail_to=tuple(word.strip() for word in settings.alert_mail_to.split(",") if word.strip()),
        apprise_urls=tuple(settings.alert_apprise_urls.get_secret_value().split()),
    )


def try_alerts(settings: Settings) -> int:
    """Send a test by every way that is set up and print how it went; return 0 where all arrived, else 1.

    Raises ConfigurationError where one is set up wrongly.
    """
    outcomes = try_ways(alert_options(settings), "RoboTrader")
    for name, why in outcomes:
        sys.stdout.write(
            f"{'FAIL' if why else 'ok  '}  {name:<9} {why or 'handed over; look whether it arrived'}\n"
        )
    if not outcomes:
        sys.stdout.write(f"ok    log       {ONLY_THE_LOG}\n")
    return RoboTraderError.exit_code if any(why for _, why in outcomes) else 0


class AlertJournal:
    """A listener: tells the user of what the desk found out that needs a person."""

    def __init__(self, alerts: Alerts, blind_s: float, wall_ns: Callable[[], int] = time.time_ns) -> None:
        """Tell what the link has stopped only after `blind_s`: most of that passes by itself."""
        self.decided = 0
        self.held_back: tuple[int, str] | None = (
            None  # since when (wall ns) and why the link lets nothing open
        )
        self._alerts = alerts
        self._blind_s = blind_s
        self._wall_ns = wall_ns
        self._rejected = 0
        self._odd = ""

    async def record(self, event: Event, step: Step) -> None:
        """Tell what of this step a person must know."""
        self.decided += 1
        for fact in step.facts:
            self._fact(fact)

    def _fact(self, fact: Fact) -> None:
        match fact:
            case Halted():
                self._on_halted(fact)
            case Resumed():
                self._on_resumed(fact)
            case OrderChanged():
                self._on_order(fact)
            case Mismatch():
                text = (
                    f"our books have {fact.ours} shares, the broker {fact.broker}; the symbol is not traded until they "
                    "agree again, or you resolve it with `robo-trader reconcile` or on the page"
                )
                self._alerts.begin(f"quarantine:{fact.symbol}", f"{fact.symbol} quarantined", text)
            case Agreed():
                self._alerts.over(
                    f"quarantine:{fact.symbol}", f"our books have {fact.quantity} shares: {fact.how}"
                )
            case Unprotected():
                self._on_unprotected(fact)
            case Anomaly() if fact.what != self._odd:  # the parts of one order are one matter
                self._odd = fact.what
                self._alerts.tell("anomaly", f"{fact.symbol}: look at the broker", fact.what)
            case CashMoved():
                text = f"{fact.amount:+,.2f} USD without a trade ({fact.why}); cash is now {fact.cash:,.2f}"
                self._alerts.tell("cash", "cash moved", text, Severity.INFO)
            case SplitSuspected(is_over=True):
                self._alerts.over(f"split:{fact.symbol}", fact.why)
            case SplitSuspected():
                text = f"{fact.why}; if it was one: `{split_command(fact.symbol, fact.new, fact.old)} --reason …`"
                title = f"{fact.symbol} looks like a {fact.new}:{fact.old} split"
                self._alerts.begin(f"split:{fact.symbol}", title, text)
            case SplitBooked():
                self._alerts.over(f"split:{fact.symbol}", f"{fact.new} for {fact.old}: {fact.why}")
            case DriftSummary():
                self._on_drift(fact)
            case _:
                pass

    def _on_drift(self, fact: DriftSummary) -> None:
        said = f"{fact.drifting} of {fact.columns} features no longer look as in training"
        if fact.alarm:
            worst = ", ".join(f"{r.feature} {r.test} {r.value:.3g} (limit {r.limit:.3g})" for r in fact.worst)
            text = (
                f"{said}: {worst}; what the model has proven it has proven elsewhere: train it again, or halt"
            )
            self._alerts.begin("drift", "the market is not the one of the training", text)
        else:
            self._alerts.over("drift", said)

    def _on_halted(self, fact: Halted) -> None:
        if fact.by == SESSION:
            self.held_back = self.held_back or (self._wall_ns(), fact.reason)
        elif fact.state is TradingState.HALTED:
            text = f"{fact.reason}; to trade again: `robo-trader resume --reason …`"
            self._alerts.begin(f"halted:{fact.by}", f"halted by {fact.by}", text, Severity.CRITICAL)
        elif fact.by != RESTART:  # that one comes every night, and the user has set it
            self._alerts.begin(f"reducing:{fact.by}", f"only reducing, by {fact.by}", fact.reason)

    def _on_resumed(self, fact: Resumed) -> None:
        lifted = {*fact.lifted, fact.by}
        everything = fact.state is TradingState.ACTIVE
        if everything or SESSION in lifted:
            self.held_back = None
        for key in (*self._alerts.known("reducing:"), *self._alerts.known("halted:")):
            if everything or key.partition(":")[2] in lifted:
                self._alerts.over(key, f"resumed by {fact.by}: {fact.reason}")

    def _on_unprotected(self, fact: Unprotected) -> None:
        key = f"unprotected:{fact.symbol}"
        if fact.shares:
            text = f"{abs(fact.shares)} shares have no stop at the broker: {fact.why}"
            self._alerts.begin(key, f"{fact.symbol} UNPROTECTED", text, Severity.CRITICAL)
        else:
            self._alerts.over(key, fact.why)

    def _on_order(self, fact: OrderChanged) -> None:
        doubt = f"unknown:{fact.order_id}"
        if fact.status is OrderStatus.UNKNOWN:
            text = f"what became of {fact.order_id} is not known: {fact.reason}; it is not sent again"
            self._alerts.begin(doubt, "order in doubt", text, after_s=DOUBT_S)
        else:
            self._alerts.over(doubt, f"it is {fact.status}")
        if fact.status is OrderStatus.REJECTED:
            self._rejected += 1
            if self._rejected >= REJECTED_IN_A_ROW:
                text = f"{self._rejected} in a row, the last {fact.order_id}: {fact.reason}"
                self._alerts.begin("rejected", "the broker rejects our orders", text)
        elif fact.status in (OrderStatus.PARTIAL, OrderStatus.FILLED):
            self._rejected = 0
            self._alerts.over("rejected", f"{fact.order_id} traded")


@dataclass(frozen=True)
class Look:
    """How a session is at one moment. Times are wall time in UTC ns, loads fractions of what a queue holds."""

    blind_since: int | None = None
    why_blind: str = ""
    connected: bool = (
        True  # without a session it is `blind_since` that counts: TWS's own restart is no trouble
    )
    inbox: int = 0  # events the desk has yet to hear
    inbox_load: float = 0.0
    journal_load: float = 0.0
    blocked_s: float = 0.0  # the loop, at worst since the look before


class Watch:
    """Looks at the session each second, and tells what has not been right for too long."""

    def __init__(
        self,
        alerts: Alerts,
        desk: AlertJournal,
        blind_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._alerts = alerts
        self._desk = desk
        self._blind_s = blind_s
        self._clock = clock
        self._wall_ns = wall_ns
        self._decided = 0
        self._moved = clock()
        self._blocked = -CALM_S

    def look(self, now: Look) -> None:
        """Compare with what should be."""
        self._sight(now)
        self._progress(now)
        self._load("inbox", now.inbox_load, "the desk does not keep up: quotes, depth and trades are thinned")
        self._load("journal", now.journal_load, "the disk does not keep up with what is to be written")
        self._blocks(now)
        self._alerts.tell_due()

    def _sight(self, now: Look) -> None:
        """Tell that nothing new can be traded: no session, no fresh prices, or a link that is not yet trusted."""
        held = self._desk.held_back
        found = [(now.blind_since, now.why_blind)] if now.blind_since is not None else []
        found += [held] if held is not None and now.connected else []
        if not found:
            self._alerts.over("blind", "trading again")
            return
        since, why = min(found)
        lasted = (self._wall_ns() - since) / SECOND_NS
        if lasted >= self._blind_s:
            self._alerts.begin("blind", "not trading", f"for {lasted:.0f} s: {why}", Severity.CRITICAL)

    def _progress(self, now: Look) -> None:
        """Tell that events wait and none is decided: a disk or a broker that does not return."""
        if not now.inbox or self._desk.decided != self._decided:
            self._decided, self._moved = self._desk.decided, self._clock()
            self._alerts.over("stuck")
        elif self._clock() - self._moved >= STUCK_S:
            text = (
                f"{now.inbox} events wait and for {STUCK_S:g} s none was decided: is the disk or TWS hanging?"
            )
            self._alerts.begin("stuck", "the desk is stuck", text, Severity.CRITICAL)

    def _load(self, what: str, load: float, text: str) -> None:
        if load >= _MANY:
            self._alerts.begin(f"load:{what}", f"{what} {load:.0%} full", text)
        elif load <= _FEW:
            self._alerts.over(f"load:{what}")

    def _blocks(self, now: Look) -> None:
        if now.blocked_s >= LONG_BLOCK_S:
            self._blocked = self._clock()
            text = f"nothing was heard or sent for {now.blocked_s:.1f} s; the machine may be overloaded"
            self._alerts.begin("blocked", "the daemon was blocked", text)
        elif self._clock() - self._blocked >= CALM_S:
            self._alerts.over("blocked")
