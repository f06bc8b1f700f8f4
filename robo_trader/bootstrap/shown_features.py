"""The command that shows what the features of a share said at a time."""

from __future__ import annotations

import json
import math
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from robo_trader.bootstrap.commands import database_of
from robo_trader.bootstrap.wishes import NEW_YORK
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.technical_indicators import CATALOGUE
from robo_trader.storage import feature_rows, queries
from robo_trader.storage.feature_rows import FIRST, LAST, FeatureVector
from robo_trader.storage.rows import iso

WARM, WARMING, UNKNOWN = "warm", "warming", "unknown"


class Shown(NamedTuple):
    """One column: `state` is warm, warming, or unknown where it needs what was not watched."""

    name: str
    group: str
    value: float | None
    state: str


def show(settings: Settings, symbol: str, at: str, db: Path | None, as_json: bool) -> int:
    """Print a share's newest vector at or before a New York time, and how old it was then.

    Raises DataError where there is none, or none of the session of that time.
    """
    path, symbol = database_of(settings, db), symbol.strip().upper()
    until = parse_time(at)
    with closing(queries.connect_readonly(path)) as connection:
        found = feature_rows.last_vector(connection, symbol, until)
        known = feature_rows.span(connection, symbol)
    if found is None:
        raise DataError(f"{path} holds no features of {symbol}{_instead(at, known)}")
    if at:
        _require_same_session(found, until)
    age_s = (until - found.ts) // SECOND_NS if at else None
    columns = described(found)
    if as_json:
        told = {
            "symbol": symbol,
            "ts": iso(found.ts),
            "ts_ns": found.ts,
            "age_s": age_s,
            "version": found.version,
        }
        text = json.dumps(told | {"features": [column._asdict() for column in columns]})
    else:
        age = f", {timedelta(seconds=age_s)} old at {at}" if age_s else ""
        head = f"{symbol}  bar of {clock(found.ts)}{age}  features {found.version}"
        text = "\n".join([head, *map(_line, columns)])
    sys.stdout.write(text + "\n")
    return 0


def _require_same_session(found: FeatureVector, at: int) -> None:
    """Refuse what is of an earlier session than its time: nobody knew that of the market then."""
    calendar = XnysCalendar()
    later = calendar.after(calendar.label_of(found.ts))
    if at > later.open:
        raise DataError(
            f"no features of {found.symbol} in the session of that time: the last before it are of "
            f"{clock(found.ts)}, and the session of {later.label} began since. For those: "
            f"--at {local(found.ts):%Y-%m-%dT%H:%M}"
        )


def described(vector: FeatureVector) -> list[Shown]:
    """Name the columns of a vector. Raises DataError where nobody noted what those of its version are called."""
    if len(vector.columns) != len(vector.values):
        raise DataError(
            f"the features of {vector.symbol} are of version {vector.version}, whose columns this database does not name"
        )
    catalogue = {feature.name: feature for feature in CATALOGUE}
    shown = []
    for name, value in zip(vector.columns, vector.values.tolist(), strict=True):
        feature = catalogue.get(name)
        empty = UNKNOWN if feature is not None and feature.optional else WARMING
        state = empty if math.isnan(value) else WARM
        shown.append(
            Shown(name, str(feature.group) if feature else "", None if state != WARM else value, state)
        )
    return shown


def parse_time(text: str, flag: str = "--at") -> int:
    """Return an ISO 8601 time, New York's where it has no zone, in UTC ns; the end of time for none.

    What lies beyond what 64 bits can say is the first or the last that they can.

    Raises ConfigurationError where it is no time.

    >>> parse_time("2026-01-05T10:31") == parse_time("2026-01-05T15:31Z")
    True
    """
    if not text:
        return LAST
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{flag} {text!r}: expected a time such as 2026-01-05T10:31 (New York)"
        ) from None
    ns = int((moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)).timestamp()) * SECOND_NS
    return min(max(ns, FIRST), LAST)


def _instead(at: str, known: tuple[int, int] | None) -> str:
    if known is None:
        return "; run the daemon with it, features are stored bar by bar"
    return f" at or before {at}; the first is of {clock(known[0])}"


def _line(column: Shown) -> str:
    value = column.state if column.value is None else f"{column.value:,.6g}"
    return f"  {column.name:<26} {column.group:<14} {value:>14}"


def local(ts: int) -> datetime:
    """Return a time (UTC ns) in New York."""
    return datetime.fromtimestamp(ts // SECOND_NS, UTC).astimezone(NEW_YORK)


def clock(ts: int) -> str:
    """Write a time (UTC ns) as a clock in New York shows it."""
    return f"{local(ts):%Y-%m-%d %H:%M} New York"
