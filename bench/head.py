"""A last layer under which photographs differ, for a network whose other weights are random.

A trained network answers different pictures differently, and with a margin; under a random last
layer nearly every picture gets the same class, and what rounding changes is chance alone.
"""

from __future__ import annotations

import typing as t

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from . import photos
from .reference import prepare

Array = np.ndarray[t.Any, np.dtype[t.Any]]

#: Photographs that the layer is fitted to; nobody is asked about them later.
SAMPLES, SEED = 6 * photos.LIGHTS, 2
#: By how much the logit of a picture's own light exceeds another's, on average.
MARGIN = 12.0


def fitted(data: bytes) -> bytes:
    """Return the model with a last layer that tells the kinds of light apart.

    A class is near where a picture's features are near the mean of its kind; the classes
    beyond the kinds of light are there, as in a real network, and far away.
    """
    model = onnx.load_model_from_string(data)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    features = _features(model, gemm.input[0])
    kind = np.arange(SAMPLES) % photos.LIGHTS
    middle = features.mean(axis=0)
    means = np.stack([features[kind == k].mean(axis=0) - middle for k in range(photos.LIGHTS)])
    scale = MARGIN / np.mean((means**2).sum(axis=1))
    weights = {i.name: i for i in model.graph.initializer}
    dense = numpy_helper.to_array(weights[gemm.input[1]]).copy() * 0.01
    bias = -(middle @ dense) - 2 * MARGIN
    dense[:, : photos.LIGHTS] = (means * scale).T
    bias[: photos.LIGHTS] = -(middle @ means.T) * scale - (means**2).sum(axis=1) * scale / 2
    for name, values in ((gemm.input[1], dense), (gemm.input[2], bias)):
        weights[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return bytes(model.SerializeToString())


def _features(model: t.Any, name: str) -> Array:
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    del model.graph.output[-1]
    found = []
    for photo in photos.make(SAMPLES, seed=SEED, side=320):
        found.append(session.run([name], {"input": prepare(photo)})[0])
    return np.concatenate(found)
