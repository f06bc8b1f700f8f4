"""What a person may wish of the desk, how it is said, and how what came of it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from robo_trader.bootstrap.kill_switch import LONGEST
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS, Cancel, Modify, Remedy, SetTimer, Submit
from robo_trader.core.steps import Agreed, Anomaly, Denied, Halted, Ignored, Resumed, Step
from robo_trader.storage.rows import iso

NEW_YORK = ZoneInfo("America/New_York")
_UNITS_NS = {"m": 60 * SECOND_NS, "h": 3_600 * SECOND_NS, "d": 86_400 * SECOND_NS}

_Reason = Annotated[str, msgspec.Meta(max_length=LONGEST)]
_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]


class _Command(msgspec.Struct, tag_field="do", forbid_unknown_fields=True):
    """One thing to do, under its tag in the field `do`; `via` says where a person said it."""

    reason: _Reason = ""
    via: Annotated[str, msgspec.Meta(max_length=40)] = "command line"

    @property
    def why(self) -> str:
        """The reason as it is recorded; never empty."""
        return f"{self.reason.strip() or 'no reason given'} ({self.via})"

    def require_reason(self, what: str) -> None:
        """Raise ConfigurationError where none was given for something that must be accounted for."""
        if not self.reason.strip():
            raise ConfigurationError(f"to {what} needs a reason: say with --reason what was found")


class Halt(_Command, tag="halt"):
    """Refuse new exposure and take back what works and would open."""


class Reduce(_Command, tag="reduce"):
    """Refuse new exposure; exits go on."""


class Resume(_Command, tag="resume"):
    """Allow new exposure again."""


class Flatten(_Command, tag="flatten"):
    """Close a position, or with `all` every one."""

    symbol: str = ""
    all: bool = False


class Reconcile(_Command, tag="reconcile"):
    """Compare the books with the broker now."""


class Resolve(_Command, tag="resolve"):
    """Say what to do about a quarantined symbol."""

    symbol: _Symbol = ""
    how: Remedy = Remedy.ADOPT
    until: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Status(_Command, tag="status"):
    """Tell how the desk is."""


Wish = Halt | Reduce | Resume | Flatten | Reconcile | Resolve | Status


def read(wanted: Mapping[str, object]) -> Wish:
    """Return the wish a command makes. Raises ConfigurationError for one that makes no sense."""
    try:
        wish: Wish = msgspec.convert(wanted, Wish, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(str(error)) from error
    return wish


def parse_until(text: str, now: int) -> int:
    """Return the market time (ns UTC) meant by `90m`, `2h`, `3d` or an ISO 8601 time, New York's where it has no zone.

    Raises ConfigurationError where it is none of these, or not after `now`.
    """
    try:
        if text[-1:] in _UNITS_NS:
            until = now + int(float(text[:-1]) * _UNITS_NS[text[-1]])
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)
            until = int(moment.timestamp()) * SECOND_NS
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"until {text!r}: expected a time such as 90m, 2h, 3d or 2026-01-05T16:00 (New York)"
        ) from None
    if not now < until < 2**63:
        raise ConfigurationError(f"until {text!r} is over already by the market's clock, or never comes")
    return until


def sends(step: Step) -> bool:
    """Return whether a step has something for the broker."""
    return any(not isinstance(command, SetTimer) for command in step.commands)


def in_words(step: Step) -> list[str]:
    """Say what a step ordered and what it found."""
    said: list[str] = []
    for command in step.commands:
        match command:
            case Submit(order=order) if order.protects:
                said.append(
                    f"stop {order.side} {order.quantity} {order.symbol} at {order.stop_price} ({order.id})"
                )
            case Submit(order=order):
                said.append(f"sent {order.side} {order.quantity} {order.symbol} ({order.id})")
            case Modify(order=order):
                said.append(f"changed {order.id} to {order.quantity} {order.symbol}")
            case Cancel():
                said.append(f"cancelling {command.order_id}")
    for fact in step.facts:
        match fact:
            case Halted():
                said.append(f"{fact.state} by {fact.by}: {fact.reason}")
            case Resumed():
                said.append(f"now {fact.state}: {fact.reason}")
            case Agreed():
                said.append(f"{fact.symbol} is out of quarantine with {fact.quantity}: {fact.how}")
            case Ignored():
                said.append(f"{fact.shares} {fact.symbol} are not ours to trade until {iso(fact.until)}")
            case Denied():
                said.append(f"refused {fact.symbol}: {fact.reason}")
            case Anomaly():
                said.append(f"{fact.symbol} {fact.what}".strip())
    return said
