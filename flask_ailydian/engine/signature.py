"""What a model takes and gives."""

from __future__ import annotations

import dataclasses
import typing as t


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
