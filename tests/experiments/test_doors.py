"""A/B tests and feedback over HTTP and at the command line."""

from __future__ import annotations

import json
import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

from flask_ailydian import current_ailydian

URL = "/api/pytorch"
NEW = {"test_name": "trial", "model_a": "shapes", "model_b": "shapes:v2"}


@pytest.fixture
def client(arms: Flask) -> FlaskClient:
    gate = arms.extensions["test_ailydian"].gate
    gate.may(lambda actor, action: True)
    return arms.test_client()


@pytest.fixture
def run(arms: Flask) -> t.Callable[..., t.Any]:
    def call(*args: str) -> t.Any:
        result = arms.test_cli_runner().invoke(args=["ailydian", *args])
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return call


def predict(client: FlaskClient, **more: t.Any) -> t.Any:
    body = {"model_name": "shapes", "image": data_uri(encoded()), **more}
    return client.post(f"{URL}/inference", json=body).json


def test_a_test_s_life(client: FlaskClient) -> None:
    created = client.post(f"{URL}/ab-tests", json={**NEW, "traffic_split_percent": 30})
    assert created.status_code == 201
    assert created.json["ab_test"]["arms"] == {"a": "shapes:v1", "b": "shapes:v2"}
    answer = predict(client)
    assert answer["ab_test"]["name"] == "trial" and answer["ab_test"]["arm"] in ("a", "b")
    (listed,) = client.get(f"{URL}/ab-tests").json["ab_tests"]
    assert (listed["test_name"], listed["status"]) == ("trial", "running")
    shown = client.get(f"{URL}/ab-tests/trial").json["ab_test"]
    assert sum(shown["analysis"]["requests"].values()) == 1
    assert shown["decision"]["verdict"] == "running"
    split = client.patch(f"{URL}/ab-tests/trial", json={"traffic_split_percent": 60})
    assert [p["number"] for p in split.json["ab_test"]["phases"]] == [1, 2]
    stopped = client.post(f"{URL}/ab-tests/trial/stop")
    assert stopped.json["ab_test"]["status"] == "stopped"
    assert "ab_test" not in predict(client)
    again = client.post(f"{URL}/ab-tests/trial/stop")
    assert (again.status_code, again.json["error"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"model_b": "nobody"}, 404, "model_not_found"),
        ({"traffic_split_percent": 0}, 422, "validation_failed"),
        ({"traffic_split_percent": 100}, 422, "validation_failed"),
        ({"test_name": "a b"}, 422, "validation_failed"),
        ({"unit": "ward"}, 422, "validation_failed"),
        ({"namespace": ["n", "0", 1]}, 422, "validation_failed"),
        ({"guardrails": {"mood": 1}}, 422, "validation_failed"),
        ({"model_b": "shapes"}, 422, "validation_failed"),
        ({"min_days": 9, "max_days": 3}, 422, "validation_failed"),
        ({"colour": "red"}, 422, "validation_failed"),
    ],
)
def test_a_mistake_is_named(
    client: FlaskClient, change: dict[str, t.Any], status: int, error: str
) -> None:
    response = client.post(f"{URL}/ab-tests", json=NEW | change)
    assert (response.status_code, response.json["error"]) == (status, error)


def test_a_plan_is_kept_with_the_test(client: FlaskClient) -> None:
    rules = {
        "unit": "user",
        "mode": "shadow",
        "coverage": 0.5,
        "namespace": ["triage", 0, 0.4],
        "primary_metric": "cost",
        "guardrails": {"failures": 0.02},
        "min_days": 10,
        "promote": True,
    }
    plan = client.post(f"{URL}/ab-tests", json=NEW | rules).json["ab_test"]["plan"]
    assert plan["primary"] == "cost" and plan["max_days"] == 40 and plan["promote"]
    assert plan["namespace"] == ["triage", 0, 0.4] and plan["guardrails"] == {"failures": 0.02}


def test_unknown_tests_are_not_found(client: FlaskClient) -> None:
    for response in (
        client.get(f"{URL}/ab-tests/nothing"),
        client.post(f"{URL}/ab-tests/nothing/stop"),
        client.patch(f"{URL}/ab-tests/nothing", json={"traffic_split_percent": 5}),
    ):
        assert (response.status_code, response.json["error"]) == (404, "test_not_found")


def test_only_managers_start_and_stop(arms: Flask) -> None:
    client = arms.test_client()
    assert client.post(f"{URL}/ab-tests", json=NEW).status_code == 401
    assert client.post(f"{URL}/ab-tests/trial/stop").status_code == 401
    assert client.get(f"{URL}/ab-tests").status_code == 200


# Feedback


def test_the_true_label_says_whether_an_answer_was_right(client: FlaskClient) -> None:
    client.post(f"{URL}/ab-tests", json=NEW)
    answer = predict(client)
    right = client.post(f"{URL}/feedback", json={"id": answer["id"], "label": answer["prediction"]})
    assert right.json == {"success": True, "id": answer["id"], "correct": True, "rating": None}
    other = next(x for x in answer["probabilities"] if x != answer["prediction"])
    wrong = client.post(f"{URL}/feedback", json={"id": answer["id"], "label": other, "rating": 2})
    assert (wrong.json["correct"], wrong.json["rating"]) == (False, 2)
    metrics = client.get(f"{URL}/ab-tests/trial").json["ab_test"]["analysis"]["metrics"]
    arm = answer["ab_test"]["arm"]
    assert metrics["accuracy"][arm] == {
        "n": 1,
        "value": 0.0,
        "bounds": pytest.approx([0, 1], abs=0.05),
    }
    assert metrics["satisfaction"][arm]["value"] == 2.0


def test_the_last_word_counts_and_leaves_one_row(client: FlaskClient, arms: Flask) -> None:
    id = predict(client)["id"]
    for rating in (1, 5, 5):
        said = client.post(f"{URL}/feedback", json={"id": id, "rating": rating})
        assert said.json["rating"] == rating
    with arms.app_context(), current_ailydian.db.engine.connect() as connection:
        kept = list(connection.execute(current_ailydian.tables.Feedback.__table__.select()))
    assert [(row.id, row.rating) for row in kept] == [(id, 5)]


def test_a_repeat_that_comes_late_is_not_the_last_word(client: FlaskClient) -> None:
    id = predict(client)["id"]

    def say(rating: int, key: str | None) -> t.Any:
        headers = {"Idempotency-Key": key} if key else {}
        return client.post(f"{URL}/feedback", json={"id": id, "rating": rating}, headers=headers)

    first = say(2, "k1")
    assert say(5, "k2").json["rating"] == 5
    again = say(2, "k1")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    with client.application.app_context(), current_ailydian.db.engine.connect() as connection:
        kept = connection.execute(current_ailydian.tables.Feedback.__table__.select()).one()
    assert kept.rating == 5
    other = say(3, "k1")
    assert (other.status_code, list(other.json["fields"])) == (422, ["Idempotency-Key"])


def test_a_key_whose_request_failed_is_free_again(client: FlaskClient) -> None:
    id = predict(client)["id"]
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        body = {"id": id, "label": "a poem"}
        assert client.post(f"{URL}/feedback", json=body, headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("said", "status", "field"),
    [
        ({"label": "a poem"}, 422, "label"),
        ({"rating": 6}, 422, "rating"),
        ({"rating": 2.5}, 422, "rating"),
        ({}, 422, "_schema"),
    ],
)
def test_feedback_that_says_nothing_is_refused(
    client: FlaskClient, said: dict[str, t.Any], status: int, field: str
) -> None:
    response = client.post(f"{URL}/feedback", json={"id": predict(client)["id"], **said})
    assert response.status_code == status and field in response.json["fields"]


def test_feedback_is_about_an_answer(client: FlaskClient) -> None:
    assert client.post(f"{URL}/feedback", json={"id": "none", "rating": 3}).status_code == 404
    failed = client.post(f"{URL}/inference", json={"model_name": "shapes", "image": "!!!"}).json
    response = client.post(f"{URL}/feedback", json={"id": failed["id"], "rating": 3})
    assert response.status_code == 404


# The command line


def test_the_commands(run: t.Any, client: FlaskClient) -> None:
    assert "No tests yet" in run("ab", "list").output
    arms = ("--model-a", "shapes", "--model-b", "shapes:v2")
    rules = ("--split", "20", "--namespace", "n:0:1", "--guardrail", "failures=0.02")
    assert "runs: shapes:v1 against shapes:v2" in run("ab", "create", "one", *arms, *rules).output
    predict(client)
    assert "What we do not know yet" in run("ab", "show", "one").output
    shown = json.loads(run("ab", "show", "one", "--json").output)
    assert sum(shown["analysis"]["requests"].values()) == 1
    assert "phase 2 begins" in run("ab", "split", "one", "50").output
    assert "one: running" in run("ab", "review").output
    assert "20 %" not in run("ab", "list").output
    assert json.loads(run("ab", "list", "--json").output)[0]["test_name"] == "one"
    assert "Nothing may be concluded" in run("ab", "stop", "one").output
    assert "No test is running" in run("ab", "review").output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("show", "nothing"), "no A/B test 'nothing'"),
        (("stop", "nothing"), "no A/B test 'nothing'"),
        (("create", "x", "--model-a", "shapes", "--model-b", "shapes"), "nothing would be"),
        (
            ("create", "x", "--model-a", "shapes", "--model-b", "shapes:v2", "--namespace", "n"),
            "NAME:LOW:HIGH",
        ),
        (
            ("create", "x", "--model-a", "shapes", "--model-b", "shapes:v2", "--guardrail", "m=1x"),
            "METRIC=MARGIN",
        ),
    ],
)
def test_a_mistake_gets_a_sentence(run: t.Any, args: tuple[str, ...], said: str) -> None:
    result = run("ab", *args)
    assert result.exit_code != 0 and said in result.output
