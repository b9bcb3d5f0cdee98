"""Which classes are shown and kept, also where several are equally probable."""

from __future__ import annotations

import numpy as np
import pytest

from flask_ailydian import answers


@pytest.mark.parametrize("classes", [1, 2, 9, 1000])
@pytest.mark.parametrize("count", [1, 3, 10, 2000])
def test_the_best_are_those_of_a_whole_stable_sort(classes: int, count: int) -> None:
    rng = np.random.default_rng(classes)
    for steps in (1, 3, 10**9):
        chances = rng.integers(0, steps, classes, endpoint=True) / steps
        whole = np.argsort(-chances, kind="stable")[:count]
        assert answers._best(chances, count) == whole.tolist()
