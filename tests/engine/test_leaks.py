"""Memory stays flat while models come and go; a leak of one model in ten would be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADS = """
import sys, time
sys.path.insert(0, {tests!r})
import numpy as np, onnx_models
from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.engine.sessions import SessionPool

SIZE = 4 * 2**20
models = [onnx_models.classifier(labels=10, size=100, seed=i) for i in range(4)]  # 1.2 MB each
pool, kept, sizes = SessionPool(budget=2 * SIZE), [], []
arrays = {{"input": np.zeros((1, 3, 100, 100), np.float32)}}
for i in range(260):
    later = time.monotonic() + 30
    data = models[i % 4]
    make = lambda: OnnxEngine(data, threads=2)
    with pool.lease(str(i % 4), SIZE, make, deadline=later) as engine:
        engine.run(arrays, deadline=later)
        engine.run(arrays, deadline=later, alone=True)
    if {leak} and i % 10 == 0:
        kept.append(OnnxEngine(data, threads=2))
    pages = int(open("/proc/self/statm").read().split()[1])
    sizes.append(pages * 4096 / 2**20)
# By hundred loads, once the allocator has settled.
slope = np.polyfit(np.arange(200), sizes[60:], 1)[0] * 100
print(slope)
"""


def slope(*, leak: bool) -> float:
    """Return by how many megabytes the process grows in a hundred loads."""
    code = LOADS.format(tests=str(Path(__file__).parents[1]), leak=leak)
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=300, capture_output=True, text=True
    )
    return float(run.stdout)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_hundreds_of_loads_and_a_leak_would_show() -> None:
    assert slope(leak=True) > 5
    assert slope(leak=False) < 1
