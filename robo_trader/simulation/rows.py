"""A session as its 5-second slices, every one of them, the silent ones at the price before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np

from robo_trader.core.protocols import Session
from robo_trader.simulation.tape import SLICE_NS, Floats, Integers, Slices


class Slice(NamedTuple):
    """Five seconds of trading: prices in USD, volume in shares, `start` UTC ns. Without volume it stands still."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Slice]):
    """All slices of a session from its open (`start`, UTC ns): (n, 4) prices open, high, low, close; (n,) volume."""

    start: int
    prices: Floats
    volume: Integers

    def __len__(self) -> int:
        return len(self.volume)

    @overload
    def __getitem__(self, k: int) -> Slice: ...
    @overload
    def __getitem__(self, k: slice) -> list[Slice]: ...
    def __getitem__(self, k: int | slice) -> Slice | list[Slice]:
        if isinstance(k, slice):
            starts = range(self.start, self.start + len(self) * SLICE_NS, SLICE_NS)[k]
            rows = zip(starts, self.prices[k].tolist(), self.volume[k].tolist(), strict=True)
            return [Slice(start, o, h, low, c, traded) for start, (o, h, low, c), traded in rows]
        if k < 0:
            k += len(self)
        o, h, low, c = self.prices[k].tolist()
        return Slice(self.start + k * SLICE_NS, o, h, low, c, self.volume[k].item())

    def __iter__(self) -> Iterator[Slice]:
        return iter(self[:])


def fill_session(session: Session, cut: Slices, before: float | None) -> Rows | None:
    """Return all slices of a session of which `cut` has those around trades; None where nothing ever traded.

    `before` is the price that stood before the session; without one it is the first price of the session.
    """
    if before is None:
        if not len(cut):
            return None
        before = float(cut.open[0])
    count = (session.close - session.open) // SLICE_NS
    at = (cut.start - session.open) // SLICE_NS
    latest = np.full(count, -1)
    latest[at] = np.arange(len(cut))
    latest = np.maximum.accumulate(latest)
    prices = np.repeat(np.append(cut.close, before)[latest][:, None], 4, axis=1)
    prices[at] = np.stack([cut.open, cut.high, cut.low, cut.close], axis=1)
    volume = np.zeros(count, dtype=np.int64)
    volume[at] = cut.volume
    return Rows(session.open, prices, volume)
