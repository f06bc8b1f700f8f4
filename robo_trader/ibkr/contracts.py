"""Finds the one US share a symbol means, and what its prices are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from ib_async.contract import Contract, ContractDetails, Stock

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.instrument import Instrument
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.refusals import RequestRefused

_NO_SUCH_CONTRACT = 200
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class ContractRecord:
    """A share as TWS knows it and as the desk knows it."""

    contract: Contract
    instrument: Instrument


class Contracts:
    """The shares this daemon trades. Contract ids outlive sessions, so each is asked for once."""

    def __init__(self, connection: Connection, pacer: Pacer) -> None:
        self._connection = connection
        self._pacer = pacer
        self._known: dict[str, ContractRecord] = {}

    async def qualify(self, symbol: str) -> ContractRecord:
        """Return the share of this symbol.

        Raises ConfigurationError where there is none or more than one, RequestRefused and ConnectionLost as
        `Connection.ask` does.
        """
        if symbol not in self._known:
            self._known[symbol] = _record(symbol, await self._look_up(symbol))
        return self._known[symbol]

    async def _look_up(self, symbol: str) -> list[ContractDetails]:
        await self._pacer.lookup()
        # TWS writes the class of a share with a space: BRK B, not BRK.B.
        share = Stock(symbol.replace(".", " "), "SMART", "USD")
        try:
            return await self._connection.ask(
                self._connection.ib.reqContractDetailsAsync(share), f"the contract of {symbol}"
            )
        except RequestRefused as error:
            if error.code == _NO_SUCH_CONTRACT:
                return []
            raise


def tick_of(min_tick: float) -> Decimal:
    """Return the price step in USD for a share's minTick, never under a cent.

    Steps finer than a cent are valid only in some price bands; a whole cent is valid in all of them.

    >>> tick_of(0.0001), tick_of(0.05)
    (Decimal('0.01'), Decimal('0.05'))
    """
    if not math.isfinite(min_tick) or min_tick <= 0 or min_tick > 1:
        return _CENT
    return max(_CENT, Decimal(repr(min_tick)))


def _record(symbol: str, found: list[ContractDetails]) -> ContractRecord:
    shares = {d.contract.conId: (d.contract, d) for d in found if d.contract is not None}
    if not shares:
        raise ConfigurationError(f"unknown symbol {symbol}: TWS knows no US share of that name")
    if len(shares) > 1:
        choices = "; ".join(f"{d.longName} ({c.primaryExchange}, id {c.conId})" for c, d in shares.values())
        raise ConfigurationError(f"symbol {symbol} is ambiguous, and guessing is not trading: {choices}")
    contract, details = next(iter(shares.values()))
    contract.exchange = "SMART"
    return ContractRecord(contract, Instrument(symbol, tick_of(details.minTick)))
