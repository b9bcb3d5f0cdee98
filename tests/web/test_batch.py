"""`POST /inference/batch`: many inputs, each with its own result or error."""

from __future__ import annotations

import io
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded
from pictures import picture

URL = "/api/pytorch/inference/batch"


def image(seed: int) -> bytes:
    return encoded(picture(seed=seed))


def single(client: FlaskClient, data: bytes) -> t.Any:
    body = {"model_name": "shapes", "image": data_uri(data)}
    return client.post("/api/pytorch/inference", json=body).json["probabilities"]


def logs(app: Flask) -> list[t.Any]:
    state = app.extensions["ailydian"]
    table = state.tables.InferenceLog.__table__
    with app.app_context(), state.db.engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.id)))


def test_every_input_gets_its_answer_in_order_and_its_own_row(
    app: Flask, client: FlaskClient
) -> None:
    images = [image(seed) for seed in range(12)]
    items = [{"image": data_uri(data)} for data in images]
    items.insert(5, {"image": data_uri(b"\x89PNG\r\n\x1a\n broken")})
    items[7]["user_id"] = "patient-7"
    response = client.post(
        URL, json={"model_name": "shapes", "items": items, "user_id": "all", "top_k": 3}
    )
    assert response.status_code == 200
    body = response.json
    assert (body["success"], body["succeeded"], body["failed"]) == (True, 12, 1)
    failed = body["results"].pop(5)
    assert (failed["success"], failed["error"], failed["status"]) == (False, "invalid_image", 400)
    recorded = {row.id: row for row in logs(app)}
    assert len(recorded) == 13 and recorded[failed["id"]].error == "invalid_image"
    for i, (data, result) in enumerate(zip(images, body["results"], strict=True)):
        assert result["probabilities"] == single(client, data)
        assert recorded[result["id"]].user_id == ("patient-7" if i == 6 else "all")


def test_files_of_a_form_are_answered_in_their_order(client: FlaskClient) -> None:
    images = [image(seed) for seed in range(5)]
    files = [(io.BytesIO(data), f"{i}.png") for i, data in enumerate(images)]
    response = client.post(URL, data={"model_name": "shapes", "image": files})
    found = [result["probabilities"] for result in response.json["results"]]
    assert found == [single(client, data) for data in images]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model_name": "shapes", "items": []}, "items"),
        ({"model_name": "shapes", "items": [{}] * 33}, "items"),
        ({"model_name": "shapes"}, "items"),
        ({"items": [{"text": "x"}]}, "model_name"),
        ({"model_name": "shapes", "items": [{"picture": ""}]}, "items"),
        ({"model_name": "shapes", "items": "many"}, "items"),
    ],
)
def test_a_wrong_batch_is_refused_whole(
    app: Flask, client: FlaskClient, body: t.Any, field: str
) -> None:
    response = client.post(URL, json=body)
    assert (response.status_code, response.json["error"]) == (422, "validation_failed")
    assert field in response.json["fields"]
    assert logs(app) == []


def test_an_unknown_model_fails_each_input_by_itself(client: FlaskClient) -> None:
    items = [{"image": data_uri(image(0))}] * 2
    body = client.post(URL, json={"model_name": "nobody", "items": items}).json
    assert [r["error"] for r in body["results"]] == ["model_not_found"] * 2


def test_the_body_has_a_limit_of_its_own(make_app: t.Callable[..., Flask]) -> None:
    client = make_app(AILYDIAN_MAX_BATCH_BYTES=1000).test_client()
    items = [{"image": "A" * 2000}]
    response = client.post(URL, json={"model_name": "shapes", "items": items})
    assert (response.status_code, response.json["error"]) == (413, "body_too_large")
    response = client.post(URL, data=b"x", content_type="image/png")
    assert response.status_code == 415
