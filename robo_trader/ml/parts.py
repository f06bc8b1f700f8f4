"""The numbers an ensemble is made of: trees, nets, where the training rows stood, and what each voice is worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

FEATURE_BITS = 10
LEFT_BITS = 22
FEATURE_MASK = (1 << FEATURE_BITS) - 1
LEFT_MASK = (1 << LEFT_BITS) - 1
THRESHOLD_AT = FEATURE_BITS + LEFT_BITS


class Trees(NamedTuple):
    """All members' trees in one row of nodes; `first_tree` (m + 1,) says where each member's trees begin.

    A node is one 64-bit number, so that a level of a walk is one load: its threshold as `key` in the upper half, below
    it where its left child stands, then its feature. `value` runs beside `node`; `tree` (t, 2) holds the root and the
    levels of each; `averages` and `base` (log-odds to start from) run over members.
    """

    node: Longs
    value: Floats
    tree: Longs
    first_tree: Longs
    averages: Longs
    base: Floats


class Nets(NamedTuple):
    """Linear models and neural nets: `layers` (nets, depth) widths after the input, ending in 1, then zeros.

    `coefficient` holds for each layer of each net its matrix (inputs, outputs) row by row and its bias.
    """

    layers: Longs
    coefficient: Floats


class Space(NamedTuple):
    """Where the training rows stood: `standard` (4, k) centre, 1 / scale, lowest and highest usual value of a column.

    `axes` (a, k) maps a standardised row to its principal components in units of their deviation; `limit` (2,) is the
    mean excess over the usual values and the distance that training rows held back stayed under.
    """

    standard: Floats
    axes: Floats
    limit: Floats


class Tables(NamedTuple):
    """Log-odds in, believed log-odds out, a table for each member and one for their blend.

    `knot` (3, n): from where, the log-odds there and their rise; the first of a table also serves all below it. Table i
    is `first[i]` to `first[i + 1]`. `weight` (m,) is each member's part of the blend.
    """

    knot: Floats
    first: Longs
    weight: Floats


class Parts(NamedTuple):
    """All that an ensemble answers from; trees' members stand before those of nets."""

    trees: Trees
    nets: Nets
    space: Space
    tables: Tables


class Packed(NamedTuple):
    """`Parts` in two arrays: handing seventeen to compiled code takes as long as walking the trees.

    `whole` begins with the ten sizes that `parts_of` cuts both by.
    """

    whole: Longs
    real: Floats


def pack(parts: Parts) -> Packed:
    """Lay all parts in two arrays, whole numbers and real ones, as `parts_of` cuts them."""
    trees, nets, space, tables = parts
    sizes = [len(trees.node), len(trees.tree), len(trees.base), *nets.layers.shape, len(nets.coefficient)]
    sizes += [*space.axes.shape[::-1], tables.knot.shape[1], len(tables.weight)]
    whole = [sizes, trees.node, trees.tree, trees.first_tree, trees.averages, nets.layers, tables.first]
    real = [trees.value, trees.base, nets.coefficient, space.standard, space.axes, space.limit]
    real += [tables.knot, tables.weight]
    return Packed(_row(whole, np.int64), _row(real, np.float64))


def _row(arrays: Iterable[Any], kind: DTypeLike) -> NDArray[Any]:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(kind)
