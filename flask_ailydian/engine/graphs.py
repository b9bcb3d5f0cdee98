"""What can be read off a model without running it; used only where a crash does no harm."""

from __future__ import annotations

import importlib
import math
import os
import stat
import typing as t
from pathlib import Path
from pathlib import PurePosixPath

STANDARD = frozenset({"", "ai.onnx"})
#: Operator sets that ONNX Runtime itself brings.
DOMAINS = STANDARD | {"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
#: Operators through which the last probabilities may pass unchanged.
PASSING = frozenset({"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
#: Operators of classifiers whose scores are probabilities already.
PROBABLE = frozenset({"Softmax", "ZipMap"})


class Refused(Exception):
    """A model that will not do, with the word for it."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def parse(data: bytes) -> t.Any:
    """Return the ``ModelProto`` of *data*."""
    onnx = importlib.import_module("onnx")
    try:
        model = onnx.load_model_from_string(data)
    except MemoryError:
        raise
    except Exception as error:
        raise Refused("not_onnx") from error
    if not model.ir_version or not model.graph.node:
        raise Refused("not_onnx")
    return model


def graphs(model: t.Any) -> t.Iterator[t.Any]:
    """Yield the graph, every graph inside it, and the functions."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def tensors(model: t.Any) -> t.Iterator[t.Any]:
    """Yield every tensor that a model holds, wherever it hides."""
    for graph in graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                sparse_ones = (
                    [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                )
                for sparse in (*sparse_ones, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
    for info in model.training_info:
        yield from info.initialization.initializer
        yield from info.algorithm.initializer


def refuse_external_data(model: t.Any) -> None:
    """Raise when any tensor's bytes lie in another file."""
    for tensor in tensors(model):
        if tensor.data_location or tensor.external_data:
            raise Refused("external_data")


def refuse_custom_operators(model: t.Any) -> None:
    """Raise when an operator is neither ONNX Runtime's nor defined by the model."""
    own = {(function.domain, function.name) for function in model.functions}
    for graph in graphs(model):
        for node in graph.node:
            if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
                raise Refused("custom_operator")


def check_structure(model: t.Any) -> None:
    """Raise when ONNX's own checker objects."""
    onnx = importlib.import_module("onnx")
    try:
        newest = onnx.defs.onnx_opset_version()
        if any(o.version > newest for o in model.opset_import if o.domain in STANDARD):
            raise Refused("opset")
        onnx.checker.check_model(model)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused("structure") from error


def refuse_impossible_sizes(model: t.Any, memory: int) -> None:
    """Raise when a declared tensor could not be held in the memory that may be used."""
    for graph in graphs(model):
        for value in (*getattr(graph, "input", ()), *getattr(graph, "output", ())):
            if isinstance(value, str):
                continue
            shape = value.type.tensor_type.shape.dim
            if math.prod(max(d.dim_value, 1) for d in shape) > memory:
                raise Refused("memory")


def ends_in_probabilities(graph: t.Any) -> bool:
    """Whether an output of the graph comes out of a softmax over the last axis, or the like."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in PASSING and node.input:
            node = makers.get(node.input[0])
        if node is None:
            continue
        if node.op_type in PROBABLE or _scikit_learn(node):
            return True
        if node.op_type == "Normalizer" and any(
            a.name == "norm" and a.s == b"L1" for a in node.attribute
        ):
            return True
    return False


def _scikit_learn(node: t.Any) -> bool:
    """Whether a classifier of ``ai.onnx.ml`` turns its scores into probabilities itself."""
    if node.domain != "ai.onnx.ml" or "Classifier" not in node.op_type:
        return False
    post = {a.name: a.s for a in node.attribute}.get("post_transform", b"NONE")
    trees = node.op_type == "TreeEnsembleClassifier"
    return post in (b"SOFTMAX", b"LOGISTIC") or (trees and post == b"NONE")


def inline(model: t.Any, folder: Path, max_bytes: int) -> None:
    """Take the bytes of tensors that lie in files of *folder* into the model itself."""
    left = max_bytes
    for tensor in tensors(model):
        if not tensor.data_location and not tensor.external_data:
            continue
        entry = {pair.key: pair.value for pair in tensor.external_data}
        try:
            offset, length = int(entry.get("offset", 0)), int(entry.get("length", -1))
        except ValueError as error:
            raise Refused("structure") from error
        data = _read_beside(folder, entry.get("location", ""), offset, length, left)
        left -= len(data)
        tensor.raw_data = data
        tensor.data_location = 0
        del tensor.external_data[:]


def _read_beside(folder: Path, location: str, offset: int, length: int, most: int) -> bytes:
    name = PurePosixPath(location)
    if not location or "\0" in location or "\\" in location:
        raise Refused("outside_data")
    if name.is_absolute() or len(name.parts) != 1 or name.parts[0] == "..":
        raise Refused("outside_data")
    try:
        nofollow = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(folder / name, os.O_RDONLY | nofollow)
    except FileNotFoundError as error:
        raise Refused("missing_data") from error
    except OSError as error:
        raise Refused("outside_data") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise Refused("outside_data")
        if offset < 0 or offset + max(length, 0) > found.st_size:
            raise Refused("structure")
        length = found.st_size - offset if length < 0 else length
        if length > most:
            raise Refused("too_large")
        file.seek(offset)
        return file.read(length)
