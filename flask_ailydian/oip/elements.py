"""BYTES tensors as they travel: each element after its length, four bytes, little-endian."""

from __future__ import annotations

import struct
import typing as t

import numpy as np

from ..errors import InvalidInput
from ..errors import WrongSize
from .datatypes import Array

LENGTH = struct.Struct("<I")


def unpack(data: memoryview, count: int) -> list[bytes]:
    """Return the *count* elements that *data* holds.

    :raises WrongSize: when it holds fewer, more, or half of one.
    """
    # Before anything is made of it: a shape may promise what no body could hold.
    if count * LENGTH.size > len(data):
        raise WrongSize("A BYTES tensor has fewer elements than its shape says.")
    found, at = [], 0
    for _ in range(count):
        if at + LENGTH.size > len(data):
            raise WrongSize("A BYTES tensor has fewer elements than its shape says.")
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if at + length > len(data):
            raise WrongSize("An element of a BYTES tensor is cut off.")
        found.append(bytes(data[at : at + length]))
        at += length
    if at != len(data):
        raise WrongSize("A BYTES tensor has more data than its shape says.")
    return found


def pack(array: Array) -> bytes:
    """Return the elements of an array of texts or bytes, in row-major order."""
    parts: list[bytes] = []
    for element in array.ravel():
        data = as_bytes(element)
        parts += (LENGTH.pack(len(data)), data)
    return b"".join(parts)


def objects(elements: t.Sequence[t.Any], shape: t.Sequence[int]) -> Array:
    """Return elements as an array of objects."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def as_bytes(element: t.Any) -> bytes:
    """Return an element as the bytes that stand for it."""
    return element if isinstance(element, bytes) else str(element).encode()


def as_text(element: t.Any) -> str:
    """Return an element as text.

    :raises InvalidInput: when it is none, or holds what a database could not.
    """
    if isinstance(element, str):
        return element
    try:
        text = bytes(element).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("An element of a BYTES tensor is not UTF-8.") from error
    if "\0" in text:
        raise InvalidInput("An element of a BYTES tensor holds a NUL.")
    return text
