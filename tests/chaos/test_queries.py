"""A query to a third party whose n-th call fails: a row or a refusal, and nothing leaves unseen."""

from __future__ import annotations

import threading
import typing as t
from collections import Counter

import pytest
from audit.trails import events
from chaos.proxy import Proxy
from chaos.saboteur import Failing
from chaos.saboteur import SABOTEUR
from flask import Flask
from routing.conftest import answers

QUESTION = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)
PRICE = {"since": "2026-01-01", "input": "3", "output": "15", "cached": "0.3", "per": 1_000_000}

pytestmark = pytest.mark.filterwarnings(
    # The server's own dependencies, not ours.
    "ignore::DeprecationWarning:uvicorn.*",
    "ignore::DeprecationWarning:websockets.*",
    "ignore::DeprecationWarning:starlette.*",
)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(make_app: t.Any, provider: str, url: str, **config: t.Any) -> Flask:
    """Return a host whose paid backend is *provider*'s SDK, each query with one attempt."""
    app: Flask = make_app(
        AILYDIAN_THIRD_PARTY=provider,
        AILYDIAN_THIRD_PARTY_KEY="a key that opens nothing",
        AILYDIAN_THIRD_PARTY_MODEL="model-x",
        AILYDIAN_THIRD_PARTY_URL=url,
        AILYDIAN_THIRD_PARTY_ATTEMPTS=1,
        AILYDIAN_PRICES={"model-x": PRICE},
        **config,
    )
    return app


def ask(app: Flask) -> t.Any:
    answer = app.test_client().post("/api/pytorch/query", json={"query": QUESTION})
    # Each query makes its connections anew.
    app.extensions["ailydian"].router.third_party.close()
    return answer


def check(app: Flask, given: list[t.Any], most: int) -> None:
    """Every answer that was given has one row, and what left has its intent and its result.

    :param most: How many requests there were.
    """
    rows = Counter(row.id for row in answers(app))
    assert {answer.status_code for answer in given} <= {200, 503}, [a.json for a in given]
    assert {answer.json["id"] for answer in given if answer.status_code == 200} <= set(rows)
    assert max(rows.values()) == 1 and len(rows) <= most
    with app.app_context():
        report = app.extensions["ailydian"].audit.inspection.verify()
    assert report.ok, report.bad


def balanced(app: Flask) -> bool:
    return len(events(app, "egress_intent")) == len(events(app, "egress_result"))


def test_whatever_call_of_a_socket_fails_there_is_a_row(
    make_app: t.Any, llmock: t.Any, provider: str
) -> None:
    app = make(make_app, provider, llmock.base_url(provider))
    llmock.reply("Bir yanıt.", times=None)
    here = threading.get_ident()
    given = [ask(app)]
    assert given[0].status_code == 200, given[0].json
    n, calls = 0, 0
    while n <= calls:
        n += 1
        # The server is in this process too; its sockets are its own threads'.
        with SABOTEUR.failing("socket.", n, lambda _: threading.get_ident() == here):
            given.append(ask(app))
        calls = SABOTEUR.calls
        given.append(ask(app))
        assert given[-1].status_code == 200, given[-1].json
    # A name, a socket, a connection; the last time nothing failed.
    assert n > 3 and given[-2].status_code == 200
    check(app, given, len(given))
    assert balanced(app)
    # The database was there all the time: also the failures are on record.
    assert len(answers(app)) == len(given)


def test_whatever_message_to_a_third_party_is_the_last_there_is_a_row(
    make_app: t.Any, llmock: t.Any, provider: str
) -> None:
    url = llmock.base_url(provider)
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    proxy = Proxy((name, int(port)))
    try:
        app = make(make_app, provider, f"{scheme}://127.0.0.1:{proxy.port}/{path}")
        llmock.reply("Bir iki üç dört.", times=None)
        given = [ask(app)]
        n, reached = 0, True
        while reached and n < 60:
            # The message after so many is not carried; with none the request itself is not.
            proxy.drop_after(n)
            n += 1
            given.append(ask(app))
            reached = proxy.dropped
            proxy.thaw()
            given.append(ask(app))
            assert given[-1].status_code == 200, given[-1].json
        assert n > 2 and 503 in {answer.status_code for answer in given}
        check(app, given, len(given))
        assert balanced(app)
        assert len(answers(app)) == len(given)
    finally:
        proxy.close()


@pytest.mark.parametrize("what", ["commit", "after commit"])
def test_whatever_commit_of_a_query_fails_there_is_a_row_or_a_refusal(
    make_app: t.Any, llmock: t.Any, provider: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(
        make_app,
        provider,
        llmock.base_url(provider),
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"factory": Failing}},
        AILYDIAN_CHECKPOINT_SECONDS=3600.0,
    )
    llmock.reply("Bir yanıt.", times=None)
    given = [ask(app)]
    n, reached, refused = 0, True, 0
    while reached:
        n += 1
        assert n < 40
        monkeypatch.setattr(Failing, "left", {what: n})
        sent, intents = len(llmock.requests), len(events(app, "egress_intent"))
        given.append(ask(app))
        reached = Failing.left[what] <= 0
        Failing.left.clear()
        refused += given[-1].status_code == 503
        # Nothing left of which no intent is on record.
        left = len(llmock.requests) - sent
        assert left <= len(events(app, "egress_intent")) - intents
        given.append(ask(app))
        assert given[-1].status_code == 200, given[-1].json
    assert n > 3 and refused
    check(app, given, len(given))
