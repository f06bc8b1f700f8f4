"""The compiled answer of an ensemble: trees walked eight at a time, nets, calibration and distance in one call."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo_trader.ml.parts import (
    FEATURE_BITS,
    FEATURE_MASK,
    LEFT_MASK,
    THRESHOLD_AT,
    Nets,
    Packed,
    Parts,
    Space,
    Tables,
    Trees,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int32]
Longs = NDArray[np.int64]

CLIP = 1e-7


@njit(cache=True)
def keys(row: Singles, out: Indices) -> bool:
    """Write integers that are ordered as the floats of `row` are; False if one is not finite.

    A float's bits order like an integer once those under the sign are turned around where it is set; adding zero makes
    -0.0 what it equals.
    """
    bits = (row + np.float32(0)).view(np.int32)
    finite = True
    for i in range(len(row)):
        finite &= math.isfinite(row[i])
        out[i] = bits[i] ^ ((bits[i] >> 31) & 0x7FFFFFFF)
    return finite


@njit(cache=True)
def _child(node: int, key: Indices) -> int:
    """Return where the walk goes on: the left child, or the one beside it where the value exceeds the threshold."""
    above = key[node & FEATURE_MASK] > (node >> THRESHOLD_AT)
    return int(((node >> FEATURE_BITS) & LEFT_MASK) + above)


@njit(cache=True)
def _walk(key: Indices, trees: Trees, out: Floats) -> None:
    """Write the log-odds of each member that is made of trees.

    Siblings stand side by side, and a leaf is its own left child under an infinite threshold: a walk can be too long
    but never wrong. Eight trees are walked at once, their loads overlap. Members that average probabilities are turned
    into log-odds, clipped at 1e-7.
    """
    node, value, tree = trees.node, trees.value, trees.tree
    for member in range(len(trees.base)):
        at, stop = trees.first_tree[member], trees.first_tree[member + 1]
        grown, total = stop - at, 0.0
        while at + 8 <= stop:
            a, b, c, d = (
                node[tree[at, 0]],
                node[tree[at + 1, 0]],
                node[tree[at + 2, 0]],
                node[tree[at + 3, 0]],
            )
            e, f, g, h = (
                node[tree[at + 4, 0]],
                node[tree[at + 5, 0]],
                node[tree[at + 6, 0]],
                node[tree[at + 7, 0]],
            )
            for _ in range(tree[at + 7, 1] - 1):  # trees stand by depth, the last is the deepest
                a, b, c, d = (
                    node[_child(a, key)],
                    node[_child(b, key)],
                    node[_child(c, key)],
                    node[_child(d, key)],
                )
                e, f, g, h = (
                    node[_child(e, key)],
                    node[_child(f, key)],
                    node[_child(g, key)],
                    node[_child(h, key)],
                )
            total += (
                value[_child(a, key)] + value[_child(b, key)] + value[_child(c, key)] + value[_child(d, key)]
            )
            total += (
                value[_child(e, key)] + value[_child(f, key)] + value[_child(g, key)] + value[_child(h, key)]
            )
            at += 8
        while at < stop:
            a = node[tree[at, 0]]
            for _ in range(tree[at, 1] - 1):
                a = node[_child(a, key)]
            total += value[_child(a, key)]
            at += 1
        if trees.averages[member]:
            share = min(max(total / grown, CLIP), 1.0 - CLIP)
            out[member] = math.log(share / (1.0 - share))
        else:
            out[member] = trees.base[member] + total


@njit(cache=True)
def _dense(z: Floats, nets: Nets, now: Floats, then: Floats, out: Floats) -> None:
    """Write the log-odds of each net for a standardised row `z`; `now` and `then` hold a layer each."""
    coefficient, at = nets.coefficient, 0
    for net in range(nets.layers.shape[0]):
        inputs = len(z)
        now[:inputs] = z
        for width in nets.layers[net]:
            if width == 0:
                break
            bias = at + inputs * width
            sums = then[:width]
            sums[:] = coefficient[bias : bias + width]
            for i in range(inputs):
                x, column = now[i], coefficient[at : at + width]
                if x != 0.0:
                    for j in range(width):
                        sums[j] += column[j] * x
                at += width
            at += width
            for j in range(width):
                now[j] = max(then[j], 0.0)
            inputs = width
        out[net] = then[0]


@njit(cache=True)
def _standardise(row: Singles, space: Space, bound: float, z: Floats) -> float:
    """Write the standardised row, clipped at `bound` deviations; return how far its columns exceed what is usual.

    That is the mean over all columns of the deviations beyond the usual values, none counting for more than `bound`.
    """
    standard, excess = space.standard, 0.0
    for i in range(len(row)):
        x = float(row[i])
        z[i] = min(max((x - standard[0, i]) * standard[1, i], -bound), bound)
        beyond = max(max(standard[2, i] - x, x - standard[3, i]), 0.0)
        excess += min(beyond * standard[1, i], bound)
    return excess / len(row)


@njit(cache=True)
def _distance(z: Floats, axes: Floats) -> float:
    """Return the root mean square of the row's principal components, each in units of its deviation."""
    total = 0.0
    for axis in range(axes.shape[0]):
        along = 0.0
        for i in range(len(z)):
            along += axes[axis, i] * z[i]
        total += along * along
    return math.sqrt(total / max(axes.shape[0], 1))


@njit(cache=True)
def _read(x: float, knot: Floats, first: int, stop: int) -> float:
    """Return what the table `first` to `stop` makes of the log-odds `x`."""
    low, high = first, stop - 1
    while low < high:
        middle = (low + high + 1) // 2
        if knot[0, middle] <= x:
            low = middle
        else:
            high = middle - 1
    return float(knot[1, low] + knot[2, low] * (x - knot[0, low]))


@njit(cache=True)
def _believe(odds: Floats, tables: Tables, out: Floats) -> None:
    """Turn raw log-odds (m,) into the members' probabilities and that of their blend, (m + 1,); both may be one array."""
    knot, first, members, blend = tables.knot, tables.first, len(tables.weight), 0.0
    for member in range(members):
        said = _read(odds[member], knot, first[member], first[member + 1])
        blend += tables.weight[member] * said
        out[member] = 1.0 / (1.0 + math.exp(-said))
    out[members] = 1.0 / (1.0 + math.exp(-_read(blend, knot, first[members], first[members + 1])))


@njit(cache=True)
def believe(odds: Floats, tables: Tables, out: Floats) -> None:
    """Write what rows of raw log-odds (n, m) are worth into `out` (n, m + 1): members first, then their blend."""
    for i in range(odds.shape[0]):
        _believe(odds[i], tables, out[i])


@njit(cache=True)
def strangeness(rows: Singles, space: Space, bound: float, out: Floats) -> None:
    """Write the two measures of `Space.limit` for every row: `out` (n, 2)."""
    z = np.empty(rows.shape[1])
    for i in range(rows.shape[0]):
        out[i, 0] = _standardise(rows[i], space, bound, z)
        out[i, 1] = _distance(z, space.axes)


@njit(cache=True)
def parts_of(packed: Packed) -> Parts:
    """Return the parts as views into the two arrays."""
    whole, real = packed
    nodes, trees, grown, nets, depth, coefficients, features, axes, knots, members = whole[:10]
    w, r = 10, 0
    node, w = whole[w : w + nodes], w + nodes
    tree, w = whole[w : w + 2 * trees].reshape(trees, 2), w + 2 * trees
    first_tree, w = whole[w : w + grown + 1], w + grown + 1
    averages, w = whole[w : w + grown], w + grown
    layers, w = whole[w : w + nets * depth].reshape(nets, depth), w + nets * depth
    value, r = real[r : r + nodes], r + nodes
    base, r = real[r : r + grown], r + grown
    coefficient, r = real[r : r + coefficients], r + coefficients
    standard, r = real[r : r + 4 * features].reshape(4, features), r + 4 * features
    axis, r = real[r : r + axes * features].reshape(axes, features), r + axes * features
    limit, r = real[r : r + 2], r + 2
    knot, r = real[r : r + 3 * knots].reshape(3, knots), r + 3 * knots
    return Parts(
        Trees(node, value, tree, first_tree, averages, base),
        Nets(layers, coefficient),
        Space(standard, axis, limit),
        Tables(knot, whole[w : w + members + 2], real[r : r + members]),
    )


@njit(cache=True)
def answer(rows: Singles, packed: Packed, bound: float, believed: bool, out: Floats) -> bool:
    """Write what the ensemble says of rows (n, k) float32 into `out` (n, m + 2); False if a value is not finite.

    Where `believed`, the members' calibrated probabilities, that of their blend and how strange the row is, 1 being the
    limit; else the members' raw log-odds only.
    """
    trees, nets, space, tables = parts_of(packed)
    grown, members, features = len(trees.base), len(tables.weight), rows.shape[1]
    widest = features
    for width in nets.layers.flat:
        widest = max(widest, width)
    key, z, now, then = np.empty(features, np.int32), np.empty(features), np.empty(widest), np.empty(widest)
    for i in range(rows.shape[0]):
        if not keys(rows[i], key):
            return False
        excess = _standardise(rows[i], space, bound, z)
        _walk(key, trees, out[i, :grown])
        _dense(z, nets, now, then, out[i, grown:])
        if believed:
            _believe(out[i], tables, out[i])
            out[i, members + 1] = max(excess / space.limit[0], _distance(z, space.axes) / space.limit[1])
    return True


@njit(cache=True)
def side(votes: Floats, probability: float, threshold: float) -> int:
    """Return +1 or -1 where `probability` reaches `threshold` and more votes agree than oppose, else 0."""
    balance = 0
    for vote in votes:
        balance += (vote > 0.5) - (vote < 0.5)
    if probability >= threshold and balance > 0:
        return 1
    if probability <= 1.0 - threshold and balance < 0:
        return -1
    return 0


@njit(cache=True)
def sides(votes: Floats, probability: Floats, threshold: float) -> NDArray[np.int8]:
    """Return `side` of every row of `votes` (n, m)."""
    out = np.zeros(votes.shape[0], dtype=np.int8)
    for i in range(votes.shape[0]):
        out[i] = side(votes[i], probability[i], threshold)
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
