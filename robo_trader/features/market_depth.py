"""What lies behind the best bid and ask: the book's five best levels between two bars.

A book counts for the bar in whose time it falls, as a quote does (`microstructure`). A bar without one knows nothing:
what stood before may be long gone. Books are sampled, so these are measures of a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robo_trader.core.events import Level
from robo_trader.features.base import Feature, Floats, Group
from robo_trader.features.cross_section import CONTEXT as BEFORE
from robo_trader.features.kernels import Array, kernel, log_ratio, ratio

# What `tell` says of a bar, in `context`, behind what `cross_section.look` says.
IMBALANCE, MICRO, PRESSURE, COST, FLOW = range(BEFORE, BEFORE + 5)
CONTEXT = BEFORE + 5

# A book is a row of prices and sizes, best first: of bids, then of asks. Where a level is not there its price is 0 or
# infinite and its size 0, so that it comes and goes as any other does.
LEVELS = 5
BIDS, BID_SIZES, ASKS, ASK_SIZES = 0, LEVELS, 2 * LEVELS, 3 * LEVELS
LADDER = 4 * LEVELS

# The sums of a bar; the last two are of books that hold the amount of a round trip.
BOOKS, IMBALANCES, DEVIATION, PRESSURES, FLOWS, DEPTHS, COSTS, DEEP = range(8)
FIELDS = 8

ROUND_TRIP_USD = 25_000.0
NEAREST_BPS = 0.01  # what stands at the mid itself is taken to be that far from it


def ladder(bids: Sequence[Level], asks: Sequence[Level]) -> Floats:
    """Return a book's best levels as a row.

    >>> ladder([(9.99, 100.0)], [(10.01, 200.0), (10.02, 300.0)]).reshape(4, LEVELS)[:, :2].tolist()
    [[9.99, 0.0], [100.0, 0.0], [10.01, 10.02], [200.0, 300.0]]
    """
    row = np.zeros(LADDER)
    row[ASKS:ASK_SIZES] = math.inf
    for prices, sizes, levels in ((BIDS, BID_SIZES, bids), (ASKS, ASK_SIZES, asks)):
        for i, (price, size) in enumerate(levels[:LEVELS]):
            row[prices + i], row[sizes + i] = price, size
    return row


@kernel
def is_ladder(row: Array) -> bool:
    """Tell whether a book can be: both sides there, neither crossed nor unsorted, prices and sizes finite."""
    if not 0.0 < row[BIDS] <= row[ASKS] < np.inf:
        return False
    for i in range(LEVELS):
        if not (0.0 <= row[BID_SIZES + i] < np.inf and 0.0 <= row[ASK_SIZES + i] < np.inf):
            return False
        if i > 0 and not (0.0 <= row[BIDS + i] <= row[BIDS + i - 1] and row[ASKS + i] >= row[ASKS + i - 1]):
            return False
    return True


@kernel
def _side(row: Array, prices: int, sizes: int, mid: float) -> tuple[float, float, float]:
    """Return a side's shares, their sum weighted by the distance from the mid (USD), and shares per basis point."""
    shares = distances = slope = 0.0
    for i in range(LEVELS):
        size = row[sizes + i]
        if size > 0.0:
            distance = abs(row[prices + i] - mid)
            shares += size
            distances += size * distance
            slope += size / max(1e4 * distance / mid, NEAREST_BPS)
    return shares, distances, slope


@kernel
def _walk(row: Array, prices: int, sizes: int, shares: float) -> float:
    """Return what `shares` cost level by level, NaN where a side holds fewer."""
    left, cost = shares, 0.0
    for i in range(LEVELS):
        taken = min(left, row[sizes + i])
        if taken > 0.0:
            cost += taken * row[prices + i]
            left -= taken
    return cost if left <= 0.0 else np.nan


@kernel
def _gain(price: float, size: float, before: float, size_before: float) -> float:
    """Return what a level gained, seen from a side whose better prices are the higher ones."""
    gained = size if price >= before else 0.0
    return gained - size_before if price <= before else gained


@kernel
def _flow(row: Array, b: Array, standing: int) -> float:
    """Return what all levels gained at the bid, less what they gained at the ask, since the standing book."""
    flow = 0.0
    for i in range(LEVELS):
        bid, ask = standing + BIDS + i, standing + ASKS + i
        flow += _gain(row[BIDS + i], row[BID_SIZES + i], b[bid], b[bid + LEVELS])
        flow -= _gain(-row[ASKS + i], row[ASK_SIZES + i], -b[ask], b[ask + LEVELS])
    return flow


@kernel
def measure(row: Array, b: Array, sums: int, standing: int) -> None:
    """Add a book to the sums of its bar, which begin at b[sums], and let it stand, at b[standing]."""
    mid = (row[BIDS] + row[ASKS]) / 2.0
    bids, below, bid_slope = _side(row, BIDS, BID_SIZES, mid)
    asks, above, ask_slope = _side(row, ASKS, ASK_SIZES, mid)
    if b[standing] > 0.0:
        b[sums + FLOWS] += _flow(row, b, standing)
    for i in range(LADDER):
        b[standing + i] = row[i]
    b[sums + BOOKS] += 1.0
    b[sums + IMBALANCES] += ratio(bids - asks, bids + asks, 0.0)
    b[sums + PRESSURES] += log_ratio(bid_slope, ask_slope)
    b[sums + DEPTHS] += (bids + asks) / 2.0
    # Each side's mean price weighs as much as the other side's shares.
    over = ratio(above, asks, 0.0) * bids - ratio(below, bids, 0.0) * asks
    b[sums + DEVIATION] = 1e4 * ratio(over, bids + asks, 0.0) / mid
    shares = ROUND_TRIP_USD / mid
    cost = _walk(row, ASKS, ASK_SIZES, shares) - _walk(row, BIDS, BID_SIZES, shares)
    if not np.isnan(cost):
        b[sums + COSTS] += 1e4 * cost / ROUND_TRIP_USD
        b[sums + DEEP] += 1.0


@kernel
def tell(b: Array, sums: int, context: Array) -> None:
    """Write what the books of a bar say: nothing where it saw none."""
    books = b[sums + BOOKS]
    if books == 0.0:
        return
    context[IMBALANCE] = b[sums + IMBALANCES] / books
    context[MICRO] = b[sums + DEVIATION]
    context[PRESSURE] = b[sums + PRESSURES] / books
    context[FLOW] = ratio(b[sums + FLOWS] * books, b[sums + DEPTHS], 0.0)
    if b[sums + DEEP] > 0.0:
        context[COST] = b[sums + COSTS] / b[sums + DEEP]


class Behind(Feature):
    """A feature of this room; it needs depth, and is NaN for a bar without any."""

    group = Group.MICROSTRUCTURE
    optional = True

    def __init__(self, name: str) -> None:
        super().__init__(name, 1, 1)


class DepthImbalance(Behind):
    """Mean over the bar's books of (bid shares - ask shares) / (bid shares + ask shares), of five levels a side.

    Source: Cao, Hansch and Wang 2009, Journal of Futures Markets 29:1.
    """

    def __init__(self) -> None:
        super().__init__("depth_imbalance")

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[IMBALANCE])


class DepthMicroPrice(Behind):
    """(p - mid) / mid of the bar's last book in basis points, p the mean price of each side's five levels by shares, each
    side weighted by the other's shares.

    Source: Gatheral and Oomen 2010, Finance and Stochastics 14:2, for five levels in place of one.
    """

    def __init__(self) -> None:
        super().__init__("depth_micro_price")

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[MICRO])


class DepthPressure(Behind):
    """Mean over the bar's books of ln(bid slope / ask slope), between -5 and 5; a slope is the sum over five levels of
    shares / distance from the mid in basis points, a distance at least 0.01.

    Source: after the slope of Naes and Skjeltorp 2006, Journal of Financial Markets 9:4.
    """

    def __init__(self) -> None:
        super().__init__("depth_pressure")

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[PRESSURE])


class RoundTrip(Behind):
    """ln of the mean over the bar's books of what it costs, in basis points of the mid and not below 0.01, to buy 25,000
    USD level by level and sell them at once; books of which five levels do not hold that much are passed over.

    Source: Irvine, Benston and Kandel 2000, Liquidity beyond the inside spread.
    """

    def __init__(self) -> None:
        super().__init__("round_trip_log")

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return math.log(max(context[COST], 0.01)) if not np.isnan(context[COST]) else np.nan


class DepthFlow(Behind):
    """Sum of e over the bar's books and five levels, over the mean shares of a side's five levels; e of a level as in
    order_flow, its bid and ask in place of the best ones.

    Source: Xu, Gould and Howison 2018, Market Microstructure and Liquidity 4:3.
    """

    def __init__(self) -> None:
        super().__init__("depth_flow")

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[FLOW])


FEATURES: tuple[Feature, ...] = (
    DepthImbalance(),
    DepthMicroPrice(),
    DepthPressure(),
    RoundTrip(),
    DepthFlow(),
)
