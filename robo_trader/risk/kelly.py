"""How much to hold by Kelly: as much as the odds are worth, less for thin evidence and for bad weather."""

from __future__ import annotations

from dataclasses import dataclass, field

from robo_trader.core.protocols import Sizing, View
from robo_trader.core.steps import Payoff, Regime, Signal
from robo_trader.risk.heat import heat
from robo_trader.risk.sizing import SizingOptions, at_least, floored


@dataclass(frozen=True)
class KellyOptions:
    """The share of Kelly's fraction that is risked, what each regime leaves of a size, and the heat limit.

    A regime that is not named leaves all of it; where none is known, the least of the multipliers holds.
    """

    fraction: float = 0.25
    multipliers: dict[str, float] = field(
        default_factory=lambda: {str(Regime.CRASH): 0.25, str(Regime.VOLATILE): 0.5}
    )
    max_heat_fraction: float = 0.06


def kelly(p: float, odds: float) -> float:
    """Return the share of wealth to stake on winning `odds` times the stake with probability p, else losing it.

    Below 0 it is no bet. Source: Kelly (1956).

    >>> round(kelly(0.65, 1.0), 6), round(kelly(0.65, 0.5), 6)
    (0.3, -0.05)
    """
    return p - (1 - p) / odds


def evidence(p: float, odds: float, deviation: float) -> float:
    """Return what is left of Kelly's fraction where p is known with that deviation only, in [0, 1].

    Source: Baker and McHale (2013), by the delta method.

    >>> round(evidence(0.55, 1.0, 0.05), 6)
    0.5
    """
    edge = (odds + 1) * p - 1
    doubt = (odds + 1) * deviation
    return edge**2 / (edge**2 + doubt**2) if edge else 0.0


class KellySizer:
    """Size by the odds of a calibrated forecast, and never above what volatility, cap and heat allow.

    f = p - q / b with b what such votes won over what they lost, net of cost; `fraction` of that, shrunk for evidence, is
    the share of equity to risk at the stop. It is bounded by the risk per trade as in `AtrSizer`; the regime then scales
    the size. The gates still have the last word.
    """

    def __init__(self, options: SizingOptions, kelly_options: KellyOptions) -> None:
        self._options = options
        self._kelly = kelly_options

    def size(self, signal: Signal, view: View) -> Sizing:
        """Return the signed shares to hold and each step that led there; 0 with a reason where a number is missing."""
        if signal.direction == 0:
            return Sizing(0)
        symbol, options = signal.symbol, self._options
        equity, price, atr = view.equity(), view.price(symbol), view.feature(symbol, "atr_14")
        if equity is None or price is None or atr is None or not atr > 0:
            return Sizing(0, reason=f"no size without equity ({equity}), price ({price}) and ATR ({atr})")
        if signal.probability is None or signal.payoff is None:
            return Sizing(
                0, reason="no Kelly size without a calibrated probability and what such votes came to"
            )
        burning = heat(view, options.atr_multiple, {symbol: 0})
        if burning is None:
            return Sizing(0, reason="no Kelly size while the heat of what is held is unknown")
        steps = {"equity_usd": float(equity), "price_usd": price, "atr_usd": atr}
        p = signal.probability if signal.direction > 0 else 1 - signal.probability
        risked = self._risked(p, signal.payoff, steps)
        if risked <= 0:
            return Sizing(0, steps, _no_bet(p, signal.payoff))
        distance = steps["stop_distance_usd"] = atr * options.atr_multiple
        steps["shares_by_kelly"] = steps["equity_usd"] * risked / distance
        steps["shares_by_risk"] = steps["equity_usd"] * options.risk_per_trade / distance
        steps["shares_by_cap"] = steps["equity_usd"] * options.target_fraction / price
        steps["shares_by_heat"] = (
            steps["equity_usd"] * max(0.0, self._kelly.max_heat_fraction - burning) / distance
        )
        steps["regime_multiplier"] = self._multiplier(symbol, view)
        allowed = min(steps["shares_by_kelly"], steps["shares_by_risk"], steps["shares_by_cap"])
        shares = floored(symbol, min(steps["regime_multiplier"] * allowed, steps["shares_by_heat"]))
        steps["shares"] = shares
        return at_least(shares * signal.direction, price, options.min_notional_usd, steps)

    def _risked(self, p: float, payoff: Payoff, steps: dict[str, float]) -> float:
        """Return the share of equity to risk, not above 0 where it is no bet; note what it comes from."""
        steps |= {"probability": p, "win_bps": payoff.win_bps, "loss_bps": payoff.loss_bps}
        steps["trades"] = payoff.trades
        if not (0 < p < 1 and payoff.win_bps > 0 and payoff.loss_bps > 0 and payoff.trades > 0):
            return 0.0
        odds = steps["odds"] = payoff.win_bps / payoff.loss_bps
        steps["kelly_fraction"] = kelly(p, odds)
        if steps["kelly_fraction"] <= 0:
            return 0.0
        steps["evidence"] = evidence(p, odds, (p * (1 - p) / payoff.trades) ** 0.5)
        steps["risked_fraction"] = self._kelly.fraction * steps["evidence"] * steps["kelly_fraction"]
        return steps["risked_fraction"]

    def _multiplier(self, symbol: str, view: View) -> float:
        reading, known = view.regime(symbol), self._kelly.multipliers
        if reading is None or not reading.known:
            return min(1.0, *known.values()) if known else 1.0
        return known.get(reading.regime, 1.0)


def _no_bet(p: float, payoff: Payoff) -> str:
    return (
        f"no bet by Kelly: at P {p:.2f} votes won {payoff.win_bps:.1f} bp and lost {payoff.loss_bps:.1f} bp after costs, "
        f"in {payoff.trades} trades"
    )
