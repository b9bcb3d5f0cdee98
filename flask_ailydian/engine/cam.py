"""Class activation maps (Zhou et al., 2016): what each place adds to the score of a class.

For a head of a mean and one linear layer this is what Grad-CAM gives before it drops what speaks
against the class, at the cost of one product of matrices.
"""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import threading
import typing as t

import numpy as np

from ..errors import ModelFailed

Array = np.ndarray[t.Any, np.dtype[t.Any]]
#: Heads whose weights are kept; one of a thousand classes takes 8 MB.
KEPT = 4


@dataclasses.dataclass(frozen=True)
class Head:
    """Which value of the graph is the last map, and where in the file the layer's weights are."""

    map: str
    dtype: str
    shape: tuple[int, int]
    classes_axis: int
    offset: int
    factor: float = 1.0
    alpha: float = 1.0
    scales_offset: int | None = None
    scales: int = 0

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> Head:
        """Read what the probe found."""
        return cls(**{**data, "shape": tuple(data["shape"])})

    def weights(self, data: bytes) -> Array:
        """Return ``[classes, channels]`` out of the bytes of the model file, as float32."""
        count = self.shape[0] * self.shape[1]
        found = np.frombuffer(data, self.dtype, count, self.offset).reshape(self.shape)
        found = found if self.classes_axis == 0 else found.T
        scale: t.Any = self.factor * self.alpha
        if self.scales_offset is not None:
            each = np.frombuffer(data, np.float32, self.scales, self.scales_offset)
            scale = scale * each.reshape(-1, 1)
        return np.ascontiguousarray(found * np.asarray(scale, np.float32), dtype=np.float32)


class Heads:
    """The weights of the few heads that were used last, by the digest of the model file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[str, Array] = collections.OrderedDict()

    def draw(
        self,
        digest: str,
        found: t.Mapping[str, t.Any],
        read: c.Callable[[], bytes],
        maps: Array,
        chosen: int,
    ) -> list[list[float]]:
        """Return the map of class *chosen*.

        :param found: What the probe found, see :class:`Head`.
        :param read: Returns the bytes that have *digest*; called when the weights are not at hand.
        """
        with self._lock:
            weights = self._kept.pop(digest, None)
            if weights is None:
                weights = Head.from_json(found).weights(read())
            self._kept[digest] = weights
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return class_activation(maps, weights, chosen)


def class_activation(maps: Array, weights: Array, chosen: int) -> list[list[float]]:
    """Return by how much each place raises the score of class *chosen*.

    The numbers add up to the score, but for the layer's offset.

    :param maps: ``[1, channels, rows, columns]``.
    :param weights: ``[classes, channels]``.
    :returns: Rows from top to bottom; above zero speaks for the class.
    :raises ModelFailed: when map and weights do not fit each other.
    """
    if maps.ndim != 4 or maps.shape[0] != 1 or maps.shape[1] != weights.shape[1]:
        raise ModelFailed("The model's last map does not fit its head.")
    places = maps.shape[2] * maps.shape[3]
    # Not as a product of matrices, for which NumPy would wake threads of its own.
    grid = (weights[chosen][:, None, None] * maps[0]).sum(axis=0, dtype=np.float32) / places
    if not np.isfinite(grid).all():
        raise ModelFailed("The model's last map holds numbers that are not finite.")
    return [[float(value) for value in row] for row in grid]
