"""Guesses a practice market's time while it says nothing."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable

from robo_trader.core.events import SECOND_NS

_LOOKS = 5


class MarketClock:
    """Goes on from what a market's clock told last, at the slowest pace lately seen: a practice market runs fast, and
    skips its nights.

    >>> at = iter([0.0, 5.0, 10.0])
    >>> clock = MarketClock(lambda: next(at))
    >>> clock.tell(0), clock.tell(300 * SECOND_NS)
    (None, None)
    >>> clock.now() // SECOND_NS
    600
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: deque[tuple[float, int]] = deque(maxlen=_LOOKS)

    def tell(self, ts: int) -> None:
        """Note what the market's clock shows now, UTC ns."""
        now = self._monotonic()
        if not self._told or now - self._told[-1][0] >= 1:  # it shows whole seconds
            self._told.append((now, ts))

    def now(self) -> int:
        """Return the time it should show now, UTC ns; 0 where it never told one."""
        if not self._told:
            return 0
        at, ts = self._told[-1]
        return ts + int((self._monotonic() - at) * self.pace * SECOND_NS)

    @property
    def pace(self) -> float:
        """Return the market's seconds in one of the wall's, 0 where it stands still or has told too little."""
        pairs = itertools.pairwise(self._told)
        return max(0.0, min(((b[1] - a[1]) / (b[0] - a[0]) / SECOND_NS for a, b in pairs), default=0.0))
