"""What no client of the protocol sends: each is answered with the contract's body, never a 500."""

from __future__ import annotations

import gzip
import json
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from live import rows

INFER = "/api/pytorch/v2/models/shapes/infer"
LENGTH = "Inference-Header-Content-Length"
WELL = {
    "inputs": [
        {"name": "input", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.5] * 192},
    ]
}
PLAIN = json.dumps(WELL).encode()


@pytest.mark.parametrize(
    ("body", "headers", "status", "word"),
    [
        (b"", {}, 400, "invalid_json"),
        (b"\x00\xff" * 50, {}, 400, "invalid_json"),
        (b"[" * 100_000, {}, 400, "invalid_json"),
        (b"null", {}, 400, "invalid_input"),
        (b'{"inputs":[{}]}', {}, 400, "invalid_input"),
        (PLAIN.replace(b"0.5", b"NaN", 1), {}, 400, "invalid_json"),
        (PLAIN.replace(b"0.5", b"1e39", 1), {}, 400, "wrong_size"),
        (PLAIN, {LENGTH: "-1"}, 400, "invalid_input"),
        (PLAIN, {LENGTH: "0"}, 400, "invalid_input"),
        (PLAIN, {LENGTH: "９"}, 400, "invalid_input"),
        (PLAIN, {LENGTH: str(len(PLAIN) + 1)}, 400, "wrong_size"),
        (PLAIN, {LENGTH: str(len(PLAIN) - 1)}, 400, "invalid_json"),
        (PLAIN + b"more", {LENGTH: str(len(PLAIN))}, 400, "wrong_size"),
        (PLAIN, {"Content-Encoding": "br"}, 415, "unsupported_media_type"),
        (PLAIN, {"Content-Encoding": "gzip"}, 400, "invalid_input"),
        (gzip.compress(bytes(80 * 2**20)), {"Content-Encoding": "gzip"}, 413, "body_too_large"),
        (
            json.dumps(WELL | {"parameters": {"user_id": "a\nb"}}).encode(),
            {},
            400,
            "invalid_input",
        ),
        (
            json.dumps(
                {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": ["?"]}]}
            ).encode(),
            {},
            400,
            "invalid_base64",
        ),
    ],
    ids=range(18),
)
def test_what_is_broken_is_refused_and_on_record(
    client: FlaskClient, app: Flask, body: bytes, headers: t.Any, status: int, word: str
) -> None:
    answer = client.post(INFER, data=body, headers=[(k, v) for k, v in headers.items()])
    assert (answer.status_code, answer.json["error"]) == (status, word)
    assert answer.mimetype == "application/problem+json"
    (row,) = rows(app)
    assert (row.status, row.error) == ("failed", word)


def test_the_plain_body_is_answered(client: FlaskClient) -> None:
    answer = client.post(INFER, data=PLAIN)
    (output,) = answer.json["outputs"]
    assert output["shape"] == [1, 3] and sum(output["data"]) == pytest.approx(1)
    assert answer.headers["X-Request-ID"] and answer.mimetype == "application/json"


@pytest.mark.parametrize("path", ["", "/health/live", "/models/shapes", "/models/shapes/ready"])
def test_a_host_that_lets_nobody_in_is_obeyed(client: FlaskClient, app: Flask, path: str) -> None:
    app.extensions["test_ailydian"].gate.may(lambda who, action: False)
    assert client.get("/api/pytorch/v2" + path).status_code == 401


def test_a_wrong_method_and_a_wrong_path_have_the_usual_body(client: FlaskClient) -> None:
    assert client.get(INFER).status_code == 405
    for path in ("/v2/models", "/v2/models/shapes/versions/v9/ready", "/v2/models/nobody"):
        answer = client.get("/api/pytorch" + path)
        assert answer.status_code == 404 and answer.json["success"] is False
