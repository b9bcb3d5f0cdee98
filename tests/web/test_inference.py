"""`POST /inference` as a client meets it."""

from __future__ import annotations

import io
import json
import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from pictures import base64_of
from pictures import data_uri
from pictures import encoded
from pictures import picture

URL = "/api/pytorch/inference"
LABELS = ["circle", "square", "star"]


def ask(client: FlaskClient, **body: t.Any) -> t.Any:
    return client.post(URL, json={"model_name": "shapes", **body})


def logs(app: Flask) -> list[t.Any]:
    state = app.extensions["ailydian"]
    table = state.tables.InferenceLog.__table__
    with app.app_context(), state.db.engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.id)))


# Availability


def test_the_route_answers(client: FlaskClient) -> None:
    assert ask(client, image=data_uri(encoded())).status_code == 200


def test_raw_bodies_with_the_same_query_are_read_alike_and_persons_are_told_apart(
    app: Flask, client: FlaskClient
) -> None:
    for end in ("", "", "&user_id=ann", "&user%5Fid=bob", "&top_k=1", ""):
        url = f"{URL}?model_name=shapes{end}"
        answer = client.post(url, data=encoded(), content_type="image/png")
        assert answer.status_code == 200
        assert len(answer.json["probabilities"]) == (1 if "top_k" in end else 3)
    assert [row.user_id for row in logs(app)] == [None, None, "ann", "bob", None, None]
    for _ in range(2):
        bad = client.post(f"{URL}?top_k=0", data=encoded(), content_type="image/png")
        assert (bad.status_code, set(bad.json["fields"])) == (422, {"model_name", "top_k"})


def test_get_is_not_allowed_and_allow_says_what_is(client: FlaskClient) -> None:
    response = client.get(URL)
    assert response.status_code == 405
    assert response.json["error"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_an_unknown_route_below_the_prefix_is_a_problem_too(client: FlaskClient) -> None:
    response = client.get("/api/pytorch/nowhere")
    assert (response.status_code, response.json["error"]) == (404, "not_found")
    assert response.mimetype == "application/problem+json"


# Validation


def test_a_missing_image_is_named(client: FlaskClient) -> None:
    response = ask(client)
    assert (response.status_code, response.json["error"]) == (422, "validation_failed")
    assert "image" in response.json["fields"]


def test_a_missing_model_name_is_named(client: FlaskClient) -> None:
    response = client.post(URL, json={"image": data_uri(encoded())})
    assert response.status_code == 422
    assert "model_name" in response.json["fields"]


def test_an_unknown_model_is_not_found(client: FlaskClient) -> None:
    response = client.post(URL, json={"model_name": "nobody", "image": data_uri(encoded())})
    assert (response.status_code, response.json["error"]) == (404, "model_not_found")
    assert "nobody" in response.json["detail"]


@pytest.mark.parametrize(
    ("image", "status", "error"),
    [
        ("!!!", 400, "invalid_base64"),
        ("https://example.org/x.png", 400, "invalid_base64"),
        (base64_of(b"no image at all"), 400, "invalid_image"),
        (base64_of(encoded()[:60]), 400, "invalid_image"),
        (base64_of(encoded(kind="GIF")), 415, "unsupported_media_type"),
        (base64_of(encoded(kind="BMP")), 415, "unsupported_media_type"),
    ],
)
def test_what_is_no_image_is_refused(
    client: FlaskClient, image: str, status: int, error: str
) -> None:
    response = ask(client, image=image)
    assert (response.status_code, response.json["error"]) == (status, error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"model_name": "shapes", "model_name": "shapes"}',
        b'{"model_name": NaN}',
        b'{"model_name": "\\ud800"}',
        b"\xff\xfe{}",
    ],
)
def test_json_is_strict(client: FlaskClient, body: bytes) -> None:
    response = client.post(URL, data=body, content_type="application/json")
    assert (response.status_code, response.json["error"]) == (400, "invalid_json")


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_json_that_is_no_object_fails_validation(client: FlaskClient, body: t.Any) -> None:
    response = client.post(URL, data=json.dumps(body), content_type="application/json")
    assert (response.status_code, response.json["error"]) == (422, "validation_failed")


def test_unknown_members_are_named(client: FlaskClient) -> None:
    response = ask(client, image=data_uri(encoded()), image_url="http://127.0.0.1/")
    assert response.status_code == 422
    assert "image_url" in response.json["fields"]


def test_another_content_type_is_not_supported(client: FlaskClient) -> None:
    response = client.post(URL, data=b"x", content_type="text/plain")
    assert (response.status_code, response.json["error"]) == (415, "unsupported_media_type")


def test_compressed_bodies_are_not_supported(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = client.post(URL, data=b"\x1f\x8b", content_type="application/json", headers=headers)
    assert (response.status_code, response.json["error"]) == (415, "unsupported_media_type")


# Response format, classification


def test_the_answer_has_the_contract_s_shape(client: FlaskClient) -> None:
    body = ask(client, image=data_uri(encoded())).json
    assert list(body) == [
        "success",
        "id",
        "model",
        "prediction",
        "confidence",
        "probabilities",
        "performance",
    ]
    assert body["model"] == {
        "name": "shapes",
        "version": "v1",
        "type": "onnx",
        "domain": "civic",
        "status": "active",
    }
    assert list(body["probabilities"]) == LABELS


def test_probabilities_are_full_numbers_and_percentages_have_two_decimals(
    client: FlaskClient,
) -> None:
    body = ask(client, image=data_uri(encoded())).json
    chances = body["probabilities"]
    assert sum(c["probability"] for c in chances.values()) == pytest.approx(1, abs=1e-6)
    for chance in chances.values():
        assert chance["percentage"] == f"{chance['probability'] * 100:.2f}%"


def test_the_prediction_is_the_most_probable_class(client: FlaskClient) -> None:
    body = ask(client, image=data_uri(encoded())).json
    best = max(body["probabilities"], key=lambda k: body["probabilities"][k]["probability"])
    assert body["prediction"] == best
    assert body["confidence"] == body["probabilities"][best]["percentage"]


def test_different_pictures_get_different_answers(client: FlaskClient) -> None:
    answers = {
        ask(client, image=data_uri(encoded(picture(seed=seed)))).json["probabilities"]["star"][
            "probability"
        ]
        for seed in range(4)
    }
    assert len(answers) == 4


def test_top_k_lists_the_most_probable_in_label_order(client: FlaskClient) -> None:
    everything = ask(client, image=data_uri(encoded())).json["probabilities"]
    best = sorted(everything, key=lambda k: -everything[k]["probability"])[:2]
    some = ask(client, image=data_uri(encoded()), top_k=2).json["probabilities"]
    assert list(some) == [label for label in LABELS if label in best]


def test_an_answer_is_explained_part_by_part(client: FlaskClient) -> None:
    body = ask(client, image=data_uri(encoded()), explain=True).json
    assert body["explanation"]["method"] == "occlusion"
    assert body["explanation"]["class"] == body["prediction"]
    # Where the grid lies: the middle of a picture that stands upright.
    assert body["explanation"]["frame"] == {"fit": "cover", "size": [8, 8], "upright": True}
    grid = body["explanation"]["grid"]
    assert [len(line) for line in grid] == [7] * 7
    assert any(abs(drop) > 1e-6 for line in grid for drop in line)
    assert "explanation" not in ask(client, image=data_uri(encoded())).json


# The three forms


def test_every_form_of_the_same_image_gets_the_same_answer(client: FlaskClient) -> None:
    data = encoded()
    answers = [
        ask(client, image=data_uri(data)),
        ask(client, image=base64_of(data)),
        client.post(URL, data={"model_name": "shapes", "image": (io.BytesIO(data), "x.png")}),
        client.post(f"{URL}?model_name=shapes", data=data, content_type="image/png"),
    ]
    assert {r.status_code for r in answers} == {200}
    assert len({json.dumps(r.json["probabilities"]) for r in answers}) == 1


def test_a_chunked_body_is_read_whole(client: FlaskClient) -> None:
    data = encoded()
    response = client.post(
        f"{URL}?model_name=shapes",
        input_stream=io.BytesIO(data),
        content_type="image/png",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_the_limit_on_decoded_bytes(make_app: t.Any, chunked: bool) -> None:
    app = make_app(AILYDIAN_MAX_IMAGE_BYTES=1000)
    data = b"\xff\xd8" + bytes(1000)
    environ: dict[str, t.Any] = {"wsgi.input_terminated": True} if chunked else {}
    response = app.test_client().post(
        f"{URL}?model_name=shapes",
        content_type="image/jpeg",
        environ_overrides=environ,
        **({"input_stream": io.BytesIO(data)} if chunked else {"data": data}),
    )
    assert (response.status_code, response.json["error"]) == (413, "image_too_large")
    response = app.test_client().post(URL, json={"model_name": "x", "image": base64_of(data)})
    assert (response.status_code, response.json["error"]) == (413, "image_too_large")


def test_a_body_beyond_every_limit_is_refused(make_app: t.Any) -> None:
    app = make_app(AILYDIAN_MAX_BODY_BYTES=100)
    response = app.test_client().post(URL, json={"model_name": "x" * 200})
    assert (response.status_code, response.json["error"]) == (413, "body_too_large")


def test_the_host_s_own_limit_stays_the_host_s(make_app: t.Any) -> None:
    app = make_app(MAX_CONTENT_LENGTH=10)
    app.add_url_rule("/own", view_func=lambda: app.make_response("ok"), methods=["POST"])
    assert app.test_client().post(URL, json={"model_name": "x" * 50}).status_code == 404
    assert app.config["MAX_CONTENT_LENGTH"] == 10


# Performance report


def test_the_answer_says_how_long_it_took(client: FlaskClient) -> None:
    spent = ask(client, image=data_uri(encoded())).json["performance"]
    assert set(spent) == {"preprocessing_ms", "inference_ms", "total_ms"}
    assert all(value >= 0 for value in spent.values())


def test_the_parts_are_not_longer_than_the_whole(client: FlaskClient) -> None:
    spent = ask(client, image=data_uri(encoded())).json["performance"]
    assert spent["preprocessing_ms"] + spent["inference_ms"] <= spent["total_ms"] + 0.01


# Security


def test_every_answer_forbids_caching_and_names_the_request(client: FlaskClient) -> None:
    for response in (ask(client, image=data_uri(encoded())), client.get(URL)):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Request-ID"]
    mine = client.get("/api/pytorch/health", headers={"X-Request-ID": "abc-1"})
    assert mine.headers["X-Request-ID"] == "abc-1"
    other = client.get("/api/pytorch/health", headers={"X-Request-ID": "a b\tc"})
    assert other.headers["X-Request-ID"] != "a b\tc"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_cookies_are_taken_from_our_own_pages_only(
    client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    client.set_cookie("session", "x")
    body = {"model_name": "shapes", "image": data_uri(encoded())}
    assert client.post(URL, json=body, headers=headers).status_code == status


def test_no_error_shows_a_path_or_a_trace(app: Flask, client: FlaskClient) -> None:
    for body in ({"image": base64_of(b"xx")}, {"image": data_uri(encoded())}):
        app.extensions["ailydian"].registry.folder.joinpath("gone").parent.mkdir(exist_ok=True)
        text = client.post(URL, json={"model_name": "../../etc/passwd", **body}).text
        assert "Traceback" not in text and str(app.instance_path) not in text


# The audit row


def test_an_answer_is_on_record_without_its_input(app: Flask, client: FlaskClient) -> None:
    data = encoded()
    body = ask(client, image=data_uri(data), user_id="patient-7").json
    (row,) = logs(app)
    assert row.id == body["id"]
    assert (row.user_id, row.status, row.error, row.backend) == (
        "patient-7",
        "success",
        None,
        "onnx",
    )
    assert row.confidence == pytest.approx(
        max(c["probability"] for c in body["probabilities"].values())
    )
    assert len(row.input_hash) == 64
    assert base64_of(data)[:40] not in repr(row)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "invalid_json"),
        (b'{"model_name": "nobody", "text": "x"}', "model_not_found"),
        (b'{"model_name": "shapes", "image": "!"}', "invalid_base64"),
    ],
)
def test_a_failure_is_on_record_and_the_body_names_it(
    app: Flask, client: FlaskClient, body: bytes, error: str
) -> None:
    response = client.post(URL, data=body, content_type="application/json")
    (row,) = logs(app)
    assert (row.id, row.status, row.error) == (response.json["id"], "failed", error)


def test_no_answer_leaves_when_it_cannot_be_recorded(app: Flask, client: FlaskClient) -> None:
    state = app.extensions["ailydian"]
    with app.app_context(), state.db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE pytorch_inference_logs"))
    response = ask(client, image=data_uri(encoded()))
    assert (response.status_code, response.json["error"]) == (503, "backend_unavailable")
    assert response.headers["Retry-After"]
    assert "prediction" not in response.json


# Idempotency


def test_a_repeat_gets_the_first_answer_and_no_second_row(app: Flask, client: FlaskClient) -> None:
    body = {"model_name": "shapes", "image": data_uri(encoded())}
    headers = {"Idempotency-Key": "k1"}
    first = client.post(URL, json=body, headers=headers)
    second = client.post(URL, json=body, headers=headers)
    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(logs(app)) == 1


def test_a_key_with_another_request_is_refused(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    client.post(URL, json={"model_name": "shapes", "image": "!"}, headers=headers)
    other = client.post(
        URL, json={"model_name": "shapes", "image": data_uri(encoded())}, headers=headers
    )
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json["fields"]


def test_a_failure_of_the_request_is_repeated_as_it_was(app: Flask, client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k2"}
    body = {"model_name": "nobody", "image": data_uri(encoded())}
    first = client.post(URL, json=body, headers=headers)
    second = client.post(URL, json=body, headers=headers)
    assert (second.status_code, second.json) == (404, first.json)
    assert second.mimetype == "application/problem+json"
    assert len(logs(app)) == 1


def test_dicom_is_taken_in_every_form(client: FlaskClient) -> None:
    pytest.importorskip("pydicom", reason='no pydicom here; pip install -e ".[dicom]"')
    from inputs.test_dicom import dicom

    data = dicom()
    answers = [
        client.post(f"{URL}?model_name=shapes", data=data, content_type="application/dicom"),
        ask(client, image=data_uri(data, "application/dicom")),
        client.post(URL, data={"model_name": "shapes", "image": (io.BytesIO(data), "x.dcm")}),
    ]
    assert [r.status_code for r in answers] == [200, 200, 200], [r.text for r in answers]
    bad = client.post(f"{URL}?model_name=shapes", data=b"x", content_type="application/dicom")
    assert (bad.status_code, bad.json["error"]) == (400, "invalid_dicom")
