"""KServe's own server with ONNX models: PORT NAME=FILE…"""

import sys

import kserve
import numpy as np
import onnxruntime
import uvicorn

NAMES = {"tensor(float)": "FP32", "tensor(string)": "BYTES"}


class Model(kserve.Model):
    """One ONNX file."""

    def __init__(self, name, path):
        super().__init__(name)
        self.session = onnxruntime.InferenceSession(path)
        self.ready = True

    def predict(self, request, headers=None):
        arrays = {tensor.name: _array(tensor) for tensor in request.inputs}
        outputs = []
        for spec, array in zip(
            self.session.get_outputs(), self.session.run(None, arrays), strict=True
        ):
            tensor = kserve.InferOutput(spec.name, list(array.shape), NAMES[spec.type])
            tensor.set_data_from_numpy(array, binary_data=False)
            outputs.append(tensor)
        return kserve.InferResponse(request.id, self.name, outputs)


def _array(tensor):
    if tensor.datatype != "BYTES":
        return tensor.as_numpy()
    texts = [text.decode() if isinstance(text, bytes) else text for text in tensor.data]
    return np.array(texts, dtype=object).reshape(tensor.shape)


if __name__ == "__main__":
    # It would listen on every interface, and has no option against it.
    config, init = uvicorn.Config, uvicorn.Config.__init__

    def on_loopback(self, *args, **options):
        init(self, *args, **{**options, "host": "127.0.0.1"})

    config.__init__ = on_loopback
    port, *models = sys.argv[1:]
    server = kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1)
    server.start([Model(*one.split("=", 1)) for one in models])
