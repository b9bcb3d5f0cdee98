"""Every example of the reference is sent to a real host, and answered as the reference says."""

from __future__ import annotations

import io
import typing as t
from pathlib import Path

import onnx_models
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian.demo import help_desk
from flask_ailydian.registration import Declared
from flask_ailydian.web import examples

PREFIX = "/api/pytorch"


pytest.importorskip("celery", reason="needs Celery: pip install -e '.[jobs]'")


@pytest.fixture
def host(make_app: t.Callable[..., Flask], tmp_path: Path) -> Flask:
    """A host with the demo models, one of them in two versions, and nobody who is refused."""
    shown = examples.BODIES["submit_job"]["application/json"]["manifest"]
    for entry in shown:
        scan = tmp_path / entry["storage"] / entry["path"]
        scan.parent.mkdir(parents=True, exist_ok=True)
        scan.write_bytes(encoded())
    app = make_app(
        # Messages that stay in this process: a job is handed in, watched and cancelled.
        AILYDIAN_JOBS_BROKER="memory://",
        AILYDIAN_JOBS_STORAGE={e["storage"]: str(tmp_path / e["storage"]) for e in shown},
    )
    app.extensions["test_ailydian"].gate.may(lambda actor, action: True)
    with app.app_context():
        registry = current_ailydian.registry
        registry.register(
            demo.read(), demo.NAME, demo.VERSION, Declared(domain="medical"), activate=True
        )
        registry.register(demo.read(), demo.NAME, "v1.0.1", Declared(domain="medical"))
        registry.register(
            help_desk.read(), help_desk.NAME, help_desk.VERSION, Declared(domain="chat")
        )
    return app


def operations(client: FlaskClient) -> dict[str, tuple[str, str, dict[str, t.Any]]]:
    document = client.get(f"{PREFIX}/openapi.json").json
    return {
        operation["operationId"]: (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def send(
    client: FlaskClient, method: str, path: str, operation: dict[str, t.Any], media_type: str | None
) -> t.Any:
    """Send one example as the reference shows it; files are what a caller brings."""
    query = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", parameter["example"])
        elif "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    sent: dict[str, t.Any] = {"query_string": query}
    if media_type is not None:
        content = operation["requestBody"]["content"][media_type]
        example = content["example"]
        if media_type == "application/json":
            sent["json"] = example
        else:
            files = {
                name: (io.BytesIO(_file(name)), name)
                for name, schema in content["schema"]["properties"].items()
                if schema.get("format") == "binary" or schema.get("type") == "array"
            }
            sent["data"] = {name: str(value) for name, value in example.items()} | files
            sent["content_type"] = media_type
    return client.open(PREFIX + path, method=method.upper(), **sent)


def _file(name: str) -> bytes:
    return onnx_models.classifier(labels=2, size=8) if name == "file" else encoded()


def documented(operation: dict[str, t.Any]) -> int:
    """Return the status that stands for success."""
    return next(int(code) for code in operation["responses"] if code.startswith("2"))


def test_every_example_gets_the_status_that_is_documented(host: Flask) -> None:
    client = host.test_client()
    known = operations(client)
    # In an order in which each finds what it speaks of; what takes something away comes last.
    last = ("stop_ab_test", "retire_model", "erase_user", "oip_unload", "cancel_job")
    first = ("infer", "create_ab_test", "submit_job")
    order = [*first, *(n for n in known if n not in (*first, *last)), *last]
    assert set(order) == set(known)
    tried = []
    for name in order:
        method, path, operation = known[name]
        content = operation.get("requestBody", {}).get("content", {})
        kinds = [kind for kind, value in content.items() if "example" in value] or [None]
        assert kinds != [None] or not content, f"{name} shows no example of its body"
        for kind in kinds:
            if name == "feedback":
                answer = send(client, *known["infer"], "application/json").json
                content[kind]["example"]["id"] = answer["id"]
            answer = send(client, method, path, operation, kind)
            assert answer.status_code == documented(operation), (name, kind, answer.text)
            tried.append((name, kind))
            if name == "submit_job":
                for of_job in ("job", "cancel_job"):
                    known[of_job][2]["parameters"][0]["example"] = answer.json["job"]["id"]
    assert {name for name, _ in tried} == set(known)
    assert ("infer", "multipart/form-data") in tried


def test_every_body_has_an_example_and_every_address_too(host: Flask) -> None:
    for name, (_, _, operation) in operations(host.test_client()).items():
        content = operation.get("requestBody", {}).get("content", {})
        named = [kind for kind in content if kind in ("application/json", "multipart/form-data")]
        assert all("example" in content[kind] for kind in named), name
        for parameter in operation.get("parameters", []):
            assert parameter["in"] != "path" or parameter["example"], name


def test_every_error_is_listed_with_its_words(host: Flask) -> None:
    for name, (_, _, operation) in operations(host.test_client()).items():
        failures = {code: r for code, r in operation["responses"].items() if code >= "4"}
        assert "default" in failures, name
        for code, response in failures.items():
            assert response["description"], (name, code)
            assert set(response["content"]) & {"application/problem+json", "application/json"}


def test_options_name_the_methods_that_there_are(host: Flask) -> None:
    client = host.test_client()
    for path, wanted in (
        ("/inference", {"POST", "OPTIONS"}),
        ("/models", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/health", {"GET", "HEAD", "OPTIONS"}),
    ):
        assert set(client.options(PREFIX + path).headers["Allow"].split(", ")) == wanted
        assert set(client.put(PREFIX + path).headers["Allow"].split(", ")) == wanted
