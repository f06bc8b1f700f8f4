"""The practice account: cash, positions at average cost, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from robo_trader.core.events import Side

LEVERAGE = 4  # a day's buying power of a margin account over its net liquidation value
_CENT = Decimal("0.01")
_FINE = Decimal("0.00000001")


class Position(msgspec.Struct, frozen=True):
    """Signed shares, what they cost in all (commission included, as IB counts it), and P&L realised so far, USD."""

    quantity: int = 0
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal:
        """Cost of one share, 0 without a position."""
        return (self.cost / self.quantity).quantize(_FINE) if self.quantity else Decimal(0)


FLAT = Position()
Mark = Callable[[str], float | None]


class Books(msgspec.Struct):
    """Cash and positions. Cash is exact: start less every price x shares and every commission, never rounded."""

    cash: Decimal
    positions: dict[str, Position] = {}

    def book(
        self, symbol: str, side: Side, quantity: int, price: Decimal, commission: Decimal
    ) -> Decimal | None:
        """Take one execution. Return the P&L it realised after commission, None where it closed nothing."""
        before = self.positions.get(symbol, FLAT)
        signed = side.sign * quantity
        self.cash -= signed * price + commission
        closing = min(quantity, abs(before.quantity)) if before.quantity * signed < 0 else 0
        closing_fee = commission * closing / quantity
        released = before.cost * closing / abs(before.quantity) if closing else Decimal(0)
        opening = side.sign * (quantity - closing)
        cost = before.cost - released + opening * price + (commission - closing_fee)
        realised = -side.sign * closing * price - released - closing_fee if closing else Decimal(0)
        after = before.quantity + signed
        self.positions[symbol] = Position(after, cost if after else Decimal(0), before.realised + realised)
        return realised.quantize(_FINE) if closing else None

    def quantity(self, symbol: str) -> int:
        return self.positions.get(symbol, FLAT).quantity

    def held(self) -> list[str]:
        """Return the symbols with a position now."""
        return [symbol for symbol, position in self.positions.items() if position.quantity]

    def value(self, symbol: str, mark: Mark) -> Decimal:
        """Return what a position is worth at the last price, at cost where it has none."""
        position = self.positions.get(symbol, FLAT)
        price = mark(symbol)
        if price is None:
            return position.cost
        return position.quantity * Decimal(price).quantize(_CENT)

    def net_liquidation(self, mark: Mark) -> Decimal:
        return self.cash + sum((self.value(symbol, mark) for symbol in self.held()), Decimal(0))

    def gross(self, mark: Mark) -> Decimal:
        """Return the sum of the positions' absolute values."""
        return sum((abs(self.value(symbol, mark)) for symbol in self.held()), Decimal(0))

    def values(self, mark: Mark) -> dict[str, Decimal]:
        """Return the account values TWS tells, by its names, USD."""
        worth = {symbol: self.value(symbol, mark) for symbol in self.held()}
        longs = sum((value for value in worth.values() if value > 0), Decimal(0))
        shorts = sum((value for value in worth.values() if value < 0), Decimal(0))
        equity, gross = self.cash + longs + shorts, longs - shorts
        margin = gross / LEVERAGE
        unrealised = sum((worth[symbol] - self.positions[symbol].cost for symbol in worth), Decimal(0))
        realised = sum((position.realised for position in self.positions.values()), Decimal(0))
        free = max(equity - margin, Decimal(0))
        return {
            "NetLiquidation": equity,
            "TotalCashValue": self.cash,
            "SettledCash": self.cash,
            "CashBalance": self.cash,
            "EquityWithLoanValue": equity,
            "GrossPositionValue": gross,
            "StockMarketValue": longs + shorts,
            "UnrealizedPnL": unrealised.quantize(_FINE),
            "RealizedPnL": realised.quantize(_FINE),
            "InitMarginReq": margin,
            "MaintMarginReq": margin,
            "AvailableFunds": free,
            "ExcessLiquidity": free,
            "BuyingPower": free * LEVERAGE,
        }
