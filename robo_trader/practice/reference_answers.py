"""What there is to trade: contract details and trading hours."""

from __future__ import annotations

from robo_trader.practice.clients import Answer, Client
from robo_trader.practice.contracts import NO_DEFINITION, Directory, details_fields, read_contract
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.messages import hour
from robo_trader.practice.wire import Cursor, frame


class ReferenceAnswers:
    """Answers questions about contracts."""

    def __init__(self, exchange: Exchange, directory: Directory) -> None:
        self._exchange = exchange
        self._directory = directory
        self.answers: dict[int, Answer] = {9: self._contract_details}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone: nothing here is kept for one."""

    def _contract_details(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, contract = cursor.integer(), read_contract(cursor)
        symbol = self._directory.find(contract)
        if symbol is None or (not contract.con_id and not (contract.sec_type and contract.currency)):
            return client.error(request, 200, NO_DEFINITION)
        client.send(frame(*details_fields(client.version, request, symbol, self._hours())))
        return client.send(frame(52, 1, request))

    def _hours(self) -> str:
        """Return the trading hours of the present session and the next five, New York time."""
        sessions, label = [self._exchange.session], self._exchange.session.label
        for _ in range(5):
            sessions.append(self._exchange.calendar.after(label))
            label = sessions[-1].label
        return ";".join(f"{hour(session.open)}-{hour(session.close)}" for session in sessions)
