"""Requests and answers of ``infer``, in both directions."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..errors import InvalidInput
from ..errors import InvalidJSON
from ..errors import UnknownTensor
from ..errors import WrongSize
from ..inputs import strict_json
from . import tensors
from .datatypes import Array
from .tensors import Tail
from .tensors import Tensor

#: How many bytes of a body with binary tensors are JSON.
HEADER = "Inference-Header-Content-Length"
#: By which name a server lists that it takes and gives binary tensors.
BINARY_EXTENSION = "binary_tensor_data"
MAX_TENSORS = 256
MAX_ID = 255

#: The JSON of a message, and the data of its binary tensors in order.
Message = tuple[bytes, list[t.Any]]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An output that was asked for."""

    name: str
    binary: bool
    classes: int = 0


@dataclasses.dataclass(frozen=True)
class InferRequest:
    """What a client asks.

    :param wanted: The outputs; ``None`` for all of them.
    :param binary: Whether outputs that nothing else is said of are to be binary.
    """

    inputs: tuple[Tensor, ...]
    id: str | None = None
    parameters: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    wanted: tuple[Wanted, ...] | None = None
    binary: bool = False


def split(body: bytes, length: str | None) -> tuple[bytes, memoryview]:
    """Return the JSON of a body and what follows it.

    :param length: The header that says how long the JSON is, where there is one.
    :raises InvalidInput: when it says more than there is.
    """
    if length is None:
        return body, memoryview(b"")
    if not (length.isascii() and length.isdigit() and len(length) < 12 and int(length)):
        raise InvalidInput(f"{HEADER} is a number of bytes.")
    if int(length) > len(body):
        raise WrongSize(f"{HEADER} is larger than the body.")
    return body[: int(length)], memoryview(body)[int(length) :]


def read_request(head: bytes, tail: t.Any, *, max_elements: int) -> InferRequest:
    """Return the request of a body.

    :param max_elements: How many elements the tensors of the JSON may have together.
    :raises InvalidInput: for everything that the protocol does not have.
    """
    data = strict_json.loads(head)
    if not isinstance(data, dict) or not isinstance(data.get("inputs"), list):
        raise InvalidInput("A request is an object with a list of inputs.")
    if not 1 <= len(data["inputs"]) <= MAX_TENSORS:
        raise InvalidInput(f"A request has 1 to {MAX_TENSORS} inputs.")
    rest, inputs = Tail(tail), []
    for entry in data["inputs"]:
        inputs.append(tensors.read(entry, rest, max_elements=max_elements))
        if tensors.BINARY_SIZE not in inputs[-1].parameters or inputs[-1].array.dtype == object:
            max_elements -= inputs[-1].array.size
    rest.end()
    _no_repeats([tensor.name for tensor in inputs])
    parameters = tensors.read_parameters(data)
    binary = parameters.get("binary_data_output", False)
    if not isinstance(binary, bool):
        raise InvalidInput("binary_data_output is true or false.")
    return InferRequest(tuple(inputs), _id(data), parameters, _wanted(data, binary), binary)


def write_request(
    id: str, arrays: dict[str, Array], outputs: t.Sequence[str], *, binary: bool
) -> Message:
    """Return the request that asks for *outputs*.

    :param id: Optional by the protocol, but some servers fail without one.
    """
    entries, behind = [], []
    for name, array in arrays.items():
        entry, data = tensors.write(name, array, binary=binary)
        entries.append(entry)
        if data is not None:
            behind.append(data)
    wanted: list[dict[str, t.Any]] = [{"name": name} for name in outputs]
    if binary:
        for entry in wanted:
            entry["parameters"] = {"binary_data": True}
    return _json({"id": id, "inputs": entries, "outputs": wanted}), behind


def write_answer(head: dict[str, t.Any], outputs: t.Iterable[tuple[str, Array, bool]]) -> Message:
    """Return an answer: *head* says which model it is of, the outputs are name, array, binary."""
    entries, behind = [], []
    for name, array, binary in outputs:
        entry, data = tensors.write(name, array, binary=binary)
        entries.append(entry)
        if data is not None:
            behind.append(data)
    return _json({**head, "outputs": entries}), behind


def read_answer(head: t.Any, tail: t.Any, *, max_elements: int) -> dict[str, Array]:
    """Return the outputs of an answer by name.

    :raises InvalidInput: for everything that is no answer.
    """
    data = strict_json.loads(bytes(head))
    if not isinstance(data, dict) or not isinstance(data.get("outputs"), list):
        raise InvalidJSON("An answer is an object with a list of outputs.")
    rest = Tail(tail)
    found = [tensors.read(entry, rest, max_elements=max_elements) for entry in data["outputs"]]
    rest.end()
    _no_repeats([tensor.name for tensor in found])
    return {tensor.name: tensor.array for tensor in found}


def _json(data: dict[str, t.Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _id(data: dict[str, t.Any]) -> str | None:
    found = data.get("id")
    if found is None or found == "":
        return None
    if not isinstance(found, str) or len(found) > MAX_ID:
        raise InvalidInput(f"The id is a text of at most {MAX_ID} characters.")
    return found


def _wanted(data: dict[str, t.Any], binary: bool) -> tuple[Wanted, ...] | None:
    entries = data.get("outputs")
    if not entries:
        if entries not in (None, []):
            raise InvalidInput("The outputs are a list.")
        return None
    if not isinstance(entries, list) or len(entries) > MAX_TENSORS:
        raise InvalidInput(f"The outputs are a list of at most {MAX_TENSORS}.")
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise InvalidInput("An output that is asked for is an object with a name.")
        given = tensors.read_parameters(entry)
        if any(key.startswith("shared_memory") for key in given):
            raise InvalidInput("Shared memory is not offered.")
        classes, own = given.get("classification", 0), given.get("binary_data", binary)
        if type(classes) is not int or not 0 <= classes < 2**31 or not isinstance(own, bool):
            raise InvalidInput("classification is a whole number, binary_data true or false.")
        found.append(Wanted(tensors.read_name(entry), own, classes))
    _no_repeats([wanted.name for wanted in found])
    return tuple(found)


def _no_repeats(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise UnknownTensor("A tensor is named twice.")
