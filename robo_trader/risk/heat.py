"""Portfolio heat: what all positions together would lose at their stops, as a share of equity."""

from __future__ import annotations

from robo_trader.core.protocols import View


def open_risk_usd(view: View, symbol: str, shares: int, atr_multiple: float) -> float | None:
    """Return what `shares` would lose over `atr_multiple` ATRs in USD, None where the ATR is unknown.

    Until a position carries a stop of its own, that distance stands for it. Source: Elder, Come Into My Trading Room.
    """
    if shares == 0:
        return 0.0
    atr = view.feature(symbol, "atr_14")
    return None if atr is None or not atr > 0 else abs(shares) * atr * atr_multiple


def heat(view: View, atr_multiple: float, projected: dict[str, int]) -> float | None:
    """Return open risk over equity with `projected` signed shares in place of those held; None where unknown."""
    equity = view.equity()
    if equity is None or equity <= 0:
        return None
    total = 0.0
    for symbol in {**dict.fromkeys(view.held()), **projected}:
        shares = projected.get(symbol)
        if shares is None:
            shares = view.position(symbol) + view.working(symbol)
        risk = open_risk_usd(view, symbol, shares, atr_multiple)
        if risk is None:
            return None
        total += risk
    return total / float(equity)
