"""Logs for people: structured, one line each, secrets masked."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from robo_trader.core.events import (
    NOT_FILLED,
    SECOND_NS,
    AccountSnapshot,
    Bar,
    Command,
    Event,
    Feed,
    FeedStatus,
    Fill,
    ModelChanged,
    Modify,
    Order,
    OrderStatus,
    Retrained,
    Submit,
    TradingState,
)
from robo_trader.core.orders import LIVE
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
    Regime,
    RegimeChanged,
    Resumed,
    Signal,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)

_NEW_YORK = ZoneInfo("America/New_York")
_SECRET = ("token", "password", "secret", "key")
_MARKS = {"debug": " ", "info": " ", "warning": "!"}
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN, _DIM = "\x1b[0m", "\x1b[2m"
_SHOWN = 8  # symbols in one bar line
_SHOWN_DRIFT = 3  # readings of drift in one line
_DIRECTIONS = {1: "long", 0: "flat", -1: "short"}


def configure(log_format: str, level: str) -> None:
    """Send logs to standard error as `console` or `json` lines from `level` up, other libraries' from WARNING up."""
    console = log_format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            mask_secrets,
            ConsoleLine(sys.stderr.isatty() and not os.environ.get("NO_COLOR"))
            if console
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    # Whatever ib_async logs as an error reaches us as an exception or an event, and is told in our own words.
    logging.getLogger("ib_async").setLevel(logging.CRITICAL)


def mask_secrets(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of fields whose names speak of secrets."""
    for name in event:
        if any(word in name.lower() for word in _SECRET):
            event[name] = "***"
    return event


class ConsoleLine:
    """Renders a log entry for a terminal: time, name, what happened to what, the details, and why.

    >>> entry = {"timestamp": "09:31:00", "level": "warning", "event": "denied", "what": "AAPL", "limit": 6, "why": "heat"}
    >>> ConsoleLine(colours=False)(None, "warning", entry)
    '09:31:00 ! denied     AAPL limit=6  heat'
    """

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        """Write one line; empty details are left out."""
        level, name = event.pop("level"), event.pop("event").replace("_", " ")
        what, why = (event.pop(field, "") for field in ("what", "why"))
        time = event.pop("timestamp")
        details = " ".join(f"{key}={_word(value)}" for key, value in event.items() if value not in ("", None))
        head = f"{_MARKS.get(level, 'E')} {name:<10}"
        if self._colours:
            time, head = f"{_DIM}{time}{_PLAIN}", f"{_COLOURS.get(level, '')}{head}{_PLAIN}"
        line = " ".join(str(part) for part in (time, head, what, details) if part).rstrip()
        return f"{line}  {why}" if why else line


class DeskLog:
    """A journal for people: a line for each minute of bars, signal, decision, refusal, order and fill."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._symbols: set[str] = set()
        # The bars that closed together, told in one line once all are here or time has moved on.
        self._closes: dict[str, float] = {}
        self._at = 0
        self._equity: Equity | None = None
        self._stops: set[str] = set()  # ids of live stops: a fill of one is no decision of the day

    async def record(self, event: Event, step: Step) -> None:
        """Write what happened; history is silent."""
        if event.ts > self._at:
            self._tell_bars()
        match event:
            case Bar(history=True):
                self._symbols.add(event.symbol)
            case Bar():
                self._symbols.add(event.symbol)
                self._at = event.ts
                self._closes[event.symbol] = event.close
            case Fill() if any(isinstance(fact, OrderChanged | Anomaly) for fact in step.facts):
                what = f"{event.side} {event.quantity} {event.symbol} @ {event.price}"
                why = "its protective stop" if event.order_id in self._stops else ""
                self._log.info("fill", what=what, order=event.order_id, why=why)
            case FeedStatus():
                is_well = event.state is Feed.LIVE or (
                    event.state is Feed.GAP and not event.detail.startswith(NOT_FILLED)
                )
                tell = self._log.info if is_well else self._log.warning
                tell("feed", what=event.symbol or "all", state=str(event.state), why=event.detail)
            case ModelChanged():
                what = f"{event.role} {event.version or 'none'}"
                self._log.info("model", what=what, by=event.by, why=event.reason)
            case Retrained():
                tell = self._log.warning if event.result == "failed" else self._log.info
                tell("retrained", what=event.version, result=event.result, why=event.reason)
            case AccountSnapshot():
                self._stops.update(found.order.id for found in event.orders if found.order.protects)
            case _:
                pass
        self._equity = next((fact for fact in reversed(step.facts) if isinstance(fact, Equity)), self._equity)
        if self._closes.keys() == self._symbols:
            self._tell_bars()
        # What was decided, and then what follows from it.
        self._drifted([fact for fact in step.facts if isinstance(fact, Drifted)])
        for fact in step.facts:
            self._fact(fact)
        for command in step.commands:
            self._command(command)

    def _tell_bars(self) -> None:
        if not self._closes:
            return
        shown = [f"{symbol} {close:.2f}" for symbol, close in list(self._closes.items())[:_SHOWN]]
        more = len(self._closes) - len(shown)
        books = self._equity
        self._log.info(
            "bar",
            what="  ".join([_new_york(self._at), *shown, *([f"and {more} more"] if more else [])]),
            equity=f"{books.cash + books.value:,.2f}" if books else None,
            realised=f"{books.realised:+,.2f}" if books else None,
            unrealised=f"{books.unrealised:+,.2f}" if books else None,
        )
        self._closes.clear()

    def _command(self, command: Command) -> None:
        """Tell where a position is protected; other orders are told by their decision."""
        match command:
            case (
                Submit(Order(protects=True) as stop)
                | Submit(stop=Order() as stop)
                | Modify(Order(protects=True) as stop)
            ):
                self._stops.add(stop.id)
                what = f"{stop.side} {stop.quantity} {stop.symbol} @ {stop.stop_price}"
                self._log.info("stop", what=what, order=stop.id, why=stop.reason)
            case _:
                pass

    def _fact(self, fact: Fact) -> None:
        match fact:
            case Signal():
                what = f"{fact.symbol} {_DIRECTIONS.get(fact.direction, fact.direction)}"
                self._log.info("signal", what=what, why=fact.reason)
            case Abstained():
                self._log.info("abstained", what=fact.symbol, why=fact.reason)
            case Decision() if fact.order_id:
                what = f"{fact.side} {fact.quantity} {fact.symbol}"
                self._log.info("decision", what=what, algorithm=fact.algorithm, order=fact.order_id)
            case Decision():
                self._log.info("decision", what=f"no order in {fact.symbol}", why=fact.reason)
            case Denied():
                self._log.warning(
                    "denied",
                    what=fact.symbol,
                    gate=fact.gate,
                    value=fact.value,
                    limit=fact.limit,
                    why=fact.reason,
                )
            case OrderChanged():
                # An intent is told by its decision already.
                tell = self._log.debug if fact.status is OrderStatus.INTENT else self._log.info
                if fact.status not in LIVE:
                    self._stops.discard(fact.order_id)
                tell(
                    "order",
                    what=fact.order_id,
                    status=str(fact.status),
                    filled=fact.filled or None,
                    why=fact.reason,
                )
            case RegimeChanged():
                tell = self._log.warning if fact.regime is Regime.CRASH else self._log.info
                tell("regime", what=f"{fact.symbol} {fact.regime}", was=fact.was, why=fact.why)
            case DriftSummary():
                tell = self._log.warning if fact.alarm else self._log.info
                tell("drift", what=fact.session, drifting=f"{fact.drifting} of {fact.columns} features")
            case Halted():
                name = "halted" if fact.state is TradingState.HALTED else "reducing"
                self._log.warning(name, what=_new_york(fact.ts), by=fact.by, why=fact.reason)
            case Resumed():
                lifted = ", ".join(fact.lifted)
                self._log.warning(
                    "resumed",
                    what=_new_york(fact.ts),
                    by=fact.by,
                    lifted=lifted,
                    state=str(fact.state),
                    why=fact.reason,
                )
            case Anomaly():
                self._log.warning("anomaly", what=fact.symbol, at=_new_york(fact.ts), why=fact.what)
            case _:
                self._difference(fact)

    def _drifted(self, readings: Sequence[Drifted]) -> None:
        """Tell in one line of a reading's features that left their limits, and of those that came back."""
        begun, over = [r for r in readings if r.value > r.limit], [r for r in readings if r.value <= r.limit]
        if begun:
            self._log.info("drifted", what=_readings(begun), back=_readings(over))
        elif over:
            self._log.info("drifted_back", what=_readings(over))

    def _difference(self, fact: Fact) -> None:
        """Tell where the broker's account and ours part, and how they came together again."""
        match fact:
            case Mismatch():
                self._log.warning("mismatch", what=fact.symbol, ours=fact.ours, broker=fact.broker)
            case Agreed():
                self._log.warning("agreed", what=fact.symbol, quantity=fact.quantity, why=fact.how)
            case Ignored():
                until = _new_york(fact.until)
                self._log.warning("ignored", what=fact.symbol, shares=fact.shares, until=until, why=fact.why)
            case CashMoved():
                self._log.warning("cash", what=f"{fact.amount:+,.2f}", now=f"{fact.cash:,.2f}", why=fact.why)
            case Corrected():
                was, now = (f"{fact.was_quantity} @ {fact.was_price}", f"{fact.quantity} @ {fact.price}")
                self._log.warning("corrected", what=fact.symbol, was=was, now=now, execution=fact.exec_id)
            case SplitBooked():
                stop = "" if fact.stop_price is None else f"{fact.stop_price}"
                self._log.warning(
                    "split", what=fact.symbol, ratio=f"{fact.new}:{fact.old}", stop=stop, why=fact.why
                )
            case SplitSuspected(is_over=True):
                self._log.info("no_split", what=fact.symbol, why=fact.why)
            case SplitSuspected():
                ratio = f"{fact.new}:{fact.old}"
                self._log.warning("looks_like_split", what=fact.symbol, ratio=ratio, why=fact.why)
            case Unprotected(shares=0):
                self._log.warning("protected", what=fact.symbol, why=fact.why)
            case Unprotected():
                self._log.error("UNPROTECTED", what=fact.symbol, shares=fact.shares, why=fact.why)
            case _:
                pass


def _readings(found: Sequence[Drifted]) -> str:
    said = [f"{r.feature} {r.test} {r.value:.3g} (limit {r.limit:.3g})" for r in found[:_SHOWN_DRIFT]]
    return ", ".join([*said, *([f"and {len(found) - len(said)} more"] if len(found) > len(said) else [])])


def _word(value: object) -> str:
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return repr(text) if " " in text else text


def _new_york(ts: int) -> str:
    return datetime.fromtimestamp(ts // SECOND_NS, _NEW_YORK).strftime("%a %H:%M:%S").removesuffix(":00")
