from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx_models
import pytest

from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.engine.postprocess import probabilities
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import Timeout
from flask_ailydian.errors import ValidationFailed

CLASSIFIER = onnx_models.classifier(labels=3, size=8)


def zeros() -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {"input": np.zeros((1, 3, 8, 8), np.float32)}


def test_a_run_gives_outputs_by_name() -> None:
    out = OnnxEngine(CLASSIFIER, threads=1).run(zeros(), deadline=None)
    assert out["probabilities"].tolist() == [[pytest.approx(1 / 3)] * 3]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3, 8, 9), np.float32),
        np.zeros((1, 3, 8, 8), np.float64),
        np.zeros((3, 8, 8), np.float32),
    ],
    ids=["shape", "type", "rank"],
)
def test_what_does_not_fit_is_named_before_the_run(array: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValidationFailed) as caught:
        OnnxEngine(CLASSIFIER).run({"input": array}, deadline=None)
    assert "float32" in caught.value.fields["inputs"]["input"][0]  # type: ignore[index]


def test_a_run_past_its_deadline_is_ended() -> None:
    engine = OnnxEngine(onnx_models.slow(turns=5_000_000), threads=1)
    started = time.monotonic()
    with pytest.raises(Timeout):
        engine.run({"input": np.ones((64, 64), np.float32)}, deadline=started + 0.3)
    assert time.monotonic() - started < 5


def test_a_deadline_that_has_passed_starts_nothing() -> None:
    with pytest.raises(Timeout):
        OnnxEngine(CLASSIFIER).run(zeros(), deadline=time.monotonic() - 1)


def test_a_session_that_cannot_be_made_says_nothing_of_why() -> None:
    with pytest.raises(ModelFailed) as caught:
        OnnxEngine(b"no model")
    assert str(caught.value) == "The model could not be loaded."


FORKED = """
import os, sys, threading, numpy as np
sys.path.insert(0, {tests!r})
import flask_ailydian, onnx_models
import time
from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.engine.sessions import SessionPool
data = onnx_models.classifier(labels=3, size=8)
pool = SessionPool()
def use():
    later = time.monotonic() + 20
    with pool.lease("key", 1, lambda: OnnxEngine(data, threads=2), deadline=later) as engine:
        engine.run({{"input": np.zeros((1, 3, 8, 8), np.float32)}}, deadline=later)
{before}
pid = os.fork()
if pid == 0:
    use()
    assert pool.loaded() == ["key"]
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_worker_makes_its_own_sessions() -> None:
    code = FORKED.format(tests=str(Path(__file__).parents[1]), before="")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_worker_forked_too_late_says_so_and_does_not_hang() -> None:
    before = """
use()
if os.fork() == 0:
    try:
        use()
    except flask_ailydian.errors.BackendUnavailable as error:
        os._exit(0 if "before this process was forked" in str(error) else 1)
    os._exit(2)
assert os.wait()[1] == 0
os._exit(0)
"""
    code = FORKED.format(tests=str(Path(__file__).parents[1]), before=before)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


QUIET = """
import os, sys
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
import flask_ailydian
assert "onnxruntime" not in sys.modules
from flask_ailydian.engine.onnx_engine import OnnxEngine
sys.path.insert(0, {tests!r})
import onnx_models
OnnxEngine(onnx_models.classifier())
numbers = [f"/proc/self/fd/{{n}}" for n in os.listdir("/proc/self/fd")]
links = [os.readlink(number) for number in numbers if os.path.islink(number)]
assert not [link for link in links if link.startswith("socket:")], links
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_the_runtime_writes_no_file_and_opens_no_socket(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = QUIET.format(tests=str(Path(__file__).parents[1]))
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, env=environment, cwd=tmp_path
    )
    assert list(tmp_path.rglob("*")) == []


def test_an_early_import_of_the_runtime_is_said_loudly() -> None:
    code = (
        "import os, warnings; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')\n"
        "import flask_ailydian\n"
        "from flask_ailydian.engine import runtime\n"
        "assert runtime.telemetry_state().startswith('unknown')\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always'); runtime.load()\n"
        "assert 'ORT_DISABLE_TELEMETRY=1' in str(said[0].message)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_softmax_is_stable_and_never_applied_twice() -> None:
    wild = np.array([1000.0, 999.0, -1000.0], np.float32)
    assert probabilities(wild, already=False).tolist() == pytest.approx(
        [0.731059, 0.268941, 0], abs=1e-6
    )
    given = np.array([0.9, 0.1])
    assert probabilities(given, already=True).tolist() == [0.9, 0.1]
    for broken in (np.array([np.nan, 1]), np.array([np.inf, 1]), np.array([])):
        with pytest.raises(ModelFailed):
            probabilities(broken, already=False)


def test_a_small_model_does_without_more_threads_and_a_large_one_keeps_them() -> None:
    small = OnnxEngine(CLASSIFIER, threads=2)
    assert small._wide is not small._narrow
    small.warm_up(zeros(), deadline=time.monotonic() + 30)
    assert small._wide is small._narrow
    large = OnnxEngine(onnx_models.timed(size=256), threads=2)
    turns = {"turns": np.array([200], np.int64)}
    large.warm_up(turns, deadline=time.monotonic() + 60)
    assert large._wide is not large._narrow
