"""A Redis that workers share: breakers, cached answers, and life without it."""

from __future__ import annotations

import time
import typing as t

import numpy as np
import onnx_models
import pytest
from flask import Flask
from pictures import encoded
from pictures import picture
from redis_server import redis_server
from redis_server import RedisServer
from routing.conftest import Twin
from routing.test_query import ask
from routing.test_query import LONG

from flask_ailydian import current_ailydian
from flask_ailydian.audit.keys import open_sealed
from flask_ailydian.audit.keys import seal
from flask_ailydian.engine.shared_results import SharedResults
from flask_ailydian.redis_link import RedisGone
from flask_ailydian.redis_link import RedisLink
from flask_ailydian.registration import Declared
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.breaker import Breaker
from flask_ailydian.routing.breaker import Circuit
from flask_ailydian.routing.breaker import MemoryStore
from flask_ailydian.routing.breaker_redis import RedisStore

KEY = "a key for the fingerprints"


@pytest.fixture
def redis() -> t.Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def linked(server: RedisServer, pause: float = 0.05) -> RedisLink:
    return RedisLink(server.url, lambda: "here", pause=pause)


def test_two_workers_share_one_circuit(redis: RedisServer) -> None:
    one, two = (
        Breaker(RedisStore(linked(redis), MemoryStore()), threshold=3, seconds=10) for _ in "ab"
    )
    for _ in range(2):
        one.failed("openai", 100.0)
    assert two.allows("openai", 100.0) and two.state("openai", 100.0) == "closed"
    two.failed("openai", 100.5)
    assert not one.allows("openai", 101.0) and one.state("openai", 101.0) == "open"
    assert one.state("openai", 110.6) == "half-open"
    # One of them may try it, and while it does the other may not.
    assert two.allows("openai", 110.6, patience=5)
    assert not one.allows("openai", 112.0)
    two.failed("openai", 113.0)
    assert not one.allows("openai", 115.0) and not one.allows("openai", 122.9)
    assert one.allows("openai", 123.1)
    one.succeeded("openai")
    assert two.allows("openai", 124.0) and two.state("openai", 124.0) == "closed"
    # Another backend has a circuit of its own; nothing is kept for ever.
    assert one.allows("anthropic", 101.0)
    one.failed("openai", 130.0)
    assert 0 < linked(redis).ask(lambda r: r.ttl("ailydian:here:breaker:openai")) <= 86_400


def test_without_redis_the_next_store_keeps_the_circuits(redis: RedisServer) -> None:
    store = RedisStore(linked(redis), MemoryStore())
    store.fail("x", threshold=1, now=5.0)
    redis.stop()
    assert store.read("x") == Circuit()
    store.fail("x", threshold=1, now=7.0)
    assert store.read("x").opened_at == 7.0
    assert not store.take_probe("x", opened_before=6.0, now=7.5, until=9.0)
    assert store.take_probe("x", opened_before=8.0, now=8.5, until=9.0)
    store.close("x")
    assert store.read("x") == Circuit()
    redis.start()
    time.sleep(0.1)
    store.fail("x", threshold=2, now=9.0)
    assert store.read("x") == Circuit(1, None, None)


def test_a_redis_that_failed_is_left_alone_for_a_moment(redis: RedisServer) -> None:
    link = linked(redis, pause=0.3)
    assert link.answers()
    redis.stop()
    assert not link.answers()
    redis.start()
    with pytest.raises(RedisGone):
        link.ask(lambda r: r.ping())
    time.sleep(0.35)
    assert link.answers()
    link.close()
    assert link.answers()


@pytest.mark.parametrize("url", ["http://x", "localhost:6379"])
def test_another_address_is_refused_by_name(make_app: t.Any, url: str) -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_REDIS_URL must begin"):
        make_app(AILYDIAN_REDIS_URL=url)


def shared(link: RedisLink, key: bytes = b"k" * 32) -> SharedResults:
    return SharedResults(link, lambda: key, seal, open_sealed)


def test_outputs_come_back_as_they_were_and_only_with_the_key(redis: RedisServer) -> None:
    link = linked(redis)
    outputs = {"p": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([7], np.int64)}
    shared(link).put(("model", 1), outputs, 60)
    found = shared(linked(redis)).get(("model", 1))
    assert found is not None and set(found) == {"p", "n"}
    assert all((found[n] == outputs[n]).all() for n in outputs)
    assert all(found[n].dtype == outputs[n].dtype for n in outputs)
    assert shared(link).get(("model", 2)) is None
    assert shared(link, b"x" * 32).get(("model", 1)) is None
    (name,) = link.ask(lambda r: r.keys("*"))
    kept = link.ask(lambda r: r.get(name))
    assert outputs["p"].tobytes() not in kept and b"model" not in name + kept
    # What somebody else wrote there is no answer.
    link.ask(lambda r: r.set(name, kept[:-1] + b"?"))
    assert shared(link).get(("model", 1)) is None
    shared(link).put(("brief", 1), outputs, 0.02)
    shared(link).put(("large", 1), {"p": np.zeros(2**20)}, 60)
    shared(link).put(("words", 1), {"p": np.array(["a"], object)}, 60)
    time.sleep(0.05)
    assert all(shared(link).get((kind, 1)) is None for kind in ("brief", "large", "words"))


def shapes(app: Flask) -> Flask:
    with app.app_context():
        declared = Declared(
            labels=["circle", "square", "star"],
            domain="civic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            serving={"cache_entries": 8},
        )
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8), "shapes", "v1", declared, activate=True
        )
    return app


def predicted(app: Flask) -> t.Any:
    with app.app_context():
        return current_ailydian.predict("shapes", image=encoded(picture(8, 8)))


def test_one_worker_answers_with_what_another_worked_out(
    make_app: t.Any, redis: RedisServer
) -> None:
    config = {"AILYDIAN_REDIS_URL": redis.url, "AILYDIAN_HASH_KEY": KEY}
    one, two = (shapes(make_app(**config)) for _ in "ab")
    first, second = predicted(one), predicted(two)
    assert "cached" not in first and second["cached"] is True
    assert first["probabilities"] == second["probabilities"]
    # With another key nothing is shared.
    apart = shapes(make_app(**config | {"AILYDIAN_HASH_KEY": "another key for them"}))
    assert "cached" not in predicted(apart)


def test_when_redis_is_gone_all_goes_on_and_readiness_says_so(
    make_twin: t.Any, redis: RedisServer
) -> None:
    twin = Twin(BackendFailure("provider_error"))
    app, _ = make_twin(twin, AILYDIAN_REDIS_URL=redis.url, AILYDIAN_BREAKER_FAILURES=1)
    ready = app.test_client().get("/api/pytorch/health/ready")
    assert (
        ready.json["checks"]["redis"]["ok"] and "shared" in ready.json["checks"]["redis"]["detail"]
    )
    redis.stop()
    assert ask(app, LONG).json["tried"] == {"3rdparty": "provider_error"}
    assert ask(app, LONG).json["tried"] == {"3rdparty": "circuit_open"}
    ready = app.test_client().get("/api/pytorch/health/ready")
    assert ready.status_code == 200
    assert ready.json["checks"]["redis"]["ok"] is False
    assert "each worker" in ready.json["checks"]["redis"]["detail"]
    said = app.test_cli_runner().invoke(args=["ailydian", "doctor"]).output
    assert "AILYDIAN_REDIS_URL" in said
