"""Turns trained scikit-learn, XGBoost and LightGBM models into plain arrays that answer like them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml.kernels import Trees


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


def from_forest(forest: Any) -> Member:
    """Flatten a binary sklearn RandomForestClassifier: float32 rows, `<=` on float64, leaves average their shares."""
    trees = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        counts = tree.value[:, 0, :]
        trees.append(
            Tree(
                feature=tree.feature.tolist(),
                threshold=at_most(tree.threshold),
                left=tree.children_left.tolist(),
                right=tree.children_right.tolist(),
                value=(counts[:, 1] / counts.sum(axis=1)).tolist(),
            )
        )
    return Member("rf", trees, averages=True)


def from_xgboost(booster: Any) -> Member:
    """Flatten a `binary:logistic` Booster: `<` on float32, leaves add to the log-odds of the base score."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    start = float(learner["learner_model_param"]["base_score"].strip("[]"))
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
    return Member("xgb", trees, base=float(np.log(start / (1.0 - start))))


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
    """Lay the nodes of all members' trees in one row, breadth first, so that siblings are neighbours."""
    trees = [tree for member in members for tree in member.trees]
    feature: list[int] = []
    threshold: list[np.float32] = []
    left: list[int] = []
    value: list[float] = []
    root, depth = [], []
    for tree in trees:
        offset = len(feature)
        order, levels = _breadth_first(tree)
        place = {node: offset + i for i, node in enumerate(order)}
        for node in order:
            leaf = tree.left[node] < 0
            feature.append(0 if leaf else tree.feature[node])
            threshold.append(np.float32(np.inf) if leaf else tree.threshold[node])
            left.append(place[node] if leaf else place[tree.left[node]])
            value.append(tree.value[node] if leaf else 0.0)
        root.append(offset)
        depth.append(levels)
    return Trees(
        feature=np.array(feature, dtype=np.int32),
        threshold=np.array(threshold, dtype=np.float32),
        left=np.array(left, dtype=np.int32),
        value=np.array(value, dtype=np.float64),
        root=np.array(root, dtype=np.int32),
        depth=np.array(depth, dtype=np.int32),
        first_tree=np.cumsum([0, *(len(member.trees) for member in members)]).astype(np.int32),
        averages=np.array([member.averages for member in members]),
        base=np.array([member.base for member in members], dtype=np.float64),
    )


def _breadth_first(tree: Tree) -> tuple[list[int], int]:
    order, levels, row = [0], 0, [0]
    while row := [
        child for node in row if tree.left[node] >= 0 for child in (tree.left[node], tree.right[node])
    ]:
        order += row
        levels += 1
    return order, levels
