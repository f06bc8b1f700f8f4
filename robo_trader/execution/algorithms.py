"""When and in which pieces a parent order is sent: pure schedules of whole shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from robo_trader.core.events import SECOND_NS, Order
from robo_trader.core.protocols import View


class Slice(msgspec.Struct, frozen=True, gc=False):
    """Send this many shares at this market time (UTC ns) or as soon after as time is told."""

    ts: int
    quantity: int


class Algorithm(Protocol):
    """Cuts a parent into slices whose quantities sum to the parent's."""

    def schedule(self, order: Order, view: View) -> list[Slice]: ...


class MarketAlgorithm:
    """All of it, now."""

    def schedule(self, order: Order, view: View) -> list[Slice]:
        """Return one slice, due now."""
        return [Slice(view.now, order.quantity)]


@dataclass(frozen=True)
class TwapOptions:
    """`slices` pieces over `duration_s` seconds of market time, done `close_buffer_s` before the close."""

    slices: int = 5
    duration_s: float = 300.0
    close_buffer_s: float = 60.0


class TwapAlgorithm:
    """Equal pieces at equal times (time-weighted average price), the first at once, never past the close.

    Source: Almgren & Chriss (2000) with lambda -> 0, where the optimal trajectory is a straight line.
    """

    def __init__(self, options: TwapOptions) -> None:
        self._options = options

    def schedule(self, order: Order, view: View) -> list[Slice]:
        """Return the slices; fewer where there are fewer shares than slices."""
        pieces = equal_pieces(order.quantity, self._options.slices)
        step = self._duration_ns(view) // len(pieces)
        return [Slice(view.now + i * step, piece) for i, piece in enumerate(pieces)]

    def _duration_ns(self, view: View) -> int:
        wanted = int(self._options.duration_s * SECOND_NS)
        session = view.session()
        if session is None:
            return wanted
        left = session.close - view.now - int(self._options.close_buffer_s * SECOND_NS)
        return max(0, min(wanted, left))


def equal_pieces(quantity: int, pieces: int) -> list[int]:
    """Split whole shares into at most `pieces` positive parts that differ by at most one share.

    >>> equal_pieces(11, 4)
    [3, 3, 3, 2]
    """
    whole, rest = divmod(quantity, pieces)
    return [whole + (i < rest) for i in range(pieces) if whole + (i < rest)]
