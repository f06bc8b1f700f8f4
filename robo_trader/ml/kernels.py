"""The compiled walk through flattened trees: one comparison a level, no library of the training needed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int32]

CLIP = 1e-7


class Trees(NamedTuple):
    """All members' trees in one row of nodes; `first_tree` (m + 1,) says where each member's trees begin.

    `feature`, `threshold`, `left`, `value` run over nodes; `root` and `depth` over trees; `averages` and `base` (log-odds
    to start from) over members.
    """

    feature: Indices
    threshold: Singles
    left: Indices
    value: Floats
    root: Indices
    depth: Indices
    first_tree: Indices
    averages: NDArray[np.bool_]
    base: Floats


@njit(cache=True)
def log_odds(
    rows: Singles,
    trees: Trees,
    out: Floats,
) -> bool:
    """Write the log-odds of every member for every row into `out` (n rows, m members); False if a value is not finite.

    `rows` (n, k) float32. A node's children stand side by side: `left` if the row's value is at most `threshold`, else
    the next one; a leaf is its own left child under an infinite threshold, so a walk can be too long but never wrong.
    Four trees are walked at once, their loads overlap. Members that average probabilities are turned into log-odds,
    clipped at 1e-7.
    """
    feature, threshold, left, value = trees.feature, trees.threshold, trees.left, trees.value
    root, depth = trees.root, trees.depth
    for i in range(rows.shape[0]):
        row = rows[i]
        for x in row:
            if not math.isfinite(x):
                return False
        for member in range(len(trees.base)):
            tree, stop = trees.first_tree[member], trees.first_tree[member + 1]
            grown, total = stop - tree, 0.0
            while tree + 4 <= stop:
                a, b, c, d = root[tree], root[tree + 1], root[tree + 2], root[tree + 3]
                levels = max(max(depth[tree], depth[tree + 1]), max(depth[tree + 2], depth[tree + 3]))
                for _ in range(levels):
                    a = left[a] + (row[feature[a]] > threshold[a])
                    b = left[b] + (row[feature[b]] > threshold[b])
                    c = left[c] + (row[feature[c]] > threshold[c])
                    d = left[d] + (row[feature[d]] > threshold[d])
                total += value[a] + value[b] + value[c] + value[d]
                tree += 4
            while tree < stop:
                a = root[tree]
                for _ in range(depth[tree]):
                    a = left[a] + (row[feature[a]] > threshold[a])
                total += value[a]
                tree += 1
            if trees.averages[member]:
                share = min(max(total / grown, CLIP), 1.0 - CLIP)
                out[i, member] = math.log(share / (1.0 - share))
            else:
                out[i, member] = trees.base[member] + total
    return True


@njit(cache=True)
def votes(
    rows: Singles,
    trees: Trees,
    slope: Floats,
    intercept: Floats,
    out: Floats,
) -> bool:
    """Write the members' calibrated probabilities into `out` (n, m): `log_odds` through each member's Platt line."""
    finite = log_odds(rows, trees, out)
    if finite:
        for i in range(out.shape[0]):
            for member in range(out.shape[1]):
                out[i, member] = 1.0 / (1.0 + math.exp(-(slope[member] * out[i, member] + intercept[member])))
    return finite


@njit(cache=True)
def side(votes: Floats, threshold: float) -> int:
    """Return +1 or -1 where the mean of `votes` (m,) reaches `threshold` and more than half agree, else 0."""
    mean, ups, downs = 0.0, 0, 0
    for vote in votes:
        mean += vote
        ups += vote > 0.5
        downs += vote < 0.5
    mean /= len(votes)
    if mean >= threshold and 2 * ups > len(votes):
        return 1
    if mean <= 1.0 - threshold and 2 * downs > len(votes):
        return -1
    return 0


@njit(cache=True)
def sides(votes: Floats, threshold: float) -> NDArray[np.int8]:
    """Return `side` of every row of `votes` (n, m)."""
    out = np.zeros(votes.shape[0], dtype=np.int8)
    for i in range(votes.shape[0]):
        out[i] = side(votes[i], threshold)
    return out


@njit(cache=True)
def observe(
    rows: Floats,
    columns: NDArray[np.intp],
    symbol: NDArray[np.int64],
    edges: Singles,
    scale: Floats,
    rings: NDArray[np.uint8],
    seen: NDArray[np.int64],
    counts: NDArray[np.int64],
    sums: Floats,
    ceiling: Floats,
    allowance: float,
) -> int:
    """Take rows into what `drift.Drift` keeps: bins of the window and their counts, and Page-Hinkley's sums up and down.

    Values are rounded to float32 first, as those of training are, or ties at an edge would fall on either side of it.
    """
    n, window = len(columns), rings.shape[1]
    weight = 1.0 / rings.shape[0]
    added = 0
    for i in range(rows.shape[0]):
        row, ring = rows[i], rings[symbol[i]]
        complete = True
        for column in columns:
            complete &= math.isfinite(row[column])
        if not complete:
            continue
        added += 1
        at, forget = seen[symbol[i]] % window, seen[symbol[i]] >= window
        seen[symbol[i]] += 1
        for j in range(n):
            x = np.float32(row[columns[j]])
            place = 0
            for k in range(edges.shape[1]):
                place += x > edges[j, k]
            if forget:
                counts[j, ring[at, j]] -= 1
            ring[at, j] = place
            counts[j, place] += 1
            z = (x - scale[0, j]) * scale[1, j]
            sums[0, j] = min(max(sums[0, j] + weight * (z - allowance), 0.0), ceiling[j])
            sums[1, j] = min(max(sums[1, j] - weight * (z + allowance), 0.0), ceiling[j])
    return added
