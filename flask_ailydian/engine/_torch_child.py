"""The process that tries a PyTorch file, and finds out what it takes and gives."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import tempfile
import time
import typing as t
import zipfile

from ..errors import ModelRefused
from . import archives
from ._probe_child import answer
from ._probe_child import peak_bytes
from .graphs import Refused

#: Operators of TorchScript that reach out of the process, or into it.
FORBIDDEN = re.compile(
    r"(aten::(save|load|from_file|wait)|prim::(PythonOp|Print|fork|rpc_\w+|awaitable\w*))$"
)
NAMESPACES = ("aten::", "prim::", "quantized::")
#: The same, as the source text in the file calls them; anything may stand between the words.
SOURCE = re.compile(
    r"torch[\s\\]*\.[\s\\]*(save|load|from_file|classes)\b"
    r"|\bops[\s\\]*\.[\s\\]*(?!prim\b|aten\b|quantized\b)\w+|__torch__\.torch\.classes"
    r"|__setstate__|#"
)


def main() -> t.NoReturn:
    """Answer the one request and leave."""
    answer({"torch": _probe})


def _probe(data: bytes, request: dict[str, t.Any]) -> bytes:
    # Or it would be looked for by writing to it, which this process may not.
    tempfile.tempdir = os.getcwd()
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise Refused("no_torch") from error
    torch.set_num_threads(1)
    engine = importlib.import_module("flask_ailydian.engine.torch_engine")
    kind = request["kind"]
    started = time.perf_counter()
    try:
        if kind == "torchscript":
            _refuse_source(data)
        module = engine.load_module(kind, data, torch)
    except ModelRefused as error:
        raise Refused("code" if str(error) == archives.CODE else "torch") from error
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused("torch") from error
    loaded = time.perf_counter()
    if kind == "torchscript":
        _refuse_operators(module, torch)
        inputs = _asked_for(module, request)
    else:
        inputs = _of_program(module)
    report = {
        "opset": 0,
        "ir_version": 0,
        "producer": f"torch {torch.__version__}"[:200],
        "metadata": archives.metadata(data),
        "inputs": inputs,
        "load_ms": (loaded - started) * 1000,
        **_try(engine, torch, module, inputs),
        "peak_bytes": peak_bytes(),
    }
    return json.dumps(report).encode()


def _refuse_source(data: bytes) -> None:
    """Look at the text before anything is loaded: loading may run parts of it already."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if "/code/" in info.filename and info.filename.endswith(".py"):
                if SOURCE.search(archive.read(info).decode("utf-8", "replace")):
                    raise Refused("code")


def _refuse_operators(module: t.Any, torch: t.Any) -> None:
    """Look at the graph of every method, as it will be run."""
    for part in module.modules():
        for name in part._c._method_names():
            graph = part._c._get_method(name).graph
            torch._C._jit_pass_inline(graph)
            waiting = list(graph.nodes())
            while waiting:
                node = waiting.pop()
                kind = node.kind()
                if FORBIDDEN.match(kind) or not kind.startswith(NAMESPACES):
                    raise Refused("code")
                for block in node.blocks():
                    waiting.extend(block.nodes())


def _asked_for(module: t.Any, request: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the inputs of a TorchScript file, which names them but not their shapes."""
    names = [a.name for a in module.forward.schema.arguments[1:] if not a.has_default_value()]
    if request["inputs"]:
        return t.cast(list[dict[str, t.Any]], request["inputs"])
    if len(names) != 1 or not request["size"]:
        raise Refused("torch_inputs")
    shape: list[t.Any] = ["batch", request["channels"], *request["size"]]
    return [{"name": names[0], "dtype": "float32", "shape": shape}]


def _of_program(module: t.Any) -> list[dict[str, t.Any]]:
    inputs = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            value = node.meta.get("val")
            if not hasattr(value, "shape"):
                raise Refused("inputs")
            shape: list[t.Any] = [d if isinstance(d, int) else str(d) for d in value.shape]
            if shape and isinstance(shape[0], str):
                shape[0] = "batch"
            dtype = str(value.dtype).removeprefix("torch.")
            inputs.append({"name": node.name, "dtype": dtype, "shape": shape})
    if not inputs:
        raise Refused("inputs")
    return inputs


def _try(
    engine: t.Any, torch: t.Any, module: t.Any, inputs: list[dict[str, t.Any]]
) -> dict[str, t.Any]:
    numpy = importlib.import_module("numpy")
    rng = numpy.random.default_rng(0)

    def arrays(batch: int, scale: float) -> list[t.Any]:
        made = []
        for spec in inputs:
            shape = [d if isinstance(d, int) else batch for d in spec["shape"]]
            # Whole numbers are often places in a table: zero is the one that is always there.
            size = scale if spec["dtype"].startswith("float") else 0.0
            made.append((rng.normal(size=shape) * size).astype(spec["dtype"]))
        return made

    try:
        started = time.perf_counter()
        first = engine.call(torch, module, arrays(1, 0.0))
        run_ms = (time.perf_counter() - started) * 1000
        odd = [engine.call(torch, module, arrays(1, scale)) for scale in (0.3, 1.0, 3.0)]
    except Exception as error:
        raise Refused("run") from error
    more = None
    if any(not isinstance(d, int) for spec in inputs for d in spec["shape"]):
        try:
            more = engine.call(torch, module, arrays(2, 1.0))
        except Exception:
            # It takes one at a time, whatever its signature leaves open.
            for spec in inputs:
                spec["shape"] = [d if isinstance(d, int) else 1 for d in spec["shape"]]
    outputs = []
    for i, value in enumerate(first):
        shape: list[t.Any] = list(value.shape)
        if more is not None:
            pairs = zip(value.shape, more[i].shape, strict=True)
            shape = ["batch" if a != b else a for a, b in pairs]
        outputs.append({"name": f"output_{i}", "dtype": value.dtype.name, "shape": shape})
    return {
        "outputs": outputs,
        "ends_in_probabilities": all(_is_distribution(numpy, run) for run in odd),
        "ran": True,
        "run_ms": run_ms,
    }


def _is_distribution(numpy: t.Any, run: list[t.Any]) -> bool:
    """Whether the first output of fractions sums to one: no file says that it is a softmax."""
    scores = next((x for x in run if x.dtype.kind == "f" and x.ndim), None)
    if scores is None or scores.shape[-1] < 2:
        return False
    sums = scores.astype(numpy.float64).sum(axis=-1)
    return bool((scores >= 0).all() and numpy.allclose(sums, 1, atol=1e-3))
