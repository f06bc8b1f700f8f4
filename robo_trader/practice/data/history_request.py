"""What clients ask of the past, read field by field."""

from __future__ import annotations

import msgspec

from robo_trader.practice.market.contracts import Contract, read_contract
from robo_trader.practice.protocol.wire import Cursor, WireError


class HistoryRequest(msgspec.Struct, frozen=True):
    """A question for past bars, in the client's words."""

    request: int
    contract: Contract
    end: str
    bar_size: str
    duration: str
    regular_hours: bool
    what: str
    as_epoch: bool
    keep_up_to_date: bool


def read_history_request(cursor: Cursor) -> HistoryRequest:
    """Read reqHistoricalData (20)."""
    request, contract = cursor.integer(), read_contract(cursor)
    cursor.skip(1)  # include expired
    end, bar_size, duration = cursor.text(), cursor.text(), cursor.text()
    regular, what, format_date = cursor.flag(), cursor.text(), cursor.integer()
    if contract.sec_type == "BAG":
        raise WireError("combinations of contracts are not traded here")
    return HistoryRequest(
        request, contract, end, bar_size, duration, regular, what, format_date == 2, cursor.flag()
    )


class TicksRequest(msgspec.Struct, frozen=True):
    """A question for past ticks, in the client's words; either time may be empty."""

    request: int
    contract: Contract
    start: str
    end: str
    count: int
    what: str
    without_sizes: bool


def read_ticks_request(cursor: Cursor) -> TicksRequest:
    """Read reqHistoricalTicks (96)."""
    request, contract = cursor.integer(), read_contract(cursor)
    cursor.skip(1)  # include expired
    start, end, count, what = cursor.text(), cursor.text(), cursor.integer(), cursor.text()
    cursor.skip(1)  # there are regular hours only
    return TicksRequest(request, contract, start, end, count, what, cursor.flag())
