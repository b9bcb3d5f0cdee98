"""The work itself and nothing else: pre-process a JPEG, run the model.

The floor, the bare Flask view and every peer call these functions, each in its own environment:
only NumPy, Pillow and ONNX Runtime may be imported here.
"""

from __future__ import annotations

import io
import os
import typing as t

import numpy as np
from PIL import Image

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Array = np.ndarray[t.Any, np.dtype[t.Any]]

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TABLES = [
    ((np.arange(256) / 255 - mean) / std).astype(np.float32)
    for mean, std in zip(MEAN, STD, strict=True)
]
#: How many classes an answer names.
TOP = 5


def prepare(data: bytes) -> Array:
    """Return the tensor [1, 3, 224, 224] of a JPEG: scaled while decoding, cropped, normalised."""
    image: t.Any = Image.open(io.BytesIO(data), formats=["JPEG"])
    scale = min(image.size) / SIDE
    # Twice the target is kept, so that the filter still decides how the result looks.
    factor = next((f for f in (8, 4, 2) if scale >= 2 * f), 1)
    image.draft("RGB", (image.width // factor, image.height // factor))
    image = image if image.mode == "RGB" else image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box))
    tensor = np.empty((1, 3, SIDE, SIDE), np.float32)
    for channel, table in enumerate(_TABLES):
        np.take(table, pixels[:, :, channel], out=tensor[0, channel], mode="clip")
    return tensor


def open_session(path: str, threads: int) -> t.Any:
    """Return a session whose runs use so many threads and never spin."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: t.Any, tensor: Array) -> Array:
    """Return the probabilities of one image."""
    return t.cast(Array, session.run(None, {"input": tensor})[0][0])


def answer(chances: Array) -> dict[str, t.Any]:
    """Return what a server answers: the best class, and the probabilities of the best five."""
    best = np.argsort(-chances)[:TOP]
    return {
        "prediction": f"class_{best[0]}",
        "probabilities": {f"class_{i}": float(chances[i]) for i in best},
    }
