"""Tries a model file in a process of its own, where it can crash and hang at will."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from ..errors import ModelRefused
from .files import read_model_file
from .signature import TensorSpec

# The package's own __init__ would bring Flask and the database along: the child gets a bare one.
START = """\
import sys, types
sys.path[:] = {path!r}
package = types.ModuleType("flask_ailydian")
package.__path__ = [{package!r}]
sys.modules["flask_ailydian"] = package
from flask_ailydian.engine import _probe_child
_probe_child.main()
"""
MAX_REPORT_BYTES = 8 * 2**20

#: Sentences for the words with which the child refuses.
REFUSALS = {
    "not_onnx": "The file is not an ONNX model.",
    "external_data": "The model keeps weights in other files; save it as one file.",
    "outside_data": "The model needs data outside its folder.",
    "missing_data": "The model needs a file with weights that is not there.",
    "custom_operator": "The model uses operators that ONNX Runtime does not have.",
    "opset": "The model's opset is newer than this ONNX Runtime knows.",
    "structure": "The model's structure is not valid.",
    "session": "ONNX Runtime does not take the model.",
    "inputs": "The model takes something else than tensors.",
    "run": "The model failed when it was tried.",
    "too_large": "The model is larger than what is accepted.",
    "memory": "The model takes more memory than it may.",
}


@dataclasses.dataclass(frozen=True)
class ProbeLimits:
    """What the process that tries a model may use."""

    wall_seconds: float = 60.0
    cpu_seconds: float = 60.0
    memory_bytes: int = 4 * 2**30


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """What was found out about a model."""

    opset: int
    ir_version: int
    producer: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]
    ends_in_probabilities: bool
    ran: bool
    load_ms: float
    run_ms: float | None
    peak_bytes: int
    #: What loading and running the model added; 0 where nobody measured it.
    loaded_bytes: int = 0

    def to_json(self) -> dict[str, t.Any]:
        """Return the report as JSON holds it."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["inputs"] = [spec.to_json() for spec in self.inputs]
        data["outputs"] = [spec.to_json() for spec in self.outputs]
        return data

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> ModelReport:
        """Read what :meth:`to_json` wrote."""
        values = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        values["inputs"] = tuple(map(TensorSpec.from_json, data["inputs"]))
        values["outputs"] = tuple(map(TensorSpec.from_json, data["outputs"]))
        return cls(**values)


def probe(
    data: bytes, *, limits: ProbeLimits | None = None, size: tuple[int, int] | None = None
) -> ModelReport:
    """Check a model's structure, load it and run it on zeros, all in a child process.

    :param size: Height and width to try where the model leaves them open.
    :raises ModelRefused: with one sentence of ours, whatever the model did.
    """
    answer = _ask("probe", data, limits or ProbeLimits(), {"size": list(size or (224, 224))})
    return ModelReport.from_json(json.loads(answer))


def inline_external_data(path: Path, *, max_bytes: int, limits: ProbeLimits | None = None) -> bytes:
    """Return one self-contained model for a file whose weights lie beside it.

    :raises ModelRefused: when it needs anything outside its own folder.
    """
    data = read_model_file(path, max_bytes=max_bytes)
    request = {"folder": str(path.parent), "max_bytes": max_bytes}
    return _ask("inline", data, limits or ProbeLimits(), request, most=max_bytes)


def _ask(
    mode: str,
    data: bytes,
    limits: ProbeLimits,
    request: dict[str, t.Any],
    *,
    most: int = MAX_REPORT_BYTES,
) -> bytes:
    """Run the child and return what it answered, or raise what its end means."""
    request |= {"mode": mode, "memory": limits.memory_bytes, "cpu": limits.cpu_seconds}
    # Nothing of ours goes along: no secret, no variable that could change what is run.
    environment = {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    environment |= {k: v for k, v in os.environ.items() if k in ("SYSTEMROOT", "LD_LIBRARY_PATH")}
    search = [entry for entry in sys.path if os.path.isabs(entry)]
    start = START.format(path=search, package=str(Path(__file__).parents[1]))
    with tempfile.TemporaryDirectory(prefix="ailydian-probe-") as folder:
        environment["HOME"] = environment["TMPDIR"] = folder
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", start],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        head = json.dumps(request).encode() + b"\n"
        try:
            answer, _ = child.communicate(head + data, timeout=limits.wall_seconds)
        except subprocess.TimeoutExpired as error:
            raise ModelRefused("The model did not finish in time when it was tried.") from error
        except OSError as error:
            raise ModelRefused("The model could not be tried.") from error
        finally:
            _end(child)
    if child.returncode != 0:
        raise ModelRefused(_meaning(child.returncode))
    verdict, _, rest = answer.partition(b"\n")
    if verdict == b"ok" and len(rest) <= most:
        return rest
    raise ModelRefused(REFUSALS.get(verdict.decode("ascii", "replace"), REFUSALS["structure"]))


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


def _meaning(code: int) -> str:
    if -code in (getattr(signal, "SIGXCPU", None), signal.SIGKILL if os.name == "posix" else None):
        return (
            "The model took longer or more memory than it may; AILYDIAN_PROBE_SECONDS allows more."
        )
    if code < 0:
        return "The model crashed the process that tried it."
    return "The model took more memory than it may, or broke the process that tried it."
