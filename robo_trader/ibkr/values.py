"""Where TWS's words for "no value" end: each function returns a real value or None."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal

from robo_trader.core.events import SECOND_NS

# TWS writes an unset integer as 2147483647 and an unset double as 1.797e308: no share price or size comes near.
_TOO_MUCH = 2_147_483_647


def observed_price(value: float) -> float | None:
    """Return a USD price; -1, 0, NaN, infinity and the unset values are none.

    >>> observed_price(180.12), observed_price(-1.0)
    (180.12, None)
    """
    return value if math.isfinite(value) and 0 < value < _TOO_MUCH else None


def observed_size(value: float) -> float | None:
    """Return a size in shares, 0 included; -1, NaN and the unset values are none."""
    return value if math.isfinite(value) and 0 <= value < 1e15 and value != _TOO_MUCH else None


def owned_amount(value: float | str) -> Decimal | None:
    """Return exactly the decimal TWS wrote: the shortest text of a float is the text it was read from.

    >>> owned_amount(180.1), owned_amount("-12.50"), owned_amount(1.7976931348623157e308)
    (Decimal('180.1'), Decimal('-12.50'), None)
    """
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number) or abs(number) >= 1e15:
        return None
    return Decimal(value if isinstance(value, str) else repr(value))


def owned_price(value: float) -> Decimal | None:
    """Return a price that was paid in USD."""
    return None if observed_price(value) is None else owned_amount(value)


def whole_shares(value: float) -> int | None:
    """Return a number of shares, signed; NaN and the unset values are none."""
    return int(value) if math.isfinite(value) and abs(value) < _TOO_MUCH else None


def exact_shares(value: float) -> int | None:
    """Return a number of shares that is whole; a fraction, NaN and the unset values are none.

    >>> exact_shares(10.0), exact_shares(10.5)
    (10, None)
    """
    shares = whole_shares(value)
    return shares if shares == value else None


def utc_ns(time: datetime) -> int:
    """Return UTC nanoseconds of a time TWS gave in whole seconds."""
    return int(time.timestamp()) * SECOND_NS
