"""What the gateway says of the account: positions, holdings, values and profit and loss."""

from __future__ import annotations

from decimal import Decimal

from robo_trader.practice.account.books import Position
from robo_trader.practice.account.values import Row
from robo_trader.practice.market.contracts import fields_of
from robo_trader.practice.market.listings import american
from robo_trader.practice.protocol.wire import UNSET_DOUBLE, Field, frame

_CENT = Decimal("0.01")


def position(account: str, symbol: str, held: Position) -> bytes:
    """Encode position (61)."""
    return frame(61, 3, account, *fields_of(symbol, ""), held.quantity, held.average)


def position_multi(request: int, account: str, symbol: str, held: Position) -> bytes:
    """Encode positionMulti (71), of no model."""
    return frame(71, 1, request, account, *fields_of(symbol, ""), held.quantity, held.average, "")


def portfolio(account: str, symbol: str, held: Position, value: Decimal) -> bytes:
    """Encode portfolioValue (7); `value` is what the position is worth, USD."""
    home, price = american(symbol), value / held.quantity if held.quantity else Decimal(0)
    return frame(
        7, 8, home.con_id, symbol, "STK", "", 0, "0", "", home.primary, "USD", symbol, home.trading_class,
        held.quantity, _fine(price), value, held.average, _fine(value - held.cost), _fine(held.realised), account,
    )  # fmt: skip


def value(account: str, row: Row) -> bytes:
    """Encode acctValue (6)."""
    return frame(6, 2, *row, account)


def value_multi(request: int, account: str, row: Row) -> bytes:
    """Encode accountUpdateMulti (73), of no model."""
    return frame(73, 1, request, account, "", *row)


def summary(request: int, account: str, row: Row) -> bytes:
    """Encode accountSummary (63)."""
    return frame(63, 1, request, account, *row)


def pnl(request: int, daily: Decimal, unrealised: Decimal, realised: Decimal) -> bytes:
    """Encode pnl (94), USD."""
    return frame(94, request, _usd(daily), _usd(unrealised), _usd(realised))


def pnl_single(
    request: int,
    quantity: int,
    daily: Decimal | None,
    unrealised: Decimal | None,
    realised: Decimal | None,
    worth: Decimal | None,
) -> bytes:
    """Encode pnlSingle (95), USD; None is unknown."""
    return frame(95, request, quantity, _usd(daily), _usd(unrealised), _usd(realised), _usd(worth))


def _fine(amount: Decimal) -> Decimal:
    """Drop the endless digits that a division left behind."""
    return round(amount, 8)


def _usd(amount: Decimal | None) -> Field:
    return UNSET_DOUBLE if amount is None else amount.quantize(_CENT)
