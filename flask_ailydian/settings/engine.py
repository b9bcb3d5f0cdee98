"""How models run, and how many at once."""

from __future__ import annotations

import dataclasses

from .declaring import option

#: Names of the execution providers, and ONNX Runtime's for them.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """How models run, and how many at once."""

    slots: int = option(
        0, "Model runs that go on at once, one thread each; 0: one per core.", low=0, high=1024
    )
    queue_size: int = option(
        128, "Requests that may wait for a slot; the next one is refused.", low=0, high=1_000_000
    )
    providers: tuple[str, ...] = option(
        ("cpu",),
        "ONNX Runtime's execution providers by preference: "
        "`cpu`, `cuda`, `tensorrt`, `openvino`, `coreml`.",
        choices=PROVIDERS,
    )
    model_memory_bytes: int = option(
        0,
        "Memory of all loaded models together; 0: half of what the machine or container has.",
        low=0,
        high=2**44,
    )
    cache_bytes: int = option(
        16 * 2**20,
        "Memory of all cached answers together, for models that cache theirs.",
        low=0,
        high=2**40,
    )
    max_batch: int = option(32, "Inputs of one `POST /inference/batch`.", low=1, high=10_000)
    max_batch_bytes: int = option(
        64 * 2**20, "Largest request body of `POST /inference/batch`.", low=1, high=2**31
    )
