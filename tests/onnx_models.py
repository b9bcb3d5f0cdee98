"""Tiny real ONNX models, good and hostile, as bytes."""

from __future__ import annotations

import typing as t

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from onnx import TensorProto

FLOAT = TensorProto.FLOAT
OPSET = 17


def build(
    nodes: list[t.Any],
    inputs: list[t.Any],
    outputs: list[t.Any],
    weights: dict[str, t.Any] | None = None,
    *,
    opsets: dict[str, int] | None = None,
) -> bytes:
    """Return a model's bytes."""
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    imports = [helper.make_opsetid(d, v) for d, v in ({"": OPSET} | (opsets or {})).items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def value(name: str, shape: list[t.Any], dtype: int = FLOAT) -> t.Any:
    """Return an input or output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def classifier(labels: int = 3, size: int = 8, softmax: bool = True, seed: int = 0) -> bytes:
    """`input` [batch, 3, size, size] → `probabilities` or `logits` [batch, labels]."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(3 * size * size, labels)).astype(np.float32) / size
    last = "probabilities" if softmax else "logits"
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["scores" if softmax else last]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], [last], axis=-1))
    return build(
        nodes,
        [value("input", ["batch", 3, size, size])],
        [value(last, ["batch", labels])],
        {"dense": dense},
    )


def convolutional(
    size: int = 32,
    *,
    shrink: float = 1.0,
    head: str = "Gemm",
    pool: str = "GlobalAveragePool",
    softmax: bool = True,
    opset: int = OPSET,
    seed: int = 0,
) -> bytes:
    """`input` [batch, 3, size, size] → `probabilities` [batch, 3]: the strongest colour.

    *shrink*: the three channels that matter are this much smaller than the one beside them,
    so that rounding to 8 bits loses them.
    """
    rng = np.random.default_rng(seed)
    kernels = rng.normal(0, 0.05, (8, 3, 3, 3)).astype(np.float32)
    for colour in range(3):
        kernels[colour, colour, 1, 1] += 1.0
    kernels[:3] *= shrink
    kernels[7] = 0.2
    dense = rng.normal(0, 0.1, (8, 3)).astype(np.float32)
    dense[:3] += 6 * np.eye(3, dtype=np.float32) - 2
    dense[:3] /= shrink
    dense[7] = 0
    weights: dict[str, t.Any] = {"kernels": kernels, "dense": dense}
    weights |= {"bias": np.array([0.1, 0.0, -0.1], np.float32)}
    nodes = [
        helper.make_node("Conv", ["input", "kernels"], ["maps"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["features"]),
    ]
    if pool == "GlobalAveragePool":
        nodes.append(helper.make_node(pool, ["features"], ["pooled"]))
    else:
        nodes.append(helper.make_node("ReduceMean", ["features"], ["pooled"], axes=[2, 3]))
    last = "scores" if softmax else "logits"
    if head == "Conv":
        weights["dense"] = dense.T.reshape(3, 8, 1, 1).copy()
        nodes.append(helper.make_node("Conv", ["pooled", "dense", "bias"], ["wide"]))
        nodes.append(helper.make_node("Flatten", ["wide"], [last]))
    else:
        nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
        if head == "Gemm":
            weights["dense"] = dense.T.copy()
            node = helper.make_node("Gemm", ["flat", "dense", "bias"], [last], transB=1)
            nodes.append(node)
        else:
            nodes.append(helper.make_node("MatMul", ["flat", "dense"], ["product"]))
            nodes.append(helper.make_node("Add", ["product", "bias"], [last]))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1))
    name = "probabilities" if softmax else "logits"
    return build(
        nodes,
        [value("input", ["batch", 3, size, size])],
        [value(name, ["batch", 3])],
        weights,
        opsets={"": opset},
    )


def adder() -> bytes:
    """`a` [n], `b` [n] → `sum` [n]."""
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    return build([node], [value("a", ["n"]), value("b", ["n"])], [value("sum", ["n"])])


def text_classifier() -> bytes:
    """`text` strings [n] → `scores` [n, 2]: the first class for "evet", else the second."""
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["text"],
            ["found"],
            domain="ai.onnx.ml",
            keys_strings=["evet"],
            values_floats=[2.0],
            default_float=-2.0,
        ),
        helper.make_node("Unsqueeze", ["found", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], ["scores"]),
    ]
    return build(
        nodes,
        [value("text", ["n"], TensorProto.STRING)],
        [value("scores", ["n", 2])],
        {"last": np.array([1]), "weights": np.array([[1.0, -1.0]], np.float32)},
        opsets={"ai.onnx.ml": 3},
    )


def turn(size: int) -> t.Any:
    """Return the graph of one turn of a loop: a product of matrices and a softmax."""
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "x"], ["y"]),
            helper.make_node("Softmax", ["y"], ["z"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            value("i", [], TensorProto.INT64),
            value("go", [], TensorProto.BOOL),
            value("x", [size, size]),
        ],
        [value("on", [], TensorProto.BOOL), value("z", [size, size])],
    )


def _loop(count: int | None, size: int) -> bytes:
    body = turn(size)
    weights: dict[str, t.Any] = {"yes": np.array(True)}
    if count is not None:
        weights["count"] = np.array(count, dtype=np.int64)
    node = helper.make_node(
        "Loop", ["count" if count is not None else "", "yes", "input"], ["output"], body=body
    )
    return build([node], [value("input", [size, size])], [value("output", [size, size])], weights)


def timed(size: int = 64) -> bytes:
    """`turns` [1], whole numbers → `output` [size, size]: a run as long as its caller wants."""
    body = turn(size)
    node = helper.make_node("Loop", ["turns", "yes", "start"], ["output"], body=body)
    weights = {"yes": np.array(True), "start": np.eye(size, dtype=np.float32)}
    turns = value("turns", [1], TensorProto.INT64)
    return build([node], [turns], [value("output", [size, size])], weights)


def slow(turns: int = 200_000, size: int = 64) -> bytes:
    """`input` [size, size], for seconds, → `output`."""
    return _loop(turns, size)


def endless() -> bytes:
    """A loop that never ends."""
    return _loop(None, 4)


def external_data(location: str = "weights.bin", *, nested: bool = False) -> bytes:
    """A model whose weights lie in another file; *nested*: in a branch of an `If`."""
    tensor = numpy_helper.from_array(np.zeros((4,), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text
    add = helper.make_node("Add", ["input", "w"], ["sum"])
    inputs, outputs = [value("input", [4])], [value("output", [4])]
    if not nested:
        add.output[0] = "output"
        graph = helper.make_graph([add], "external", inputs, outputs, [tensor])
    else:
        branch = helper.make_graph([add], "branch", [], [value("sum", [4])], [tensor])
        condition = numpy_helper.from_array(np.array(True), "yes")
        node = helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)
        graph = helper.make_graph([node], "nested", inputs, outputs, [condition])
    imports = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def custom_operator() -> bytes:
    """A model with an operator that nobody defines."""
    node = helper.make_node("Summon", ["input"], ["output"], domain="org.example")
    return build([node], [value("input", [1])], [value("output", [1])], opsets={"org.example": 1})


def division_trap() -> bytes:
    """The smallest whole number divided by -1, which kills a process."""
    node = helper.make_node("Div", ["input", "minus"], ["ratio"])
    both = helper.make_node("Div", ["least", "minus"], ["output"])
    return build(
        [node, both],
        [value("input", [1], TensorProto.INT64)],
        [value("output", [1], TensorProto.INT64)],
        {"minus": np.array([-1]), "least": np.array([np.iinfo(np.int64).min])},
    )


def scalar_dft() -> bytes:
    """A Fourier transform of a scalar, which kills a process."""
    node = helper.make_node("DFT", ["input"], ["output"])
    return build([node], [value("input", [])], [value("output", [])])


def giant() -> bytes:
    """A tensor of terabytes."""
    node = helper.make_node("ConstantOfShape", ["shape"], ["output"])
    return build(
        [node, helper.make_node("Identity", ["input"], ["same"])],
        [value("input", [1])],
        [value("output", [None, None]), value("same", [1])],
        {"shape": np.array([2**20, 2**20])},
    )


def future_opset() -> bytes:
    """A model of an opset that is not there yet."""
    node = helper.make_node("Identity", ["input"], ["output"])
    graph = helper.make_graph([node], "future", [value("input", [1])], [value("output", [1])])
    imports = [helper.make_opsetid("", 999)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def sequence_input() -> bytes:
    """A model that takes a sequence."""
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    node = helper.make_node("SequenceLength", ["input"], ["output"])
    return build(
        [node],
        [onnx.ValueInfoProto(name="input", type=kind)],
        [value("output", [], TensorProto.INT64)],
    )


HOSTILE: dict[str, t.Callable[[], bytes]] = {
    "external data": external_data,
    "nested external data": lambda: external_data(nested=True),
    "custom operator": custom_operator,
    "giant": giant,
    "endless": endless,
    "future opset": future_opset,
    "sequence input": sequence_input,
    "empty": lambda: b"",
    "text": lambda: b"#!/bin/sh\nexit 1\n",
    "truncated": lambda: classifier()[:-100],
    "zeros": lambda: bytes(4096),
}
