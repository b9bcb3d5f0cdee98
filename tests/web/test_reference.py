"""The OpenAPI document and the pages around it."""

from __future__ import annotations

import re
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from flask_ailydian.web.blueprint import ROUTES


@pytest.fixture
def document(client: FlaskClient) -> dict[str, t.Any]:
    return t.cast(dict[str, t.Any], client.get("/api/pytorch/openapi.json").json)


def test_the_document_is_valid_openapi_3_1(document: dict[str, t.Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described_with_its_errors(document: dict[str, t.Any]) -> None:
    for route in ROUTES:
        if route.hidden:
            continue
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        operation = document["paths"][path][route.method.lower()]
        assert operation["summary"] and "default" in operation["responses"]


def test_the_inference_route_names_its_three_forms(document: dict[str, t.Any]) -> None:
    content = document["paths"]["/inference"]["post"]["requestBody"]["content"]
    assert {"application/json", "multipart/form-data", "image/jpeg", "application/dicom"} <= set(
        content
    )


def test_the_document_knows_where_the_blueprint_is_mounted(
    make_app: t.Callable[..., Flask],
) -> None:
    client = make_app(AILYDIAN_URL_PREFIX="/ml/v1").test_client()
    document = client.get("/ml/v1/openapi.json", base_url="http://localhost").json
    assert document["servers"] == [{"url": "/ml/v1"}]


def test_swagger_ui_comes_from_this_server_alone(client: FlaskClient) -> None:
    page = client.get("/api/pytorch/docs")
    assert page.status_code == 200
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    links = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page.text)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/api/pytorch/")
        with client.get(link) as found:
            assert found.status_code == 200, link
    assert not re.search(r"<script(?![^>]*src=)|style=|onload=", page.text)


def test_only_the_known_assets_are_sent(client: FlaskClient) -> None:
    for name in ("index.html", "..%2f..%2f__init__.py", "package.json"):
        assert client.get(f"/api/pytorch/docs/{name}").status_code == 404
