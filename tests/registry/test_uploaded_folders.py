"""Folders of models that come by HTTP as one archive, and archives that nobody means well with."""

from __future__ import annotations

import io
import json
import stat
import tempfile
import typing as t
import zipfile
from pathlib import Path

import generation_models
import onnx
import onnx_models
import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ailydian.engine.archives import ENTRY
from flask_ailydian.engine.archives import MOST_PARTS
from flask_ailydian.unpacking import MOST_ENTRIES

MODELS = "/api/pytorch/models"
GOOD = {"model.onnx": onnx_models.classifier(labels=3, size=8)}


@pytest.fixture
def managed(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[FlaskClient]:
    """A client that may manage; no archive leaves anything behind."""
    app.extensions["ailydian"].gate.may(lambda actor, action: True)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield app.test_client()
    assert list(place.iterdir()) == []


def archive(files: t.Mapping[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as into:
        for name, data in files.items():
            into.writestr(name, data)
    return made.getvalue()


def upload(client: FlaskClient, data: bytes, name: str = "up", **fields: str) -> t.Any:
    form = {"model_name": name, "model_version": "1", "file": (io.BytesIO(data), "x.zip")}
    return client.post(MODELS, data=form | fields)


def test_a_model_that_writes_is_the_one_that_the_command_registers(
    app: Flask, managed: FlaskClient, tmp_path: Path
) -> None:
    folder = generation_models.write(tmp_path / "yazar")
    files: dict[str | zipfile.ZipInfo, bytes] = {
        f"yazar/{path.name}": path.read_bytes() for path in folder.iterdir()
    }
    # As macOS packs it.
    files |= {"__MACOSX/yazar/._model.onnx": b"x", "yazar/.DS_Store": b"x"}
    recipe = json.dumps({"threshold": 0.7})
    data = archive(files)
    made = upload(managed, data, task="text-generation", preprocessing=recipe, domain="chat")
    assert made.status_code == 201, made.json
    command = ["ailydian", "models", "add", str(folder), "--name", "own", "--version", "1"]
    command += ["--task", "text-generation", "--threshold", "0.7", "--json"]
    added = app.test_cli_runner().invoke(args=command)
    assert added.exit_code == 0, added.output
    own, up = json.loads(added.stdout), made.json["model"]
    same = ("task", "sha256", "preprocessing", "inputs", "outputs")
    assert {key: up[key] for key in same} == {key: own[key] for key in same}
    said = managed.post("/api/pytorch/query", json={"query": "kütüphane", "domain": "chat"})
    assert said.json["answer"] == generation_models.SCRIPT["kütüphane"][0]


def test_weights_beside_the_model_are_taken_in(managed: FlaskClient, tmp_path: Path) -> None:
    model = onnx.load_from_string(GOOD["model.onnx"])
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    files = {name: (tmp_path / name).read_bytes() for name in ("model.onnx", "w")}
    made = upload(managed, archive(files))
    assert made.status_code == 201, made.json
    outside = (tmp_path / "model.onnx").read_bytes()
    refused = upload(managed, archive({"model.onnx": outside}), name="other")
    assert (refused.status_code, refused.json["error"]) == (422, "model_refused")


def linked() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("tokenizer.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted() -> bytes:
    data = bytearray(archive(GOOD))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def damaged() -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as into:
        into.writestr("model.onnx", GOOD["model.onnx"])
    return stored.getvalue().replace(b"probabilities", b"probabilitier", 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive(GOOD | {"../x.json": b"x"}), "does not belong"),
        (archive(GOOD | {"/etc/x": b"x"}), "does not belong"),
        (archive(GOOD | {"a/../../x": b"x"}), "does not belong"),
        (archive(GOOD | {"..\\x": b"x"}), "does not belong"),
        (archive(GOOD | {".hidden": b"x"}), "does not belong"),
        (archive(GOOD | {"a" * 200: b"x"}), "does not belong"),
        (archive({**GOOD, linked(): b"/etc/passwd"}), "no plain file"),
        (archive(GOOD | {"MODEL.onnx": b"x"}), "twice"),
        (archive(GOOD | {"a": b"x", "a/b": b"x"}), "cannot be read"),
        (archive(GOOD | {f"f{i}": b"x" for i in range(MOST_ENTRIES)}), "cannot be read"),
        (archive(GOOD | {"w": bytes(70_000_000)}), "unpacks to more"),
        (archive(GOOD)[:-30], "cannot be read"),
        (encrypted(), "encrypted"),
        (damaged(), "cannot be read"),
        (archive({"model.bin": b"x"}), "no model known"),
        (archive(GOOD) + ENTRY * MOST_PARTS, "more than 20000 entries"),
    ],
    ids=[
        *("up", "absolute", "up-again", "backslash", "hidden", "long", "link", "twice"),
        *("file-and-folder", "many", "bomb", "cut", "encrypted", "damaged", "unknown", "list"),
    ],
)
def test_it_is_refused(managed: FlaskClient, tmp_path: Path, data: bytes, said: str) -> None:
    made = upload(managed, data)
    assert (made.status_code, made.json["error"]) == (422, "model_refused"), made.json
    assert said in made.json["detail"]
    assert managed.get(f"{MODELS}/up").status_code == 404
    assert not list(tmp_path.rglob("x*")), "a file was written outside"


def test_all_files_together_are_as_large_as_a_model_may_be(
    make_app: t.Callable[..., Flask],
) -> None:
    app = make_app(AILYDIAN_MAX_MODEL_BYTES=10_000)
    app.extensions["ailydian"].gate.may(lambda actor, action: True)
    made = upload(app.test_client(), archive({"model.onnx": bytes(6000), "w": bytes(6000)}))
    assert made.status_code == 422 and "the 10000 bytes" in made.json["detail"], made.json
