"""The one place that knows ONNX Runtime.

It is imported on first use, never before: its threads do not survive a fork.
"""

from __future__ import annotations

import functools
import importlib
import os
import typing as t
import warnings
from pathlib import Path

from ..errors import BackendUnavailable
from ..settings import PROVIDERS
from . import telemetry

GRAPH_FILE, WEIGHTS_FILE = "graph.onnx", "weights.bin"

#: ONNX Runtime's names of the types of tensors, and NumPy's.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}


_state = {"pid": 0}


def load() -> t.Any:
    """Import ONNX Runtime, silenced.

    :raises BackendUnavailable: in a child of a process that used it: it would hang there.
    """
    if _state["pid"] not in (0, os.getpid()):
        raise BackendUnavailable(
            "A model was loaded before this process was forked, which ONNX Runtime does not "
            "survive; load models in the workers only."
        )
    _state["pid"] = os.getpid()
    return _import()


@functools.cache
def _import() -> t.Any:
    os.environ[telemetry.SWITCH] = "1"
    if telemetry.imported_too_early():
        warnings.warn(
            "onnxruntime was imported before flask_ailydian and without ORT_DISABLE_TELEMETRY=1: "
            "it may write to the home folder and send usage data. Set the variable in the "
            "environment, or import flask_ailydian first.",
            RuntimeWarning,
            stacklevel=3,
        )
    return importlib.import_module("onnxruntime")


def telemetry_state() -> str:
    """Return ``off``, or why that is not certain."""
    if telemetry.imported_too_early():
        return "unknown, onnxruntime was imported earlier without ORT_DISABLE_TELEMETRY=1"
    return "off" if os.environ.get(telemetry.SWITCH) == "1" else "on"


def open_session(
    source: bytes | str,
    *,
    threads: int,
    optimise: bool = True,
    providers: t.Sequence[str] = ("cpu",),
    save_to: Path | None = None,
) -> t.Any:
    """Return an ``InferenceSession``; what it raises is ONNX Runtime's own.

    :param source: A model's bytes, or the path of a graph that was saved before.
    :param threads: For one run; 0 lets ONNX Runtime take one per core.
    :param optimise: Off for a saved graph, which has been optimised already.
    :param save_to: A folder for the optimised graph and, in a file of their own, its weights.
    :raises BackendUnavailable: for a provider that this ONNX Runtime does not have.
    """
    runtime = load()
    options = runtime.SessionOptions()
    level = "ORT_ENABLE_ALL" if optimise else "ORT_DISABLE_ALL"
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Only what is fatal: warnings quote names and paths.
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if save_to is not None:
        options.optimized_model_filepath = str(save_to / GRAPH_FILE)
        prefix = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{prefix}file_name", WEIGHTS_FILE)
        options.add_session_config_entry(f"{prefix}min_size_in_bytes", "1024")
    return runtime.InferenceSession(source, options, providers=_known(providers))


def _known(providers: t.Sequence[str]) -> list[str]:
    available = load().get_available_providers()
    missing = [name for name in providers if PROVIDERS[name] not in available]
    if missing:
        have = ", ".join(name for name, long in PROVIDERS.items() if long in available)
        raise BackendUnavailable(
            f"This ONNX Runtime has no execution provider {', '.join(missing)}; it has {have}. "
            "Install the onnxruntime build that brings it, or change AILYDIAN_PROVIDERS."
        )
    # What a provider cannot run falls back to the processor.
    return list(dict.fromkeys([*(PROVIDERS[name] for name in providers), PROVIDERS["cpu"]]))


def provider_state(providers: t.Sequence[str]) -> str | None:
    """Return what is wrong with the chosen providers in one sentence, or ``None``."""
    try:
        _known(providers)
    except BackendUnavailable as error:
        return str(error)
    return None


def specs(values: t.Iterable[t.Any]) -> list[dict[str, t.Any]]:
    """Return a session's inputs or outputs as ``TensorSpec.from_json`` reads them."""
    return [
        {"name": v.name, "dtype": DTYPES.get(v.type, v.type), "shape": list(v.shape or [])}
        for v in values
    ]
