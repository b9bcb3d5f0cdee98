"""The process that tries a model: it ends with a word, a report, or a bang.

It starts with the request on one line of standard input and the model's bytes after it, and
answers on standard output with ``ok`` and a report, or with one word of ``child.REFUSALS``.
"""

from __future__ import annotations

import collections.abc as c
import importlib
import json
import math
import os
import sys
import time
import typing as t
from pathlib import Path

from . import decoder
from . import graphs
from . import heads
from .expose import with_outputs
from .graphs import Refused
from .signature import TensorSpec


def main() -> t.NoReturn:
    """Answer the one request and leave, without waiting for anybody's threads."""
    answer({"probe": _probe, "inline": _inline})


def answer(modes: dict[str, c.Callable[[bytes, dict[str, t.Any]], bytes]]) -> t.NoReturn:
    """Answer the request with the function of its mode, under its limits, and leave."""
    out = os.dup(1)
    # What native code prints must not end up in the answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    request = json.loads(sys.stdin.buffer.readline())
    _limit(request)
    data = sys.stdin.buffer.read(request["bytes"])
    try:
        said = b"ok\n" + modes[request["mode"]](data, request)
    except Refused as error:
        said = error.word.encode()
    except MemoryError:
        said = b"memory"
    with os.fdopen(out, "wb") as file:
        file.write(said)
    os._exit(0)


def _limit(request: dict[str, t.Any]) -> None:
    if os.name != "posix":
        return
    resource = importlib.import_module("resource")
    cpu = math.ceil(request["cpu"])
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", request["file"]),
        ("RLIMIT_CPU", cpu),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_AS", request["memory"]),
    ):
        limit = getattr(resource, name)
        _, hard = resource.getrlimit(limit)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(limit, (value, value))


def _probe(data: bytes, request: dict[str, t.Any]) -> bytes:
    model = graphs.parse(data)
    graphs.refuse_external_data(model)
    graphs.refuse_custom_operators(model)
    graphs.check_structure(model)
    graphs.refuse_impossible_sizes(model, request["memory"])
    report = {
        "opset": next((o.version for o in model.opset_import if o.domain in graphs.STANDARD), 0),
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip()[:200],
        "metadata": {p.key[:200]: p.value[:200_000] for p in model.metadata_props},
        "ends_in_probabilities": graphs.ends_in_probabilities(model.graph),
    }
    head = _head(model, data)
    del model
    report |= _try(data, tuple(request["size"]), head)
    return json.dumps(report).encode()


def _head(model: t.Any, data: bytes) -> dict[str, t.Any] | None:
    try:
        return heads.find(model, data)
    # Whatever is odd about a graph here is no reason to refuse it.
    except Exception:
        return None


def _try(data: bytes, size: tuple[int, int], head: dict[str, t.Any] | None) -> dict[str, t.Any]:
    runtime = importlib.import_module("flask_ailydian.engine.runtime")
    runtime.load()
    before = _resident()
    started = time.perf_counter()
    try:
        # As it will be served, with the map among its outputs.
        extra = [] if head is None else [head["map"]]
        session = runtime.open_session(with_outputs(data, extra), threads=1)
    except Exception as error:
        if head is not None:
            return _try(data, size, None)
        raise Refused("session") from error
    loaded = time.perf_counter()
    inputs = runtime.specs(session.get_inputs())
    if any(not _is_tensor(spec["dtype"]) for spec in inputs) or not inputs:
        raise Refused("inputs")
    outputs = runtime.specs(session.get_outputs())[: -len(extra) or None]
    try:
        results = _run(session, inputs, outputs, size)
        run_ms = (time.perf_counter() - loaded) * 1000
        if head is not None and not heads.fits(head, results[-1]):
            return _try(data, size, None)
    except Refused:
        raise
    except Exception as error:
        run_ms = None
        # Zeros may be no sensible input where the shape is the caller's choice.
        if not any(_open(spec["shape"]) for spec in inputs):
            raise Refused("run") from error
    return {
        "inputs": inputs,
        "outputs": outputs,
        "ran": run_ms is not None,
        "load_ms": (loaded - started) * 1000,
        "run_ms": run_ms,
        "peak_bytes": peak_bytes(),
        "loaded_bytes": max(0, _resident() - before),
        # A map that no run has shown is not to be relied on.
        "cam": head if run_ms is not None else None,
    }


def _run(
    session: t.Any,
    inputs: list[dict[str, t.Any]],
    outputs: list[dict[str, t.Any]],
    size: tuple[int, int],
) -> list[t.Any]:
    """Run the model on zeros; one that writes writes a few tokens, its cache among them."""
    takes, gives = (tuple(map(TensorSpec.from_json, specs)) for specs in (inputs, outputs))
    if not decoder.writes(takes, gives):
        zeros = {spec["name"]: _zeros(spec, size) for spec in inputs}
        return list(session.run(None, zeros))
    names = [spec.name for spec in gives]

    def run(arrays: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(zip(names, session.run(names, arrays), strict=True))

    try:
        list(decoder.write(run, takes, gives, [0, 1, 2], most=3))
    except Exception as error:
        raise Refused("writes") from error
    return []


def _is_tensor(dtype: str) -> bool:
    return "(" not in dtype


def _open(shape: list[t.Any]) -> bool:
    return any(not isinstance(d, int) for d in shape[1:])


def _zeros(spec: dict[str, t.Any], size: tuple[int, int]) -> t.Any:
    numpy = importlib.import_module("numpy")
    shape = list(spec["shape"])
    sides = iter(size)
    for axis, dimension in enumerate(shape):
        if not isinstance(dimension, int):
            picture = len(shape) == 4 and axis > 0
            shape[axis] = next(sides, 1) if picture else 1
    if spec["dtype"] == "string":
        return numpy.full(shape, "", dtype=object)
    return numpy.zeros(shape, dtype=spec["dtype"])


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    if os.name != "posix":
        return 0
    status = Path("/proc/self/status")
    if status.exists():
        # The other figure begins with what the parent held when it started this process.
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    resource = importlib.import_module("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _inline(data: bytes, request: dict[str, t.Any]) -> bytes:
    model = graphs.parse(data)
    graphs.inline(model, Path(request["folder"]), request["max_bytes"])
    try:
        whole = model.SerializeToString()
    except ValueError as error:
        raise Refused("too_large") from error
    if len(whole) > request["max_bytes"]:
        raise Refused("too_large")
    return bytes(whole)
