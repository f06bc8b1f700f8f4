"""Which contract a client means, and how contracts are written in answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from robo_trader.practice.market.listings import Listing, abroad, american, con_id_of, current_name
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.wire import INVALID, Cursor, Field

__all__ = ["Contract", "Directory", "con_id_of", "details_fields", "fields_of", "read_contract"]

NO_DEFINITION = "No security definition has been found for the request"
CENT_RULE, PENNY_RULE = 26, 2240
MARKET_RULES: dict[int, tuple[tuple[float, float], ...]] = {
    CENT_RULE: ((0.0, 0.01),),
    PENNY_RULE: ((0.0, 0.0001), (1.0, 0.01)),
}
_ORDER_TYPES = (
    "ACTIVETIM,ALGO,AON,DAY,FOK,GAT,GTC,GTD,ICE,IOC,LMT,LOC,MIDPX,MKT,MOC,NONALGO,"
    "OCA,OPG,RTH,STP,STPLMT,TRAIL,WHATIF"
)
_FOUND_KEPT = 10_000


class Contract(msgspec.Struct, frozen=True):
    """A contract as a client names it; empty fields are open."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    currency: str = ""
    primary: str = ""
    local_symbol: str = ""
    trading_class: str = ""


def read_contract(cursor: Cursor) -> Contract:
    """Read the twelve contract fields every request shares."""
    con_id, symbol, sec_type = cursor.integer(), cursor.text(), cursor.text()
    cursor.skip(4)  # expiry, strike, right, multiplier
    exchange, primary, currency = cursor.text(), cursor.text(), cursor.text()
    return Contract(con_id, symbol, sec_type, exchange, currency, primary, cursor.text(), cursor.text())


class Directory:
    """Finds the share a client means among those that `knows` accepts.

    `universe` are the symbols that can be searched; others are found by their symbol, and then by their number too.
    """

    def __init__(self, knows: Callable[[str], bool], universe: Iterable[str] = ()) -> None:
        self._knows = knows
        self.universe = tuple(sorted(symbol for symbol in universe if knows(symbol)))
        self._by_id: dict[int, Listing] = {}
        self._numbered: dict[tuple[str, str], Listing] = {}
        for symbol in self.universe:
            self._index(self.listings(symbol))

    def listings(self, symbol: str) -> list[Listing]:
        """Return where a symbol is listed, at home first; nowhere if it does not trade here."""
        return [american(symbol), *abroad(symbol)] if self._knows(symbol) else []

    def lookup(self, contract: Contract, number_type: str = "", number: str = "") -> list[Listing]:
        """Return every listing a description fits, also by ISIN, CUSIP or FIGI."""
        if contract.sec_type not in ("STK", ""):
            return []
        if contract.con_id:
            found = self._by_number(contract)
        elif number:
            one = self._numbered.get((number_type.upper(), number.upper()))
            found = [one] if one is not None else []
        else:
            found = self.listings(contract.symbol or contract.local_symbol)
        fitting = [listing for listing in found if _fits(contract, listing)]
        self._remember(fitting)
        return fitting

    def find(self, contract: Contract) -> str | None:
        """Return the symbol of the one US share that trades here and fits, None for anything else."""
        found = self.lookup(contract)
        return found[0].symbol if len(found) == 1 and found[0].trades_here else None

    def read(self, client: Client, request: int, cursor: Cursor) -> str | None:
        """Read a contract and return its symbol; where there is no such share, say so and return None."""
        return self.settle(client, request, read_contract(cursor))

    def settle(self, client: Client, request: int, contract: Contract) -> str | None:
        """Return the symbol of a contract somebody wants data of; where there is none, say why and return None."""
        if not contract.exchange:
            client.error(request, 321, f"{INVALID}Please enter exchange")
            return None
        found = self.lookup(contract)
        if len(found) == 1 and found[0].trades_here:
            return found[0].symbol
        if not found:
            client.error(request, 200, NO_DEFINITION)
        elif len(found) > 1:
            text = f"The contract description specified for {found[0].symbol} is ambiguous."
            client.error(request, 200, text)
        else:
            text = (
                f"Requested market data is not subscribed. {found[0].primary} does not trade in this market."
            )
            client.error(request, 354, text)
        return None

    def _by_number(self, contract: Contract) -> list[Listing]:
        if contract.symbol:
            return [one for one in self.listings(contract.symbol) if one.con_id == contract.con_id]
        one = self._by_id.get(contract.con_id)
        return [one] if one is not None else []

    def _remember(self, found: list[Listing]) -> None:
        if len(self._by_id) < _FOUND_KEPT:
            self._index(found)

    def _index(self, found: list[Listing]) -> None:
        for one in found:
            if one.con_id in self._by_id:
                continue
            self._by_id[one.con_id] = one
            self._numbered["ISIN", one.isin] = one
            self._numbered["CUSIP", one.isin[2:11]] = one
            if one.figi:
                self._numbered["FIGI", one.figi] = one


def _fits(contract: Contract, listing: Listing) -> bool:
    return (
        contract.currency in ("", listing.currency)
        and (not contract.exchange or current_name(contract.exchange) in listing.exchanges)
        and (not contract.primary or current_name(contract.primary) == listing.primary)
        and contract.local_symbol in ("", listing.symbol)
        and contract.trading_class in ("", listing.trading_class, listing.symbol)
    )


def fields_of(symbol: str, exchange: str = "SMART") -> tuple[Field, ...]:
    """Return the eleven contract fields of positions, orders and executions; `exchange` empty names the listing's."""
    home = american(symbol)
    return (
        home.con_id, symbol, "STK", "", 0, "?", "", exchange or home.primary, "USD", symbol, home.trading_class,
    )  # fmt: skip


def escaped(text: str) -> str:
    r"""Write what is not ASCII as TWS writes it in names.

    >>> escaped("ESTÉE")
    'EST\\u00c9E'
    """
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in text)


def details_fields(
    version: int,
    request: int,
    listing: Listing,
    trading_hours: str,
    liquid_hours: str,
    exchange: str = "SMART",
    rule: int = CENT_RULE,
) -> tuple[Field, ...]:
    """Return contractDetails (id 10); hours are New York's, `rule` is the market rule of its price steps."""
    old = version < 164
    tick = MARKET_RULES[rule][0][1]
    rules = ",".join([str(rule)] * len(listing.exchanges))
    head: tuple[Field, ...] = (
        10,
        *((8,) if old else ()),
        request,
        listing.symbol,
        "STK",
        "",
        0,
        "",
        exchange,
    )
    name: tuple[Field, ...] = (
        listing.currency, listing.symbol, listing.trading_class, listing.trading_class, listing.con_id, tick,
        *((100,) if old else ()),
    )  # fmt: skip
    body: tuple[Field, ...] = (
        "", _ORDER_TYPES, ",".join(listing.exchanges), 1, 0, escaped(listing.name), listing.primary, "",
        listing.industry, listing.category, listing.category, "US/Eastern", trading_hours, liquid_hours, "", 0,
        1, "ISIN", listing.isin, 1, "", "", rules, "", listing.stock_type,
    )  # fmt: skip
    sizes: tuple[Field, ...] = (1,) if version == 163 else () if old else (1, 1, 100)
    return (*head, *name, *body, *sizes)
