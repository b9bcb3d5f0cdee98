"""The models of the bench beside ResNet-50: one of about a millisecond, and many small ones."""

from __future__ import annotations

import typing as t

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper


def _bytes(nodes: list[t.Any], weights: dict[str, t.Any], classes: int) -> bytes:
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", floats, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("probabilities", floats, ["batch", classes])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def small(classes: int = 10, seed: int = 1) -> bytes:
    """Return a convolutional classifier that runs in about a millisecond."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, (2 / 147) ** 0.5, (16, 3, 7, 7)),
        "w2": rng.normal(0, (2 / 144) ** 0.5, (32, 16, 3, 3)),
        "w3": rng.normal(0, (2 / 288) ** 0.5, (64, 32, 3, 3)),
        "dense": rng.normal(0, 0.1, (64, classes)),
    }
    nodes = []
    x = "input"
    for i, (kernel, stride) in enumerate(((7, 2), (3, 2), (3, 2)), 1):
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], strides=[stride] * 2, pads=pads)
        )
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        x = f"r{i}"
    nodes += [
        helper.make_node("GlobalAveragePool", [x], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    return _bytes(nodes, weights, classes)


def weighty(seed: int, *, megabytes: int = 4, classes: int = 10) -> bytes:
    """Return a model that is quick to run and holds so many megabytes of weights of its own."""
    rng = np.random.default_rng([7, seed])
    width = megabytes * 2**20 // (4 * 147)
    weights = {
        "w1": rng.normal(0, 0.1, (3, 3, 1, 1)),
        "wide": rng.normal(0, 0.05, (147, width)),
        "dense": rng.normal(0, 0.01, (width, classes)),
    }
    nodes = [
        helper.make_node("AveragePool", ["input"], ["p"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Conv", ["p", "w1"], ["c"]),
        helper.make_node("Flatten", ["c"], ["flat"]),
        helper.make_node("MatMul", ["flat", "wide"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["relu"]),
        helper.make_node("MatMul", ["relu", "dense"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    return _bytes(nodes, weights, classes)
