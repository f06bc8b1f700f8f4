"""Times as clients write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import NEW_YORK

_MOMENT = re.compile(r"(?:(\d{8})(?:[ -]+(?=\d\d:)|\b))?(\d\d:\d\d:\d\d)?(?: +(\S+))?")
_FOREVER = 1 << 62  # ns; the year 2116
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, now: int) -> int:
    """Return a time a client wrote, UTC ns. Raises ValueError where it is none.

    `YYYYMMDD HH:MM:SS [zone]`, without a zone in New York; `YYYYMMDD-HH:MM:SS` is UTC; a date alone is its end; a time
    alone is that of the day it is at `now`.
    """
    found = _MOMENT.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        raise ValueError(f"{text!r} is not a time")
    try:
        zone = ZoneInfo("UTC") if text.strip()[8:9] == "-" else ZoneInfo(found[3]) if found[3] else NEW_YORK
    except (KeyError, OSError):  # what ZoneInfo raises besides ValueError
        raise ValueError(f"{found[3]!r} is not a time zone") from None
    day = found[1] or f"{datetime.fromtimestamp(now // SECOND_NS, zone):%Y%m%d}"
    at = datetime.strptime(f"{day} {found[2] or '23:59:59'}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
    return min(max(0, int((at - _EPOCH).total_seconds())) * SECOND_NS, _FOREVER)
