"""Triton with ONNX models behind its Python backend: PORT NAME=FILE…"""

import sys

import numpy as np
import onnxruntime
from pytriton.model_config import ModelConfig
from pytriton.model_config import Tensor
from pytriton.triton import Triton
from pytriton.triton import TritonConfig

TYPES = {"tensor(float)": np.float32, "tensor(string)": bytes}


def runner(session):
    def one(arrays):
        for name, array in arrays.items():
            if array.dtype.kind in "SO":
                texts = [text.decode() for text in array.ravel()]
                arrays[name] = np.array(texts, dtype=object).reshape(array.shape)
        return dict(
            zip((o.name for o in session.get_outputs()), session.run(None, arrays), strict=True)
        )

    return lambda requests: [one(dict(request)) for request in requests]


def tensors(specs):
    return [
        Tensor(
            name=spec.name,
            dtype=TYPES[spec.type],
            shape=tuple(side if isinstance(side, int) else -1 for side in spec.shape),
        )
        for spec in specs
    ]


if __name__ == "__main__":
    port, *models = sys.argv[1:]
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=int(port),
        grpc_port=int(port) + 1,
        grpc_address="127.0.0.1",
        metrics_port=int(port) + 2,
        metrics_address="127.0.0.1",
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        for one in models:
            name, path = one.split("=", 1)
            session = onnxruntime.InferenceSession(path)
            triton.bind(
                model_name=name,
                infer_func=runner(session),
                inputs=tensors(session.get_inputs()),
                outputs=tensors(session.get_outputs()),
                # Shapes as the file has them, the first dimension included.
                config=ModelConfig(batching=False),
            )
        triton.serve()
