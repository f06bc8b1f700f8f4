"""Logs for people: structured, one line each, secrets masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from robo_trader.core.events import (
    SECOND_NS,
    Abstained,
    Anomaly,
    Bar,
    Decision,
    Denied,
    Equity,
    Event,
    Fact,
    FeedStatus,
    Fill,
    Halted,
    Mismatch,
    OrderChanged,
    Resumed,
    Signal,
    Step,
)

_NEW_YORK = ZoneInfo("America/New_York")
_SECRET = ("token", "password", "secret", "key")


def configure(log_format: str, level: str) -> None:
    """Send logs to standard error as `console` or `json` lines from `level` up, other libraries' from WARNING up."""
    renderer: Any = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=34)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if log_format == "console" else "iso", utc=True),
            mask_secrets,
            renderer,
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


class DeskLog:
    """A journal for people: one line for each bar, signal, decision, refusal, order, fill and change of the books."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    async def record(self, event: Event, step: Step) -> None:
        """Write what happened; history is silent."""
        match event:
            case Bar() if not event.history:
                self._log.info(
                    "bar", at=_new_york(event.ts), symbol=event.symbol, close=event.close, volume=event.volume
                )
            case Fill() if any(isinstance(fact, OrderChanged | Anomaly) for fact in step.facts):
                what = f"{event.side} {event.quantity} {event.symbol} @ {event.price}"
                self._log.info("fill", at=_new_york(event.ts), what=what, order=event.order_id)
            case FeedStatus():
                self._log.warning(
                    "feed", symbol=event.symbol or "all", state=str(event.state), why=event.detail
                )
            case _:
                pass
        for fact in step.facts:
            self._fact(fact)

    def _fact(self, fact: Fact) -> None:
        match fact:
            case Signal():
                self._log.info("signal", symbol=fact.symbol, direction=fact.direction, why=fact.reason)
            case Abstained():
                self._log.info("abstained", symbol=fact.symbol, why=fact.reason)
            case Decision():
                what = f"{fact.side} {fact.quantity} {fact.symbol} by {fact.algorithm or 'nothing'}"
                self._log.info("decision", what=what, order=fact.order_id, why=fact.reason)
            case Denied():
                self._log.warning(
                    "denied", gate=fact.gate, why=fact.reason, value=fact.value, limit=fact.limit
                )
            case OrderChanged():
                self._log.info(
                    "order", id=fact.order_id, status=str(fact.status), filled=fact.filled, why=fact.reason
                )
            case Equity():
                self._log.info(
                    "equity",
                    at=_new_york(fact.ts),
                    equity=str(fact.cash + fact.value),
                    realised=str(fact.realised),
                    unrealised=str(fact.unrealised),
                )
            case Halted() | Resumed() | Anomaly() | Mismatch():
                self._log.warning(type(fact).__name__.lower(), **msgspec.structs.asdict(fact))
            case _:
                pass


def _new_york(ts: int) -> str:
    return datetime.fromtimestamp(ts // SECOND_NS, _NEW_YORK).strftime("%a %H:%M:%S")
