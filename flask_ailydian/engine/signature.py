"""What a model takes and gives."""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np

Array = np.ndarray[t.Any, np.dtype[t.Any]]


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """A named tensor: NumPy's dtype name or ``string``, and its shape.

    A dimension is a number, or the name (or ``None``) of one that each input may choose.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def to_json(self) -> dict[str, t.Any]:
        """Return the spec as JSON holds it."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> TensorSpec:
        """Read what :meth:`to_json` wrote."""
        return cls(data["name"], data["dtype"], tuple(data["shape"]))


def zeros(specs: t.Iterable[TensorSpec], size: t.Iterable[int] = ()) -> dict[str, Array]:
    """Return one empty input: open dimensions are 1, those of a picture *size*."""
    arrays = {}
    for spec in specs:
        sides = iter(size)
        shape = [d if isinstance(d, int) else 1 for d in spec.shape]
        for axis in range(1, len(shape)):
            if not isinstance(spec.shape[axis], int):
                shape[axis] = next(sides, 1)
        if spec.dtype == "string":
            arrays[spec.name] = np.full(shape, "", dtype=object)
        else:
            arrays[spec.name] = np.zeros(shape, dtype=spec.dtype)
    return arrays
