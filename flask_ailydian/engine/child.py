"""A process of its own for work on a model, where it can crash, hang and write at will."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

from ..errors import ModelRefused

# The package's own __init__ would bring Flask and the database along: the child gets a bare one.
START = """\
import sys, types
sys.path[:] = {path!r}
package = types.ModuleType("flask_ailydian")
package.__path__ = [{package!r}]
sys.modules["flask_ailydian"] = package
from flask_ailydian.engine import {module}
{module}.main()
"""
MAX_REPORT_BYTES = 8 * 2**20

#: Sentences for the words with which a child refuses.
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
    "tools": "Quantising needs more packages: pip install flask-ailydian[optimize].",
    "quantise": "ONNX Runtime's quantiser does not take the model.",
    "old_opset": "The model's opset is older than 13 and cannot be converted; export it anew.",
    "nothing_to_quantise": "The model has nothing that int8 would make quicker.",
    "no_scores": "The model gives no scores of classes.",
    "no_torch": "This model needs PyTorch: pip install flask-ailydian[torch].",
    "torch": "PyTorch does not take the model.",
    "code": "The file holds more than a graph and weights: something that would run when it is "
    "loaded, or that reaches beyond the model.",
    "writes": "The model has the inputs of one that writes, and failed when it was to write a few "
    "tokens.",
    "template": "The model's chat template cannot be rendered.",
    "torch_inputs": "A TorchScript file does not say what it takes: give the size of its images, "
    "or export the model with torch.export.",
}


@dataclasses.dataclass(frozen=True)
class ProbeLimits:
    """What a child may use; *file_bytes* is the largest file it may write in its own folder."""

    wall_seconds: float = 60.0
    cpu_seconds: float = 60.0
    memory_bytes: int = 4 * 2**30
    file_bytes: int = 0


def ask(
    module: str,
    request: dict[str, t.Any],
    data: bytes,
    limits: ProbeLimits,
    *,
    frames: c.Iterable[bytes] = (),
    most: int = MAX_REPORT_BYTES,
) -> bytes:
    """Run a child and return what it answered, or raise what its end means.

    :param module: Of this room; its ``main`` answers.
    :param frames: Sent after the model, each with its length before it, as the child reads them.
    :param most: How many bytes the answer may have.
    :raises ModelRefused: in one sentence of ours, whatever happened.
    """
    request = request | {
        "memory": limits.memory_bytes,
        "cpu": limits.cpu_seconds,
        "file": limits.file_bytes,
        "bytes": len(data),
    }
    # Nothing of ours goes along: no secret, no variable that could change what is run.
    environment = {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    environment |= {k: v for k, v in os.environ.items() if k in ("SYSTEMROOT", "LD_LIBRARY_PATH")}
    search = [entry for entry in sys.path if os.path.isabs(entry)]
    start = START.format(path=search, package=str(Path(__file__).parents[1]), module=module)
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
        late = threading.Event()
        timer = threading.Timer(limits.wall_seconds, _stop, [child, late])
        timer.daemon = True
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(_read(child, most)), daemon=True)
        try:
            timer.start()
            reader.start()
            _write(child, json.dumps(request).encode() + b"\n", data, frames)
            reader.join()
            if len(answer[0]) > most + 3:
                raise ModelRefused(REFUSALS["too_large"])
            child.wait()
        finally:
            timer.cancel()
            _end(child)
            reader.join()
    if late.is_set():
        raise ModelRefused("The model did not finish in time when it was tried.")
    if child.returncode != 0:
        raise ModelRefused(_meaning(child.returncode))
    verdict, _, rest = answer[0].partition(b"\n")
    if verdict == b"ok":
        return rest
    raise ModelRefused(REFUSALS.get(verdict.decode("ascii", "replace"), REFUSALS["structure"]))


def _write(
    child: subprocess.Popen[bytes], head: bytes, data: bytes, frames: c.Iterable[bytes]
) -> None:
    assert child.stdin is not None
    # A child that needs no more has ended, and how it ended says what that means.
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(head)
        pipe.write(data)
        for frame in frames:
            pipe.write(len(frame).to_bytes(8, "little"))
            pipe.write(frame)


def _read(child: subprocess.Popen[bytes], most: int) -> bytes:
    assert child.stdout is not None
    return child.stdout.read(most + 16)


def _stop(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def _end(child: subprocess.Popen[bytes]) -> None:
    _kill(child)
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _meaning(code: int) -> str:
    if -code in (getattr(signal, "SIGXCPU", None), signal.SIGKILL if os.name == "posix" else None):
        return (
            "The model took longer or more memory than it may; AILYDIAN_PROBE_SECONDS allows more."
        )
    if code < 0:
        return "The model crashed the process that tried it."
    return "The model took more memory than it may, or broke the process that tried it."
