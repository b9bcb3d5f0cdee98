"""In JSON a number is a number and true is true; in forms and queries all is text."""

from __future__ import annotations

import io
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

PREFIX = "/api/pytorch"
NOT_TRUE = (0, 1, "true", "1", "on", [], {}, 1.0)
NOT_WHOLE = ("3", 3.7, True, [], {}, "x")
NOT_NUMBERS = ("0.5", True, [], {}, "x")
TEST = {"test_name": "t", "model_a": "shapes", "model_b": "shapes:v1"}


@pytest.fixture(autouse=True)
def managed(app: Flask) -> None:
    app.extensions["ailydian"].gate.may(lambda actor, action: True)


def image() -> dict[str, t.Any]:
    return {"model_name": "shapes", "image": data_uri(encoded())}


def batch() -> dict[str, t.Any]:
    return {"model_name": "shapes", "items": [{"image": data_uri(encoded())}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "wrong"),
    [
        ("POST", "/inference", image(), "explain", NOT_TRUE),
        ("POST", "/inference", image(), "top_k", NOT_WHOLE),
        ("POST", "/inference/batch", batch(), "explain", NOT_TRUE),
        ("POST", "/inference/batch", batch(), "top_k", NOT_WHOLE),
        ("POST", "/query", {"query": "Merhaba"}, "stream", NOT_TRUE),
        ("POST", "/query", {"query": "Merhaba"}, "max_tokens", NOT_WHOLE),
        ("POST", "/feedback", {"id": "x"}, "rating", NOT_WHOLE),
        ("POST", "/ab-tests", TEST, "promote", NOT_TRUE),
        ("POST", "/ab-tests", TEST, "traffic_split_percent", NOT_WHOLE),
        ("POST", "/ab-tests", TEST, "min_units", NOT_WHOLE),
        ("POST", "/ab-tests", TEST, "coverage", NOT_NUMBERS),
        ("POST", "/ab-tests", TEST, "min_days", NOT_NUMBERS),
        ("PATCH", "/models/shapes/v1", {}, "accuracy", NOT_NUMBERS),
    ],
)
def test_json_is_taken_at_its_word(
    client: FlaskClient,
    method: str,
    path: str,
    body: dict[str, t.Any],
    field: str,
    wrong: tuple[t.Any, ...],
) -> None:
    for value in wrong:
        answer = client.open(PREFIX + path, method=method, json=body | {field: value})
        assert answer.status_code == 422, (value, answer.json)
        assert list(answer.json["fields"]) == [field], (value, answer.json)


@pytest.mark.parametrize("field", ["cache_entries", "max_batch"])
def test_so_are_nested_members(client: FlaskClient, field: str) -> None:
    for value in NOT_WHOLE:
        body = {"serving": {field: value}}
        answer = client.patch(f"{PREFIX}/models/shapes/v1", json=body)
        assert answer.status_code == 422
        assert list(answer.json["fields"]["serving"]) == [field]


def test_right_types_pass(client: FlaskClient) -> None:
    body = image() | {"explain": True, "top_k": 2}
    answer = client.post(f"{PREFIX}/inference", json=body)
    assert answer.status_code == 200
    assert len(answer.json["probabilities"]) == 2 and answer.json["explanation"]
    # 2.0 is a whole number in JSON.
    answer = client.post(f"{PREFIX}/inference", json=image() | {"explain": False, "top_k": 2.0})
    assert len(answer.json["probabilities"]) == 2 and "explanation" not in answer.json


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("1", True), ("false", False), ("0", False)]
)
def test_forms_and_queries_are_text(client: FlaskClient, text: str, meant: bool) -> None:
    fields = {"model_name": "shapes", "top_k": "2", "explain": text}
    form = client.post(
        f"{PREFIX}/inference", data=fields | {"image": (io.BytesIO(encoded()), "x.png")}
    )
    raw = client.post(
        f"{PREFIX}/inference", query_string=fields, data=encoded(), content_type="image/png"
    )
    for answer in (form, raw):
        assert answer.status_code == 200, answer.json
        assert len(answer.json["probabilities"]) == 2
        assert ("explanation" in answer.json) is meant
    verified = client.get(f"{PREFIX}/audit/verify?incremental={text}")
    assert verified.status_code == 200, verified.json


@pytest.mark.parametrize(
    ("name", "text"), [("explain", "perhaps"), ("top_k", "2.5"), ("top_k", "")]
)
def test_text_that_says_nothing_of_the_kind(client: FlaskClient, name: str, text: str) -> None:
    answer = client.post(
        f"{PREFIX}/inference",
        query_string={"model_name": "shapes", name: text},
        data=encoded(),
        content_type="image/png",
    )
    assert answer.status_code == 422
    assert list(answer.json["fields"]) == [name]
