"""Where a position is wrong: the distance of protective stops."""

from __future__ import annotations

from dataclasses import dataclass

from robo_trader.core.events import Side
from robo_trader.core.protocols import View


@dataclass(frozen=True)
class StopOptions:
    """The distance is `atr_multiple` ATRs; where no ATR is known, `fallback_fraction` of the price."""

    atr_multiple: float = 3.0
    fallback_fraction: float = 0.05


class AtrStop:
    """A stop some ATRs away from the price: below it for what is bought, above it for what is sold short.

    Source: Wilder (1978) for the ATR; the volatility stop is Kaufman's, Trading Systems and Methods.
    With price 100, ATR 0.50 and multiple 3 a long position is stopped at 98.50, a short one at 101.50.
    """

    def __init__(self, options: StopOptions) -> None:
        self._options = options

    def price(self, symbol: str, side: Side, view: View) -> float | None:
        """Return the stop price in USD of what is entered by `side` now, None without a price."""
        price, atr = view.price(symbol), view.feature(symbol, "atr_14")
        if price is None:
            return None
        known = atr is not None and 0 < atr * self._options.atr_multiple < price
        distance = (
            atr * self._options.atr_multiple if known and atr else price * self._options.fallback_fraction
        )
        return price - side.sign * distance
