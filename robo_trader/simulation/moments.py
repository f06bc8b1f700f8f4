"""The prints of a minute of slices, drawn all at once, and the moments when only the size at the touch changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo_trader.simulation.rows import Rows
from robo_trader.simulation.tape import SLICE_NS, Floats, Integers, bid_below

ROUND_LOT = 100
MOST_PRINTS = 24  # in a slice
VENUES = 6
OPEN, CLOSE = 2 * VENUES, 2 * VENUES + 1  # how the two auctions trade

_INSIDE = SLICE_NS - 2  # a drawn moment's last nanosecond but for the close and the next slice's quote
_AUCTION = 0.7  # an auction's size over that of all other prints of its slice
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Moments(NamedTuple):
    """What happens in consecutive slices, oldest first, as columns; slice i has those from `bounds[i]` to the next.

    Each slice begins with its `bid` and `ask`. A moment of 0 cents is a change of size at the touch, all others are
    prints. `how` is twice the number of a venue, the primary one 0, and 1 more for an odd lot, or it names an auction;
    `chance` is uniform in [0, 1) and still to be used.
    """

    bid: list[int]
    ask: list[int]
    bounds: list[int]
    ts: list[int]
    cents: list[int]
    size: list[int]
    how: list[int]
    chance: list[float]


def draw_moments(
    rows: Rows, span: range, seed: int, busy: tuple[float, float], spread: float, opening: int
) -> Moments:
    """Draw the slices of `span` from `seed`; the first trade of slice `opening` is the day's first.

    `busy` is the prints and the changes of size of a slice of 500 shares, `spread` the usual one in cents; those of
    the slices are from 15 % below to 25 % above. The prints of each slice add up to it.
    """
    volume = rows.volume[span.start : span.stop]
    start = rows.start + SLICE_NS * np.arange(span.start, span.stop)
    corners, kept = _corners(rows.prices[span.start : span.stop])
    often, fast, apart = chances(seed, 3 * len(span)).reshape(3, -1)
    wide = np.maximum(np.rint(spread * (0.85 + 0.4 * apart)).astype(np.int64), 1)
    bid = np.maximum(bid_below(corners[:, 0], wide), 1)
    prints = np.rint(busy[0] * np.cbrt(volume / ROUND_LOT / 5) * (0.5 + fast)).astype(np.int64)
    prints = np.minimum(np.maximum(prints, 1), np.minimum(volume, MOST_PRINTS))
    prints = np.where(volume > 0, np.maximum(prints, kept.sum(axis=1)), 0)
    flickers = (busy[1] * 2 * often).astype(np.int64)
    n, others = int(prints.sum()), int(flickers.sum())
    fresh = chances(mixed(seed), 5 * n + 2 * others)
    when, wobble, weight, where, chance = fresh[: 5 * n].reshape(5, n)
    size_when, size_chance = fresh[5 * n :].reshape(2, others)

    ts = np.sort(np.repeat(start, prints) + (when * _INSIDE).astype(np.int64))
    first = np.cumsum(prints) - prints
    weight = 1 / (0.08 + weight)
    if opening in span:
        at = opening - span.start
        ts[first[at]] = start[at]
        weight[first[at]] = _AUCTION * weight[first[at] : first[at] + prints[at]].sum()
    if span.stop == len(rows) and prints[-1]:
        ts[-1] = start[-1] + SLICE_NS - 1
        weight[-1] = _AUCTION * weight[first[-1] :].sum()
    cents = _prices(corners, kept, prints, first, wobble)
    size = _sizes(volume, prints, first, weight)
    how = (VENUES * where * where).astype(np.int64) * 2 + (size < ROUND_LOT)
    if opening in span:
        how[first[opening - span.start]] = OPEN
    if span.stop == len(rows) and prints[-1]:
        how[-1] = CLOSE

    between = np.repeat(start, flickers) + (size_when * _INSIDE).astype(np.int64)
    order = np.argsort(np.concatenate([ts, between]), kind="stable")

    def merged(of_prints: NDArray[Any], of_flickers: NDArray[Any]) -> list[Any]:
        merged: list[Any] = np.concatenate([of_prints, of_flickers])[order].tolist()
        return merged

    none = np.zeros_like(between)
    return Moments(
        bid=bid.tolist(),
        ask=(bid + wide).tolist(),
        bounds=[0, *np.cumsum(prints + flickers).tolist()],
        ts=merged(ts, between),
        cents=merged(cents, none),
        size=merged(size, none),
        how=merged(how, none),
        chance=merged(chance, size_chance),
    )


def _corners(prices: Floats) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the (n, 4) cents a slice runs through, by its rule low or high first, and which differ from the last."""
    corners = np.rint(prices * 100).astype(np.int64)
    rising = corners[:, 3] >= corners[:, 0]
    corners[rising, 1:3] = corners[rising, 2:0:-1]
    kept = np.ones(corners.shape, dtype=bool)
    kept[:, 1:] = corners[:, 1:] != corners[:, :-1]
    return corners, kept


def _prices(
    corners: Integers, kept: NDArray[np.bool_], prints: Integers, first: Integers, wobble: Floats
) -> Integers:
    """Return each print's cents: the corners at even distances, and a wobble of a cent around the lines between."""
    rank = np.cumsum(kept, axis=1) - 1
    at = first[:, None] + rank * (prints - 1)[:, None] // np.maximum(rank[:, -1:], 1)
    kept = kept & (prints > 0)[:, None]
    at, knots = at[kept], corners[kept]
    if not len(at):
        return knots
    line = np.interp(np.arange(len(wobble)), at, knots)
    cents = np.rint(line + 2 * wobble - 1).astype(np.int64)
    low, high = np.repeat(corners.min(axis=1), prints), np.repeat(corners.max(axis=1), prints)
    np.clip(cents, low, high, out=cents)
    cents[at] = knots
    return cents


def _sizes(volume: Integers, prints: Integers, first: Integers, weight: Floats) -> Integers:
    """Deal each slice's volume to its prints by weight, the rest to the heaviest; evenly where there is too little."""
    traded = prints > 0
    volume, prints, first = volume[traded], prints[traded], first[traded]
    if not len(prints):
        return np.empty(0, dtype=np.int64)
    scale = np.repeat(volume / np.add.reduceat(weight, first), prints)
    size = (weight * scale).astype(np.int64)
    size -= np.where(size < ROUND_LOT, 0, size % ROUND_LOT)
    np.maximum(size, 1, out=size)
    heaviest = np.flatnonzero(weight == np.repeat(np.maximum.reduceat(weight, first), prints))
    heaviest = heaviest[np.searchsorted(heaviest, first)]  # the first of equals
    size[heaviest] += volume - np.add.reduceat(size, first)
    scant = (volume < 4 * prints) | (size[heaviest] < 1)
    if scant.any():
        nth = np.arange(len(size)) - np.repeat(first, prints)
        even = np.repeat(volume // prints, prints) + (nth < np.repeat(volume % prints, prints))
        np.copyto(size, even, where=np.repeat(scant, prints))
    return size


def chances(seed: int, count: int) -> Floats:
    """Return numbers uniform in [0, 1) that belong to a seed (splitmix64; Steele, Lea, Flood 2014)."""
    number = np.arange(1, count + 1, dtype=np.uint64)
    number *= np.uint64(_GOLDEN)
    number += np.uint64(seed & _MASK)
    number ^= number >> np.uint64(30)
    number *= np.uint64(0xBF58476D1CE4E5B9)
    number ^= number >> np.uint64(27)
    number *= np.uint64(0x94D049BB133111EB)
    number ^= number >> np.uint64(31)
    return np.asarray((number >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def mixed(number: int) -> int:
    """Scatter a number over 64 bits, by the finaliser of splitmix64."""
    number = (number & _MASK) * _GOLDEN & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
