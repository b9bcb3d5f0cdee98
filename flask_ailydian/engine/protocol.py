"""What every engine is: arrays in, arrays out."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

import numpy as np

from ..errors import ValidationFailed
from .signature import TensorSpec

Array = np.ndarray[t.Any, np.dtype[t.Any]]


class Engine(t.Protocol):
    """One model, ready to run."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(
        self,
        arrays: dict[str, Array],
        *,
        deadline: float | None,
        gone: c.Callable[[], bool] | None = None,
        alone: bool = False,
        exposed: bool = False,
    ) -> dict[str, Array]:
        """Return the outputs by name.

        :param deadline: As ``time.monotonic()`` counts; a run that passes it is ended.
        :param gone: Says whether the caller has hung up; its run is ended as well.
        :param alone: Nobody else runs: this run may use every core.
        :param exposed: Return the exposed inner values as well, after the outputs.
        """

    def warm_up(self, arrays: dict[str, Array], *, deadline: float) -> None:
        """Run on *arrays* for the sake of later runs."""

    def close(self) -> None:
        """Give back what the engine holds."""


def check(specs: t.Iterable[TensorSpec], arrays: dict[str, Array]) -> None:
    """Raise :class:`ValidationFailed` for arrays that are not what a model takes."""
    wrong: dict[str, list[str]] = {}
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None:
            wrong[spec.name] = ["This input is missing."]
            continue
        if spec.dtype == "string":
            typed = array.dtype.kind in "OUS"
        else:
            typed = array.dtype == _dtype(spec.dtype)
        fits = len(array.shape) == len(spec.shape) and all(
            not isinstance(want, int) or want == have
            for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if not typed or not fits:
            shape = ", ".join(str(d if d is not None else "any") for d in spec.shape)
            wrong[spec.name] = [f"The model takes {spec.dtype} of shape [{shape}]."]
    if wrong:
        raise ValidationFailed(fields={"inputs": wrong})


# Looking a type up by its name takes longer than all the rest of the check.
_dtype = functools.cache(np.dtype)
