"""`POST /route` and `POST /query` as a client meets them, with backends that really answer."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from decimal import Decimal

import pytest
from flask import Flask
from routing.conftest import ANSWERS
from routing.conftest import answers
from routing.conftest import GREETING
from routing.conftest import OTHER
from routing.conftest import rows
from routing.conftest import text_model
from routing.conftest import Twin

from flask_ailydian import current_ailydian
from flask_ailydian import signals
from flask_ailydian.errors import AuditUnavailable
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.registration import Declared
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.learning import textgraph
from flask_ailydian.routing.policy import Arm
from flask_ailydian.routing.turn import Asked
from flask_ailydian.routing.turn import Turn

API = "/api/pytorch"
LONG = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)


def ask(app: Flask, query: str, **more: t.Any) -> t.Any:
    return app.test_client().post(f"{API}/query", json={"query": query, **more})


# Classification and decision, over HTTP


def test_a_route_says_who_would_answer_and_calls_nobody(make_twin: t.Any) -> None:
    app, twin = make_twin()
    body = app.test_client().post(f"{API}/route", json={"query": LONG}).json
    assert (body["backend"], body["reason"]) == ("3rdparty", "complex-query")
    assert body["classification"]["score"] == 85
    assert body["available"] == {"onnx": "ready", "3rdparty": "closed"}
    assert not twin.asked and not rows(app, "InferenceLog") and not rows(app, "QueryCost")


def test_without_a_key_the_router_says_so_and_nothing_crashes(make_desk: t.Any) -> None:
    app = make_desk(AILYDIAN_THIRD_PARTY="openai", model=False)
    body = app.test_client().post(f"{API}/route", json={"query": LONG}).json
    assert body["available"] == {"onnx": "no_model", "3rdparty": "no_key"}
    answer = ask(app, LONG)
    assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")
    assert answer.json["backends"] == {"3rdparty": "no_key", "onnx": "no_model"}
    assert answer.headers["Retry-After"]


def test_a_simple_query_is_answered_at_home(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_PRICES={})
    body = ask(app, "Merhaba").json
    assert (body["backend"], body["reason"]) == ("onnx", "simple-query")
    assert body["answer"] == ANSWERS[GREETING]
    assert body["classification"]["score"] == 10
    assert body["cost"] == {
        "estimated": 0.0001,
        "actual": 0.0001,
        "saved": 0.0199,
        "currency": "USD",
    }
    assert set(body["performance"]) == {"routing_ms", "backend_ms", "total_ms"}
    (row,) = answers(app)
    assert (row.id, row.backend, row.status) == (body["id"], "onnx", "success")
    assert row.cost_usd == Decimal("0.0001") and row.model_id is not None
    assert "Merhaba" not in repr(row.result) and len(row.input_hash) == 64
    assert not twin.asked


def test_a_complex_query_is_answered_by_the_paid_one(make_twin: t.Any) -> None:
    app, twin = make_twin()
    body = ask(app, LONG, user_id="u1").json
    assert (body["backend"], body["reason"]) == ("3rdparty", "complex-query")
    assert body["answer"].split() == LONG.split() and twin.asked[0].text == LONG
    # 20 tokens in at 2, 7 out at 10, for a million each.
    assert body["cost"]["actual"] == 0.00011 and body["cost"]["saved"] == 0
    (cost,) = rows(app, "QueryCost")
    assert (cost.id, cost.state, cost.input_tokens, cost.output_tokens) == (
        body["id"],
        "settled",
        20,
        7,
    )
    assert (cost.actual_nano, cost.usage_estimated, cost.attempts) == (110_000, False, 1)
    (row,) = answers(app)
    assert (row.user_id, row.cost_usd) == ("u1", Decimal("0.00011"))


def egress(app: Flask) -> list[tuple[str, dict[str, t.Any]]]:
    """Return what the trail says of texts that left, in order."""
    state, found = app.extensions["ailydian"], []
    with app.app_context():
        for event in sorted(rows(app, "AuditEvent"), key=lambda row: row.created_us):
            if event.kind.startswith("egress"):
                found.append((event.kind, state.audit.detail(event) or {}))
    return found


def test_what_leaves_is_on_record_before_and_after(make_twin: t.Any) -> None:
    app, _ = make_twin()
    body = ask(app, LONG, user_id="u1").json
    events = egress(app)
    assert [kind for kind, _ in events] == ["egress_intent", "egress_result"]
    for _, detail in events:
        assert detail["query_id"] == body["id"] and detail["provider"] == "twin"
        assert "akciğer" not in repr(detail)
    assert events[1][1]["outcome"] == "answered"
    with app.app_context():
        export = "".join(current_ailydian.privacy.export("u1"))
    assert "egress_intent" in export


def test_nothing_leaves_when_that_cannot_be_recorded(make_desk: t.Any) -> None:
    app = make_desk(AILYDIAN_THIRD_PARTY="twin")
    state, twin = app.extensions["ailydian"], Twin()
    state.router.third_party.register("twin", lambda: twin)

    def refuse(*_: t.Any, **__: t.Any) -> None:
        raise AuditUnavailable()

    state.router.third_party._note = refuse
    answer = ask(app, LONG)
    assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")
    assert not twin.asked
    assert [row.actual_nano for row in rows(app, "QueryCost")] == [0]


def test_a_medium_query_takes_the_arm_of_a_running_test(make_twin: t.Any) -> None:
    app, _ = make_twin()
    seen: list[str] = []

    def choose(unit: str) -> Arm:
        seen.append(unit)
        return Arm("3rdparty", "paid", 0.3)

    app.extensions["ailydian"].router.choose = choose
    body = ask(app, "Bu göğüs röntgeninde pnömoni var mı?", user_id="u9").json
    assert (body["reason"], body["decision"]["arm"]) == ("ab-test", "paid")
    assert body["decision"]["propensity"] == 0.3 and seen == ["u9"]
    (cost,) = rows(app, "QueryCost")
    assert (cost.arm, cost.propensity) == ("paid", 0.3)


def test_text_of_an_in_house_domain_never_leaves(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_ROUTER_IN_HOUSE=["medical"])
    body = ask(app, LONG, domain="medical").json
    assert (body["backend"], body["answer"]) == ("onnx", ANSWERS[OTHER])
    assert body["local"]["in_scope"] is False
    refused = ask(app, LONG, domain="medical", backend="3rdparty")
    assert (refused.status_code, refused.json["error"]) == (403, "forbidden")
    assert not twin.asked


def test_the_same_in_process(make_desk: t.Any) -> None:
    app = make_desk()
    with app.app_context():
        body = current_ailydian.answer("Merhaba", user_id="u1")
    assert body["backend"] == "onnx" and len(answers(app)) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "x" * 5000}, "query"),
        ({"query": "x\x07"}, "query"),
        ({"query": "x", "domain": "art"}, "domain"),
        ({"query": "x", "backend": "gpu"}, "backend"),
        ({"query": "x", "stream": "maybe"}, "stream"),
    ],
)
def test_a_wrong_body_is_named_and_on_record(
    make_desk: t.Any, body: dict[str, t.Any], field: str
) -> None:
    app = make_desk()
    answer = app.test_client().post(f"{API}/query", json=body)
    assert (answer.status_code, list(answer.json["fields"])) == (422, [field])
    (row,) = answers(app)
    assert (row.id, row.error) == (answer.json["id"], "validation_failed")


# Fallback, both ways


def test_when_the_paid_one_fails_the_local_one_answers(make_twin: t.Any) -> None:
    app, _ = make_twin(Twin(BackendFailure("provider_error")))
    heard: list[dict[str, t.Any]] = []
    with signals.fallback_used.connected_to(lambda app, **said: heard.append(said)):
        body = ask(app, LONG).json
    assert (body["backend"], body["tried"]) == ("onnx-fallback", {"3rdparty": "provider_error"})
    assert body["answer"] == ANSWERS[OTHER]
    assert [(h["failed"], h["used"], h["why"]) for h in heard] == [
        ("3rdparty", "onnx", "provider_error")
    ]
    assert answers(app)[0].backend == "onnx-fallback"


def test_when_the_local_one_is_missing_the_paid_one_answers(make_twin: t.Any) -> None:
    app, _ = make_twin(model=False)
    body = ask(app, "Merhaba").json
    assert (body["backend"], body["tried"]) == ("3rdparty-fallback", {"onnx": "no_model"})


def test_when_all_fail_the_answer_says_which_and_why(make_twin: t.Any) -> None:
    app, _ = make_twin(Twin(BackendFailure("timeout")), model=False)
    answer = ask(app, LONG)
    assert answer.status_code == 503
    assert answer.json["backends"] == {"3rdparty": "timeout", "onnx": "no_model"}
    assert answers(app)[0].status == "failed"


def test_a_request_for_the_local_model_never_costs_money(make_twin: t.Any) -> None:
    app, twin = make_twin(model=False)
    assert ask(app, "Merhaba", backend="onnx").status_code == 503
    assert not twin.asked


def test_an_unsure_local_answer_escalates_and_says_so(make_twin: t.Any) -> None:
    app, _ = make_twin()
    body = ask(app, "kararsız").json
    assert (body["backend"], body["reason"]) == ("3rdparty", "low-confidence-escalated")
    assert body["tried"] == {"onnx": "low_confidence"}


def test_an_unsure_answer_is_given_for_what_it_is_when_nobody_else_can(
    make_twin: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = make_twin(Twin(BackendFailure("timeout")))
    local = app.extensions["ailydian"].router.local
    asked, whole = [], local.answer

    def counted(*given: t.Any) -> t.Any:
        asked.append(given)
        return whole(*given)

    monkeypatch.setattr(local, "answer", counted)
    body = ask(app, "kararsız").json
    assert (body["backend"], body["local"]["sure"]) == ("onnx-fallback", False)
    assert body["answer"] == ANSWERS[OTHER]
    # What the model said the first time is at hand.
    assert len(asked) == 1


def test_an_open_breaker_spares_the_backend_and_one_query_tries_it(make_twin: t.Any) -> None:
    twin = Twin(BackendFailure("provider_error"))
    app, _ = make_twin(
        twin,
        AILYDIAN_BREAKER_FAILURES=2,
        AILYDIAN_BREAKER_SECONDS=0.2,
        AILYDIAN_BREAKER_SHARED=True,
    )
    for _ in range(3):
        ask(app, LONG)
    assert len(twin.asked) == 2
    assert ask(app, LONG).json["tried"] == {"3rdparty": "circuit_open"}
    time.sleep(0.25)
    twin.failure = None
    assert ask(app, LONG).json["backend"] == "3rdparty"
    assert not rows(app, "Breaker")


# Streaming


def events_of(response: t.Any) -> list[tuple[str, dict[str, t.Any]]]:
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_an_answer_comes_as_events(make_twin: t.Any) -> None:
    app, _ = make_twin()
    response = ask(app, LONG, stream=True)
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    events = events_of(response)
    assert [name for name, _ in events[:2]] == ["route", "delta"] and events[-1][0] == "done"
    said = "".join(data["text"] for name, data in events if name == "delta")
    assert said == events[-1][1]["answer"] and said.split() == LONG.split()
    assert answers(app)[0].id == events[-1][1]["id"]


def test_a_local_answer_comes_as_events_too(make_desk: t.Any) -> None:
    events = events_of(ask(make_desk(), "Merhaba", stream=True))
    assert [name for name, _ in events] == ["route", "delta", "done"]
    assert events[1][1]["text"] == ANSWERS[GREETING]


def test_what_fails_before_the_first_byte_has_a_status_of_its_own(make_twin: t.Any) -> None:
    app, _ = make_twin(Twin(BackendFailure("timeout")), model=False)
    answer = ask(app, LONG, stream=True)
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    fallback = make_twin(Twin(BackendFailure("timeout")))[0]
    events = events_of(ask(fallback, LONG, stream=True))
    assert events[-1][1]["backend"] == "onnx-fallback"


def test_a_stream_that_is_cut_ends_in_an_error_and_is_accounted_for(make_twin: t.Any) -> None:
    app, twin = make_twin(Twin(BackendFailure("cut_short", retry=True, billed=True), after=3))
    events = events_of(ask(app, LONG, stream=True))
    assert [name for name, _ in events] == ["route", *["delta"] * 3, "error"]
    assert events[-1][1]["backends"] == {"answer": "cut_short"} and len(twin.asked) == 1
    (row,) = answers(app)
    (cost,) = rows(app, "QueryCost")
    assert (row.status, row.error) == ("failed", "cut_short")
    assert (cost.state, cost.usage_estimated) == ("failed", True)
    # Twenty in as the provider said, out no less than the bytes that came.
    heard = len("Hasta verilerini analiz ")
    assert cost.actual_nano == 20 * 2000 + heard * 10_000
    assert row.cost_usd == Decimal(cost.actual_nano) / 1_000_000_000


def test_a_reader_who_leaves_ends_the_call_and_is_accounted_for(make_twin: t.Any) -> None:
    app, _ = make_twin()
    with app.test_request_context(), app.app_context():
        events = current_ailydian.router.stream(lambda: Asked(LONG))
        assert next(events)[0] == "route"
        assert next(events)[0] == "delta"
        events.close()
    (row,) = answers(app)
    assert (row.status, row.error) == ("failed", "client_gone")
    assert rows(app, "QueryCost")[0].actual_nano > 0
    assert [detail.get("outcome") for _, detail in egress(app)] == [None, "client_gone"]


@pytest.mark.parametrize("read", [0, 1, 3])
def test_a_connection_that_closes_early_is_accounted_for(make_twin: t.Any, read: int) -> None:
    app, _ = make_twin()
    client = app.test_client()
    response = client.post(f"{API}/query", json={"query": LONG, "stream": True}, buffered=False)
    lines = response.iter_encoded()
    for _ in range(read):
        next(lines)
    response.close()
    (row,) = answers(app)
    assert (row.status, row.error) == ("failed", "client_gone")
    assert rows(app, "QueryCost")[0].actual_nano > 0


# Idempotency


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeat_gets_the_first_answer_and_no_second_charge(
    make_twin: t.Any, stream: bool
) -> None:
    app, twin = make_twin()
    client, told, replayed = app.test_client(), [], []
    for _ in range(2):
        body = {"query": LONG, "stream": stream}
        answer = client.post(f"{API}/query", json=body, headers={"Idempotency-Key": "k"})
        told.append(events_of(answer)[-1][1] if stream else answer.json)
        replayed.append(answer.headers.get("Idempotent-Replayed"))
    assert told[0] == told[1] and replayed == [None, "true"]
    assert len(twin.asked) == 1 and len(rows(app, "QueryCost")) == 1


def test_a_failure_that_may_pass_is_not_remembered(make_twin: t.Any) -> None:
    twin = Twin(BackendFailure("timeout"))
    app, _ = make_twin(twin, model=False)
    client, headers = app.test_client(), {"Idempotency-Key": "k"}
    assert client.post(f"{API}/query", json={"query": LONG}, headers=headers).status_code == 503
    twin.failure = None
    assert client.post(f"{API}/query", json={"query": LONG}, headers=headers).status_code == 200


# Redaction and cache


def test_what_identifies_somebody_stays_at_home_and_comes_back(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_REDACT=True)
    app.extensions["ailydian"].router.third_party.names = lambda text: ["Ayşe Kaya"]
    query = "Ayşe Kaya, 10000000146, ayse@example.org, 0532 123 45 67: " + LONG
    body = ask(app, query).json
    sent = twin.asked[0].text
    assert sent.startswith("[NAME_1], [TCKN_1], [EMAIL_1], [PHONE_1]: Hasta")
    assert body["answer"].startswith("Ayşe Kaya, 10000000146, ayse@example.org, 0532 123 45 67:")
    assert body["redacted"] == {"EMAIL": 1, "NAME": 1, "PHONE": 1, "TCKN": 1}
    assert "Kaya" not in repr(rows(app, "InferenceLog")) + repr(rows(app, "QueryCost"))


def test_a_text_that_cannot_be_looked_through_does_not_leave(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_REDACT=True)

    def broken(text: str) -> list[str]:
        raise RuntimeError("no dictionary")

    app.extensions["ailydian"].router.third_party.names = broken
    body = ask(app, LONG).json
    assert (body["backend"], body["tried"]) == ("onnx-fallback", {"3rdparty": "redaction_failed"})
    assert not twin.asked


def test_the_same_question_is_paid_for_once_by_each_user(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_CACHE_DOMAINS=["chat"], AILYDIAN_TRUST_USER_ID=True)
    first = ask(app, LONG, user_id="u1").json
    again = ask(app, f"  {LONG.replace('Hasta', 'HASTA')} ", user_id="u1").json
    assert again["cached"] and again["answer"] == first["answer"]
    assert again["cost"]["actual"] == 0 and again["cost"]["saved"] > 0
    assert "cached" not in ask(app, LONG, user_id="u2").json
    assert "cached" not in ask(app, LONG, user_id="u1", domain="legal").json
    assert "cached" not in ask(app, LONG).json and "cached" not in ask(app, LONG).json
    # Another limit may be another answer.
    assert "cached" not in ask(app, LONG, user_id="u1", max_tokens=3).json
    assert len(twin.asked) == 6


def test_naming_somebody_else_gives_nobody_their_answer(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_CACHE_DOMAINS=["chat"])
    state = app.extensions["ailydian"]

    def cached(**more: t.Any) -> bool:
        return "cached" in ask(app, LONG, **more).json

    with app.app_context():
        # The host itself names them: they are who they are.
        assert "cached" not in state.answer(LONG, user_id="u1")
        assert state.answer(LONG, user_id="u1")["cached"]
    # A request that nobody vouches for only says so.
    assert not cached(user_id="u1") and not cached(user_id="u1")
    state.gate.actor(lambda: "nurse")
    # Another one whom the gate knows, for the same person, and then for another.
    assert not cached(user_id="u1") and cached(user_id="u1")
    assert not cached(user_id="u2") and not cached()
    # Who they are by the gate is who they are by the host's own name for them.
    state.gate.actor(lambda: "u1")
    assert cached() and cached(user_id="u1") and not cached(user_id="nurse")
    assert len(twin.asked) == 7


def test_names_that_look_alike_together_are_told_apart(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_CACHE_DOMAINS=["chat"])
    gate = app.extensions["ailydian"].gate
    gate.actor(lambda: "a")
    assert "cached" not in ask(app, LONG, user_id="b for c").json
    gate.actor(lambda: "a for b")
    assert "cached" not in ask(app, LONG, user_id="c").json
    assert len(twin.asked) == 2


def test_an_answer_for_all_is_for_those_nobody_knows_too(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_CACHE_DOMAINS=["chat"], AILYDIAN_CACHE_ACROSS_USERS=True)
    assert "cached" not in ask(app, LONG, user_id="u1").json
    assert ask(app, LONG).json["cached"] and ask(app, LONG, user_id="u2").json["cached"]
    assert len(twin.asked) == 1


def test_an_erasure_empties_the_cache(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_CACHE_DOMAINS=["chat"], AILYDIAN_TRUST_USER_ID=True)
    ask(app, LONG, user_id="u1")
    with app.app_context():
        app.extensions["ailydian"].privacy.erase("u1")
    assert "cached" not in ask(app, LONG, user_id="u1").json and len(twin.asked) == 2


# Many at once


def test_a_thousand_queries_lose_no_row(make_desk: t.Any) -> None:
    app = make_desk()
    ask(app, "Merhaba")
    failed: list[t.Any] = []
    routing: list[float] = []

    def work() -> None:
        client = app.test_client()
        for _ in range(125):
            answer = client.post(f"{API}/query", json={"query": "Merhaba"})
            if answer.status_code != 200:
                failed.append(answer.json)
            else:
                routing.append(answer.json["performance"]["routing_ms"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(answers(app)) == len(rows(app, "QueryCost")) == 1001


def test_routing_takes_less_than_a_millisecond(make_desk: t.Any) -> None:
    app = make_desk()
    router, spent = app.extensions["ailydian"].router, []
    for number in range(1000):
        # This thread's own time: what other programs do on this machine is not ours.
        begun = time.thread_time()
        router._decide(Turn(), Asked(f"{LONG} {number}"))
        spent.append(time.thread_time() - begun)
    assert sorted(spent)[989] < 0.001


# A knowledge base, searched by an embedding


def test_an_embedding_finds_the_answer_of_the_nearest_question(make_app: t.Any) -> None:
    asked = ["otopark nerede", "kaça kadar açıksınız", "reçetemi yenilemek istiyorum"]
    found = {gram for text in asked for gram in textgraph.grams(text)}
    vocabulary = sorted(found, key=lambda gram: (len(gram), gram))
    nodes, constants = textgraph.front(vocabulary)
    metadata = {
        "task": "text-embedding",
        "knowledge": [[text, f"Yanıt: {text}."] for text in asked],
        "threshold": 0.4,
        "out_of_scope": "Bunu bilmiyorum.",
    }
    data = textgraph.model(nodes, constants, ("features", ["n", len(vocabulary)]), metadata)
    app = make_app()
    with app.app_context():
        record = current_ailydian.registry.register(data, "faq", "v1", Declared(domain="civic"))
    assert record.task == "text-embedding"
    body = ask(app, "OTOPARKINIZ NEREDE?", domain="civic").json
    assert (body["answer"], body["model"]) == ("Yanıt: otopark nerede.", "faq v1")
    assert body["local"]["label"] == "otopark nerede" and body["local"]["sure"]
    other = ask(app, "dolar kuru", domain="civic").json
    assert other["answer"] == "Bunu bilmiyorum." and not other["local"]["in_scope"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"answers": ["x"]},
        {"threshold": 2},
        {"threshold": True},
        {"knowledge": [["only a question"]]},
        {"surprise": 1},
    ],
)
def test_what_a_text_model_says_is_checked(make_app: t.Any, recipe: dict[str, t.Any]) -> None:
    with make_app().app_context(), pytest.raises(ValidationFailed):
        declared = Declared(preprocessing=recipe)
        current_ailydian.registry.register(text_model(), "desk", "v1", declared)


def test_the_doctor_says_what_a_paid_backend_lacks(make_app: t.Any) -> None:
    for config, said in (
        ({}, "answered locally"),
        ({"AILYDIAN_THIRD_PARTY": "openai"}, "Set AILYDIAN_THIRD_PARTY_KEY"),
        ({"AILYDIAN_THIRD_PARTY": "nobody"}, "not_registered"),
    ):
        runner = make_app(**config).test_cli_runner()
        assert said in runner.invoke(args=["ailydian", "doctor"]).output


def test_the_command_explains_a_route(make_desk: t.Any) -> None:
    runner = make_desk(AILYDIAN_THIRD_PARTY="openai").test_cli_runner()
    said = runner.invoke(args=["ailydian", "route", LONG]).output
    for part in ("3rdparty (complex-query)", "score 85: complex", "+15  complex: analiz", "no_key"):
        assert part in said
    found = json.loads(runner.invoke(args=["ailydian", "route", "Merhaba", "--json"]).output)
    assert found["backend"] == "onnx" and found["available"]["onnx"] == "ready"
