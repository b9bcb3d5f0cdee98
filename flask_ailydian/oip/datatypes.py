"""The protocol's datatypes, and NumPy's names for them."""

from __future__ import annotations

import typing as t

import numpy as np

from ..errors import WrongDatatype

Array = np.ndarray[t.Any, np.dtype[t.Any]]

#: NumPy's name for each datatype; ``string`` is what the rest of the package calls BYTES.
DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "string",
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


def dtype_of(datatype: object) -> str:
    """Return NumPy's name of a datatype.

    :raises WrongDatatype: for one that there is no array for.
    """
    found = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if found is None:
        raise WrongDatatype(f"A datatype is one of {', '.join(DTYPES)}.")
    return found


def datatype_of(array: Array) -> str:
    """Return the datatype of an array; texts and objects are BYTES."""
    return "BYTES" if array.dtype.kind in "OUS" else DATATYPES[array.dtype.name]


def wire_type(dtype: str) -> np.dtype[t.Any]:
    """Return the type of numbers as they travel: little-endian."""
    return np.dtype(dtype).newbyteorder("<")
