"""The Open Inference Protocol's forms: what a request asks, and how it is answered."""

from __future__ import annotations

import typing as t

import marshmallow as ma
import numpy as np
from flask import request
from flask import Response

from .. import errors
from ..answers import Answered
from ..inputs import encoding
from ..oip import compression
from ..oip import elements
from ..oip import matching
from ..oip import messages
from ..oip.datatypes import Array
from ..oip.datatypes import DATATYPES
from ..oip.messages import InferRequest
from ..oip.tensors import Tensor
from ..prediction import Given
from ..prediction import MEMBERS
from ..prediction import WITHOUT_CLASSES
from ..records import ModelRecord
from ..state import current_ailydian
from . import http
from .schemas.common import Opaque

#: Bodies below this are not worth compressing.
WORTH_COMPRESSING = 1024
PLATFORMS = {
    "onnx": "onnxruntime_onnx",
    "torchscript": "pytorch_libtorch",
    "pytorch": "pytorch_export",
    "remote": "open_inference_protocol",
}
#: What a configuration calls a datatype otherwise than requests do.
TYPES = {"BYTES": "TYPE_STRING"}


def read() -> InferRequest:
    """Return what the current request asks.

    :raises AilydianError: when that cannot be read.
    """
    settings = current_ailydian.settings
    limit = max(settings.body_limit, settings.max_batch_bytes)
    body = http.read_body(limit, encoded=True)
    body = compression.expand(body, request.headers.get("Content-Encoding", ""), limit=limit)
    head, tail = messages.split(body, request.headers.get(messages.HEADER))
    return messages.read_request(head, tail, max_elements=settings.max_tensor_elements)


def timeout(asked: InferRequest) -> float | None:
    """Return how many seconds a request gives itself; the protocol counts microseconds."""
    found = asked.parameters.get("timeout")
    return found / 1e6 if type(found) is int and found > 0 else None


def givens(asked: InferRequest, name: str, version: str | None) -> list[Given]:
    """Return the inputs that a request holds: one, or those of a batch one by one.

    Where a model's input is prepared from an image or a text, that is what BYTES are.

    :raises AilydianError: when there is no such model, or it has no such tensors.
    """
    model = current_ailydian.serving.resolve(name, version)
    user_id = asked.parameters.get("user_id")
    if user_id is not None:
        try:
            Opaque().deserialize(user_id)
        except ma.ValidationError as error:
            raise errors.InvalidInput(
                "user_id is printable text of 1 to 255 characters."
            ) from error
    common: dict[str, t.Any] = {"model_name": name, "model_version": version, "user_id": user_id}
    outputs = {spec.name for spec in model.report.outputs}
    for wanted in asked.wanted or ():
        if wanted.name not in outputs:
            raise errors.UnknownTensor(f"The model has no output {wanted.name!r}.")
    member = MEMBERS.get(model.task)
    if member is not None and (raw := _raw(asked, member, model)) is not None:
        _bounded(len(raw))
        return [Given(**common, **{member: value}) for value in raw]
    arrays = matching.matched({x.name: x.array for x in asked.inputs}, model.inputs)
    return [Given(**common, tensors=one) for one in _apart(arrays, model)]


def _raw(asked: InferRequest, member: str, model: ModelRecord) -> list[t.Any] | None:
    """Return the images or texts of a request's lone BYTES tensor, or ``None``."""
    tensor = asked.inputs[0]
    named = tensor.name in (model.inputs[0].name, member)
    if len(asked.inputs) > 1 or tensor.array.dtype != object or not named:
        return None
    shape = tensor.array.shape
    if not tensor.array.size or any(side != 1 for side in shape[1:]):
        raise errors.WrongShape(f"BYTES of {tensor.name!r} have the shape [n] or [n, 1].")
    if member == "text":
        return [elements.as_text(element) for element in tensor.array.ravel()]
    return [_image(element, tensor) for element in tensor.array.ravel()]


def _image(element: t.Any, tensor: Tensor) -> bytes:
    if isinstance(element, bytes):
        return element
    # JSON has no bytes: there an image is base64.
    limit = current_ailydian.settings.max_image_bytes
    return encoding.decode_base64(element, max_bytes=limit)[0]


def _apart(arrays: dict[str, Array], model: ModelRecord) -> list[dict[str, Array]]:
    """Cut a batch for a model with classes into its inputs: each is an answer of its own."""
    counts = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    classes = model.task not in WITHOUT_CLASSES or bool(model.labels)
    open_ended = all(s.shape and not isinstance(s.shape[0], int) for s in model.inputs)
    if not (classes and open_ended and len(counts) == 1 and counts != {1}):
        return [arrays]
    (count,) = counts
    _bounded(count)
    return [{name: a[i : i + 1] for name, a in arrays.items()} for i in range(count)]


def _bounded(count: int) -> None:
    most = current_ailydian.settings.max_batch
    if count > most:
        raise errors.WrongShape(f"A batch has at most {most} inputs.")


def respond(asked: InferRequest, answers: list[Answered]) -> Response:
    """Return the answer to a request: the outputs that it asked for, as it wants them."""
    model = answers[0].model
    head: dict[str, t.Any] = {"model_name": model.name, "model_version": model.version}
    if asked.id is not None:
        head["id"] = asked.id
    # Under which ids the trail has it.
    head["parameters"] = {"audit_id": ",".join(answer.id for answer in answers)}
    if len({answer.model.version for answer in answers}) > 1:
        # Each input of a batch has its own arm in a test.
        head["parameters"]["versions"] = ",".join(answer.model.version for answer in answers)
    found = _together([answer.outputs for answer in answers])
    wanted = asked.wanted or [messages.Wanted(name, asked.binary) for name in found]
    outputs = []
    for one in wanted:
        if one.name not in found:
            raise errors.ModelFailed(f"The model gave no tensor for {one.name!r}.")
        array = found[one.name]
        if one.classes:
            array = matching.classified(array, one.classes, model.labels)
        outputs.append((one.name, array, one.binary))
    text, behind = messages.write_answer(head, outputs)
    headers = {}
    if behind:
        headers[messages.HEADER] = str(len(text))
    # WSGI takes bytes and nothing else.
    return _response([text, *map(bytes, behind)], headers)


def _response(parts: list[bytes], headers: dict[str, str]) -> Response:
    headers["Vary"] = "Accept-Encoding"
    accepted = request.accept_encodings
    for encoding_name in compression.WINDOWS:
        if accepted[encoding_name] and sum(map(len, parts)) >= WORTH_COMPRESSING:
            parts = [compression.shrink(parts, encoding_name)]
            headers["Content-Encoding"] = encoding_name
            break
    binary = messages.HEADER in headers
    kind = "application/octet-stream" if binary else "application/json"
    response = Response(parts, 200, headers, content_type=kind)
    response.content_length = sum(map(len, parts))
    return response


def _together(outputs: list[dict[str, t.Any]]) -> dict[str, Array]:
    """Return the outputs of a batch, joined along their first axis."""
    names = [name for name, value in outputs[0].items() if isinstance(value, np.ndarray)]
    if len(outputs) == 1:
        return {name: outputs[0][name] for name in names}
    try:
        return {name: np.concatenate([one[name] for one in outputs]) for name in names}
    except (KeyError, ValueError) as error:
        raise errors.ModelFailed("The answers of the batch do not fit together.") from error


def metadata(name: str, version: str | None) -> dict[str, t.Any]:
    """Return what the protocol says of a model: its versions, inputs and outputs."""
    versions = current_ailydian.registry.answering(name)
    model = current_ailydian.registry.resolve(name, version)
    return {
        "name": model.name,
        "versions": [record.version for record in versions],
        "platform": PLATFORMS[model.type],
        "inputs": _specs(model.report.inputs),
        "outputs": _specs(model.report.outputs),
    }


def configuration(name: str, version: str | None) -> dict[str, t.Any]:
    """Return what Triton's clients read of a model's configuration, as it stands here."""
    model = current_ailydian.registry.resolve(name, version)
    report, serving = model.report, model.serving
    specs = (*report.inputs, *report.outputs)
    batched = all(s.shape and not isinstance(s.shape[0], int) for s in specs)
    found: dict[str, t.Any] = {
        "name": model.name,
        "platform": PLATFORMS[model.type],
        "max_batch_size": current_ailydian.settings.max_batch if batched else 0,
        "input": _dims(report.inputs, batched),
        "output": _dims(report.outputs, batched),
    }
    if serving.max_batch > 1:
        delay = int(serving.max_delay_ms * 1000)
        found["dynamic_batching"] = {
            "preferred_batch_size": [serving.max_batch],
            "max_queue_delay_microseconds": delay,
        }
    return found


def _dims(specs: t.Iterable[t.Any], batched: bool) -> list[dict[str, t.Any]]:
    """Return tensors as a configuration names them: without the batch, where there is one."""
    return [
        {
            "name": spec["name"],
            "data_type": TYPES.get(spec["datatype"], f"TYPE_{spec['datatype']}"),
            "dims": spec["shape"][1:] if batched else spec["shape"],
        }
        for spec in _specs(specs)
    ]


def _specs(specs: t.Iterable[t.Any]) -> list[dict[str, t.Any]]:
    return [
        {"name": s.name, "datatype": DATATYPES[s.dtype], "shape": matching.shape_of(s)}
        for s in specs
        if s.dtype in DATATYPES
    ]
