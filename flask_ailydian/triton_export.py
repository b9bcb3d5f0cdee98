"""A model repository for Triton: the files of registered models, and what it must know of them."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from .engine.signature import TensorSpec
from .errors import ModelRefused
from .oip.datatypes import DATATYPES
from .records import ModelRecord

#: How many inputs Triton may run together where nothing else was said.
MAX_BATCH = 8
LABELS = "labels.txt"


def export(folder: Path, record: ModelRecord, number: int, data: bytes) -> Path:
    """Write one version into the repository *folder*; return where its configuration is.

    :param number: Of the version: Triton counts, and knows no names.
    :param data: The bytes of the model's file.
    :raises ModelRefused: for a model that Triton's ONNX Runtime does not run.
    """
    text = configuration(record)
    home = folder / record.name
    (home / str(number)).mkdir(parents=True, exist_ok=True)
    if record.labels:
        _write(home / LABELS, "".join(f"{label}\n" for label in record.labels).encode())
    # The file before the configuration: Triton may be looking on.
    _write(home / str(number) / "model.onnx", data)
    _write(home / "config.pbtxt", text.encode())
    return home / "config.pbtxt"


def configuration(record: ModelRecord) -> str:
    """Return a version's ``config.pbtxt``.

    :raises ModelRefused: for a model that Triton's ONNX Runtime does not run.
    """
    if record.type != "onnx":
        raise ModelRefused(f"{record.name} {record.version} is no ONNX file.")
    specs = (*record.report.inputs, *record.report.outputs)
    batched = all(len(s.shape) > 1 and not isinstance(s.shape[0], int) for s in specs)
    most = 0
    if batched:
        most = record.serving.max_batch if record.serving.max_batch > 1 else MAX_BATCH
    lines = [f"name: {_text(record.name)}", 'backend: "onnxruntime"', f"max_batch_size: {most}"]
    for spec in record.report.inputs:
        lines += _tensor("input", spec, batched)
    labelled = bool(record.labels)
    for spec in record.report.outputs:
        scores = labelled and spec.dtype.startswith("float")
        lines += _tensor("output", spec, batched, f"label_filename: {_text(LABELS)}" * scores)
        labelled = labelled and not scores
    if batched:
        delay = int(record.serving.max_delay_ms * 1000)
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}")
    lines.append("version_policy { all { } }")
    return "\n".join(lines) + "\n"


def _tensor(kind: str, spec: TensorSpec, batched: bool, more: str = "") -> list[str]:
    datatype = DATATYPES.get(spec.dtype)
    if datatype is None:
        raise ModelRefused(f"{spec.name} has no datatype that the protocol knows.")
    triton = "STRING" if datatype == "BYTES" else datatype
    shape = spec.shape[1:] if batched else spec.shape
    sides = [str(side) if isinstance(side, int) else "-1" for side in shape]
    dims = f"dims: [ {', '.join(sides)} ]" if sides else "dims: [ 1 ] reshape { shape: [ ] }"
    return [
        f"{kind} {{",
        f"  name: {_text(spec.name)}",
        f"  data_type: TYPE_{triton}",
        f"  {dims}",
        *([f"  {more}"] if more else []),
        "}",
    ]


def _text(value: str) -> str:
    """Return a string as protocol buffers write it."""
    plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(plain.get(letter, letter) for letter in value) + '"'


def _write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    os.replace(part, file)


def number_of(record: ModelRecord, versions: t.Sequence[ModelRecord]) -> int:
    """Return a version's number: they are counted in the order in which they were registered.

    :param versions: All of the name, newest first; none is ever taken away.
    """
    ids = [one.id for one in reversed(versions)]
    return ids.index(record.id) + 1
