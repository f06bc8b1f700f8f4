"""What a person may wish of the desk, how it is said, and how what came of it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from fractions import Fraction
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from robo_trader.bootstrap.kill_switch import LONGEST
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS, Cancel, Modify, Remedy, SetTimer, Submit
from robo_trader.core.splits import MOST
from robo_trader.core.steps import (
    Agreed,
    Anomaly,
    Denied,
    Halted,
    Ignored,
    PositionChanged,
    Resumed,
    SplitBooked,
    Step,
)
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


class Split(_Command, tag="split"):
    """Count a share anew: `ratio` as it is announced; `since` is the first session at the new price, empty for today's."""

    symbol: _Symbol = ""
    ratio: Annotated[str, msgspec.Meta(max_length=20)] = ""
    since: Annotated[str, msgspec.Meta(max_length=10)] = ""
    again: bool = False


class Status(_Command, tag="status"):
    """Tell how the desk is."""


Wish = Halt | Reduce | Resume | Flatten | Reconcile | Resolve | Split | Status


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


def midnight_of(label: str) -> int:
    """Return when a date begins in New York (UTC ns). Raises ConfigurationError where it is none."""
    try:
        begins = datetime.combine(date.fromisoformat(label), time(), NEW_YORK)
    except ValueError:
        raise ConfigurationError(f"since {label!r}: expected a date such as 2026-01-05") from None
    return int(begins.timestamp()) * SECOND_NS


def parse_ratio(text: str) -> tuple[int, int]:
    """Return new shares and old ones of `4`, `4:1`, `3/2`, `1:20` or `0.05`. Raises ConfigurationError for anything else.

    >>> parse_ratio("4"), parse_ratio("3/2"), parse_ratio("1:20"), parse_ratio("0.05")
    ((4, 1), (3, 2), (1, 20), (1, 20))
    """
    try:
        ratio = Fraction(text.strip().replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        raise ConfigurationError(
            f"ratio {text!r}: say new shares for old ones, as 4, 4:1, 3/2, 1:20 or 0.05"
        ) from None
    new, old = ratio.numerator, ratio.denominator
    if not (0 < new <= MOST and old <= MOST) or new == old:
        raise ConfigurationError(
            f"ratio {text!r}: no share is split so; new shares and old ones are whole, different, and {MOST} at most"
        )
    return new, old


def split_command(symbol: str, new: int, old: int) -> str:
    """Return what a person types to book a split.

    >>> split_command("NVDA", 4, 1), split_command("GE", 1, 8)
    ('robo-trader split NVDA 4', 'robo-trader split GE 1:8')
    """
    return f"robo-trader split {symbol} {new if old == 1 else f'{new}:{old}'}"


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
            case SplitBooked():
                stop = f", to be protected at {fact.stop_price}" if fact.stop_price is not None else ""
                said.append(f"{fact.symbol} is split {fact.new} for {fact.old}{stop} ({fact.why})")
            case PositionChanged():
                said.append(f"our books hold {fact.quantity} {fact.symbol}")
            case Denied():
                said.append(f"refused {fact.symbol}: {fact.reason}")
            case Anomaly():
                said.append(f"{fact.symbol} {fact.what}".strip())
    return said
