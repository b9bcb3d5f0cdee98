"""PyTorch's files run like any other, and run nothing besides."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import typing as t
import zipfile
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from flask import Flask
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian.engine import archives
from flask_ailydian.engine import torch_engine
from flask_ailydian.engine.open import open_engine
from flask_ailydian.engine.probe import probe_torch
from flask_ailydian.engine.probe import ProbeLimits
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import ModelRefused
from flask_ailydian.errors import Timeout
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.folders import read_source
from flask_ailydian.registration import Declared

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
torch_models = pytest.importorskip("torch_models")

LIMITS = ProbeLimits(wall_seconds=60, cpu_seconds=10)
SIZE = (torch_models.SIDE, torch_models.SIDE)
Change = t.Callable[[t.Any], None]


def images(count: int = 1) -> t.Any:
    return np.random.default_rng(1).normal(size=(count, 3, *SIZE)).astype(np.float32)


def make(kind: str) -> bytes:
    module = torch_models.small()
    return torch_models.program(module) if kind == "pytorch" else torch_models.script(module)  # type: ignore[no-any-return]


def rewritten(data: bytes, change: Change, part: str = "models/model.json") -> bytes:
    """Change a part that holds JSON."""

    def one(name: str, content: bytes) -> bytes:
        if not name.endswith(part):
            return content
        value = json.loads(content)
        change(value)
        return json.dumps(value).encode()

    return torch_models.changed(data, one)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["torchscript", "pytorch"])
def test_a_file_answers_what_its_module_answers(kind: str) -> None:
    data = make(kind)
    assert archives.kind_of(data) == kind
    report = probe_torch(data, kind, limits=LIMITS, size=SIZE)
    (takes,), (gives,) = report.inputs, report.outputs
    assert (takes.name, takes.dtype, takes.shape) == ("image", "float32", ("batch", 3, *SIZE))
    assert (gives.dtype, gives.shape) == ("float32", ("batch", 3))
    assert report.ends_in_probabilities and report.ran and report.cam is None
    assert report.producer.startswith("torch ") and report.peak_bytes > 10**7
    engine = open_engine(kind, data, **report.opening)
    assert isinstance(engine, torch_engine.TorchEngine)
    for count in (1, 3):
        (found,) = engine.run({"image": images(count)}, deadline=None).values()
        with torch.no_grad():
            wanted = torch_models.small()(torch.from_numpy(images(count))).numpy()
        assert np.allclose(found, wanted, atol=1e-6)
    with pytest.raises(ValidationFailed):
        engine.run({"image": images()[:, :2]}, deadline=None)
    with pytest.raises(Timeout):
        engine.run({"image": images()}, deadline=time.monotonic() - 1)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("kind", ["torchscript", "pytorch"])
def test_a_registered_file_answers_requests(
    make_app: t.Callable[..., Flask], kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(make(kind))
    app = make_app()
    command = ["ailydian", "models", "add", str(file), "--name", "m", "--version", "v1"]
    command += ["--size", str(SIZE[0]), "--mean", "0,0,0", "--std", "1,1,1", "--activate"]
    said = app.test_cli_runner().invoke(args=command)
    assert said.exit_code == 0, said.output
    with app.app_context():
        record = current_ailydian.registry.get("m", "v1")
        assert (record.type, record.task, record.status) == (kind, "image-classification", "active")
        body = current_ailydian.predict("m", image=encoded(), explain=True)
        assert body["model"]["type"] == kind
        chances = [c["probability"] for c in body["probabilities"].values()]
        assert sum(chances) == pytest.approx(1, abs=1e-6) and len(set(chances)) == 3
        assert body["explanation"]["method"] == "occlusion"
        assert current_ailydian.registry.verify(record) is None
        current_ailydian.registry.update("m", "v1", status="inactive")
        # Activating tries the file again, with no flags to go by.
        assert current_ailydian.registry.update("m", "v1", status="active").status == "active"
    doctor = app.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    assert "m v1 answers" in doctor.output


def test_a_script_says_its_labels_but_not_its_shape() -> None:
    labels = json.dumps(["a", "b", "c"])
    data = torch_models.script(torch_models.small(), labels=labels)
    report = probe_torch(data, "torchscript", limits=LIMITS, size=SIZE)
    assert report.metadata == {"ailydian.labels": labels}
    with pytest.raises(ModelRefused, match="give the size"):
        probe_torch(data, "torchscript", limits=LIMITS)


def test_logits_are_told_from_probabilities_by_what_comes_out() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE[0] ** 2, 3))
    report = probe_torch(torch_models.script(module), "torchscript", limits=LIMITS, size=SIZE)
    assert not report.ends_in_probabilities


def test_pickles_are_refused_unopened(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    state = io.BytesIO()
    torch.save(torch_models.small().state_dict(), state)
    old = io.BytesIO()
    torch.save(torch_models.small().state_dict(), old, _use_new_zipfile_serialization=False)
    for data in (
        state.getvalue(),
        old.getvalue(),
        torch_models.pickled_with(str(trap)),
        torch_models.bare_pickle(str(trap)),
    ):
        with pytest.raises(ModelRefused, match="python -m training.torch_file"):
            archives.kind_of(data)
        (tmp_path / "m.pth").write_bytes(data)
        with pytest.raises(ModelRefused, match="run code"):
            read_source(tmp_path / "m.pth", max_bytes=10**6)
    assert not trap.exists()


LOADS = "import io, sys, torch; torch.export.load(io.BytesIO(sys.stdin.buffer.read()))"


def test_a_pickle_among_the_sample_inputs_is_left_behind(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    def change(name: str, content: bytes) -> bytes:
        inside = name.endswith("data/sample_inputs/model.pt")
        return torch_models.pickled_with(str(trap)) if inside else content  # type: ignore[no-any-return]

    data = torch_models.changed(make("pytorch"), change)
    engine = open_engine("pytorch", data, **probe_torch(data, "pytorch", limits=LIMITS).opening)
    assert engine.run({"image": images()}, deadline=None)
    assert not trap.exists()
    # PyTorch itself would have opened it.
    subprocess.run([sys.executable, "-c", LOADS], input=data, capture_output=True, timeout=60)
    assert trap.exists()


def _pickled_weight(config: t.Any) -> None:
    next(iter(config["config"].values()))["use_pickle"] = True


def _opaque(config: t.Any) -> None:
    config["config"]["x"] = {"path_name": "opaque_obj_0", "use_pickle": False}


def _expression(program: t.Any) -> None:
    (shape,) = (
        v for k, v in program["graph_module"]["graph"]["tensor_values"].items() if k == "image"
    )
    shape["sizes"][0]["as_expr"]["expr_str"] = "__import__('os').mkdir('trap')"


def _target(name: str) -> Change:
    def change(program: t.Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = name

    return change


def _tree(program: t.Any) -> None:
    tree = [1, {"type": "os.path.X", "context": "null", "children_spec": []}]
    program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(tree)


def _name(program: t.Any) -> None:
    node = program["graph_module"]["graph"]["nodes"][-1]
    node["outputs"][0]["as_tensor"]["name"] = "x;import os"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (_pickled_weight, "model_weights_config.json"),
        (_opaque, "model_constants_config.json"),
        (_expression, "models/model.json"),
        (_target("torch.hub.load"), "models/model.json"),
        (_target("torch.ops.aten.__class__.x"), "models/model.json"),
        (_target("torch.ops.aten.from_file.default"), "models/model.json"),
        (_target("torch.ops.aten.save.default"), "models/model.json"),
        (_target("_operator.attrgetter"), "models/model.json"),
        (_target("math.__loader__"), "models/model.json"),
        (_tree, "models/model.json"),
        (_name, "models/model.json"),
    ],
    ids="pickled opaque expression hub dunder map save operator math tree name".split(),
)
def test_an_exported_program_with_anything_that_would_run_is_refused(
    change: Change, part: str
) -> None:
    data = rewritten(make("pytorch"), change, part)
    with pytest.raises(ModelRefused, match="more than a graph and weights"):
        archives.exported_program(data)


def test_guards_in_the_file_are_never_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    def change(program: t.Any) -> None:
        program["guards_code"] = [f"__import__('os').mkdir({str(trap)!r}) is None"]

    data = rewritten(make("pytorch"), change)
    engine = open_engine("pytorch", data, **probe_torch(data, "pytorch", limits=LIMITS).opening)
    assert engine.run({"image": images()}, deadline=None) and not trap.exists()


@pytest.mark.parametrize("kind", ["saves", "maps"])
def test_a_script_that_reaches_for_files_is_refused(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    if kind == "maps":
        target.write_bytes(bytes(12))
    module = (torch_models.Saves if kind == "saves" else torch_models.Maps)(str(target))
    data = torch_models.script(module, trace=False)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelRefused, match="reaches beyond the model"):
        probe_torch(data, "torchscript", limits=LIMITS, size=SIZE)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("text", ["torch . save", "torch.\\\n save", "ops.mine.read", "# x"])
def test_source_that_hides_a_call_is_refused_before_it_is_loaded(text: str) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content + f"\n  {text}(1)\n".encode() if name.endswith(".py") else content

    data = torch_models.changed(make("torchscript"), change)
    with pytest.raises(ModelRefused, match="more than a graph and weights"):
        probe_torch(data, "torchscript", limits=LIMITS, size=SIZE)


def test_archives_that_are_read_in_two_ways_or_swell_are_refused() -> None:
    data = make("torchscript")
    twice = io.BytesIO(data)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "a") as archive:
        name = next(n for n in archive.namelist() if n.endswith("/constants.pkl"))
        archive.writestr(name, b"other")
    with pytest.raises(ModelRefused, match="cannot be read"):
        archives.kind_of(twice.getvalue())
    swollen = io.BytesIO(data)
    with zipfile.ZipFile(swollen, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name.replace("constants.pkl", "code/big.py"), bytes(2**27))
    with pytest.raises(ModelRefused, match="far more"):
        archives.kind_of(swollen.getvalue())
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a/b", b"")
    with pytest.raises(ModelRefused, match="no model known"):
        archives.kind_of(other.getvalue())
    with pytest.raises(ModelRefused, match="cannot be read"):
        archives.kind_of(data[:200])
    assert archives.kind_of(onnx_models.adder()) == "onnx"


def test_broken_files_fail_in_one_sentence_of_ours() -> None:
    def cut(name: str, content: bytes) -> bytes:
        return content[: len(content) // 2]

    for kind in ("torchscript", "pytorch"):
        broken = torch_models.changed(make(kind), cut)
        with pytest.raises(ModelRefused) as caught:
            probe_torch(broken, kind, limits=LIMITS, size=SIZE)
        assert re.fullmatch(r"[A-Z][^/\n]*\.", str(caught.value))
        with pytest.raises(ModelFailed):
            open_engine(kind, broken)


def test_a_model_can_be_exported_from_its_weights(
    tmp_path: Path, make_app: t.Callable[..., Flask]
) -> None:
    torch.save(torch_models.small(3).state_dict(), tmp_path / "weights.pt")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "own.py").write_text("import torch_models\ndef net(n): return torch_models.small()")
    root = Path(__file__).parents[2]
    app = make_app()
    for name in ("model.pt2", "model.pt"):
        code = (
            f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'tests')!r}, '.']\n"
            "import runpy; runpy.run_module('training.torch_file', run_name='__main__')"
        )
        command = [sys.executable, "-c", code, "--model", "own:net", "--weights", "weights.pt"]
        command += ["--outputs", "3", "--size", "8", "--labels", "labels.txt", "--out", name]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=120, capture_output=True)
        with app.app_context():
            record = current_ailydian.registry.register(
                read_source(tmp_path / name, max_bytes=10**6),
                name.replace(".", "-"),
                "v1",
                Declared(size=SIZE),
            )
            assert record.labels == ("a", "b", "c")
