"""Whether arrays are what a model takes, and which classes its scores name."""

from __future__ import annotations

import typing as t

import numpy as np

from ..errors import InvalidInput
from ..errors import UnknownTensor
from ..errors import WrongDatatype
from ..errors import WrongShape
from ..inputs.tensors import Spec
from . import elements
from .datatypes import Array
from .datatypes import datatype_of
from .datatypes import DATATYPES


def matched(arrays: dict[str, Array], specs: t.Sequence[Spec]) -> dict[str, Array]:
    """Return the arrays for a model's inputs, in the model's order.

    :raises InvalidInput: for a wrong name, datatype or shape.
    """
    names = {spec.name for spec in specs}
    for name in arrays:
        if name not in names:
            takes = ", ".join(sorted(names))
            raise UnknownTensor(f"The model has no input {name!r}; it takes {takes}.")
    found = {}
    sizes: dict[str, int] = {}
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None:
            raise UnknownTensor(f"The input {spec.name!r} is missing.")
        wanted = DATATYPES.get(spec.dtype, spec.dtype)
        if datatype_of(array) != wanted:
            raise WrongDatatype(f"The input {spec.name!r} has the datatype {wanted}.")
        # Dimensions of one name have one size, whichever that is.
        fits = len(array.shape) == len(spec.shape) and all(
            want is None
            or have == (want if isinstance(want, int) else sizes.setdefault(want, have))
            for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or not array.size:
            raise WrongShape(f"The input {spec.name!r} has the shape {shape_of(spec)}.")
        if wanted == "BYTES":
            texts = [elements.as_text(element) for element in array.ravel()]
            found[spec.name] = elements.objects(texts, array.shape)
        else:
            # Behind the JSON a tensor may begin anywhere: runtimes want it where its type does.
            found[spec.name] = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    return found


def shape_of(spec: Spec) -> list[int]:
    """Return a shape as the protocol writes it: -1 where each request may choose."""
    return [side if isinstance(side, int) else -1 for side in spec.shape]


def classified(scores: Array, count: int, labels: t.Sequence[str]) -> Array:
    """Return the *count* best of the last axis as the texts ``score:index:label``.

    :raises InvalidInput: for an output that is no scores.
    """
    if scores.dtype.kind not in "fiu" or not scores.ndim or not scores.shape[-1]:
        raise InvalidInput("Only an output of scores can be classified.")
    rows = scores.reshape(-1, scores.shape[-1])
    best = np.argsort(-rows.astype(np.float64), axis=-1, kind="stable")[:, :count]
    texts = [
        f"{float(rows[row, i]):f}:{i}" + (f":{labels[i]}" if i < len(labels) else "")
        for row, found in enumerate(best)
        for i in map(int, found)
    ]
    return elements.objects(texts, (*scores.shape[:-1], best.shape[-1]))
