"""How much to hold: the same risk per trade whatever the volatility, floored to whole shares."""

from __future__ import annotations

from dataclasses import dataclass

from robo_trader.core.instrument import Instrument
from robo_trader.core.protocols import Sizing, View
from robo_trader.core.steps import Signal


@dataclass(frozen=True)
class SizingOptions:
    """Fractions of equity; `atr_multiple` is the distance in ATRs at which a position is held to be wrong."""

    risk_per_trade: float = 0.002
    atr_multiple: float = 3.0
    target_fraction: float = 0.10
    min_notional_usd: float = 1_000.0


class AtrSizer:
    """Size by volatility: equity x risk per trade / (ATR x multiple), capped at a fraction of equity.

    Source: Wilder (1978) for the ATR; the rule is Elder's 2 % rule with an ATR stop.
    With equity 100,000, risk 0.2 %, ATR 0.50 and multiple 3: 200 / 1.50 = 133 shares.
    """

    def __init__(self, options: SizingOptions) -> None:
        self._options = options

    def size(self, signal: Signal, view: View) -> Sizing:
        """Return the signed shares to hold and each step that led there; 0 with a reason where a number is missing."""
        if signal.direction == 0:
            return Sizing(0)
        equity, price = view.equity(), view.price(signal.symbol)
        atr = view.feature(signal.symbol, "atr_14")
        if equity is None or price is None or atr is None or not atr > 0:
            return Sizing(0, reason=f"no size without equity ({equity}), price ({price}) and ATR ({atr})")
        options = self._options
        steps = {"equity_usd": float(equity), "price_usd": price, "atr_usd": atr}
        steps["risk_usd"] = steps["equity_usd"] * options.risk_per_trade
        steps["stop_distance_usd"] = atr * options.atr_multiple
        steps["shares_by_risk"] = steps["risk_usd"] / steps["stop_distance_usd"]
        steps["shares_by_cap"] = steps["equity_usd"] * options.target_fraction / price
        shares = floored(signal.symbol, min(steps["shares_by_risk"], steps["shares_by_cap"]))
        steps["shares"] = shares
        return at_least(shares * signal.direction, price, options.min_notional_usd, steps)


class FixedSizer:
    """Size every position as the same fraction of equity, whatever the volatility."""

    def __init__(self, options: SizingOptions) -> None:
        self._options = options

    def size(self, signal: Signal, view: View) -> Sizing:
        """Return the signed shares to hold; 0 with a reason where equity or price is missing."""
        if signal.direction == 0:
            return Sizing(0)
        equity, price = view.equity(), view.price(signal.symbol)
        if equity is None or price is None:
            return Sizing(0, reason=f"no size without equity ({equity}) and price ({price})")
        steps = {"equity_usd": float(equity), "price_usd": price}
        shares = floored(signal.symbol, steps["equity_usd"] * self._options.target_fraction / price)
        steps["shares"] = shares
        return at_least(shares * signal.direction, price, self._options.min_notional_usd, steps)


def floored(symbol: str, shares: float) -> int:
    """Return whole shares, none where it is less than one."""
    return Instrument(symbol).quantity(max(0.0, shares))


def at_least(shares: int, price: float, min_notional_usd: float, steps: dict[str, float]) -> Sizing:
    """Return the size, 0 with a reason where it is worth less than the smallest position."""
    # Below this the $1 minimum commission eats any edge.
    if abs(shares) * price < min_notional_usd:
        why = f"{abs(shares)} shares are worth less than the minimum position of ${min_notional_usd:,.0f}"
        return Sizing(0, steps, why)
    return Sizing(shares, steps)
