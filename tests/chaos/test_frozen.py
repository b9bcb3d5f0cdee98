"""A database that freezes while requests come: each is answered in time, and none unrecorded."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import onnx_models
import pytest
from audit.trails import events
from chaos.proxy import Proxy
from chaos.proxy import standing_before
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

URL = "/api/pytorch/inference"
DEADLINE = 1.0
#: What the machine may add; the figure is in the bench, this only tells a hang from an answer.
SLACK = 0.6


@pytest.fixture
def behind(tmp_path: Path) -> t.Iterator[tuple[Flask, Proxy]]:
    """A host with a model, whose PostgreSQL stands behind a proxy."""
    with database("postgresql", tmp_path) as url:
        proxy, through = standing_before(url)
        app = make_host(tmp_path, database=url)
        with app.app_context():
            current_ailydian.registry.register(
                onnx_models.classifier(labels=3, size=8),
                "shapes",
                "v1",
                Declared(labels=["circle", "square", "star"], domain="medical"),
                activate=True,
            )
            current_ailydian.audit.close()
        dispose(app)
        app = make_host(
            tmp_path,
            database=through,
            create=False,
            AILYDIAN_AUDIT_TIMEOUT_SECONDS=DEADLINE,
            AILYDIAN_CHECKPOINT_SECONDS=0.0,
        )
        try:
            yield app, proxy
        finally:
            proxy.close()
            with app.app_context():
                app.extensions["ailydian"].audit.close()
            dispose(app)


def ask(app: Flask, *, user: str = "alice", key: str | None = None) -> tuple[int, float, t.Any]:
    body = {"model_name": "shapes", "image": data_uri(encoded()), "user_id": user}
    started = time.monotonic()
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = app.test_client().post(URL, json=body, headers=headers)
    return answer.status_code, time.monotonic() - started, answer


def ask_until_answered(app: Flask, started: float) -> float:
    while ask(app)[0] != 200:
        assert time.monotonic() - started < 10
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.parametrize("warm", [True, False], ids=["asked-before", "first-question"])
def test_a_frozen_database_is_answered_in_time_whatever_is_read_of_it(
    behind: tuple[Flask, Proxy], warm: bool
) -> None:
    app, proxy = behind
    if warm:
        assert ask(app)[0] == 200
    proxy.freeze()
    # Long enough for what was read of the registry to be looked at again.
    time.sleep(0.3)
    for user, key in (("alice", None), ("somebody new", None), ("alice", "k")):
        status, seconds, answer = ask(app, user=user, key=key)
        assert (status, answer.json["error"]) == (503, "backend_unavailable"), answer.json
        assert answer.headers["Retry-After"] == "1"
        assert seconds < DEADLINE + SLACK
    # All at once, too.
    found: list[tuple[int, float, t.Any]] = []
    threads = [threading.Thread(target=lambda: found.append(ask(app))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _, _ in found] == [503] * 8
    assert max(seconds for _, seconds, _ in found) < DEADLINE + SLACK
    proxy.thaw()
    assert ask_until_answered(app, time.monotonic()) < 2
    with app.app_context():
        recorded = {event.id for event in events(app, "inference")}
        assert app.extensions["ailydian"].audit.inspection.verify().ok
    assert ask(app)[2].json["id"] not in recorded


def test_readiness_and_figures_are_answered_in_time_too(behind: tuple[Flask, Proxy]) -> None:
    app, proxy = behind
    app.extensions["ailydian"].gate.may(lambda actor, action: True)
    client = app.test_client()
    paths = {"/health/ready": 503, "/metrics": 200, "/metrics/daily": 503, "/costs": 503}
    assert [client.get(f"/api/pytorch{path}").status_code for path in paths] == [200] * 4
    proxy.freeze()
    for path, expected in paths.items():
        # What is known for a moment after the last wait has passed.
        time.sleep(0.3)
        started = time.monotonic()
        answer = client.get(f"/api/pytorch{path}")
        assert answer.status_code == expected, path
        assert time.monotonic() - started < 2 * DEADLINE + SLACK, path
    proxy.thaw()
    assert ask_until_answered(app, time.monotonic()) < 2
    assert client.get("/api/pytorch/health/ready").status_code == 200


@pytest.mark.parametrize("way", ["freeze", "drop"])
def test_five_seconds_without_a_database_lose_nothing_and_are_over_at_once(
    behind: tuple[Flask, Proxy], way: str
) -> None:
    app, proxy = behind
    acknowledged: list[str] = []
    refused: list[float] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            status, seconds, answer = ask(app)
            assert status in (200, 503), answer.json
            if status == 200:
                acknowledged.append(answer.json["id"])
            else:
                refused.append(seconds)
                # As a client that heeds Retry-After would, only sooner.
                time.sleep(0.05)

    assert ask(app)[0] == 200
    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    getattr(proxy, way)()
    time.sleep(5)
    proxy.thaw()
    assert ask_until_answered(app, time.monotonic()) < 2
    over.set()
    for thread in threads:
        thread.join()
    assert refused and max(refused) < DEADLINE + SLACK
    with app.app_context():
        rows = [event.id for event in events(app, "inference")]
        assert app.extensions["ailydian"].audit.inspection.verify().ok
    assert set(acknowledged) <= set(rows) and len(set(rows)) == len(rows)
