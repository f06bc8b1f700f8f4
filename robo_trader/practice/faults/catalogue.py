"""The catalogue of faults: every name, what it does, what it breaks, and how it is aimed."""

from __future__ import annotations

import difflib
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, time, timedelta
from pathlib import Path

import msgspec

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.faults.connection import FAULTS as CONNECTION
from robo_trader.practice.faults.data import FAULTS as DATA
from robo_trader.practice.faults.history import FAULTS as HISTORY
from robo_trader.practice.faults.kinds import Fault, name_of
from robo_trader.practice.faults.links import FAULTS as LINKS
from robo_trader.practice.faults.orders import FAULTS as ORDERS
from robo_trader.practice.faults.outside import FAULTS as OUTSIDE
from robo_trader.practice.faults.verdicts import FAULTS as VERDICTS

GROUPS: dict[str, tuple[type[Fault], ...]] = {
    "connection": CONNECTION,
    "links": LINKS,
    "orders": ORDERS,
    "verdicts": VERDICTS,
    "outside": OUTSIDE,
    "data": DATA,
    "history": HISTORY,
}
CATALOGUE: dict[str, type[Fault]] = {name_of(kind): kind for group in GROUPS.values() for kind in group}
TRIGGERS = {
    "at": "market time of the first strike, New York: HH:MM, HH:MM:SS or YYYY-MM-DDTHH:MM:SS",
    "after": "matching messages that pass before it strikes",
    "chance": "probability that it strikes a matching message",
    "seed": "of that chance",
    "times": "strikes at most",
    "for": "market seconds from its first strike until it is lifted",
    "client": "strikes only this client id",
    "symbol": "strikes only what is about this share",
    "on": "strikes only messages with these ids, a comma list",
}

_FOREVER_S = 1e9  # seconds: thirty years
_PAGE_HEAD = """\
# Faults of the practice gateway

Every way in which the [practice gateway](practice.md#faults-on-command) misbehaves on command. Written by
`robo-trader practice faults --markdown`.

`robo-trader practice fault NAME KEY=VALUE` plants one in a running gateway. **What breaks** says what a client suffers,
with ib_async as the example. **Strikes** says how often, or for how many market seconds, where `times` and `for` do not
say otherwise. A parameter is shown with its default.
"""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """When a fault strikes and whom; the same for all faults."""

    at: str = ""
    after: int = 0
    chance: float = 1.0
    seed: int = 7
    times: int | None = None
    lasts: float | None = msgspec.field(default=None, name="for")
    client: int | None = None
    symbol: str = ""
    on: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.after < 0 or not 0 <= self.chance <= 1:
            raise ValueError("after is 0 or more, chance is from 0 to 1")
        lasts = _FOREVER_S if self.lasts is None else self.lasts
        if (self.times is not None and self.times < 1) or not 0 < lasts <= _FOREVER_S:
            raise ValueError("times is 1 or more, for is more than 0 seconds and no more than 1e9")


def make(name: str, wanted: Mapping[str, object]) -> tuple[Fault, Trigger]:
    """Return a fault and its trigger. Values may be text, as the command line has them.

    Raises ConfigurationError with the nearest name for an unknown one, and for a value that makes no sense.
    """
    known(name, CATALOGUE, "fault")
    kind = CATALOGUE[name]
    own = parameters(kind)
    for key in wanted:
        known(key, (*own, *TRIGGERS), f"parameter of {name}")
    try:
        given = {k: msgspec.convert(v, own[k], strict=False) for k, v in wanted.items() if k in own}
        trigger = {k: _split(v) if k == "on" else v for k, v in wanted.items() if k in TRIGGERS}
        if "at" in trigger:
            trigger["at"] = str(trigger["at"])  # TOML has times of its own
        if "symbol" in trigger:
            trigger["symbol"] = str(trigger["symbol"]).upper()
        _require_within(kind, given)
        fault, when = kind(**given), msgspec.convert(trigger, Trigger, strict=False)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if kind.needs_symbol and not when.symbol:
        raise ConfigurationError(f"{name} needs symbol=, the share it is about")
    if when.at:
        market_time(when.at, 0)
    return fault, when


def _require_within(kind: type[Fault], given: Mapping[str, object]) -> None:
    """Raise ValueError where a number is beyond what its parameter may be."""
    for parameter in fields(kind):
        value = given.get(parameter.name, True)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        least, most = parameter.metadata["bounds"]
        if not least <= value <= most:
            raise ValueError(f"{parameter.name}={value} is not between {least:g} and {most:g}")


def market_time(text: str, now: int) -> int:
    """Return when it is next that time, UTC ns; New York's, unless it names an offset. Raises ConfigurationError."""
    today = datetime.fromtimestamp(now // SECOND_NS, NEW_YORK)
    try:
        if "T" in text or " " in text:
            wanted = datetime.fromisoformat(text)
            wanted = wanted if wanted.tzinfo is not None else wanted.replace(tzinfo=NEW_YORK)
        else:
            clock = time.fromisoformat(text)
            wanted = datetime.combine(today.date(), clock, NEW_YORK)
            if wanted < today:
                wanted = datetime.combine(today.date() + timedelta(days=1), clock, NEW_YORK)
    except ValueError:
        raise ConfigurationError(f"at={text}: not a time; write it as 10:30 or 2026-01-13T10:30:00") from None
    return int(wanted.timestamp()) * SECOND_NS


def read(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Return the faults of a TOML file, `[[fault]]` tables of a name and parameters. Raises ConfigurationError."""
    try:
        tables = tomllib.loads(path.read_text())
        for key in tables:
            known(key, ["fault"], "table of faults")
        faults = msgspec.convert(tables.get("fault", []), list[dict[str, object]])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    named = [(str(fault.pop("name", "")), fault) for fault in faults]
    for name, given in named:
        make(name, given)
    return named


def parameters(kind: type[Fault]) -> dict[str, typing.Any]:
    """Return the types of a fault's own parameters by name."""
    types = typing.get_type_hints(kind)
    return {f.name: types[f.name] for f in fields(kind) if f.init}


def known(name: str, names: Iterable[str], what: str) -> None:
    """Raise ConfigurationError, with the nearest name there is, for one that there is not."""
    choices = list(names)
    if name in choices:
        return
    near = difflib.get_close_matches(name, choices, 1)
    raise ConfigurationError(
        f"no {what} is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    )


def listing() -> str:
    """Return the catalogue as text for a terminal."""
    lines = []
    for group, kinds in GROUPS.items():
        lines.append(group.upper())
        for kind in kinds:
            what, breaks = _words(kind)
            lines += [f"  {name_of(kind)} ({_usually(kind)}): {what}", f"      {breaks}"]
            lines += [f"      {name}={default}  {text}" for name, default, text in _own(kind)]
    lines.append("EVERY FAULT")
    lines += [f"      {name}  {text}" for name, text in TRIGGERS.items()]
    return "\n".join(lines)


def markdown() -> str:
    """Return the catalogue as a Markdown page, `docs/practice-faults.md`."""
    lines = [_PAGE_HEAD]
    for group, kinds in GROUPS.items():
        lines += [
            f"## {group.capitalize()}",
            "",
            "| fault | what it does | what breaks | strikes | parameters |",
        ]
        lines.append("|---|---|---|---|---|")
        for kind in kinds:
            own = "; ".join(f"`{name}={default}` {text}" for name, default, text in _own(kind))
            lines.append(f"| `{name_of(kind)}` | {' | '.join(_words(kind))} | {_usually(kind)} | {own} |")
        lines.append("")
    lines += [
        "## Triggers",
        "",
        "Parameters that every fault has.",
        "",
        "| parameter | meaning |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in TRIGGERS.items())])


def _words(kind: type[Fault]) -> tuple[str, str]:
    what, _, breaks = (kind.__doc__ or "").partition("\n\n")
    return " ".join(what.split()), " ".join(breaks.split())


def _usually(kind: type[Fault]) -> str:
    """Return how often or how long a fault strikes where its trigger says nothing."""
    how = "until lifted" if kind.lasts_s is None else f"{kind.lasts_s:g} s"
    if kind.lasts_s == 0 or (kind.times == 1 and not kind.acts):
        how = "once"
    return f"{how}, needs symbol=" if kind.needs_symbol else how


def _own(kind: type[Fault]) -> list[tuple[str, object, str]]:
    """Return a fault's own parameters: name, default, and what it means with the words it may be."""
    words = {name: typing.get_args(of) for name, of in parameters(kind).items()}
    texts = {f.name: f.metadata["text"] for f in fields(kind) if f.init}
    said = {
        name: f"{text}: {', '.join(words[name])}" if words[name] else text for name, text in texts.items()
    }
    return [(f.name, f.default, said[f.name]) for f in fields(kind) if f.init]


def _split(ids: object) -> object:
    if isinstance(ids, str):
        return [part.strip() for part in ids.split(",")]
    return ids if isinstance(ids, (list, tuple)) else [ids]
