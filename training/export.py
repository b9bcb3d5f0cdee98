"""Writes a network as one ONNX file that says what it is."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper
from onnx import numpy_helper
from torch import nn

from .model import MEAN
from .model import STD

OPSET = 17


class Served(nn.Module):
    """A network with its calibration and its last function: images in, probabilities out."""

    def __init__(self, network: t.Any, slope: float, offset: t.Any, *, exclusive: bool) -> None:
        super().__init__()
        self.network = network
        self.slope = slope
        self.register_buffer("offset", torch.tensor(np.asarray(offset), dtype=torch.float32))
        self.exclusive = exclusive

    def forward(self, image: t.Any) -> t.Any:
        logits = self.network(image) * self.slope + self.offset
        return torch.softmax(logits, dim=1) if self.exclusive else torch.sigmoid(logits)


def export(served: t.Any, path: Path, metadata: dict[str, str], *, size: int = 224) -> None:
    """Write *served* with a free batch axis, input ``input`` and output ``probabilities``."""
    torch.onnx.export(
        served.eval(),
        (torch.zeros(1, 3, size, size),),
        str(path),
        input_names=["input"],
        output_names=["probabilities"],
        dynamic_axes={"input": {0: "batch"}, "probabilities": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    describe(path, metadata)


def describe(path: Path, metadata: dict[str, str]) -> None:
    """Put *metadata* into a file, under the keys that registering it reads."""
    model = onnx.load(str(path))
    helper.set_model_props(model, {f"ailydian.{key}": text for key, text in metadata.items()})
    # The exporter leaves the names of source files in every node.
    for node in model.graph.node:
        node.ClearField("doc_string")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def metadata(labels: t.Sequence[str], description: str, licence: str, size: int) -> dict[str, str]:
    """Return what the file says of itself."""
    recipe = {
        "kind": "image",
        "size": [size, size],
        "fit": "cover",
        "resample": "bilinear",
        "colour": "RGB",
        "mean": list(MEAN),
        "std": list(STD),
        "layout": "NCHW",
        "apply_orientation": True,
    }
    return {
        "labels": json.dumps(list(labels), ensure_ascii=False),
        "preprocessing": json.dumps(recipe),
        "task": "image-classification",
        "domain": "medical",
        "license": licence,
        "description": description,
    }


def graft(
    backbone: Path, output: str, weight: t.Any, bias: t.Any, path: Path, *, exclusive: bool
) -> None:
    """Write an ONNX backbone with a linear head on its flattened *output*."""
    model = onnx.load(str(backbone))
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    last = helper.make_node("Softmax", ["head_logits"], ["probabilities"], axis=-1)
    if not exclusive:
        last = helper.make_node("Sigmoid", ["head_logits"], ["probabilities"])
    model.graph.node.extend(
        [
            helper.make_node("Flatten", [output], ["head_features"], axis=1),
            helper.make_node(
                "Gemm", ["head_features", "head_weight", "head_bias"], ["head_logits"], transB=1
            ),
            last,
        ]
    )
    for name, values in (("head_weight", weight), ("head_bias", bias)):
        tensor = numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)
        model.graph.initializer.append(tensor)
    del model.graph.output[:]
    shape: list[str | int | None] = ["batch", len(bias)]
    model.graph.output.append(
        helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, shape)
    )
    if opset < 13:
        raise ValueError("Export the backbone with opset 13 or newer.")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
