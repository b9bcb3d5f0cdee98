"""The process that makes an int8 variant of a model, or measures a model on samples.

Samples come one by one on standard input, each with its length before it, so that no more than
one is held at a time.
"""

from __future__ import annotations

import collections.abc as c
import importlib
import json
import sys
import time
import typing as t

from . import graphs
from ._probe_child import answer
from ._probe_child import peak_bytes
from .graphs import Refused

#: Weights by channel need an axis, which scales have from this opset on.
OLDEST_OPSET = 13
CONVERTED_OPSET = 17
#: What counts as the last layer, in whose scores nothing may be rounded away.
LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
#: What is quantised: arithmetic beside it, as of attention over channels or of a normalisation
#: inside the graph, was measured to lose in agreement and to win no time.
QUANTISED = LAYERS | {
    "Add", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Mul", "Relu",
    "Reshape", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
INTEGER = frozenset(
    {"QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv"}
)


def main() -> t.NoReturn:
    """Answer the one request and leave."""
    answer({"quantise": _quantise, "measure": _measure})


def _samples(request: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    numpy = importlib.import_module("numpy")
    pipe = sys.stdin.buffer
    while head := pipe.read(8):
        raw = pipe.read(int.from_bytes(head, "little"))
        if request["dtype"] == "string":
            array = numpy.full(request["shape"], raw.decode(), dtype=object)
        else:
            array = numpy.frombuffer(raw, request["dtype"]).reshape(request["shape"])
        yield {request["input"]: array}


def _quantise(data: bytes, request: dict[str, t.Any]) -> bytes:
    model = graphs.parse(data)
    graphs.refuse_external_data(model)
    onnx = importlib.import_module("onnx")
    try:
        quantization = importlib.import_module("onnxruntime.quantization")
        preparation = importlib.import_module("onnxruntime.quantization.shape_inference")
    except ImportError as error:
        raise Refused("tools") from error
    # The quantiser works on files; this process's folder vanishes with it.
    onnx.save(_of_usable_opset(model, onnx), "model.onnx")
    try:
        # Folds and fuses first, so that what remains is quantised as it will run.
        preparation.quant_pre_process("model.onnx", "ready.onnx", skip_symbolic_shape=True)
        ready = onnx.load("ready.onnx")
        for number, node in enumerate(ready.graph.node):
            node.name = f"node{number}"
        onnx.save(ready, "ready.onnx")
        _run(quantization, request, before_layers(ready.graph))
    except MemoryError:
        raise
    except Exception as error:
        raise Refused("quantise") from error
    made = onnx.load("int8.onnx")
    if not any(node.op_type in INTEGER for graph in graphs.graphs(made) for node in graph.node):
        raise Refused("nothing_to_quantise")
    leave_scores_whole(made.graph)
    if graphs.ends_in_probabilities(made.graph) != graphs.ends_in_probabilities(model.graph):
        raise Refused("quantise")
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    graphs.check_structure(made)
    return bytes(made.SerializeToString())


def before_layers(graph: t.Any) -> list[str]:
    """Return the names of the nodes that no layer comes before: what prepares the input."""
    reached: set[str] = set()
    names = []
    for node in graph.node:
        if node.op_type in LAYERS or not reached.isdisjoint(node.input):
            reached.update(node.output)
        else:
            names.append(node.name)
    return names


def _run(quantization: t.Any, request: dict[str, t.Any], left_out: list[str]) -> None:
    kinds, reduce_range = quantization.QuantType, request["bits"] < 8
    if request["kind"] == "dynamic":
        quantization.quantize_dynamic(
            "ready.onnx",
            "int8.onnx",
            per_channel=True,
            weight_type=kinds.QInt8,
            reduce_range=reduce_range,
        )
        return

    class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = _samples(request)

        def get_next(self) -> dict[str, t.Any] | None:
            return next(self.left, None)

    quantization.quantize_static(
        "ready.onnx",
        "int8.onnx",
        Samples(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        # Signed activations lose most of the speed: the processor multiplies unsigned by signed.
        activation_type=kinds.QUInt8,
        weight_type=kinds.QInt8,
        reduce_range=reduce_range,
        op_types_to_quantize=sorted(QUANTISED),
        nodes_to_exclude=left_out,
        # Percentiles and entropy took six times as long and agreed no better.
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )


def _of_usable_opset(model: t.Any, onnx: t.Any) -> t.Any:
    opset = next((o.version for o in model.opset_import if o.domain in graphs.STANDARD), 0)
    if opset >= OLDEST_OPSET:
        return model
    try:
        converter = importlib.import_module("onnx.version_converter")
        return converter.convert_version(model, CONVERTED_OPSET)
    except Exception as error:
        raise Refused("old_opset") from error


def leave_scores_whole(graph: t.Any) -> None:
    """Take the rounding to 8 bits out from behind the last layer.

    Probabilities in 256 steps would be a worse answer for no time won.
    """
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [(None, output.name) for output in graph.output]
    while waiting:
        reader, name = waiting.pop()
        node = makers.get(name)
        if node is None or node.op_type in LAYERS:
            continue
        if node.op_type != "DequantizeLinear":
            waiting.extend((node, source) for source in node.input)
            continue
        rounding = makers.get(node.input[0])
        if rounding is None or rounding.op_type != "QuantizeLinear":
            continue
        _bypass(graph, makers, reader, node, rounding.input[0])
        waiting.append((reader, rounding.input[0]))
    _drop_unused(graph)


def _bypass(graph: t.Any, makers: t.Any, reader: t.Any, node: t.Any, whole: str) -> None:
    if reader is not None:
        for i, name in enumerate(reader.input):
            if name == node.output[0]:
                reader.input[i] = whole
        return
    # The output keeps its name, so its maker takes it over, and whoever else reads the value.
    maker, output = makers[whole], node.output[0]
    node.output[0] = f"{output}_rounded"
    for other in graph.node:
        for i, name in enumerate(other.input):
            if name == whole:
                other.input[i] = output
    maker.output[list(maker.output).index(whole)] = output
    makers[output] = maker
    makers[node.output[0]] = node


def _drop_unused(graph: t.Any) -> None:
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.isdisjoint(node.output):
            continue
        kept.append(node)
        wanted.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                wanted.update(name for n in inner.node for name in n.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def _measure(data: bytes, request: dict[str, t.Any]) -> bytes:
    numpy = importlib.import_module("numpy")
    runtime = importlib.import_module("flask_ailydian.engine.runtime")
    try:
        session = runtime.open_session(data, threads=1)
    except Exception as error:
        raise Refused("session") from error
    del data
    rows: list[t.Any] = []
    times = []
    for arrays in _samples(request):
        if not rows:
            _scores(session, arrays)
        started = time.thread_time()
        scores = _scores(session, arrays)
        # One thread's own time: what else the machine does is no part of it.
        times.append((time.thread_time() - started) * 1000)
        rows.append(numpy.asarray(scores, dtype=numpy.float32).reshape(-1))
    head = {
        "ms": float(numpy.median(times)),
        "peak_bytes": peak_bytes(),
        "rows": len(rows),
        "runtime": importlib.import_module("onnxruntime").__version__,
    }
    whole: bytes = numpy.stack(rows).tobytes()
    return json.dumps(head).encode() + b"\n" + whole


def _scores(session: t.Any, arrays: dict[str, t.Any]) -> t.Any:
    try:
        outputs: c.Sequence[t.Any] = session.run(None, arrays)
    except Exception as error:
        raise Refused("run") from error
    for output in outputs:
        if getattr(getattr(output, "dtype", None), "kind", "") == "f":
            return output
    raise Refused("no_scores")
