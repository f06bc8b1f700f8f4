"""The one fill model of the package: an order against the standing quote."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import Order, OrderType, Side
from robo_trader.core.instrument import Instrument
from robo_trader.core.protocols import Execution, Market


@dataclass(frozen=True)
class MatchingOptions:
    """How much of a market one order may be."""

    participation: float = 0.1  # share of the volume traded while the quote stands

    def __post_init__(self) -> None:
        if not 0 < self.participation <= 1:
            raise ConfigurationError(f"participation must be above 0 and at most 1, not {self.participation}")


class Matching:
    """Fills market orders at the quote and limit orders once the quote reaches their limit. Has no memory.

    A stop is triggered by a price at or beyond it and is a market order from then on: after a gap it trades where the
    market is, not where the stop was. Prices that count are what traded (a print, a bar's open, low and high) and, of a
    quote, the side that is farther from the stop, so that a spread that only widens triggers nothing.
    """

    def __init__(self, options: MatchingOptions | None = None) -> None:
        self.options = options or MatchingOptions()

    def available(self, volume: float) -> int:
        """Return the shares orders may take out of a traded `volume`: the participation, floored, but at least one.

        This is the one place where participation applies; `fill` takes `Market.available` as it is.

        >>> Matching().available(1234.0), Matching().available(3.0), Matching().available(0.0)
        (123, 1, 0)
        """
        if not math.isfinite(volume) or volume < 1:
            return 0
        return max(1, math.floor(volume * self.options.participation))

    def fill(self, order: Order, remaining: int, market: Market) -> Execution | None:
        """Return what trades of the `remaining` shares now, None for nothing.

        A buy pays the ask, a sell gets the bid, on the cent; a limit order trades only where that is no worse than
        its limit. Whether a stop was triggered is for the caller to know. Nothing trades on a quote that is missing a
        side, not finite or crossed.
        """
        quantity = min(remaining, market.available)
        if quantity <= 0 or not _is_quote(market.bid, market.ask):
            return None
        price = Instrument(order.symbol).price(market.ask if order.side is Side.BUY else market.bid)
        if order.type is OrderType.LIMIT and (
            order.limit_price is None or (price - order.limit_price) * order.side.sign > 0
        ):
            return None
        return Execution(quantity, price)

    def triggers(self, order: Order, low: float, high: float) -> bool:
        """Say whether prices from `low` to `high` (USD) reach a stop: a sell stop from above, a buy stop from below.

        >>> from decimal import Decimal
        >>> stop = Order("s-1.1", "s-1", "NVDA", Side.SELL, 10, OrderType.STOP, stop_price=Decimal(99))
        >>> Matching().triggers(stop, 99.01, 99.5), Matching().triggers(stop, 99.0, 99.5)
        (False, True)
        """
        if order.stop_price is None:
            return False
        stop = float(order.stop_price)
        return 0 < low <= stop if order.side is Side.SELL else stop <= high < math.inf

    def quote_triggers(self, order: Order, bid: float, ask: float) -> bool:
        """Say whether a quote stands wholly at or beyond a stop; one that is no sound quote does not."""
        return _is_quote(bid, ask) and self.triggers(order, low=ask, high=bid)


def _is_quote(bid: float, ask: float) -> bool:
    # A comparison with NaN is false, so NaN is refused too.
    return 0.005 < bid <= ask < math.inf
