"""What a broker charges: IBKR's fixed plan for US shares."""

from __future__ import annotations

from decimal import Decimal

RATE = Decimal("0.005")  # USD a share
MINIMUM = Decimal(1)  # USD an order
MAXIMUM = Decimal("0.01")  # of the order's value
NO_CHARGE = Decimal("0.00")  # USD


def ibkr_fixed(quantity: int, notional: Decimal) -> Decimal:
    """Return the commission of one whole order in USD, unrounded.

    `quantity` in shares and `notional` in USD, both of everything filled so far. The cap of 1 % beats the minimum of
    one dollar. Source: IBKR, US stocks, fixed pricing.

    >>> ibkr_fixed(1000, Decimal(25_000))
    Decimal('5.000')
    >>> ibkr_fixed(10, Decimal("2.00"))
    Decimal('0.0200')
    """
    return min(max(RATE * quantity, MINIMUM), MAXIMUM * notional)


class CommissionMeter:
    """Charges one order fill by fill, so that the charges add up to the fee of the whole order.

    The first fill pays the minimum; later ones only what they add beyond it. A charge is never negative.
    """

    __slots__ = ("charged", "notional", "quantity")

    def __init__(self, quantity: int = 0, notional: Decimal = Decimal(0)) -> None:
        """Start after `quantity` shares for `notional` USD have been filled and charged."""
        self.quantity = quantity
        self.notional = notional
        self.charged = ibkr_fixed(quantity, notional) if quantity else NO_CHARGE  # USD

    def charge(self, quantity: int, price: Decimal) -> Decimal:
        """Book one fill of `quantity` shares at `price` USD and return its commission in USD."""
        before = self.charged
        self.quantity += quantity
        self.notional += quantity * price
        self.charged = ibkr_fixed(self.quantity, self.notional)
        return self.charged - before
