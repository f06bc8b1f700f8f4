"""What there is to trade: contract details, trading hours, price steps, and the search for a symbol."""

from __future__ import annotations

from datetime import date, timedelta

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data import xnys
from robo_trader.practice.market.contracts import (
    CENT_RULE,
    MARKET_RULES,
    NO_DEFINITION,
    PENNY_RULE,
    Contract,
    Directory,
    details_fields,
    escaped,
    read_contract,
)
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.listings import Listing, current_name
from robo_trader.practice.market.stamps import hour
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import INVALID, Cursor, Field, frame

_HOURS_DAYS = 7
_LAST_DAY = date(xnys.LAST_YEAR, 12, 31)
_MOST_MATCHES = 16
_EARLY_NS, _LATE_NS = 330 * MINUTE_NS, 240 * MINUTE_NS  # before the open and after the close: 04:00 to 20:00


class ReferenceAnswers:
    """Answers questions about contracts."""

    def __init__(self, exchange: Exchange, directory: Directory) -> None:
        self._exchange = exchange
        self._directory = directory
        self.answers: dict[int, Answer] = {
            9: self._contract_details,
            78: self._option_chains,
            81: self._matching_symbols,
            91: self._market_rule,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone: nothing here is kept for one."""

    def _contract_details(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, contract = cursor.integer(), read_contract(cursor)
        cursor.skip(1)  # include expired
        number_type, number = cursor.text(), cursor.text()
        described = contract.con_id or number or contract.sec_type
        found = self._directory.lookup(contract, number_type, number) if described else []
        if not found:
            return client.error(request, 200, NO_DEFINITION)
        told = [
            self._details(client.version, request, listing, exchange)
            for listing in found
            for exchange in _places(contract, listing)
        ]
        return client.send(b"".join([*told, frame(52, 1, request)]))

    def _details(self, version: int, request: int, listing: Listing, exchange: str) -> bytes:
        hours, liquid = self._hours()
        rule = self._rule(listing)
        return frame(*details_fields(version, request, listing, hours, liquid, exchange, rule))

    def _rule(self, listing: Listing) -> int:
        """Return the market rule of a share: below a dollar its price moves in finer steps."""
        last = self._exchange.last(listing.symbol) if listing.trades_here else None
        return PENNY_RULE if last is not None and last < 1 else CENT_RULE

    def _hours(self) -> tuple[str, str]:
        """Return trading and liquid hours of today and the next six days, New York time."""
        calendar = self._exchange.calendar
        today = date.fromisoformat(calendar.label_of(self._exchange.now))
        days = [day for k in range(_HOURS_DAYS) if (day := today + timedelta(days=k)) <= _LAST_DAY]
        sessions = {session.label: session for session in calendar.sessions(today, days[-1])}
        whole, liquid = [], []
        for day in days:
            session = sessions.get(day.isoformat())
            if session is None:
                whole.append(f"{day:%Y%m%d}:CLOSED")
                liquid.append(f"{day:%Y%m%d}:CLOSED")
                continue
            whole.append("-".join(hour(ts) for ts in trading_hours(session)))
            liquid.append(f"{hour(session.open)}-{hour(session.close)}")
        return ";".join(whole), ";".join(liquid)

    def _option_chains(self, client: Client, cursor: Cursor) -> None:
        client.send(frame(76, cursor.integer()))  # there are no options here

    def _market_rule(self, client: Client, cursor: Cursor) -> None:
        number = cursor.integer()
        rule = MARKET_RULES.get(number)
        if rule is None:
            return client.error(-1, 321, f"{INVALID}there is no market rule {number}")
        return client.send(frame(93, number, len(rule), *(field for step in rule for field in step)))

    def _matching_symbols(self, client: Client, cursor: Cursor) -> None:
        request, pattern = cursor.integer(), cursor.text().strip().upper()
        found = self._matches(pattern)[:_MOST_MATCHES] if pattern else []
        rows = [field for listing in found for field in _sample(listing, client.version)]
        client.send(frame(79, request, len(found), *rows))

    def _matches(self, pattern: str) -> list[Listing]:
        """Return the listings whose symbol is or begins with the pattern, then those with a word of that beginning."""
        directory = self._directory
        by_name = {symbol: _words(directory.listings(symbol)[0].name) for symbol in directory.universe}
        symbols = [
            pattern,
            *(symbol for symbol in by_name if symbol.startswith(pattern)),
            *(symbol for symbol, words in by_name.items() if f" {pattern}" in words),
        ]
        return [listing for symbol in dict.fromkeys(symbols) for listing in directory.listings(symbol)]


def trading_hours(session: Session) -> tuple[int, int]:
    """Return when trading begins and ends (UTC ns), the hours around the session included that do not trade here."""
    return session.open - _EARLY_NS, session.close + _LATE_NS


def _words(name: str) -> str:
    """Return a name's words, each after a blank.

    >>> _words("COCA-COLA CO/THE")
    ' COCA COLA CO THE'
    """
    return "".join(f" {word}" for word in name.replace("-", " ").replace("/", " ").split())


def _places(contract: Contract, listing: Listing) -> tuple[str, ...]:
    """Return the exchanges to name: the one asked for; without one all there are, unless a number says which share."""
    if contract.exchange:
        return (current_name(contract.exchange),)
    return listing.exchanges[:1] if contract.con_id else listing.exchanges


def _sample(listing: Listing, version: int) -> tuple[Field, ...]:
    """Return one row of symbolSamples (79): no derivatives, and no issuer, as bonds alone have one."""
    primary = "NASDAQ.NMS" if listing.primary == "NASDAQ" else listing.primary
    described = (escaped(listing.name), "") if version >= 176 else ()
    return (listing.con_id, listing.symbol, "STK", primary, listing.currency, 0, *described)
