from __future__ import annotations

import numpy as np
import pytest

from flask_ailydian.engine.explain import occlusion


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_part_that_the_score_looks_at_stands_out(layout: str) -> None:
    picture = np.zeros((1, 1, 14, 14), np.float32)
    picture[0, 0, 4:6, 8:10] = 1.0
    tensor = picture if layout == "NCHW" else picture.transpose(0, 2, 3, 1).copy()
    grid = np.array(occlusion(lambda x: float(x.max()), tensor, layout=layout))
    assert grid.shape == (7, 7)
    assert np.unravel_index(grid.argmax(), grid.shape) == (2, 4)
    assert np.count_nonzero(grid) == 1
    assert tensor.sum() == 4


def test_a_picture_smaller_than_the_grid_has_a_part_a_pixel() -> None:
    tensor = np.ones((1, 3, 2, 5), np.float32)
    grid = occlusion(lambda x: float(x.mean()), tensor, layout="NCHW")
    assert np.array(grid).shape == (2, 5)
