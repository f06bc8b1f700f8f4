"""Which shares trade here, and what the gateway tells of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from robo_trader.practice.clients import Client
from robo_trader.practice.wire import Cursor, Field

NO_DEFINITION = "No security definition has been found for the request"


class Contract(msgspec.Struct, frozen=True):
    """A contract as a client names it; empty fields are open."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    currency: str = ""


def read_contract(cursor: Cursor) -> Contract:
    """Read the twelve contract fields every request shares."""
    con_id, symbol, sec_type = cursor.integer(), cursor.text(), cursor.text()
    cursor.skip(4)  # expiry, strike, right, multiplier
    exchange = cursor.text()
    cursor.skip(1)  # primary exchange
    currency = cursor.text()
    cursor.skip(2)  # local symbol, trading class
    return Contract(con_id, symbol, sec_type, exchange, currency)


def con_id_of(symbol: str) -> int:
    """Return the contract id of a share here: made from its symbol, so the same in every session."""
    digest = hashlib.sha256(f"STK/{symbol}/USD".encode()).digest()
    return 100_000_000 + int.from_bytes(digest[:4], "big") % 900_000_000


class Directory:
    """Finds the share a client means."""

    def __init__(self, knows: Callable[[str], bool]) -> None:
        self._knows = knows
        self._symbols: dict[int, str] = {}

    def find(self, contract: Contract) -> str | None:
        """Return the symbol of a US share that trades here, None for anything else."""
        symbol = contract.symbol or self._symbols.get(contract.con_id, "")
        if not symbol or not self._knows(symbol):
            return None
        if contract.sec_type not in ("STK", "") or contract.currency not in ("USD", ""):
            return None
        con_id = con_id_of(symbol)
        if contract.con_id not in (0, con_id):
            return None
        self._symbols[con_id] = symbol
        return symbol

    def read(self, client: Client, request: int, cursor: Cursor) -> str | None:
        """Read a contract and return its symbol; where there is no such share, say so and return None."""
        symbol = self.find(read_contract(cursor))
        if symbol is None:
            client.error(request, 200, NO_DEFINITION)
        return symbol


def fields_of(symbol: str, exchange: str = "SMART") -> tuple[Field, ...]:
    """Return the eleven contract fields of positions, orders and executions."""
    return (con_id_of(symbol), symbol, "STK", "", 0, "?", "", exchange, "USD", symbol, symbol)


def details_fields(version: int, request: int, symbol: str, hours: str) -> tuple[Field, ...]:
    """Return contractDetails (id 10); `hours` are the trading hours, New York time."""
    message_version: tuple[Field, ...] = (8,) if version < 164 else ()
    head: tuple[Field, ...] = (10, *message_version, request, symbol, "STK", "", 0, "", "SMART")
    name: tuple[Field, ...] = ("USD", symbol, "NMS", symbol, con_id_of(symbol), 0.01)
    size_multiplier: tuple[Field, ...] = (100,) if version < 164 else ()
    kinds = "ACTIVETIM,DAY,LMT,MKT"
    body: tuple[Field, ...] = (
        "", kinds, "SMART,NASDAQ", 1, 0, f"{symbol} PRACTICE SHARE", "NASDAQ", "", "", "", "", "America/New_York",
        hours, hours, "", "", 0, 1, "", "", "26", "", "COMMON",
    )  # fmt: skip
    sizes: tuple[Field, ...] = (1,) if version == 163 else (1, 1, 100) if version >= 164 else ()
    return (*head, *name, *size_multiplier, *body, *sizes)
