"""Which share a message is about: learnt from the requests that named one."""

from __future__ import annotations

from collections.abc import Sequence

from robo_trader.practice.faults.kinds import Message
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.practice.protocol.clients import Client

MAX_IDS = 20_000  # request and order ids remembered for one client
_LONGEST = 80  # characters of an id and what it is about; longer ones are nonsense and not worth the memory
# By message id: the places of the request or order id, the contract id and the symbol.
_ASKED = {
    1: (2, 3, 4), 3: (1, 2, 3), 9: (2, 3, 4), 10: (2, 3, 4), 20: (1, 2, 3), 50: (2, 3, 4), 87: (1, 2, 3),
    96: (1, 2, 3), 97: (1, 2, 3),
}  # fmt: skip
_ENDED = {4: 2, 25: 2, 2: 2, 51: 2, 11: 2, 98: 1, 90: 1}
# The place of the request or order id in what the gateway says.
_ANSWERED = {
    1: 2, 2: 2, 3: 1, 4: 2, 10: 1, 12: 2, 13: 2, 17: 1, 45: 2, 46: 2, 50: 2, 52: 2, 57: 2, 58: 2, 81: 1, 88: 1,
    90: 1, 96: 1, 97: 1, 98: 1, 99: 1, 106: 1,
}  # fmt: skip
_NAMED = {5: 3, 7: 3, 11: 4, 61: 4, 71: 5, 101: 2}  # the place of the symbol where there is one
EXECUTION, COMMISSION = 11, 59
_EXEC_ID = 14


class Aim:
    """Remembers which request, order and execution is about which share, for each client."""

    def __init__(self) -> None:
        self._shares: dict[Client, dict[str, str]] = {}

    def note(self, client: Client, kind: int, fields: Sequence[str]) -> str:
        """Return the symbol, or the contract id, that a request is about, and remember it; empty for none."""
        known = self._shares.setdefault(client, {})
        places = _ASKED.get(kind)
        if places is None:
            return known.get(_at(fields, _ENDED.get(kind, -1)), "")
        share = _at(fields, places[2]) or _at(fields, places[1])
        _remember(known, _at(fields, places[0]), share)
        return share

    def of(self, client: Client, message: Message) -> str:
        """Return the symbol, or the contract id, that an answer is about; empty for none."""
        known = self._shares.setdefault(client, {})
        if message.kind == COMMISSION:
            return known.get(_at(message.fields, 2), "")
        if message.kind not in _NAMED:
            return known.get(_at(message.fields, _ANSWERED.get(message.kind, -1)), "")
        share = _at(message.fields, _NAMED[message.kind])
        if message.kind == EXECUTION:
            _remember(known, _at(message.fields, _EXEC_ID), share)
        return share

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._shares.pop(client, None)


def is_about(share: str, symbol: str) -> bool:
    """Return whether a symbol or contract id means this symbol."""
    return share in (symbol, str(con_id_of(symbol)))


def _at(fields: Sequence[str], place: int) -> str:
    return fields[place] if 0 <= place < len(fields) else ""


def _remember(known: dict[str, str], number: str, share: str) -> None:
    if number and share and len(number) + len(share) <= _LONGEST:
        known.pop(number, None)
        known[number] = share
        if len(known) > MAX_IDS:
            del known[next(iter(known))]
