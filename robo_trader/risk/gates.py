"""The gates on the way out: each may refuse an order, each refuses what it cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robo_trader.core.events import SECOND_NS, Order
from robo_trader.core.protocols import Refusal, RiskGate, View
from robo_trader.risk.heat import heat


@dataclass(frozen=True)
class GateOptions:
    """Limits; fractions are of equity, `max_order_notional_usd` of one order as sent."""

    max_order_notional_usd: float = 25_000.0
    max_position_fraction: float = 0.20
    max_daily_loss_fraction: float = 0.03
    max_heat_fraction: float = 0.06
    heat_atr_multiple: float = 3.0
    max_price_age_s: float = 180.0


def all_gates(options: GateOptions) -> Sequence[RiskGate]:
    """Return every gate, the cheapest and plainest answers first."""
    return (
        HaltGate(),
        MarketHoursGate(),
        QuarantineGate(),
        PriceAgeGate(options),
        OrderNotionalGate(options),
        PositionSizeGate(options),
        DailyLossGate(options),
        PortfolioHeatGate(options),
    )


class HaltGate:
    """Refuses new exposure while the desk is halted or only reduces."""

    name = "halted"

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse while anybody has stopped new exposure."""
        return Refusal(self.name, f"no new exposure: {view.stopped}") if view.stopped else None


class MarketHoursGate:
    """Refuses outside the regular session, where a market order would wait for an unknown open."""

    name = "market_closed"

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when no session is open at the desk's time; at the closing bell it is no longer open."""
        session = view.session()
        if session is not None and view.now < session.close:
            return None
        return Refusal(self.name, "the exchange is closed")


class QuarantineGate:
    """Refuses a symbol whose position differs from the broker's."""

    name = "quarantine"

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse while our books and the broker's disagree on this symbol."""
        if not view.quarantined(order.symbol):
            return None
        return Refusal(self.name, f"our position in {order.symbol} differs from the broker's")


class PriceAgeGate:
    """Refuses on a price that is missing or old."""

    name = "price_age"

    def __init__(self, options: GateOptions) -> None:
        self._limit = options.max_price_age_s

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when the last price is unknown or older than the limit in seconds of market time."""
        age = view.price_age_ns(order.symbol)
        if age is None:
            return Refusal(self.name, f"no price of {order.symbol} is known", None, self._limit)
        seconds = age / SECOND_NS
        if seconds <= self._limit:
            return None
        return Refusal(self.name, f"the price of {order.symbol} is {seconds:.0f} s old", seconds, self._limit)


class OrderNotionalGate:
    """Refuses a single order that is too large: the last catch for a wrong quantity."""

    name = "order_notional"

    def __init__(self, options: GateOptions) -> None:
        self._limit = options.max_order_notional_usd

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when quantity x price exceeds the limit in USD."""
        price = view.price(order.symbol)
        notional = None if price is None else order.quantity * price
        if notional is not None and notional <= self._limit:
            return None
        return Refusal(self.name, f"order of {order.quantity} {order.symbol}", notional, self._limit)


class PositionSizeGate:
    """Refuses when one symbol, with what still works, would outgrow its share of equity."""

    name = "position_size"

    def __init__(self, options: GateOptions) -> None:
        self._limit = options.max_position_fraction

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when |projected shares| x price exceeds the limit as a fraction of equity."""
        price, equity = view.price(order.symbol), view.equity()
        if price is None or equity is None or equity <= 0:
            return Refusal(self.name, f"price ({price}) or equity ({equity}) is unknown", None, self._limit)
        fraction = abs(projected(order, view)) * price / float(equity)
        if fraction <= self._limit:
            return None
        return Refusal(self.name, f"{order.symbol} would be {fraction:.1%} of equity", fraction, self._limit)


class DailyLossGate:
    """Refuses new exposure once the session has lost its limit, unrealised losses included."""

    name = "daily_loss"

    def __init__(self, options: GateOptions) -> None:
        self._limit = options.max_daily_loss_fraction

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when (start of session - now) / start of session reaches the limit."""
        start, equity = view.day_start_equity(), view.equity()
        if start is None or equity is None or start <= 0:
            return Refusal(
                self.name, f"equity now ({equity}) or at the open ({start}) is unknown", None, self._limit
            )
        loss = float((start - equity) / start)
        if loss < self._limit:
            return None
        return Refusal(self.name, f"the session has lost {loss:.2%}", loss, self._limit)


class PortfolioHeatGate:
    """Refuses when all positions together could lose too much at their stops."""

    name = "portfolio_heat"

    def __init__(self, options: GateOptions) -> None:
        self._limit = options.max_heat_fraction
        self._atr_multiple = options.heat_atr_multiple

    def check(self, order: Order, view: View) -> Refusal | None:
        """Refuse when heat with this order exceeds the limit as a fraction of equity."""
        value = heat(view, self._atr_multiple, {order.symbol: projected(order, view)})
        if value is not None and value <= self._limit:
            return None
        seen = "unknown" if value is None else f"{value:.2%}"
        return Refusal(self.name, f"portfolio heat with this order would be {seen}", value, self._limit)


def projected(order: Order, view: View) -> int:
    """Return the signed shares of the order's symbol once everything that works, and this order, has filled."""
    held = view.position(order.symbol) + view.working(order.symbol)
    return held + order.side.sign * order.quantity
