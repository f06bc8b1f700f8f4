"""The account by TWS's latest word: what it holds and what it is worth."""

from __future__ import annotations

from decimal import Decimal

from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import Holding, Lot
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.tickets import symbol_of
from robo_trader.ibkr.values import owned_amount, owned_price, whole_shares


def account_value(connection: Connection, tag: str) -> Decimal:
    """Return an amount in USD. Raises ConnectionLost where TWS has not told it in this session."""
    # TWS tells these anew whenever a position changes, and every three minutes.
    values = connection.ib.accountValues(connection.account)
    by_currency = {value.currency: owned_amount(value.value) for value in values if value.tag == tag}
    amount = by_currency.get("USD", by_currency.get("BASE"))
    if amount is None:
        raise ConnectionLost(f"TWS told no {tag} for {connection.account}")
    return amount


def holdings(connection: Connection) -> tuple[Holding, ...]:
    """Return the account's share positions. Raises ConnectionLost without a session: none told is not none held."""
    return tuple(
        # Shares that came by a transfer or a spin-off have cost nothing.
        Holding(
            symbol_of(p.contract),
            quantity,
            (Lot(quantity, owned_price(p.avgCost) or Decimal(0)),),
            quantity,
        )
        for p in connection.ib.positions(connection.account)
        if p.contract.secType == "STK" and (quantity := whole_shares(p.position))
    )
