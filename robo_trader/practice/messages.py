"""What the gateway says besides orders: accounts, positions, notices, bars and ticks."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.books import Position
from robo_trader.practice.contracts import con_id_of, fields_of
from robo_trader.practice.exchange import Slice
from robo_trader.practice.wire import frame

BID, ASK, LAST, HIGH, LOW, VOLUME, CLOSE, OPEN, LAST_TIME = 1, 2, 4, 6, 7, 8, 9, 14, 45


def stamp(version: int, ts: int) -> str:
    """Write a time (UTC ns) as TWS does: New York wall time, with the zone's name from version 174 on."""
    at = datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK)
    return f"{at:%Y%m%d %H:%M:%S} America/New_York" if version >= 174 else f"{at:%Y%m%d  %H:%M:%S}"


def hour(ts: int) -> str:
    """Write a time (UTC ns) as trading hours do: New York, YYYYMMDD:HHMM."""
    return f"{datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK):%Y%m%d:%H%M}"


def position(account: str, symbol: str, held: Position) -> bytes:
    """Encode position (61)."""
    return frame(61, 3, account, *fields_of(symbol), held.quantity, held.average)


def portfolio(account: str, symbol: str, held: Position, value: Decimal) -> bytes:
    """Encode portfolioValue (7); `value` is what the position is worth, USD."""
    price = value / held.quantity if held.quantity else Decimal(0)
    return frame(
        7, 8, con_id_of(symbol), symbol, "STK", "", 0, "0", "", "NASDAQ", "USD", symbol, symbol, held.quantity,
        price, value, held.average, value - held.cost, held.realised, account,
    )  # fmt: skip


def real_time_bar(request: int, traded: Slice) -> bytes:
    """Encode realtimeBar (50)."""
    o, h, low, c = traded.open, traded.high, traded.low, traded.close
    start = traded.start // SECOND_NS
    return frame(50, 3, request, start, o, h, low, c, traded.volume, typical(traded), trades(traded.volume))


def price_tick(request: int, kind: int, price: float, size: int) -> bytes:
    """Encode tickPrice (1), which carries its size."""
    return frame(1, 6, request, kind, price, size, 1)


def typical(traded: Slice) -> float:
    """Return the price that stands for a slice in volume-weighted averages, USD."""
    return round((traded.high + traded.low + traded.close) / 3, 4)


def trades(volume: int) -> int:
    """Return a plausible number of trades for a volume: one for each hundred shares or part of it."""
    return -(-volume // 100)
