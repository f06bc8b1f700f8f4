"""One symbol's standing book: the market's ten levels a side, and our own orders in line among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from robo_trader.core.events import Side
from robo_trader.core.protocols import Execution

Ladder = Sequence[tuple[int, int]]  # price in cents and shares, best first

DEPTH = 10
_SAME = 1e-6  # cents; a price off the cent is between two levels


class Level(NamedTuple):
    """Shares of the market's own orders at one price, USD."""

    price: float
    size: int


class Filled(NamedTuple):
    """What a resting order of ours got: the key it rests under, shares, and its own price."""

    key: int
    quantity: int
    price: Decimal


@dataclass(slots=True)
class _Resting:
    key: int
    side: Side
    cents: int
    quantity: int
    ahead: int


class LimitBook:
    """The market's levels as it tells them, less what we took, and our orders waiting at their prices.

    The market is exogenous: its prints and levels come as they come, whatever we do. Hence two rules of bookkeeping.

    * **A level we took from stays reduced until the market draws it anew**, that is until it tells more shares at that
      price than it told last, or has left the price in between. When it tells fewer, the less of both stands.
    * **The queue before an order of ours only shrinks**: by prints at its price, by cancellations (the level is told
      smaller than the queue), to nothing when the level vanishes or a trade goes through it. New orders of the market
      line up behind us. An order outside the levels shown waits behind the size of the farthest one shown.

    Sides are the sides of orders: `Side.BUY` names the bids in `levels` and `rest`; in `take` it is the taker's side.
    """

    def __init__(self, bids: Ladder = (), asks: Ladder = ()) -> None:
        self._told: dict[Side, dict[int, int]] = {Side.BUY: dict(bids), Side.SELL: dict(asks)}
        self._left = {side: dict(levels) for side, levels in self._told.items()}
        self._resting: dict[int, _Resting] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._resting

    @property
    def busy(self) -> bool:
        """Whether an order of ours rests here or a level still lacks what we took."""
        return bool(self._resting) or self._left != self._told

    def levels(self, side: Side) -> list[Level]:
        """Return what of the market's own orders can still be had, best first, at most ten; ours not included."""
        return [Level(cents / 100, left) for cents, left in self._ladder(side)[:DEPTH]]

    # ---------------------------------------------------------------------------------------------- what we do

    def take(self, side: Side, quantity: int, limit: Decimal | None) -> list[Execution]:
        """Trade at once against the other side, best first, one execution a level; never beyond `limit` (USD).

        A BUY takes asks, a SELL hits bids. What is not to be had is not traded: the sum may be short of `quantity`.
        """
        other = _OTHER[side]
        bound = None if limit is None else limit * 100
        done: list[Execution] = []
        for cents, left in self._ladder(other):
            if quantity <= 0 or (bound is not None and (cents - bound) * side.sign > 0):
                break
            traded = min(left, quantity)
            quantity -= traded
            self._remove(other, cents, traded)
            done.append(Execution(traded, _usd(cents)))
        return done

    def rest(self, key: int, side: Side, price: Decimal, quantity: int) -> None:
        """Join the back of the queue at a price (USD, on the cent) with `quantity` shares, under a key not yet here."""
        cents = int(price * 100)
        if cents != price * 100 or quantity <= 0 or key in self._resting:
            raise ValueError(f"cannot rest {quantity} shares at {price} under {key}")
        ahead = self._left[side].get(cents, 0)
        if not self._shown(side, cents):
            ahead = self._left[side][_farthest(side, self._told[side])] if self._told[side] else 0
        self._resting[key] = _Resting(key, side, cents, quantity, ahead)

    def reduce(self, key: int, quantity: int) -> None:
        """Leave only `quantity` shares of an order at rest; it keeps its place. More than it has changes nothing."""
        order = self._resting[key]
        order.quantity = min(order.quantity, quantity)
        if order.quantity <= 0:
            del self._resting[key]

    def leave(self, key: int) -> None:
        """Take an order out of its queue; one that is not there changes nothing."""
        self._resting.pop(key, None)

    def ahead(self, key: int) -> int:
        """Return the market's shares that trade before an order of ours."""
        return self._resting[key].ahead

    def remaining(self, key: int) -> int:
        """Return the shares an order of ours still has at rest, 0 where it is not."""
        return self._resting[key].quantity if key in self._resting else 0

    # ---------------------------------------------------------------------------------------- what the market does

    def on_levels(self, bids: Ladder, asks: Ladder) -> list[Filled]:
        """Take over the market's new levels. Orders of ours that its other side now crosses fill at their own price.

        They get no more than is shown there, best price and then oldest first, and what they get is taken.
        """
        self.show(bids, asks)
        filled: list[Filled] = []
        for side in (Side.BUY, Side.SELL):
            best = next(iter(self._ladder(_OTHER[side])), (0, 0))[0]
            for order in self._in_line(side, best) if best else ():
                for cents, left in self._ladder(_OTHER[side]):
                    if not order.quantity or (cents - order.cents) * side.sign > 0:
                        break
                    traded = min(left, order.quantity)
                    self._remove(_OTHER[side], cents, traded)
                    filled.append(self._fill(order, traded))
        return filled

    def show(self, bids: Ladder, asks: Ladder) -> None:
        """Take over the market's new levels while nothing trades."""
        self._redraw(Side.BUY, dict(bids))
        self._redraw(Side.SELL, dict(asks))

    def on_print(self, price: float, size: int, aggressor: Side | None = None) -> list[Filled]:
        """Take over a trade of the market at `price` (USD). Our orders share its size, best price and then oldest first.

        At our price it serves the queue before us first; through our price it serves us at once, at our own price. A
        print known to be an aggressive buy took an offer, so it never serves a bid at that price, and vice versa.
        """
        filled: list[Filled] = []
        cents = price * 100
        for side in (Side.BUY, Side.SELL):
            served = 0  # of the market's queue at the printed price
            for order in self._in_line(side, cents):
                beyond = (order.cents - cents) * side.sign
                if beyond > _SAME:
                    order.ahead = 0
                elif aggressor is side:
                    break
                else:
                    before = min(size, max(0, order.ahead - served))
                    served, size = served + before, size - before
                    order.ahead = max(0, order.ahead - served)
                if (traded := min(size, order.quantity)) > 0:
                    size -= traded
                    filled.append(self._fill(order, traded))
        return filled

    # --------------------------------------------------------------------------------------------------- inside

    def _ladder(self, side: Side) -> list[tuple[int, int]]:
        standing = sorted(self._left[side].items(), reverse=side is Side.BUY)
        return [(cents, left) for cents, left in standing if left > 0]

    def _in_line(self, side: Side, cents: float) -> list[_Resting]:
        """Return our orders of a side at a price or beyond it, in price-time order."""
        sign = side.sign
        bound = cents * sign - _SAME
        ours = [
            order for order in self._resting.values() if order.side is side and order.cents * sign >= bound
        ]
        return sorted(ours, key=lambda order: -order.cents * sign)

    def _remove(self, side: Side, cents: int, shares: int) -> None:
        left = self._left[side][cents] = self._left[side][cents] - shares
        for order in self._resting.values():
            if order.side is side and order.cents == cents:
                order.ahead = min(order.ahead, left)

    def _redraw(self, side: Side, told: dict[int, int]) -> None:
        before, left = self._told[side], self._left[side]
        self._told[side] = told
        self._left[side] = {
            cents: size if size > before.get(cents, 0) else min(size, left[cents])
            for cents, size in told.items()
        }
        if not told:
            return
        reach = _farthest(side, told) * side.sign
        for order in self._resting.values():
            if order.side is side and order.cents * side.sign >= reach:
                order.ahead = min(order.ahead, self._left[side].get(order.cents, 0))

    def _shown(self, side: Side, cents: int) -> bool:
        """Say whether the levels told reach as far as this price."""
        told = self._told[side]
        return bool(told) and (cents - _farthest(side, told)) * side.sign >= 0

    def _fill(self, order: _Resting, quantity: int) -> Filled:
        order.quantity -= quantity
        if not order.quantity:
            del self._resting[order.key]
        return Filled(order.key, quantity, _usd(order.cents))


_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def _farthest(side: Side, told: dict[int, int]) -> int:
    return min(told) if side is Side.BUY else max(told)


def _usd(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
