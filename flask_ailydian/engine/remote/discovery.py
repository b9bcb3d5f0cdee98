"""What another server says of a model, before it is registered here."""

from __future__ import annotations

import time
import typing as t

from ...errors import AilydianError
from ...errors import BackendUnavailable
from ...errors import ModelRefused
from ...errors import Timeout
from ...inputs import strict_json
from ...oip.datatypes import DTYPES
from ...oip.messages import BINARY_EXTENSION
from ...oip.messages import HEADER
from ..signature import TensorSpec
from .address import Endpoint
from .address import RemoteModel
from .incoming import Answer
from .incoming import TooMuch
from .options import RemoteOptions
from .wire import Unreachable
from .wire import Wire

MAX_TENSORS = 256


def discover(
    endpoints: t.Sequence[Endpoint],
    name: str,
    version: str | None,
    options: RemoteOptions,
    *,
    inputs: t.Sequence[TensorSpec] = (),
    outputs: t.Sequence[TensorSpec] = (),
    fallback: str | None = None,
    seconds: float = 10.0,
) -> RemoteModel:
    """Return a model as every endpoint describes it.

    :param inputs: In place of what the server says, with *outputs*; some say nothing.
    :raises BackendUnavailable: when an endpoint cannot be reached.
    :raises ModelRefused: when one has no such model, says nothing of its tensors, or something
        else than the others.
    """
    deadline = time.monotonic() + seconds
    found = None
    for endpoint in endpoints:
        wire = Wire(endpoint, options)
        try:
            one = _describe(wire, (endpoint,), name, version, deadline, inputs, outputs, fallback)
        finally:
            wire.close()
        if found is not None and (one.inputs, one.outputs) != (found.inputs, found.outputs):
            raise ModelRefused(f"{endpoint.authority} describes another model than the others.")
        binary = one.binary and (found is None or found.binary)
        found = RemoteModel(
            tuple(endpoints), name, version, one.inputs, one.outputs, binary, fallback
        )
    assert found is not None
    return found


def _describe(
    wire: Wire,
    endpoints: tuple[Endpoint, ...],
    name: str,
    version: str | None,
    deadline: float,
    inputs: t.Sequence[TensorSpec],
    outputs: t.Sequence[TensorSpec],
    fallback: str | None,
) -> RemoteModel:
    where = wire.endpoint.authority
    model = RemoteModel(endpoints, name, version, tuple(inputs), tuple(outputs), False, fallback)
    server = _get(wire, "/v2", deadline)
    # A server that says nothing of itself takes what all of them take.
    extensions = _json(server).get("extensions") if server.status == 200 else None
    binary = isinstance(extensions, list) and BINARY_EXTENSION in extensions
    if _get(wire, f"{model.path}/ready", deadline).status != 200:
        raise ModelRefused(f"{where} has no model {name!r} that is ready.")
    if not inputs or not outputs:
        answer = _get(wire, model.path, deadline)
        said = _json(answer) if answer.status == 200 else {}
        inputs = inputs or _specs(said.get("inputs"))
        outputs = outputs or _specs(said.get("outputs"))
    if not inputs or not outputs:
        raise ModelRefused(
            f"{where} does not say what the model takes and gives: say it, as in "
            "--input NAME:FP32:-1,3,224,224 --output NAME:FP32:-1,1000."
        )
    return RemoteModel(endpoints, name, version, tuple(inputs), tuple(outputs), binary, fallback)


def _get(wire: Wire, path: str, deadline: float) -> Answer:
    where = wire.endpoint.authority
    try:
        return wire.ask("GET", path, length_header=HEADER, deadline=deadline)
    except Unreachable as error:
        raise BackendUnavailable(f"{where} cannot be reached.") from error
    except Timeout as error:
        raise BackendUnavailable(f"{where} does not answer.") from error
    except TooMuch as error:
        raise ModelRefused(f"{where} answers more than is accepted.") from error


def _json(answer: Answer) -> dict[str, t.Any]:
    try:
        found = strict_json.loads(bytes(answer.head + answer.tail))
    except AilydianError:
        return {}
    return found if isinstance(found, dict) else {}


def _specs(said: t.Any) -> list[TensorSpec]:
    if not isinstance(said, list) or len(said) > MAX_TENSORS:
        return []
    return [
        read_spec(
            entry.get("name") if isinstance(entry, dict) else None,
            entry.get("datatype") if isinstance(entry, dict) else None,
            entry.get("shape") if isinstance(entry, dict) else None,
        )
        for entry in said
    ]


def read_spec(name: t.Any, datatype: t.Any, shape: t.Any) -> TensorSpec:
    """Return a tensor as the protocol describes it: -1 is a dimension that requests choose.

    :raises ModelRefused: for anything else.
    """
    sides = isinstance(shape, list) and all(type(s) is int and s >= -1 for s in shape)
    named = isinstance(name, str) and 1 <= len(name) <= 255
    if not named or datatype not in DTYPES or not sides:
        raise ModelRefused("A tensor has a name, a datatype as FP32 and a shape as -1,3,224,224.")
    return TensorSpec(name, DTYPES[datatype], tuple(None if s == -1 else s for s in shape))
