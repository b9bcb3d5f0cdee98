"""How a version is served: cached, batched, swapped without a stop."""

from __future__ import annotations

import concurrent.futures
import threading
import time
import typing as t

import onnx_models
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded
from pictures import picture

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

URL = "/api/pytorch/inference"


def ask(client: FlaskClient, seed: int = 0, **members: t.Any) -> t.Any:
    body = {"model_name": "shapes", "image": data_uri(encoded(picture(seed=seed)))}
    response = client.post(URL, json=body | members)
    assert response.status_code == 200, response.json
    return response.json


def serve_so(app: Flask, **serving: t.Any) -> None:
    with app.app_context():
        current_ailydian.registry.update("shapes", "v1", serving=serving)


def logs(app: Flask) -> list[t.Any]:
    state = app.extensions["ailydian"]
    table = state.tables.InferenceLog.__table__
    with app.app_context(), state.db.engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.id)))


def test_nothing_is_cached_unless_the_model_says_so(client: FlaskClient) -> None:
    assert "cached" not in ask(client) and "cached" not in ask(client)


def test_a_cached_answer_says_so_and_has_its_own_row(app: Flask, client: FlaskClient) -> None:
    serve_so(app, cache_entries=10)
    first, second = ask(client), ask(client)
    assert "cached" not in first and second["cached"] is True
    assert first["probabilities"] == second["probabilities"] and first["id"] != second["id"]
    assert second["performance"]["inference_ms"] == 0
    one, two = logs(app)
    assert (one.result, one.input_hash) == (two.result, two.input_hash)
    assert one.inference_time_ms > 0 and two.inference_time_ms is None
    assert "cached" not in ask(client, seed=1)
    # What is shown is not what is kept: fewer classes of the same answer.
    assert list(ask(client, top_k=1)["probabilities"]) == [first["prediction"]]
    # An explanation looks at the picture, and is made anew.
    assert "cached" not in ask(client, explain=True)


def test_another_version_never_answers_from_the_cache(app: Flask, client: FlaskClient) -> None:
    serve_so(app, cache_entries=10)
    first = ask(client)
    with app.app_context():
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8, seed=9),
            "shapes",
            "v2",
            Declared(serving={"cache_entries": 10}),
            activate=True,
        )
    second = ask(client)
    assert "cached" not in second and second["model"]["version"] == "v2"
    assert second["probabilities"] != first["probabilities"]
    assert ask(client)["cached"]


def test_requests_that_come_together_run_together(app: Flask) -> None:
    serve_so(app, max_batch=4, max_delay_ms=1000.0)
    alone = [ask(app.test_client(), seed) for seed in (1,)][0]["probabilities"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: ask(app.test_client(), seed), (1, 2, 3, 1)))
    for result in (found[0], found[3]):
        for label, chance in alone.items():
            assert result["probabilities"][label]["probability"] == pytest.approx(
                chance["probability"], abs=1e-6
            )
    assert found[1]["probabilities"] != found[2]["probabilities"]
    assert len(logs(app)) == 5


def test_a_model_with_a_fixed_batch_is_not_batched(app: Flask) -> None:
    with app.app_context():
        current_ailydian.registry.register(onnx_models.slow(turns=1), "fixed", "v1", Declared())
        with pytest.raises(Exception, match="well formed") as caught:
            current_ailydian.registry.update("fixed", "v1", serving={"max_batch": 2})
    assert "input" in str(t.cast(t.Any, caught.value).fields)


@pytest.mark.parametrize(
    "serving",
    [{"cache_entries": -1}, {"cache_entries": 1.5}, {"max_batch": 0}, {"cache_seconds": 0}],
)
def test_a_wrong_way_to_serve_is_refused(
    app: Flask, client: FlaskClient, serving: dict[str, t.Any]
) -> None:
    app.extensions["test_ailydian"].gate.may(lambda actor, action: True)
    response = client.patch("/api/pytorch/models/shapes/v1", json={"serving": serving})
    assert response.status_code == 422
    response = client.patch("/api/pytorch/models/shapes/v1", json={"serving": {"max_batch": 2}})
    assert response.json["model"]["serving"]["max_batch"] == 2


def test_activating_another_version_fails_no_request_and_is_seen_by_all(app: Flask) -> None:
    """Another process activates; this one goes on answering, and changes over within a second."""
    state = app.extensions["ailydian"]
    with app.app_context():
        registry = state.registry
        new = onnx_models.classifier(labels=3, size=8, seed=3)
        registry.register(new, "shapes", "v2", Declared(labels=["a", "b", "c"]))
    stop, seen, errors = threading.Event(), list[tuple[float, str, float]](), list[t.Any]()

    def client() -> None:
        mine = app.test_client()
        while not stop.is_set():
            try:
                started = time.monotonic()
                version = ask(mine)["model"]["version"]
                seen.append((started, version, time.monotonic()))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=client) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    models = state.tables.Model.__table__
    changing = time.monotonic()
    with app.app_context(), state.db.engine.begin() as connection:
        # As another process does it: this one is told nothing.
        moment = current_ailydian.registry.get("shapes", "v2").created_at
        for version, status in (("v1", "inactive"), ("v2", "active")):
            connection.execute(
                models.update()
                .where(models.c.model_version == version)
                .values(deployment_status=status, updated_at=moment.replace(year=2090))
            )
    changed = time.monotonic()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert {version for _, version, ended in seen if ended < changing} == {"v1"}
    assert {version for started, version, _ in seen if started > changed + 1} == {"v2"}
    # The old version's engine is dropped once nobody may ask for it.
    assert len(state.serving.pool.loaded()) == 1


def test_an_activated_model_is_loaded_before_it_answers(app: Flask) -> None:
    state = app.extensions["ailydian"]
    with app.app_context():
        data = onnx_models.classifier(labels=3, size=8, seed=4)
        state.registry.register(data, "shapes", "v2", Declared())
        record = state.registry.get("shapes", "v2")
        assert not state.serving.pool.holds(record.sha256)
        state.registry.update("shapes", "v2", status="active")
        assert state.serving.pool.holds(record.sha256)


def test_ready_means_loaded(app: Flask, client: FlaskClient) -> None:
    pool = app.extensions["ailydian"].serving.pool
    pool.clear()
    assert client.get("/api/pytorch/health/ready").status_code == 200
    assert len(pool.loaded()) == 1


def test_a_provider_that_is_not_there_is_refused_by_name(
    make_app: t.Callable[..., Flask],
) -> None:
    app = make_app(AILYDIAN_PROVIDERS=["cuda", "cpu"])
    with app.app_context(), pytest.raises(Exception, match="no execution provider cuda; it has"):
        current_ailydian.registry.register(
            onnx_models.classifier(), "shapes", "v1", Declared(), activate=True
        )
    result = app.test_cli_runner().invoke(args=["ailydian", "doctor"])
    assert "no execution provider cuda" in result.output and result.exit_code == 1
    with pytest.raises(RuntimeError, match="AILYDIAN_PROVIDERS may name cpu, cuda"):
        make_app(AILYDIAN_PROVIDERS=["gpu"])
