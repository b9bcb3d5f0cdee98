"""One tensor: its entry in the JSON, its data in there or behind it, and the array it is."""

from __future__ import annotations

import dataclasses
import json
import math
import typing as t

import numpy as np

from ..errors import InvalidInput
from ..errors import InvalidJSON
from ..errors import WrongShape
from ..errors import WrongSize
from ..inputs.tensors import flatten
from ..inputs.tensors import Misfit
from ..inputs.tensors import typed
from . import elements
from .datatypes import Array
from .datatypes import datatype_of
from .datatypes import dtype_of
from .datatypes import wire_type

MAX_NAME = 255
MAX_DIMENSIONS = 16
MAX_SIZE = 2**40
BINARY_SIZE = "binary_data_size"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A named array with the parameters that came with it."""

    name: str
    array: Array
    parameters: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class Tail:
    """What follows the JSON: the binary tensors, one after the other."""

    def __init__(self, data: bytes | bytearray | memoryview = b"") -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, size: object) -> memoryview:
        """Return the next *size* bytes.

        :raises WrongSize: when there are not so many, or *size* is no size.
        """
        left = len(self._data) - self._at
        if type(size) is not int or not 0 <= size <= left:
            raise WrongSize(f"A tensor's {BINARY_SIZE} is not what the body holds.")
        self._at += size
        return self._data[self._at - size : self._at]

    def end(self) -> None:
        """Raise :class:`WrongSize` when not everything was taken."""
        if self._at != len(self._data):
            raise WrongSize("The body holds more data than its tensors name.")


def read(entry: object, tail: Tail, *, max_elements: int) -> Tensor:
    """Return the tensor that an entry of ``inputs`` or ``outputs`` describes.

    Binary numbers stay where they are: the array is a view on them.

    :param max_elements: How many elements may become objects: those of the JSON, and all BYTES.
    :raises InvalidInput: for everything that does not fit together.
    """
    if not isinstance(entry, dict):
        raise InvalidJSON("A tensor is an object with name, shape, datatype and data.")
    name, given = read_name(entry), read_parameters(entry)
    dtype, shape = dtype_of(entry.get("datatype")), _shape(entry.get("shape"))
    if any(key.startswith("shared_memory") for key in given):
        raise InvalidInput("Shared memory is not offered: send the data.")
    if BINARY_SIZE in given:
        if "data" in entry:
            raise InvalidInput(f"The tensor {name!r} has data in the JSON and behind it.")
        array = _from_binary(name, tail.take(given[BINARY_SIZE]), dtype, shape, max_elements)
    elif "data" in entry:
        array = _from_json(name, entry["data"], dtype, shape, max_elements)
    else:
        raise InvalidInput(f"The tensor {name!r} has no data.")
    return Tensor(name, array, given)


def read_name(entry: dict[str, t.Any]) -> str:
    """Return an entry's name."""
    name = entry.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        raise InvalidInput(f"A tensor has a name of 1 to {MAX_NAME} characters.")
    return name


def read_parameters(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return an entry's parameters."""
    given = entry.get("parameters")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidInput("Parameters are an object.")
    return given


def write(name: str, array: Array, *, binary: bool) -> tuple[dict[str, t.Any], t.Any]:
    """Return a tensor's entry, and the data behind the JSON when it is *binary*, else ``None``.

    The data is the array's own memory wherever its order is that of the wire.
    """
    datatype = datatype_of(array)
    entry: dict[str, t.Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
    if binary:
        data = elements.pack(array) if datatype == "BYTES" else _memory(array)
        entry["parameters"] = {BINARY_SIZE: len(data)}
        return entry, data
    if datatype == "BYTES":
        entry["data"] = [elements.as_text(element) for element in array.ravel()]
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInput(f"The tensor {name!r} holds numbers that JSON has not: ask for binary.")
    else:
        entry["data"] = array.ravel().tolist()
    return entry, None


def canonical(arrays: dict[str, Array]) -> bytes:
    """Return the bytes that stand for arrays: the same for the same, whatever they came as."""
    written = [write(name, arrays[name], binary=True) for name in sorted(arrays)]
    return b"".join(
        (json.dumps([entry for entry, _ in written]).encode(), *(d for _, d in written))
    )


def _memory(array: Array) -> memoryview:
    array = np.ascontiguousarray(array, dtype=wire_type(array.dtype.name))
    # A view of bytes: memoryview knows neither half floats nor empty shapes.
    flat: t.Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _shape(shape: object) -> list[int]:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise WrongShape(f"A shape is a list of at most {MAX_DIMENSIONS} whole numbers.")
    if any(type(side) is not int or not 0 <= side < 2**40 for side in shape):
        raise WrongShape("A shape has whole numbers from 0 on.")
    # An empty tensor has its other sides all the same, and NumPy counts them.
    if math.prod(side or 1 for side in shape) >= MAX_SIZE:
        raise WrongShape("A shape has fewer elements than this.")
    return shape


def _from_binary(name: str, data: memoryview, dtype: str, shape: list[int], most: int) -> Array:
    count = math.prod(shape)
    if dtype == "string":
        if count > most:
            raise WrongSize(f"The tensor {name!r} has more elements than are accepted.")
        return elements.objects(elements.unpack(data, count), shape)
    kind = wire_type(dtype)
    if count * kind.itemsize != len(data):
        raise WrongSize(
            f"The tensor {name!r} has {len(data)} bytes, and its shape and datatype make "
            f"{count * kind.itemsize}."
        )
    if dtype == "bool" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise WrongSize(f"The tensor {name!r} holds bytes that are neither 0 nor 1.")
    return np.frombuffer(data, kind).reshape(shape)


def _from_json(name: str, data: object, dtype: str, shape: list[int], most: int) -> Array:
    if not isinstance(data, list):
        raise InvalidInput(f"The data of {name!r} is a list.")
    try:
        sides, flat = flatten(data, most)
        if len(flat) > most:
            raise Misfit("There are more elements than are accepted.")
        array = elements.objects(flat, [len(flat)]) if dtype == "string" else typed(flat, dtype)
    except Misfit as error:
        raise WrongSize(f"The data of {name!r}: {error}") from error
    if dtype == "string" and not all(isinstance(element, str) for element in flat):
        raise WrongSize(f"The data of {name!r}: BYTES are strings in JSON.")
    # Either flat or as its shape says: both are the protocol's.
    if len(flat) != math.prod(shape) or (len(sides) > 1 and sides != shape):
        raise WrongSize(f"The data of {name!r} is not as many elements as its shape says.")
    return array.reshape(shape)
