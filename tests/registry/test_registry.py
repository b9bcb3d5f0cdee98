from __future__ import annotations

import io
import json
import typing as t
from pathlib import Path

import onnx_models
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian import FlaskAilydian
from flask_ailydian.errors import AilydianError
from flask_ailydian.errors import BackendUnavailable
from flask_ailydian.errors import Conflict
from flask_ailydian.errors import ModelNotFound
from flask_ailydian.errors import ModelRefused
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.folders import read_source
from flask_ailydian.registration import Declared
from flask_ailydian.registration import read_labels

LABELS = ["circle", "square", "star"]


def add(version: str, *, seed: int = 0, **options: t.Any) -> t.Any:
    data = onnx_models.classifier(labels=3, size=8, seed=seed)
    return current_ailydian.registry.register(
        data, "m", version, Declared(labels=LABELS), **options
    )


@pytest.fixture
def registry(make_app: t.Callable[..., Flask]) -> t.Iterator[t.Any]:
    with make_app().app_context():
        yield current_ailydian.registry


def test_the_newest_testing_version_answers_until_one_is_active(registry: t.Any) -> None:
    add("1")
    add("2", seed=1)
    assert (registry.resolve("m").version, registry.resolve("m").status) == ("2", "testing")
    registry.update("m", "1", status="active")
    assert (registry.resolve("m").version, registry.resolve("m").status) == ("1", "active")
    assert registry.resolve("m", "2").version == "2"


def test_activating_takes_the_place_of_the_active(registry: t.Any) -> None:
    add("1", activate=True)
    add("2", seed=1, activate=True)
    assert {r.version: r.status for r in registry.versions("m")} == {"1": "inactive", "2": "active"}
    registry.update("m", "1", status="active")
    assert registry.resolve("m").version == "1"


def test_an_inactive_version_never_answers(registry: t.Any) -> None:
    add("1")
    registry.update("m", "1", status="inactive")
    for version in (None, "1"):
        with pytest.raises(ModelNotFound):
            registry.resolve("m", version)


def test_a_version_is_never_replaced(registry: t.Any) -> None:
    add("1")
    with pytest.raises(Conflict, match="never replaced"):
        add("1", seed=2)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 65, "-a", "a b", "ş"])
def test_a_name_is_validated_never_cleaned(registry: t.Any, name: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        registry.register(onnx_models.classifier(), name, "1", Declared())
    assert "model_name" in (caught.value.fields or {})


def test_a_changed_file_is_refused(registry: t.Any) -> None:
    record = add("1")
    assert registry.verify(record) is None
    path = registry.folder / record.file_path
    path.chmod(0o600)
    path.write_bytes(onnx_models.classifier(labels=3, size=8, seed=9))
    with pytest.raises(BackendUnavailable, match="not the one that was registered"):
        registry.read(record)
    assert "not the one" in (registry.verify(record) or "")


def test_a_changed_file_answers_503_without_its_path(app: Flask, client: FlaskClient) -> None:
    (file,) = app.extensions["ailydian"].registry.folder.iterdir()
    app.extensions["ailydian"].serving.pool.clear()
    file.chmod(0o600)
    file.write_bytes(b"else")
    response = client.post(
        "/api/pytorch/inference", json={"model_name": "shapes", "image": data_uri(encoded())}
    )
    assert (response.status_code, response.json["error"]) == (503, "backend_unavailable")
    assert str(file.parent) not in response.text and file.name not in response.text
    assert client.get("/api/pytorch/health/ready").status_code == 503


@pytest.mark.parametrize("swap", ["symlink", "hardlink"])
def test_a_file_that_became_a_link_is_refused(registry: t.Any, swap: str, tmp_path: Path) -> None:
    record = add("1")
    path = registry.folder / record.file_path
    other = tmp_path / "other.onnx"
    other.write_bytes(path.read_bytes())
    path.unlink()
    if swap == "symlink":
        path.symlink_to(other)
    else:
        path.hardlink_to(other)
    with pytest.raises(BackendUnavailable):
        registry.read(record)


@pytest.mark.parametrize(
    "stored", ["../secret.onnx", "/etc/passwd", "a/../../secret.onnx", "", ".", "\0"]
)
def test_a_stored_path_never_leaves_the_folder(registry: t.Any, stored: str) -> None:
    add("1")
    (registry.folder.parent / "secret.onnx").write_bytes(b"secret")
    table = current_ailydian.tables.Model.__table__
    if "\0" not in stored:
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(table.update().values(file_path=stored))
    else:
        return
    with pytest.raises(BackendUnavailable):
        registry.read(registry.get("m", "1"))


def test_labels_that_do_not_fit_are_refused(registry: t.Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        registry.register(onnx_models.classifier(labels=3), "m", "1", Declared(labels=["a", "b"]))
    assert "3 classes" in caught.value.fields["labels"][0]  # type: ignore[index]


def test_labels_that_repeat_are_numbered(registry: t.Any) -> None:
    declared = Declared(labels=["crane", "crane", "crane (2)"])
    record = registry.register(onnx_models.classifier(labels=3), "m", "1", declared)
    assert len(set(record.labels)) == 3
    assert record.labels[0] == "crane"


def test_a_description_is_made_harmless(registry: t.Any) -> None:
    text = '<b>Not</b> for diagnosis <script>alert(1)</script><a href="javascript:x">y</a>'
    declared = Declared(labels=LABELS, description=text)
    record = registry.register(onnx_models.classifier(), "m", "1", declared)
    assert "<b>Not</b>" in record.description
    assert "<script" not in record.description and "javascript" not in record.description


@pytest.mark.parametrize(
    "data", [b"", b"PK\3\4", b"\0" * 100, onnx_models.classifier()[:200]], ids=str
)
def test_what_is_no_model_is_refused_in_one_sentence(registry: t.Any, data: bytes) -> None:
    with pytest.raises(ModelRefused) as caught:
        registry.register(data, "m", "1", Declared())
    assert str(caught.value).endswith(".") and "/" not in str(caught.value)
    assert registry.versions() == []
    assert not registry.folder.exists() or list(registry.folder.iterdir()) == []


def test_a_file_over_the_declared_size_is_refused(make_app: t.Callable[..., Flask]) -> None:
    with make_app(AILYDIAN_MAX_MODEL_BYTES=100).app_context():
        with pytest.raises(ModelRefused, match="larger than the 100 bytes"):
            add("1")


def test_the_file_s_own_metadata_speaks_where_no_flag_does(registry: t.Any) -> None:
    import onnx

    model = onnx.load_from_string(onnx_models.classifier(labels=3, size=8))
    recipe = {"kind": "image", "size": [8, 8], "mean": [0.1] * 3, "std": [0.2] * 3}
    onnx.helper.set_model_props(
        model,
        {
            "ailydian.labels": json.dumps(LABELS),
            "ailydian.preprocessing": json.dumps(recipe),
            "ailydian.domain": "medical",
        },
    )
    record = registry.register(model.SerializeToString(), "m", "1", Declared(std=(0.3,) * 3))
    assert (record.labels, record.domain) == (tuple(LABELS), "medical")
    assert record.preprocessing["mean"] == [0.1] * 3
    assert record.preprocessing["std"] == [0.3] * 3


def test_an_mlflow_folder_is_read(registry: t.Any, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_models.classifier())
    (tmp_path / "MLmodel").write_text(
        "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\n    onnx_version: 1.16.0\n"
        "  python_function:\n    data: elsewhere\n    loader_module: mlflow.onnx\n"
    )
    assert read_source(tmp_path, max_bytes=10**6) == onnx_models.classifier()
    (tmp_path / "MLmodel").write_text("flavors:\n  onnx:\n    data: ../model.onnx\n")
    with pytest.raises(ModelRefused):
        read_source(tmp_path, max_bytes=10**6)


def test_a_pickled_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises(ModelRefused, match=r"torch\.onnx\.export"):
        read_source(tmp_path / "m.pt", max_bytes=100)


# By HTTP


@pytest.fixture
def managed(app: Flask) -> FlaskClient:
    ailydian: FlaskAilydian = app.extensions["test_ailydian"]
    ailydian.gate.may(lambda actor, action: True)
    return app.test_client()


def test_a_model_is_uploaded_changed_and_retired_by_http(managed: FlaskClient) -> None:
    fields = {
        "model_name": "up",
        "model_version": "1",
        "labels": json.dumps(LABELS),
        "activate": "true",
        "file": (io.BytesIO(onnx_models.classifier(seed=3)), "secret-name.onnx"),
    }
    made = managed.post("/api/pytorch/models", data=fields)
    assert made.status_code == 201, made.text
    assert "secret-name" not in made.text and "file_path" not in made.text
    url = "/api/pytorch/models/up/1"
    assert managed.get(url).json["model"]["status"] == "active"
    changed = managed.patch(url, json={"deployment_status": "testing", "description": "<i>x</i>"})
    assert changed.json["model"]["description"] == "<i>x</i>"
    assert managed.delete(url).json["model"]["status"] == "inactive"
    assert managed.get("/api/pytorch/models/up").json["models"][0]["status"] == "inactive"


def test_the_registry_never_shows_a_path(app: Flask, managed: FlaskClient) -> None:
    text = managed.get("/api/pytorch/models").text
    assert str(app.instance_path) not in text and ".onnx" not in text


def test_uploads_that_are_not_right_are_named(managed: FlaskClient) -> None:
    post = lambda **data: managed.post(  # noqa: E731
        "/api/pytorch/models", data=data, content_type="multipart/form-data"
    )
    assert post(model_name="a", model_version="1").status_code == 422
    bad = post(model_name="a", model_version="1", file=(io.BytesIO(b"x"), "x"))
    assert (bad.status_code, bad.json["error"]) == (422, "model_refused")
    assert managed.patch("/api/pytorch/models/shapes/v1", json={}).status_code == 422
    assert managed.get("/api/pytorch/models/none/1").json["error"] == "model_not_found"


def test_a_tensor_model_takes_inputs(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        current_ailydian.registry.register(onnx_models.adder(), "sum", "1", Declared())
        names = [spec.name for spec in current_ailydian.registry.resolve("sum").inputs]
    body = {"model_name": "sum", "inputs": {names[0]: [1.0, 2.0], names[1]: [10.0, 20.0]}}
    response = client.post("/api/pytorch/inference", json=body)
    assert response.status_code == 200, response.text
    (values,) = response.json["outputs"].values()
    assert values == [11.0, 22.0]
    body["inputs"] = {names[0]: [[1.0], [2.0, 3.0]], names[1]: 1}
    assert client.post("/api/pytorch/inference", json=body).status_code == 422


def test_a_text_model_takes_text(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        declared = Declared(labels=["evet", "değil"])
        current_ailydian.registry.register(onnx_models.text_classifier(), "t", "1", declared)
    for text, expected in (("evet", "evet"), ("hayır", "değil")):
        body = {"model_name": "t", "text": text}
        response = client.post("/api/pytorch/inference", json=body)
        assert response.status_code == 200, response.text
        assert response.json["prediction"] == expected
    for text in ("", "  ", "\x07", "x" * 5000):
        body = {"model_name": "t", "text": text}
        assert client.post("/api/pytorch/inference", json=body).status_code == 422


def test_an_error_never_has_a_machine_s_path(registry: t.Any) -> None:
    for data in (b"x" * 1000, onnx_models.classifier()[:-50]):
        try:
            registry.register(data, "m", "1", Declared())
        except AilydianError as error:
            assert "/" not in str(error) and "\\" not in str(error)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("kedi\nköpek\n", ["kedi", "köpek"]),
        ("\ufeffkedi\r\nköpek", ["kedi", "köpek"]),
        ('["a", "b c"]', ["a", "b c"]),
        ("0  background\n1  tench, Tinca tinca\n", ["background", "tench, Tinca tinca"]),
        ("0: a\n1: b", ["a", "b"]),
        ("3 doors\n5 doors", ["3 doors", "5 doors"]),
    ],
)
def test_labels_are_read_as_people_write_them(text: str, labels: list[str]) -> None:
    assert read_labels(text) == labels


def test_a_model_that_never_ends_is_refused_soon_and_may_be_given_more_time(
    registry: t.Any,
) -> None:
    with pytest.raises(ModelRefused, match="AILYDIAN_PROBE_SECONDS"):
        registry.register(onnx_models.endless(), "m", "1", Declared())
