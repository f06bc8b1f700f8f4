"""How times and the figures of a bar are written."""

from __future__ import annotations

from datetime import UTC, datetime

from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import NEW_YORK
from robo_trader.simulation.rows import Slice


def stamp(version: int, ts: int) -> str:
    """Write a time (UTC ns) as TWS does: New York wall time, with the zone's name from version 174 on."""
    at = datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK)
    return f"{at:%Y%m%d %H:%M:%S} America/New_York" if version >= 174 else f"{at:%Y%m%d  %H:%M:%S}"


def utc_stamp(version: int, ts: int) -> str:
    """Write a time (UTC ns) in UTC as TWS does where it does not write New York's: with a dash from version 174 on."""
    at = datetime.fromtimestamp(ts // SECOND_NS, UTC)
    return f"{at:%Y%m%d-%H:%M:%S}" if version >= 174 else f"{at:%Y%m%d  %H:%M:%S}"


def hour(ts: int) -> str:
    """Write a time (UTC ns) as trading hours do: New York, YYYYMMDD:HHMM."""
    return f"{datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK):%Y%m%d:%H%M}"


def typical(traded: Slice) -> float:
    """Return the price that stands for a slice in volume-weighted averages, USD."""
    return round((traded.high + traded.low + traded.close) / 3, 4)


def trades(volume: int) -> int:
    """Return a plausible number of trades for a volume: one for each hundred shares or part of it."""
    return -(-volume // 100)
