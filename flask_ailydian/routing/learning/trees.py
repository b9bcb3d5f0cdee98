"""A forest of scikit-learn's as a node of an ONNX graph."""

from __future__ import annotations

import typing as t

import numpy as np

from . import textgraph


def node(forest: t.Any, source: str, target: str) -> t.Any:
    """Return the node that gives the first output of *forest*, the mean over its trees.

    :param source: The name of its features, *target* that of what it gives.
    """
    columns: dict[str, list[t.Any]] = {
        f"nodes_{name}": []
        for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids")
    }
    columns["nodes_falsenodeids"] = []
    leaves: dict[str, list[t.Any]] = {
        f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")
    }
    count = len(forest.estimators_)
    for number, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        inner = tree.children_left >= 0
        columns["nodes_treeids"] += [number] * tree.node_count
        columns["nodes_nodeids"] += range(tree.node_count)
        columns["nodes_featureids"] += np.where(inner, tree.feature, 0).tolist()
        columns["nodes_values"] += np.where(inner, tree.threshold, 0).tolist()
        columns["nodes_modes"] += np.where(inner, "BRANCH_LEQ", "LEAF").tolist()
        columns["nodes_truenodeids"] += np.where(inner, tree.children_left, 0).tolist()
        columns["nodes_falsenodeids"] += np.where(inner, tree.children_right, 0).tolist()
        ends = np.flatnonzero(~inner)
        leaves["target_treeids"] += [number] * len(ends)
        leaves["target_nodeids"] += ends.tolist()
        leaves["target_ids"] += [0] * len(ends)
        leaves["target_weights"] += (tree.value[ends, 0, 0] / count).tolist()
    return textgraph.node(
        "TreeEnsembleRegressor",
        [source],
        [target],
        domain="ai.onnx.ml",
        n_targets=1,
        **columns,
        **leaves,
    )
