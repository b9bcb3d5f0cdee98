"""ResNet-50 (He et al., 2015) from a fixed seed: the real graph, random weights."""

from __future__ import annotations

import typing as t

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper


class _Builder:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[t.Any] = []
        self.weights: list[t.Any] = []
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def add(self, kind: str, inputs: list[str], **attributes: t.Any) -> str:
        out = self.name()
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def weight(self, values: t.Any) -> str:
        name = self.name()
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: str, before: int, after: int, kernel: int, stride: int = 1) -> str:
        # He's initialisation keeps the activations of fifty layers in range.
        scale = np.sqrt(2 / (before * kernel * kernel))
        values = self.rng.normal(0, scale, (after, before, kernel, kernel))
        bias = self.weight(np.zeros(after))
        return self.add(
            "Conv",
            [x, self.weight(values), bias],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def block(self, x: str, before: int, width: int, stride: int) -> str:
        after = width * 4
        inner = self.add("Relu", [self.conv(x, before, width, 1)])
        inner = self.add("Relu", [self.conv(inner, width, width, 3, stride)])
        inner = self.conv(inner, width, after, 1)
        # Half of each branch: a sum of fifty would otherwise grow out of range.
        inner = self.add("Mul", [inner, self.weight(np.array(0.5))])
        beside = x if before == after and stride == 1 else self.conv(x, before, after, 1, stride)
        return self.add("Relu", [self.add("Add", [inner, beside])])


def build(classes: int = 1000, seed: int = 50) -> bytes:
    """Return the model's bytes: `input` [batch, 3, 224, 224] → `probabilities` [batch, classes]."""
    b = _Builder(seed)
    x = b.add("Relu", [b.conv("input", 3, 64, 7, 2)])
    x = b.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    before = 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(depth):
            x = b.block(x, before, width, stride if i == 0 else 1)
            before = width * 4
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x])])
    dense = b.weight(b.rng.normal(0, 0.01, (before, classes)))
    x = b.add("Gemm", [x, dense, b.weight(np.zeros(classes))])
    b.nodes.append(helper.make_node("Softmax", [x], ["probabilities"], axis=-1))
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        b.nodes,
        "resnet50",
        [helper.make_tensor_value_info("input", floats, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("probabilities", floats, ["batch", classes])],
        b.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
