"""Cuts rows in time into training and test folds of which none has seen the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class FoldOptions:
    """How to cut: `groups` of as many moments each, `tested` of them at a time, and the bars left out after each test.

    One tested is the purged k-fold, several the combinatorial purged cross-validation; `forward` tests each group on
    what was learnt from those before it alone, which is walking forward.
    """

    groups: int = 4
    tested: int = 1
    forward: bool = False
    embargo_bars: int = 60


class Fold(NamedTuple):
    """Row numbers to learn from and to test on."""

    train: Rows
    test: Rows


def split(ts: Ints, known_at: Ints, options: FoldOptions) -> list[Fold]:
    """Cut rows (n,), each known at `ts` and labelled at `known_at`, all symbols at the same moments.

    Purged: no row is learnt from whose label's span meets that of a tested group. Embargoed: nor are the `embargo_bars`
    moments after it, whose features still breathe it. Source: López de Prado, Advances in Financial Machine Learning,
    7.4 and 12.4.

    >>> ts = np.arange(6)
    >>> fold = split(ts, ts + 1, FoldOptions(groups=3, embargo_bars=0))[1]
    >>> fold.train.tolist(), fold.test.tolist()
    ([0, 5], [2, 3])
    """
    moments = np.unique(ts)
    moment = np.searchsorted(moments, ts)
    borders = np.linspace(0, len(moments), options.groups + 1).astype(np.int64)
    group = np.searchsorted(borders, moment, side="right") - 1
    found = []
    for tested in _tests(options):
        allowed = group < min(tested) if options.forward else np.ones(len(ts), dtype=np.bool_)
        for one in tested:
            allowed &= ~_touched(ts, known_at, group == one, moments, options.embargo_bars)
        found.append(Fold(np.flatnonzero(allowed), np.flatnonzero(np.isin(group, tested))))
    return found


def _tests(options: FoldOptions) -> Iterator[tuple[int, ...]]:
    if options.forward:
        return ((group,) for group in range(1, options.groups))
    return combinations(range(options.groups), options.tested)


def _touched(
    ts: Ints, known_at: Ints, test: NDArray[np.bool_], moments: Ints, embargo: int
) -> NDArray[np.bool_]:
    """Say which rows share time with those of one tested group, or follow it too soon."""
    begins, ends = ts[test].min(), known_at[test].max()
    after = int(np.searchsorted(moments, ends, side="right")) + embargo
    free = moments[after] if after < len(moments) else np.iinfo(np.int64).max
    return np.asarray((known_at >= begins) & (ts < free))
