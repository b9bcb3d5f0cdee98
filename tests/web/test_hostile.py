"""Whatever a caller sends, the answer is a 2xx or a 4xx in our shape."""

from __future__ import annotations

import io
import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from pictures import base64_of
from pictures import encoded
from PIL.PngImagePlugin import PngInfo

URL = "/api/pytorch/inference"
FUNCTION_FIXTURE = [HealthCheck.function_scoped_fixture]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=4)
)
members = st.sampled_from(
    ["model_name", "model_version", "image", "text", "inputs", "top_k", "user_id"]
)
bodies = st.dictionaries(members | st.text(max_size=8), values, max_size=5)
names = st.just("shapes") | st.text(max_size=10)


def check(response: t.Any) -> None:
    assert response.status_code < 500, response.text
    assert response.json["success"] is (response.status_code == 200)
    if response.status_code != 200:
        assert response.mimetype == "application/problem+json"
        assert {"error", "status", "title"} <= response.json.keys()


@given(body=bodies, name=names)
@settings(max_examples=60, deadline=None, suppress_health_check=FUNCTION_FIXTURE)
def test_any_json(client: FlaskClient, body: dict[str, t.Any], name: str) -> None:
    text = json.dumps({"model_name": name, **body}).encode("utf-8", "surrogatepass")
    check(client.post(URL, data=text, content_type="application/json"))


@given(body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "image/png", ""]))
@settings(max_examples=60, deadline=None, suppress_health_check=FUNCTION_FIXTURE)
def test_any_bytes(client: FlaskClient, body: bytes, kind: str) -> None:
    check(client.post(f"{URL}?model_name=shapes", data=body, content_type=kind))


@given(cut=st.integers(0, 400), change=st.binary(min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=FUNCTION_FIXTURE)
def test_any_damage_to_a_multipart_body(client: FlaskClient, cut: int, change: bytes) -> None:
    good = (
        b'--b\r\nContent-Disposition: form-data; name="model_name"\r\n\r\nshapes\r\n'
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        + encoded()
        + b"\r\n--b--\r\n"
    )
    body = good[:cut] + change + good[cut + len(change) :]
    check(client.post(URL, data=body, content_type="multipart/form-data; boundary=b"))


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=ü"],
)
def test_a_multipart_body_without_a_boundary(client: FlaskClient, kind: str) -> None:
    check(client.post(URL, data=b"x", content_type=kind))


def test_a_flood_of_parts(client: FlaskClient) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    response = client.post(
        URL, data=part * 10_000 + b"--b--", content_type="multipart/form-data; boundary=b"
    )
    check(response)
    assert response.status_code == 413


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\n", "x" * 256, ""])
def test_user_ids_that_a_database_cannot_hold(client: FlaskClient, text: str) -> None:
    body = {"model_name": "shapes", "image": base64_of(encoded()), "user_id": text}
    check(response := client.post(URL, json=body))
    assert response.status_code in (400, 422)


def test_marks_in_the_input_are_found_nowhere(app: Flask, client: FlaskClient) -> None:
    mark = "GIZLI-ISARET-4711"
    info = PngInfo()
    info.add_text("Patient", mark)
    data = encoded(pnginfo=info)
    for body in (data, data[:70] + mark.encode()):
        client.post(
            URL,
            data={"model_name": "shapes", "image": (io.BytesIO(body), f"{mark}.png")},
        )
    client.post(URL, json={"model_name": "shapes", "text": mark})
    client.post(URL, json={"model_name": "shapes", "image": mark})
    written = [p for p in Path(app.root_path).rglob("*") if p.is_file()]
    assert written
    for path in written:
        assert mark.encode() not in path.read_bytes(), path
