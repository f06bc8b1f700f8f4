"""The command that looks at a file of bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from robo_trader.core.errors import ConfigurationError, DataError, GateFailed
from robo_trader.core.events import SECOND_NS
from robo_trader.data.cleaning import Reading, ReadOptions
from robo_trader.data.files import open_file
from robo_trader.data.notation import DateOrder
from robo_trader.data.stamps import Stamped

_NAMED = 10  # symbols; the report names all of them


def check(path: Path, symbol: str, zone: str, stamped: str, date_order: str, as_json: bool) -> int:
    """Print what reading the file finds; return 0.

    Raises GateFailed where the times of some of the symbols cannot be understood, DataError where those of all cannot.
    """
    options = _options(zone, stamped)
    if date_order and date_order not in set(DateOrder):
        raise ConfigurationError(f"--date-order {date_order}: say {' or '.join(DateOrder)}")
    file = open_file(path, date_order)
    readings = [file.read(one, options) for one in ([symbol] if symbol else file.symbols)]
    text = json.dumps([_as_row(one) for one in readings]) if as_json else "\n".join(_in_words(readings))
    sys.stdout.write(text + "\n")
    refused = [one.symbol for one in readings if one.refused]
    if refused:
        problem = f"{path}: no bar of {_few(refused)} can be used: say --zone or --stamped"
        raise DataError(problem) if len(refused) == len(readings) else GateFailed(problem)
    return 0


def _few(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - _NAMED} others" if len(symbols) > _NAMED else ""
    return ", ".join(symbols[:_NAMED]) + more


def _options(zone: str, stamped: str) -> ReadOptions | None:
    if zone and zone not in available_timezones():
        raise ConfigurationError(f"--zone {zone}: no such zone; name one as America/New_York or UTC")
    if stamped and stamped not in set(Stamped):
        raise ConfigurationError(f"--stamped {stamped}: say start or end")
    return ReadOptions(zone, stamped) if zone or stamped else None


def _in_words(readings: Sequence[Reading]) -> Iterator[str]:
    for reading in readings:
        yield f"{reading.quality.in_words()}: {len(reading.bars)} bars of {_span(reading)} from {reading.rows} rows"
        yield from (f"  {found.in_words()}" for found in reading.findings)


def _span(reading: Reading) -> str:
    length = f"{reading.interval_ns // SECOND_NS} s"
    if not len(reading.bars):
        return length
    first, last = (datetime.fromtimestamp(int(reading.bars.ts[i]) // SECOND_NS, UTC) for i in (0, -1))
    return f"{length}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC,"


def _as_row(reading: Reading) -> dict[str, Any]:
    return {
        **reading.quality.as_row(),
        "rows": reading.rows,
        "bars": len(reading.bars),
        "interval_s": reading.interval_ns // SECOND_NS,
        "usable": not reading.refused,
        "findings": [found.as_row() for found in reading.findings],
    }
