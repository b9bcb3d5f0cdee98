"""Nested lists become arrays, exactly as the model's signature says."""

from __future__ import annotations

import typing as t

import numpy as np

from ..errors import ValidationFailed

Array = np.ndarray[t.Any, np.dtype[t.Any]]
Shape = tuple[int | str | None, ...]


class Spec(t.Protocol):
    """A named tensor of a model."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> Shape: ...


def to_arrays(
    inputs: object, signature: t.Sequence[Spec], *, max_elements: int
) -> dict[str, Array]:
    """Return an array for each input that *signature* names.

    :raises ValidationFailed: with the messages by input below ``inputs``.
    """
    if not isinstance(inputs, dict):
        raise ValidationFailed(fields={"inputs": ["An object of nested lists by name."]})
    wrong: dict[str, list[str]] = {}
    for name in inputs.keys() - {spec.name for spec in signature}:
        wrong[str(name)] = ["The model has no such input."]
    arrays = {}
    for spec in signature:
        if spec.name not in inputs:
            wrong[spec.name] = ["This input is missing."]
            continue
        try:
            arrays[spec.name], used = _array(inputs[spec.name], spec, max_elements)
            max_elements -= used
        except Misfit as error:
            wrong[spec.name] = [str(error)]
    if wrong:
        raise ValidationFailed(fields={"inputs": wrong})
    return arrays


class Misfit(Exception):
    """Elements are not what they are said to be; the text is a sentence for their sender."""


def _array(value: t.Any, spec: Spec, most: int) -> tuple[Array, int]:
    shape, flat = flatten(value, most)
    if len(shape) != len(spec.shape) or any(
        isinstance(want, int) and want != have
        for want, have in zip(spec.shape, shape, strict=False)
    ):
        wanted = ", ".join(str(d if d is not None else "any") for d in spec.shape)
        raise Misfit(f"The model takes the shape [{wanted}].")
    return typed(flat, spec.dtype).reshape(shape), len(flat)


def flatten(value: t.Any, most: int) -> tuple[list[int], list[t.Any]]:
    """Return the shape of rectangular nested lists, and their elements in order.

    :raises Misfit: when they are not rectangular, or too many.
    """
    shape: list[int] = []
    level = [value]
    while level and any(isinstance(item, list) for item in level):
        length = len(level[0]) if isinstance(level[0], list) else -1
        if not all(isinstance(item, list) and len(item) == length for item in level):
            raise Misfit("The lists are not all of one length.")
        if length * len(level) > most:
            raise Misfit("There are more elements than are accepted.")
        shape.append(length)
        level = [element for item in level for element in item]
    return shape, level


def typed(flat: list[t.Any], dtype: str) -> Array:
    """Return elements as an array of one dimension.

    :raises Misfit: when one does not fit *dtype*.
    """
    kinds = set(map(type, flat))
    if dtype == "string":
        if kinds - {str}:
            raise Misfit("The model takes strings.")
        return np.array(flat, dtype=object)
    if dtype == "bool":
        if kinds - {bool}:
            raise Misfit("The model takes true and false.")
        return np.array(flat, dtype=bool)
    whole = not dtype.startswith("float")
    if kinds - ({int} if whole else {int, float}):
        raise Misfit("The model takes whole numbers." if whole else "The model takes numbers.")
    try:
        if whole:
            limits = np.iinfo(dtype)
            if flat and not (limits.min <= min(flat) and max(flat) <= limits.max):
                raise Misfit(f"The numbers do not fit {dtype}.")
            return np.array(flat, dtype=dtype)
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=np.float64).astype(dtype)
    except OverflowError as error:
        raise Misfit(f"The numbers do not fit {dtype}.") from error
    if not np.isfinite(array).all():
        raise Misfit(f"The numbers do not fit {dtype}.")
    return array
