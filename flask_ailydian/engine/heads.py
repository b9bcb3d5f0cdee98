"""Finds the head of which a class activation map can be drawn; used only by the probe's child.

That is a mean over the places of the last map of features, then one linear layer, then at most
what leaves the order of the scores alone: an offset, a scale, a softmax.
"""

from __future__ import annotations

import importlib
import math
import typing as t

from .graphs import PASSING

AFTER = PASSING | {"Softmax", "LogSoftmax", "Sigmoid", "Dropout"}
BETWEEN = PASSING | {"Dropout"}
SPATIAL = ({2, 3}, {-1, -2})
#: float, float16 and double, as onnx.proto numbers them.
FLOATS = (1, 10, 11)


def find(model: t.Any, data: bytes) -> dict[str, t.Any] | None:
    """Return where map and weights are, as ``cam.Head.from_json`` reads it, or ``None``."""
    graph = _Graph(model.graph)
    # The first output of fractions is the one that answers are read off.
    outputs = [o.name for o in model.graph.output if o.type.tensor_type.elem_type in FLOATS]
    linear, factor = graph.linear(outputs[0]) if outputs else (None, 1.0)
    if linear is None:
        return None
    weights = graph.weights(linear, data)
    name = graph.pooled(linear.input[0])
    if weights is None or name is None:
        return None
    return {"map": name, "factor": factor, **weights}


def fits(head: dict[str, t.Any], maps: t.Any) -> bool:
    """Whether a map that a run gave is one that the head's weights go with."""
    channels = head["shape"][1 - head["classes_axis"]]
    return len(maps.shape) == 4 and maps.shape[:2] == (1, channels) and maps.dtype.kind == "f"


class _Graph:
    def __init__(self, graph: t.Any) -> None:
        self._helper = importlib.import_module("onnx.numpy_helper")
        self._makers = {name: node for node in graph.node for name in node.output}
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.name == "value":
                        self._tensors[node.output[0]] = attribute.t

    def linear(self, name: str) -> tuple[t.Any, float]:
        """Walk up from an output to the linear layer; return it, and what scales its scores."""
        factor = 1.0
        while (node := self._makers.get(name)) is not None:
            if node.op_type in ("Gemm", "MatMul", "Conv"):
                return node, factor
            if node.op_type in AFTER:
                name = node.input[0]
            elif node.op_type == "DequantizeLinear":
                name = self._behind_rounding(node)
            elif node.op_type in ("Add", "Sub", "Mul", "Div") and len(node.input) == 2:
                constant = next((i for i, x in enumerate(node.input) if x in self._tensors), None)
                if constant is None or (constant == 0 and node.op_type in ("Sub", "Div")):
                    break
                if node.op_type in ("Mul", "Div"):
                    value = self._array(node.input[constant])
                    # One scale for all classes, or they cannot be compared any more.
                    if value.size != 1 or not (scale := float(value.reshape(-1)[0])) > 0:
                        break
                    factor *= scale if node.op_type == "Mul" else 1 / scale
                name = node.input[1 - constant]
            else:
                break
        return None, factor

    def weights(self, node: t.Any, data: bytes) -> dict[str, t.Any] | None:
        """Return where in the file the weights of a linear layer are, and how they lie."""
        name, scales = node.input[1], None
        given = {a.name: a for a in node.attribute}
        rounded = self._makers.get(name)
        if rounded is not None and rounded.op_type == "DequantizeLinear":
            name, scales = rounded.input[0], rounded.input[1]
        if name not in self._tensors:
            return None
        array = self._array(name)
        if array.dtype.name not in ("float32", "int8") or (scales is None) != (
            array.dtype.name == "float32"
        ):
            return None
        # The axis along which the classes lie.
        axis = 0 if node.op_type == "Conv" else 1
        if node.op_type == "Conv":
            if array.ndim != 4 or array.shape[2:] != (1, 1):
                return None
            if "group" in given and given["group"].i != 1:
                return None
            array = array.reshape(array.shape[:2])
        elif node.op_type == "Gemm":
            if "transA" in given and given["transA"].i:
                return None
            axis = 0 if "transB" in given and given["transB"].i else 1
        alpha = given["alpha"].f if node.op_type == "Gemm" and "alpha" in given else 1.0
        if array.ndim != 2 or not alpha > 0:
            return None
        found: dict[str, t.Any] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "classes_axis": axis,
            "offset": data.find(array.tobytes()),
            "scales_offset": None,
        }
        if scales is not None:
            values = self._array(scales) if scales in self._tensors else None
            if values is None or values.dtype.name != "float32":
                return None
            if values.size not in (1, array.shape[axis]) or not self._even(rounded, axis):
                return None
            found |= {"scales_offset": data.find(values.tobytes()), "scales": int(values.size)}
        found["alpha"] = alpha
        return found if found["offset"] >= 0 and found["scales_offset"] != -1 else None

    def pooled(self, name: str) -> str | None:
        """Walk up from the linear layer's input to the mean; return what the mean is taken of."""
        while (node := self._makers.get(name)) is not None:
            if node.op_type in BETWEEN:
                name = node.input[0]
            elif node.op_type == "DequantizeLinear":
                name = self._behind_rounding(node)
            elif node.op_type == "GlobalAveragePool":
                return str(node.input[0])
            elif node.op_type == "ReduceMean":
                return str(node.input[0]) if self._axes(node) in SPATIAL else None
            else:
                return None
        return None

    def _axes(self, node: t.Any) -> set[int]:
        for attribute in node.attribute:
            if attribute.name == "axes":
                return set(attribute.ints)
        if len(node.input) > 1 and node.input[1] in self._tensors:
            return {int(axis) for axis in self._array(node.input[1]).reshape(-1)}
        return set()

    def _even(self, rounded: t.Any, axis: int) -> bool:
        """Whether a rounding has no zero point but zero, and its scales go by class."""
        if len(rounded.input) > 2 and rounded.input[2]:
            if rounded.input[2] not in self._tensors or self._array(rounded.input[2]).any():
                return False
        along = next((a.i for a in rounded.attribute if a.name == "axis"), 1)
        return math.prod(self._tensors[rounded.input[1]].dims) == 1 or along == axis

    def _behind_rounding(self, node: t.Any) -> str:
        maker = self._makers.get(node.input[0])
        if maker is None or maker.op_type != "QuantizeLinear":
            return ""
        return str(maker.input[0])

    def _array(self, name: str) -> t.Any:
        return self._helper.to_array(self._tensors[name])
