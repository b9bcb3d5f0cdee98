"""Both official SDKs against a real server on loopback that fails as providers fail.

The server (llmock) is not ours, and it judges its client: what it saw, not what we say.
"""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from flask import Flask
from routing.conftest import answers
from routing.conftest import rows

from flask_ailydian.routing.backends import anthropic
from flask_ailydian.routing.backends import openai
from flask_ailydian.routing.backends import sdk
from flask_ailydian.routing.backends.anthropic import AnthropicBackend
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.backends.base import Finished
from flask_ailydian.routing.backends.base import Question
from flask_ailydian.routing.backends.openai import OpenAIBackend

PROVIDERS = ["openai", "anthropic"]
QUESTION = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)
PRICE = {"since": "2026-01-01", "input": "3", "output": "15", "cached": "0.3", "per": 1_000_000}
BACKENDS: dict[str, t.Any] = {"openai": OpenAIBackend, "anthropic": AnthropicBackend}

pytestmark = pytest.mark.filterwarnings(
    # The server's own dependencies, not ours.
    "ignore::DeprecationWarning:uvicorn.*",
    "ignore::DeprecationWarning:websockets.*",
    "ignore::DeprecationWarning:starlette.*",
)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def paid(make_desk: t.Any, llmock: t.Any, provider: str) -> t.Callable[..., Flask]:
    """Make a host whose paid backend is *provider*'s SDK, against the server on loopback."""

    def make(**config: t.Any) -> Flask:
        app: Flask = make_desk(
            AILYDIAN_THIRD_PARTY=provider,
            AILYDIAN_THIRD_PARTY_KEY="a key that opens nothing",
            AILYDIAN_THIRD_PARTY_MODEL="model-x",
            AILYDIAN_THIRD_PARTY_URL=llmock.base_url(provider),
            AILYDIAN_PRICES={"model-x": PRICE},
            AILYDIAN_TIMEOUT_SECONDS=config.pop("AILYDIAN_TIMEOUT_SECONDS", 25),
            model=config.pop("model", False),
            **config,
        )
        return app

    return make


def ask(app: Flask, **more: t.Any) -> t.Any:
    return app.test_client().post("/api/pytorch/query", json={"query": QUESTION, **more})


def test_a_query_is_answered_and_its_tokens_are_counted(
    paid: t.Any, llmock: t.Any, provider: str
) -> None:
    app = paid(AILYDIAN_THIRD_PARTY_PROMPT="Kısa yanıt ver.")
    llmock.reply("Üç cümlelik bir yanıt.")
    body = ask(app, user_id="patient-7").json
    assert (body["backend"], body["answer"]) == ("3rdparty", "Üç cümlelik bir yanıt.")
    (cost,) = rows(app, "QueryCost")
    assert cost.input_tokens > 0 and cost.output_tokens > 0 and not cost.usage_estimated
    assert cost.actual_nano == cost.input_tokens * 3000 + cost.output_tokens * 15_000
    sent = json.dumps(llmock.last_request.body, ensure_ascii=False)
    # Nothing but the query and the host's own prompt.
    assert QUESTION in sent and "Kısa yanıt ver." in sent and "patient-7" not in sent
    llmock.assert_resilient(strict=True)


def test_a_stream_comes_piece_by_piece(paid: t.Any, llmock: t.Any) -> None:
    llmock.reply("bir iki üç dört")
    text = ask(paid(), stream=True).text
    assert text.count("event: delta") == 4 and "event: done" in text
    llmock.assert_resilient(strict=True)


FAULTS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "429 with Retry-After": lambda mock: mock.rate_limit(retry_after=0.4),
    "429 without": lambda mock: mock.fail(429),
    "503 twice": lambda mock: mock.fail(503, times=2),
    "500": lambda mock: mock.fail(500),
    "529": lambda mock: mock.fail(529),
    "408": lambda mock: mock.fail(408),
    "stall": lambda mock: mock.stall(seconds=5),
    "disconnect": lambda mock: mock.disconnect(after_chunks=3),
    "truncation": lambda mock: mock.truncate(after_chunks=3),
    "truncation before the first word": lambda mock: mock.truncate(after_chunks=1),
    "malformed chunk": lambda mock: mock.corrupt(after_chunks=3),
    "slow first token": lambda mock: mock.slow_first_token(0.5),
    "all of them": lambda mock: mock.rate_limit(retry_after=0.2).fail(503).truncate(after_chunks=2),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_is_sat_out_and_the_client_behaved(
    paid: t.Any, llmock: t.Any, fault: t.Callable[[t.Any], t.Any]
) -> None:
    app = paid(AILYDIAN_THIRD_PARTY_SILENCE_SECONDS=1.5, AILYDIAN_THIRD_PARTY_ATTEMPTS=4)
    fault(llmock)
    # Long enough that the server is still sending when its client has seen enough and hangs up:
    # of a broken answer that was sent to its end it says that nobody minded.
    said = "Yanıt bütün." + " Son." * 3000
    llmock.reply(said, times=None)
    answer = ask(app)
    assert (answer.status_code, answer.json["answer"]) == (200, said), answer.json
    assert answers(app)[0].status == "success"
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_no_repeat_can_mend_is_not_repeated(paid: t.Any, llmock: t.Any, status: int) -> None:
    llmock.fail(status, times=None, message="secret of the vendor")
    answer = ask(paid())
    assert answer.status_code == 503
    assert answer.json["backends"]["3rdparty"] in ("request_refused", "credentials_refused")
    assert "secret" not in answer.text and "opens nothing" not in answer.text
    assert len(llmock.requests) == 1
    llmock.assert_resilient(strict=True)


def test_a_spent_limit_is_not_waited_for(paid: t.Any, llmock: t.Any, provider: str) -> None:
    llmock.fail(429, times=None, code="insufficient_quota")
    answer = ask(paid())
    assert answer.status_code == 503
    if provider == "openai":
        assert answer.json["backends"]["3rdparty"] == "spend_limit" and len(llmock.requests) == 1


def test_an_outage_falls_back_and_costs_nothing(paid: t.Any, llmock: t.Any) -> None:
    llmock.outage()
    app = paid(model=True)
    body = ask(app).json
    assert (body["backend"], body["tried"]) == ("onnx-fallback", {"3rdparty": "provider_error"})
    (cost,) = rows(app, "QueryCost")
    assert (cost.actual_nano, cost.attempts) == (100_000, 3)
    llmock.assert_resilient(strict=True)


def test_a_server_that_drips_is_cut_off_at_the_deadline(paid: t.Any, llmock: t.Any) -> None:
    app = paid(AILYDIAN_TIMEOUT_SECONDS=1.5, model=True)
    llmock.reply("bir söz " * 200, times=None)
    llmock.pace(100)
    started = time.monotonic()
    body = ask(app).json
    assert time.monotonic() - started < 5
    assert (body["backend"], body["tried"]) == ("onnx-fallback", {"3rdparty": "timeout"})


def test_retry_after_beyond_the_deadline_is_not_waited_for(paid: t.Any, llmock: t.Any) -> None:
    llmock.rate_limit(retry_after=60)
    started = time.monotonic()
    assert ask(paid(model=True)).json["backend"] == "onnx-fallback"
    assert time.monotonic() - started < 5


def test_a_stream_cut_in_the_middle_is_told_and_accounted_for(paid: t.Any, llmock: t.Any) -> None:
    app = paid()
    llmock.reply("bir iki üç dört beş altı")
    llmock.truncate(after_chunks=6)
    text = ask(app, stream=True).text
    assert "event: delta" in text and "event: error" in text and "event: done" not in text
    (cost,) = rows(app, "QueryCost")
    assert (cost.state, cost.usage_estimated) == ("failed", True) and cost.actual_nano > 0
    assert answers(app)[0].error == "cut_short"
    assert len(llmock.requests) == 1


def test_an_unreachable_server_is_free_and_named(make_desk: t.Any, provider: str) -> None:
    app = make_desk(
        AILYDIAN_THIRD_PARTY=provider,
        AILYDIAN_THIRD_PARTY_KEY="k",
        AILYDIAN_THIRD_PARTY_MODEL="m",
        AILYDIAN_THIRD_PARTY_URL="http://127.0.0.1:9",
        AILYDIAN_THIRD_PARTY_ATTEMPTS=2,
    )
    body = ask(app).json
    assert body["tried"] == {"3rdparty": "unreachable"}
    assert rows(app, "QueryCost")[0].actual_nano == 100_000
    app.extensions["ailydian"].router.third_party.close()


def test_cached_tokens_are_inside_for_one_and_beside_for_the_other() -> None:
    counts = {"prompt_tokens": 1000, "completion_tokens": 5}
    inside = openai.usage_of(counts | {"prompt_tokens_details": {"cached_tokens": 900}})
    assert (inside.input_tokens, inside.cached_tokens, inside.output_tokens) == (100, 900, 5)
    assert openai.usage_of(counts | {"prompt_tokens_details": None}).cached_tokens == 0
    totals: dict[str, int] = {}
    start = {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 1}
    anthropic.usage_of(totals, start | {"cache_creation_input_tokens": 10})
    beside = anthropic.usage_of(totals, {"output_tokens": 5})
    assert (beside.input_tokens, beside.cached_tokens, beside.written_tokens) == (100, 900, 10)
    assert beside.output_tokens == 5


def test_without_the_deadline_s_time_nothing_is_sent(llmock: t.Any, provider: str) -> None:
    backend = BACKENDS[provider]("k", "m", url=llmock.base_url(provider))
    with pytest.raises(BackendFailure, match="timeout"):
        list(backend.attempt(Question("x"), time.monotonic() - 1))
    assert not llmock.requests
    events = list(backend.attempt(Question("x"), time.monotonic() + 5))
    assert isinstance(events[-1], Finished)
    backend.close()


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b'data: {"a\n\n', "broken_answer"),
        (b"data: [1]\n\n", "broken_answer"),
        (b'data: {"type": "error", "error": {"type": "overloaded_error"}}', "provider_error"),
        (b'data: {"error": {"code": "insufficient_quota"}}', "spend_limit"),
    ],
)
def test_an_event_that_is_no_answer_is_a_failure(sent: bytes, word: str) -> None:
    with pytest.raises(BackendFailure, match=word):
        list(sdk.events([sent]))


def test_events_are_read_wherever_the_bytes_are_cut() -> None:
    sent = 'event: x\r\ndata: {"a": "ş\u2028"}\r\n\r\ndata: [DONE]\n\ndata: {"b'.encode()
    for size in (1, 2, 3, 7, 100):
        cut = [sent[i : i + size] for i in range(0, len(sent), size)]
        assert list(sdk.events(cut)) == [{"a": "ş\u2028"}]


def test_how_long_to_wait_comes_as_a_number_or_a_date() -> None:
    assert sdk.retry_after({"retry-after": "1.5"}) == 1.5
    assert sdk.retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    late = sdk.retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert late == 0 and sdk.retry_after({}) is None
    assert sdk.retry_after({"retry-after": "soon"}) is None
