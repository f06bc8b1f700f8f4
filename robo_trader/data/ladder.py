"""Says what is wrong with the levels of a book."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from robo_trader.core.events import Depth, Level


def flaw(depth: Depth) -> str:
    """Return why a book cannot be, empty where it can; a book of no levels can.

    >>> flaw(Depth("AAPL", 0, ((10.00, 200.0), (9.99, 100.0)), ((10.01, 300.0),)))
    ''
    >>> flaw(Depth("AAPL", 0, ((10.00, 200.0),), ((9.99, 100.0),)))
    'depth crossed'
    """
    if not depth.bids and not depth.asks:
        return ""
    if not depth.bids or not depth.asks:
        return "depth of one side"
    if not all(map(_stands, (*depth.bids, *depth.asks))):
        return "depth of impossible levels"
    if not (_falls(depth.bids) and _falls(depth.asks[::-1])):
        return "depth unsorted"
    return "depth crossed" if depth.bids[0][0] > depth.asks[0][0] else ""


def _stands(level: Level) -> bool:
    price, size = level
    return 0.0 < price < math.inf and 0.0 < size < math.inf


def _falls(levels: Sequence[Level]) -> bool:
    return all(better[0] > worse[0] for better, worse in pairwise(levels))
