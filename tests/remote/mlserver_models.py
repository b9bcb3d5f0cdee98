"""MLServer with ONNX models: PORT NAME=FILE…"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver import types

NAMES = {"tensor(float)": "FP32", "tensor(string)": "BYTES"}


class Onnx(MLModel):
    """One ONNX file."""

    async def load(self):
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri)
        return True

    async def predict(self, payload):
        arrays = {tensor.name: _array(tensor) for tensor in payload.inputs}
        specs = self._session.get_outputs()
        outputs = [
            types.ResponseOutput(
                name=spec.name,
                shape=list(array.shape),
                datatype=NAMES[spec.type],
                data=array.ravel().tolist(),
            )
            for spec, array in zip(specs, self._session.run(None, arrays), strict=True)
        ]
        return types.InferenceResponse(model_name=self.name, outputs=outputs)


def _array(tensor):
    data = list(tensor.data.root)
    if tensor.datatype == "BYTES":
        texts = [text.decode() if isinstance(text, bytes) else text for text in data]
        return np.array(texts, dtype=object).reshape(tensor.shape)
    return np.array(data, np.float32).reshape(tensor.shape)


def _specs(found):
    return [
        {
            "name": spec.name,
            "datatype": NAMES[spec.type],
            "shape": [side if isinstance(side, int) else -1 for side in spec.shape],
        }
        for spec in found
    ]


def main():
    port, *models = sys.argv[1:]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mlserver-"))
    settings = {"host": "127.0.0.1", "http_port": int(port), "parallel_workers": 0}
    settings |= {"grpc_port": int(port) + 1, "metrics_port": int(port) + 2, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    for one in models:
        name, path = one.split("=", 1)
        session = onnxruntime.InferenceSession(path)
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(
            json.dumps(
                {
                    "name": name,
                    "implementation": "mlserver_models.Onnx",
                    "parameters": {"uri": path},
                    "inputs": _specs(session.get_inputs()),
                    "outputs": _specs(session.get_outputs()),
                }
            )
        )
    here = str(pathlib.Path(__file__).parent)
    os.environ["PYTHONPATH"] = here
    os.chdir(folder)
    start = (
        "import sys; from mlserver.cli import main; sys.argv = ['mlserver', 'start', '.']; main()"
    )
    os.execv(sys.executable, [sys.executable, "-c", start])


if __name__ == "__main__":
    main()
