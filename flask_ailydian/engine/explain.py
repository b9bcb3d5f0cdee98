"""Which part of a picture an answer hangs on: occlusion (Zeiler and Fergus, 2014)."""

from __future__ import annotations

import collections.abc as c
import typing as t

import numpy as np

Array = np.ndarray[t.Any, np.dtype[t.Any]]

#: Rows and columns of the grid.
CELLS = 7


def occlusion(
    score: c.Callable[[Array], float], tensor: Array, *, layout: str, cells: int = CELLS
) -> list[list[float]]:
    """Return by how much covering each part of the picture lowers the score.

    A part is covered with the picture's own mean, so that the cover is no shape of its own.

    :param score: The probability that is explained, of a tensor with one picture.
    :param tensor: ``[1, c, h, w]`` or ``[1, h, w, c]``, as *layout* says.
    :returns: *cells* rows from top to bottom of as many numbers; above zero speaks for the class.
    """
    height, width = tensor.shape[2:4] if layout == "NCHW" else tensor.shape[1:3]
    axes = (2, 3) if layout == "NCHW" else (1, 2)
    cover = tensor.mean(axis=axes, keepdims=True).astype(tensor.dtype)
    whole = score(tensor)
    rows = np.linspace(0, height, min(cells, height) + 1).astype(int)
    columns = np.linspace(0, width, min(cells, width) + 1).astype(int)
    grid = []
    for top, bottom in zip(rows, rows[1:], strict=False):
        line = []
        for left, right in zip(columns, columns[1:], strict=False):
            covered = tensor.copy()
            part = (slice(None), slice(top, bottom), slice(left, right))
            place = (slice(None), *part) if layout == "NCHW" else part
            covered[place] = cover
            line.append(whole - score(covered))
        grid.append(line)
    return grid
