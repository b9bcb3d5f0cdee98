"""Write a tiny real classifier, its labels and a picture: `model.py MODEL LABELS PICTURE`."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
from PIL import Image

model_path, labels_path, picture_path = sys.argv[1:]
rng = np.random.default_rng(7)
weights = rng.normal(size=(3, 2)).astype(np.float32)
graph = helper.make_graph(
    [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
    ],
    "stranger",
    [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3, 224, 224])],
    [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 2])],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.save(model, model_path)
Path(labels_path).write_text("dog\nno dog\n", encoding="utf-8")
pixels = rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)
Image.fromarray(pixels).save(picture_path)
