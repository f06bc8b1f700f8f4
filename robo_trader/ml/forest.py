"""Turns trained XGBoost and LightGBM trees into plain arrays that answer like them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import kernels
from robo_trader.ml.parts import FEATURE_BITS, FEATURE_MASK, LEFT_BITS, LEFT_MASK, THRESHOLD_AT, Trees

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """One tree as nodes by number, root 0: split feature, threshold, children (-1 at leaves) and leaf values."""

    feature: Sequence[int]
    threshold: NDArray[np.float32]
    left: Sequence[int]
    right: Sequence[int]
    value: Sequence[float]


@dataclass(frozen=True)
class Member:
    """One model of an ensemble: its trees, the log-odds they start from, and whether they average probabilities."""

    name: str
    trees: Sequence[Tree]
    base: float = 0.0
    averages: bool = False


def at_most(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 not above each float64 threshold: `float32 x <= t` answers the same for both.

    >>> float(np.float32(0.1)) > 0.1 > float(at_most(np.array([0.1]))[0])
    True
    """
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)


def below(threshold: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest float32 under each threshold: `x <= below(t)` is `x < t`."""
    return np.nextafter(threshold, np.float32(-np.inf))


def from_forest(booster: Any) -> Member:
    """Flatten a forest of XGBoost: parallel trees of one round on 0/1 labels, their leaves shares of an average."""
    learner = _learner(booster)
    trees = _xgboost_trees(learner)
    shares = [replace(tree, value=[len(trees) * leaf for leaf in tree.value]) for tree in trees]
    return Member("rf", shares, averages=True)


def from_xgboost(booster: Any) -> Member:
    """Flatten a `binary:logistic` Booster: leaves add to the log-odds of the base score."""
    learner = _learner(booster)
    start = float(learner["learner_model_param"]["base_score"].strip("[]"))
    return Member("xgb", _xgboost_trees(learner), base=float(np.log(start / (1.0 - start))))


def _learner(booster: Any) -> dict[str, Any]:
    learner: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))["learner"]
    return learner


def _xgboost_trees(learner: dict[str, Any]) -> list[Tree]:
    """Read the trees: `<` on float32, and where a node is a leaf its condition is its value."""
    trees = []
    for tree in learner["gradient_booster"]["model"]["trees"]:
        conditions = np.array(tree["split_conditions"], dtype=np.float32)
        trees.append(
            Tree(
                feature=tree["split_indices"],
                threshold=below(conditions),
                left=tree["left_children"],
                right=tree["right_children"],
                value=conditions.tolist(),
            )
        )
    return trees


def from_lightgbm(booster: Any) -> Member:
    """Flatten a binary LightGBM Booster: `<=` on float64, leaves add up to the log-odds."""
    grown = booster.dump_model()["tree_info"]
    return Member("lgb", [_lightgbm_tree(tree["tree_structure"]) for tree in grown])


def _lightgbm_tree(top: dict[str, Any]) -> Tree:
    nodes = [top]
    left, right = [], []
    for node in nodes:  # grows while it is walked: breadth first
        inner = "split_feature" in node
        left.append(len(nodes) if inner else -1)
        right.append(len(nodes) + 1 if inner else -1)
        if inner:
            nodes += [node["left_child"], node["right_child"]]
    return Tree(
        feature=[node.get("split_feature", 0) for node in nodes],
        threshold=at_most(np.array([node.get("threshold", 0.0) for node in nodes], dtype=np.float64)),
        left=left,
        right=right,
        value=[node.get("leaf_value", 0.0) for node in nodes],
    )


def flatten(members: Sequence[Member]) -> Trees:
    """Lay the nodes of all members' trees in one row, breadth first, so that siblings are neighbours.

    A member's trees stand by their depth, so that those walked together end together. Raises DataError where there are
    more features or nodes than a node can name.
    """
    feature: list[int] = []
    threshold: list[np.float32] = []
    left: list[int] = []
    value: list[float] = []
    tree_at = []
    for member in members:
        ordered = sorted(((*_breadth_first(tree), tree) for tree in member.trees), key=lambda found: found[1])
        for order, levels, tree in ordered:
            offset = len(feature)
            place = {node: offset + i for i, node in enumerate(order)}
            for node in order:
                leaf = tree.left[node] < 0
                feature.append(0 if leaf else tree.feature[node])
                threshold.append(np.float32(np.inf) if leaf else tree.threshold[node])
                left.append(place[node] if leaf else place[tree.left[node]])
                value.append(tree.value[node] if leaf else 0.0)
            tree_at.append((offset, levels))
    return Trees(
        node=pack(
            np.array(threshold, dtype=np.float32), np.array(left, np.int64), np.array(feature, np.int64)
        ),
        value=np.array(value, dtype=np.float64),
        tree=np.array(tree_at, dtype=np.int64).reshape(-1, 2),
        first_tree=np.cumsum([0, *(len(member.trees) for member in members)]),
        averages=np.array([member.averages for member in members], dtype=np.int64),
        base=np.array([member.base for member in members], dtype=np.float64),
    )


def pack(threshold: NDArray[np.float32], left: Longs, feature: Longs) -> Longs:
    """Put each node's threshold, left child and feature into one number. Raises DataError where one does not fit."""
    for what, numbers, bits in (("features", feature, FEATURE_BITS), ("nodes", left, LEFT_BITS)):
        if numbers.max(initial=0) >> bits:
            raise DataError(
                f"the trees have more {what} than the {2**bits} that can be told apart: train with fewer columns or "
                "smaller trees"
            )
    ordered = np.empty(len(threshold), dtype=np.int32)
    kernels.keys(threshold, ordered)
    return ordered.astype(np.int64) << THRESHOLD_AT | left << FEATURE_BITS | feature


def unpack(node: Longs) -> tuple[NDArray[np.float32], Longs, Longs]:
    """Return threshold, left child and feature of each node, as `pack` took them."""
    ordered = (node >> THRESHOLD_AT).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return bits.view(np.float32), node >> FEATURE_BITS & LEFT_MASK, node & FEATURE_MASK


def _breadth_first(tree: Tree) -> tuple[list[int], int]:
    order, levels, row = [0], 0, [0]
    while row := [
        child for node in row if tree.left[node] >= 0 for child in (tree.left[node], tree.right[node])
    ]:
        order += row
        levels += 1
    return order, levels
