"""Several paid backends in order of preference, through both official SDKs, on loopback."""

from __future__ import annotations

import collections
import collections.abc as c
import importlib
import json
import random
import threading
import time
import typing as t
from pathlib import Path

import pytest
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from routing.conftest import answers
from routing.conftest import rows
from routing.conftest import Twin
from routing.test_third_party import ask
from routing.test_third_party import PRICE
from routing.test_third_party import pytestmark as pytestmark
from routing.test_third_party import QUESTION

from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.backends.base import Event
from flask_ailydian.routing.backends.base import Finished
from flask_ailydian.routing.backends.base import Question
from flask_ailydian.routing.backends.base import Text
from flask_ailydian.routing.backends.base import Used
from flask_ailydian.routing.money import Usage

#: Ten times the other's, so that each is seen to be paid at its own price.
DEARER = {"since": "2026-01-01", "input": "30", "output": "150", "per": 1_000_000}
PRICES = {"first-model": PRICE, "second-model": DEARER}
KEYS = ("first secret", "second secret")

Pair = tuple[str, str]


@pytest.fixture(params=[("openai", "anthropic"), ("anthropic", "openai")], ids="-".join)
def pair(request: pytest.FixtureRequest) -> Pair:
    return t.cast(Pair, request.param)


@pytest.fixture
def several(make_desk: t.Any, llmock: t.Any, pair: Pair) -> t.Callable[..., Flask]:
    """Make a host that asks the first of a pair, then the second."""
    first, second = pair
    # Importing an SDK takes seconds, which would be the first query's.
    for name in pair:
        importlib.import_module(name)

    def make(**config: t.Any) -> Flask:
        standard: dict[str, t.Any] = {
            "AILYDIAN_THIRD_PARTY": first,
            "AILYDIAN_THIRD_PARTY_KEY": KEYS[0],
            "AILYDIAN_THIRD_PARTY_MODEL": "first-model",
            "AILYDIAN_THIRD_PARTY_URL": llmock.base_url(first),
            "AILYDIAN_THIRD_PARTY_FALLBACKS": {
                second: {
                    "model": "second-model",
                    "key": KEYS[1],
                    "url": llmock.base_url(second),
                }
            },
            "AILYDIAN_THIRD_PARTY_ATTEMPTS": 1,
            "AILYDIAN_PRICES": PRICES,
            "AILYDIAN_TIMEOUT_SECONDS": 25,
            "model": False,
        }
        app: Flask = make_desk(**standard | config)
        return app

    return make


def egress(app: Flask) -> list[tuple[str, str, str | None]]:
    """Return the kind, the backend and the outcome of every egress event, oldest first."""
    ledger = app.extensions["ailydian"].audit
    with app.app_context():
        found = [(e.kind, ledger.detail(e)) for e in rows(app, "AuditEvent")]
    return [
        (kind, detail["backend"], detail.get("outcome"))
        for kind, detail in found
        if kind.startswith("egress")
    ]


def settled(app: Flask) -> t.Any:
    """Wait until what was left behind has its costs in the row."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        (row,) = rows(app, "QueryCost")
        if row.state == "settled":
            return row
        time.sleep(0.02)
    raise AssertionError(row)


def price_of(arm: dict[str, t.Any]) -> int:
    """Return what an arm's tokens cost, in billionths."""
    each = {"first-model": (3000, 15_000), "second-model": (30_000, 150_000)}[arm["model"]]
    return int(arm["input_tokens"] * each[0] + arm["output_tokens"] * each[1])


def test_the_first_alone_is_asked_while_it_answers(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    app = several()
    body = ask(app).json
    assert (body["backend"], body["model"], body["provider"]) == (
        "3rdparty",
        "first-model",
        pair[0],
    )
    assert "tried" not in body and len(llmock.requests) == 1
    (cost,) = rows(app, "QueryCost")
    (arm,) = cost.decision["paid"]
    assert (arm["provider"], arm["outcome"]) == (pair[0], "answered")
    assert cost.actual_nano == price_of(arm) == cost.baseline_nano


def test_the_second_answers_for_the_first_and_each_has_its_own_key_and_price(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.fail(529, times=None, provider=pair[0])
    llmock.reply("Yanıt ikinciden.", provider=pair[1])
    app = several(AILYDIAN_THIRD_PARTY_ATTEMPTS=2)
    body = ask(app).json
    assert (body["backend"], body["answer"]) == ("3rdparty-fallback", "Yanıt ikinciden.")
    assert (body["model"], body["provider"]) == ("second-model", pair[1])
    assert body["tried"] == {f"3rdparty:{pair[0]}": "provider_error"}
    (cost,) = rows(app, "QueryCost")
    assert (cost.backend, cost.model, cost.attempts) == ("3rdparty-fallback", "second-model", 3)
    one, other = cost.decision["paid"]
    assert (one["outcome"], one["actual_nano"]) == ("provider_error", 0)
    assert cost.actual_nano == other["actual_nano"] == price_of(other)
    assert cost.price["input"] == "0.00003" and cost.input_tokens == other["input_tokens"]
    assert egress(app) == [
        ("egress_intent", pair[0], None),
        ("egress_result", pair[0], "provider_error"),
        ("egress_intent", pair[1], None),
        ("egress_result", pair[1], "answered"),
    ]
    asked = [request.model for request in llmock.requests]
    assert asked == ["first-model", "first-model", "second-model"]
    providers = app.extensions["ailydian"].router.third_party.providers.values()
    assert [each.get()._clients.get().api_key for each in providers] == list(KEYS)
    llmock.assert_resilient(strict=True)


def test_when_both_fail_both_are_named_and_nothing_else_is(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.fail(529, times=None, provider=pair[0], message="vendor's words")
    llmock.fail(401, times=None, provider=pair[1], message="vendor's words")
    app = several()
    answer = ask(app)
    assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")
    assert answer.json["backends"] == {
        f"3rdparty:{pair[0]}": "provider_error",
        f"3rdparty:{pair[1]}": "credentials_refused",
        "onnx": "no_model",
    }
    for leak in ("vendor", "secret", "127.0.0.1", *PRICES):
        assert leak not in answer.text
    (cost,) = rows(app, "QueryCost")
    assert (cost.state, cost.actual_nano, cost.attempts) == ("failed", 0, 2)


def test_a_stream_that_is_cut_before_its_first_word_goes_on_with_the_second(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.truncate(after_chunks=1, times=None, provider=pair[0])
    llmock.reply("bir iki üç dört", provider=pair[1])
    app = several()
    text = ask(app, stream=True).text
    assert text.count("event: delta") == 4 and "event: error" not in text
    done = json.loads(text.splitlines()[-2].removeprefix("data: "))
    assert (done["backend"], done["provider"]) == ("3rdparty-fallback", pair[1])
    (cost,) = rows(app, "QueryCost")
    one, other = cost.decision["paid"]
    # What was begun may be charged.
    assert one["outcome"] == "cut_short" and one["actual_nano"] > 0
    assert cost.actual_nano == one["actual_nano"] + price_of(other)
    assert done["cost"]["actual"] == pytest.approx(cost.actual_nano / 1e9)


def test_after_the_first_word_nobody_else_is_asked(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.reply("bir iki üç dört beş altı", provider=pair[0])
    llmock.truncate(after_chunks=6, provider=pair[0])
    app = several()
    text = ask(app, stream=True).text
    assert "event: delta" in text and "event: error" in text and "event: done" not in text
    assert [r.model for r in llmock.requests] == ["first-model"]
    (cost,) = rows(app, "QueryCost")
    assert (cost.state, len(cost.decision["paid"])) == ("failed", 1) and cost.actual_nano > 0


@pytest.mark.alone
def test_who_says_nothing_leaves_the_second_its_share_of_the_time(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    app = several(AILYDIAN_TIMEOUT_SECONDS=8, AILYDIAN_THIRD_PARTY_ATTEMPTS=3)
    # What is slow the first time only is not what is looked at.
    ask(app)
    llmock.slow_first_token(30, times=None, provider=pair[0])
    body = ask(app).json
    assert (body["backend"], body["tried"]) == (
        "3rdparty-fallback",
        {f"3rdparty:{pair[0]}": "timeout"},
    )
    assert 3400 < body["performance"]["total_ms"] < 7000


@pytest.mark.alone
def test_who_has_begun_may_use_all_the_time(several: t.Any, llmock: t.Any, pair: Pair) -> None:
    app = several(AILYDIAN_TIMEOUT_SECONDS=8)
    ask(app)
    llmock.reply("söz " * 50, provider=pair[0])
    llmock.pace(100)
    body = ask(app).json
    assert body["provider"] == pair[0]
    # Longer than its half of the time.
    assert body["performance"]["total_ms"] > 4500


def test_the_circuit_of_one_is_not_the_circuit_of_the_other(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.fail(503, times=None, provider=pair[0])
    app = several(AILYDIAN_BREAKER_FAILURES=1)
    assert ask(app).json["tried"] == {f"3rdparty:{pair[0]}": "provider_error"}
    assert ask(app).json["tried"] == {f"3rdparty:{pair[0]}": "circuit_open"}
    assert [r.model for r in llmock.requests] == ["first-model", "second-model", "second-model"]
    found = app.test_client().post("/api/pytorch/route", json={"query": QUESTION}).json
    assert found["available"] == {
        "onnx": "no_model",
        "3rdparty": "closed",
        f"3rdparty:{pair[0]}": "open",
        f"3rdparty:{pair[1]}": "closed",
    }


HEDGED = {"AILYDIAN_HEDGE_SECONDS": 0.3}


def test_a_slow_first_is_beaten_by_the_second_and_both_are_paid_for(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.slow_first_token(4, provider=pair[0])
    llmock.reply("Çabuk yanıt.", provider=pair[1])
    app = several(model=True, AILYDIAN_BUDGET_DAY=1.0, **HEDGED)
    body = ask(app).json
    assert (body["backend"], body["answer"]) == ("3rdparty-fallback", "Çabuk yanıt.")
    assert (body["provider"], body["tried"]) == (pair[1], {f"3rdparty:{pair[0]}": "slow"})
    # The worst case of the slow one is held, in the answer and in the budget, until it ends.
    (held,) = rows(app, "QueryCost")
    one, other = held.decision["paid"]
    assert (held.state, one["outcome"]) == ("reserved", None)
    assert held.actual_nano == one["actual_nano"] + price_of(other)
    assert body["cost"]["actual"] == pytest.approx(held.actual_nano / 1e9)
    assert rows(app, "Budget")[0].committed_nano == held.actual_nano
    after = settled(app)
    one, other = after.decision["paid"]
    assert after.actual_nano == one["actual_nano"] + price_of(other) < held.actual_nano
    assert (after.backend, after.model) == ("3rdparty-fallback", "second-model")
    assert rows(app, "Budget")[0].committed_nano == after.actual_nano
    kinds = sorted((kind, who) for kind, who, _ in egress(app))
    assert kinds == sorted((f"egress_{x}", who) for x in ("intent", "result") for who in pair)


def test_a_first_that_speaks_in_time_wins_over_a_second_that_was_asked(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.slow_first_token(1.5, provider=pair[0])
    llmock.slow_first_token(6, provider=pair[1])
    llmock.reply("Sonunda yanıt.", provider=pair[0])
    app = several(AILYDIAN_BUDGET_DAY=1.0, **HEDGED)
    body = ask(app).json
    assert (body["backend"], body["answer"]) == ("3rdparty", "Sonunda yanıt.")
    assert body["provider"] == pair[0] and "tried" not in body
    after = settled(app)
    assert sorted(r.model for r in llmock.requests) == ["first-model", "second-model"]
    assert after.model == "first-model" and [a["outcome"] for a in after.decision["paid"]] == [
        "answered",
        "client_gone",
    ]
    assert rows(app, "Budget")[0].committed_nano == after.actual_nano


def test_a_quick_first_is_never_hedged(several: t.Any, llmock: t.Any, pair: Pair) -> None:
    app = several(**{"AILYDIAN_HEDGE_SECONDS": 20})
    assert ask(app).json["backend"] == "3rdparty" and len(llmock.requests) == 1
    assert settled(app).attempts == 1


def test_a_hedged_stream_has_one_beginning(several: t.Any, llmock: t.Any, pair: Pair) -> None:
    llmock.slow_first_token(3, provider=pair[0])
    llmock.reply("bir iki üç dört", provider=pair[1])
    app = several(**HEDGED)
    text = ask(app, stream=True).text
    kinds = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("event")]
    assert kinds == ["route", *["delta"] * 4, "done"]
    assert json.loads(text.splitlines()[-2].removeprefix("data: "))["answer"] == "bir iki üç dört"
    settled(app)


def test_both_arms_of_a_hedge_may_fail(several: t.Any, llmock: t.Any, pair: Pair) -> None:
    llmock.slow_first_token(1, times=None, provider=pair[0])
    llmock.truncate(after_chunks=1, times=None, provider=pair[0])
    llmock.fail(529, times=None, provider=pair[1])
    app = several(model=True, **HEDGED)
    body = ask(app).json
    assert body["backend"] == "onnx-fallback" and body["local"]["sure"] is False
    assert body["tried"] == {
        f"3rdparty:{pair[0]}": "cut_short",
        f"3rdparty:{pair[1]}": "provider_error",
    }
    assert len(llmock.requests) == 2


def test_a_budget_holds_with_both_arms(several: t.Any, llmock: t.Any, pair: Pair) -> None:
    llmock.fail(503, times=None, provider=pair[0])
    app = several()
    ask(app)
    (cost,) = rows(app, "QueryCost")
    worst = cost.decision["paid"][1]["price"]
    most = float(worst["input"]) * 200 + float(worst["output"]) * 1024
    # Room for the first's worst case and, once it is given back, for two of the second's.
    limited = several(
        AILYDIAN_BUDGET_DAY=2 * most, AILYDIAN_BUDGET_EXHAUSTED="refuse", AILYDIAN_PRICES=PRICES
    )
    told: list[int] = []
    threads = [
        threading.Thread(target=lambda: told.append(ask(limited).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = sum(row.actual_nano for row in rows(limited, "QueryCost"))
    (budget,) = rows(limited, "Budget")
    assert budget.committed_nano == spent <= 2 * most * 1e9
    assert set(told) <= {200, 429} and 200 in told


def test_a_second_that_is_cheaper_is_asked_where_the_first_has_no_room(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    app = several(
        AILYDIAN_BUDGET_DAY=0.05,
        AILYDIAN_BUDGET_EXHAUSTED="refuse",
        AILYDIAN_PRICES={"first-model": DEARER, "second-model": PRICE},
    )
    body = ask(app).json
    assert body["tried"] == {f"3rdparty:{pair[0]}": "budget_exhausted"}
    assert body["provider"] == pair[1] and len(llmock.requests) == 1
    assert rows(app, "Budget")[0].committed_nano == rows(app, "QueryCost")[0].actual_nano


def test_a_person_s_copy_names_everybody_who_got_their_words(
    several: t.Any, llmock: t.Any, pair: Pair
) -> None:
    llmock.fail(503, times=None, provider=pair[0])
    app = several()
    ask(app, user_id="p-1")
    with app.app_context():
        copy = json.loads("".join(app.extensions["ailydian"].privacy.export("p-1")))
    assert copy["recipients"] == sorted(pair)
    assert answers(app)[0].result is not None


class Moody(Twin):
    """Answers, fails or breaks off as chance will have it, at once or after a while."""

    def __init__(self, name: str, chance: random.Random) -> None:
        super().__init__()
        self.name, self.model = name, f"{name}-model"
        self._chance = chance

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        self.asked.append(question)
        time.sleep(self._chance.choice((0, 0, 0.02, 0.1, 0.2)))
        mood = self._chance.random()
        if mood < 0.2:
            raise BackendFailure("provider_error", retry=True)
        yield Used(Usage(20, 1))
        if mood < 0.35:
            raise BackendFailure("cut_short", retry=True, billed=True)
        yield Text("bir ")
        if mood < 0.45:
            raise BackendFailure("connection_lost", retry=True, billed=True)
        yield Text("iki")
        yield Used(Usage(20, 7))
        yield Finished("stop")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_three_backends_do_every_cent_is_in_ledger_and_budget(
    kind: str, tmp_path: Path
) -> None:
    moods = {name: Moody(name, random.Random(name)) for name in ("one", "two", "three")}
    prices = {
        twin.model: {"since": "2026-01-01", "input": str(n), "output": str(5 * n), "per": 10**6}
        for n, twin in enumerate(moods.values(), 2)
    }
    with database(kind, tmp_path) as url:
        app = make_host(
            tmp_path,
            database=url,
            AILYDIAN_THIRD_PARTY="one",
            AILYDIAN_THIRD_PARTY_MODEL="one-model",
            AILYDIAN_THIRD_PARTY_FALLBACKS={n: {"model": f"{n}-model"} for n in ("two", "three")},
            AILYDIAN_THIRD_PARTY_ATTEMPTS=2,
            AILYDIAN_PRICES=prices,
            AILYDIAN_BUDGET_DAY=1.0,
            AILYDIAN_BREAKER_FAILURES=1000,
            AILYDIAN_HEDGE_SECONDS=0.05,
        )
        for name, twin in moods.items():
            app.extensions["ailydian"].router.third_party.register(name, lambda twin=twin: twin)

        def work(number: int) -> None:
            for _ in range(4):
                answer = ask(app, backend="3rdparty", stream=number % 2 == 0)
                answer.get_data()
                answer.close()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = rows(app, "QueryCost")
            arms = [arm for row in found for arm in row.decision["paid"]]
            if all(arm["outcome"] for arm in arms) and "reserved" not in {r.state for r in found}:
                break
            time.sleep(0.05)
        (budget,) = rows(app, "Budget")
        kinds = collections.Counter(event.kind for event in rows(app, "AuditEvent"))
        dispose(app)
    assert len(found) == 32 and {row.state for row in found} <= {"settled", "failed"}
    assert sum(arm["attempts"] for arm in arms) == sum(len(x.asked) for x in moods.values())
    for row in found:
        assert row.actual_nano == sum(arm["actual_nano"] for arm in row.decision["paid"])
    assert budget.committed_nano == sum(row.actual_nano for row in found) > 0
    assert kinds["egress_intent"] == kinds["egress_result"] == sum(a["attempts"] > 0 for a in arms)


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ({"key": ""}, ("no_key", "Give anthropic a key in AILYDIAN_THIRD_PARTY_FALLBACKS")),
        ({"model": ""}, ("no_model_named", "Give anthropic a model")),
        ({"model": "unpriced"}, ("no_price", "Add unpriced to AILYDIAN_PRICES")),
        ({"backend": "nobody"}, ("not_registered", "register the backend")),
        ({}, None),
    ],
)
def test_the_doctor_names_what_the_second_lacks(
    make_desk: t.Any, lack: dict[str, str], said: tuple[str, str] | None
) -> None:
    second = {"model": "second-model", "key": KEYS[1]} | lack
    app = make_desk(
        AILYDIAN_THIRD_PARTY="openai",
        AILYDIAN_THIRD_PARTY_KEY=KEYS[0],
        AILYDIAN_THIRD_PARTY_MODEL="first-model",
        AILYDIAN_THIRD_PARTY_FALLBACKS={"anthropic": second},
        AILYDIAN_PRICES=PRICES,
        model=False,
    )
    done = app.test_cli_runner().invoke(args=["ailydian", "doctor", "--json"])
    found = json.loads(done.output)["third party"]
    assert "secret" not in done.output
    if said is None:
        assert found["ok"] and "openai first-model, then anthropic second-model" in found["detail"]
    else:
        assert not found["ok"] and f"anthropic: {said[0]}." in found["detail"]
        assert said[1] in json.dumps(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"openai": {"model": "m"}},
        {"b": {"modle": "secret"}},
        {"b": "secret"},
        {"b": {"key": 3}},
        {"": {"model": "m"}},
        {"b" * 65: {}},
    ],
)
def test_a_wrong_second_stops_the_app_by_name_and_shows_no_key(
    tmp_path: Path, wrong: dict[str, t.Any]
) -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_THIRD_PARTY_FALLBACKS") as raised:
        make_host(tmp_path, AILYDIAN_THIRD_PARTY="openai", AILYDIAN_THIRD_PARTY_FALLBACKS=wrong)
    assert "secret" not in str(raised.value)


def test_nobody_comes_after_nobody(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_THIRD_PARTY_FALLBACKS"):
        make_host(tmp_path, AILYDIAN_THIRD_PARTY_FALLBACKS={"openai": {"model": "m"}})


def test_keys_may_come_from_the_environment_and_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_AILYDIAN_THIRD_PARTY_FALLBACKS__spare__key", "second secret")
    app = Flask("host")
    app.config["AILYDIAN_THIRD_PARTY_FALLBACKS"] = {"spare": {"backend": "openai", "model": "m"}}
    app.config.from_prefixed_env()
    given = app.config["AILYDIAN_THIRD_PARTY_FALLBACKS"]
    host = make_host(
        tmp_path, AILYDIAN_THIRD_PARTY="anthropic", AILYDIAN_THIRD_PARTY_FALLBACKS=given
    )
    spare = host.extensions["ailydian"].router.third_party.providers["3rdparty:spare"]
    assert spare.absence() is None and spare.backend == "openai"
    shown = host.test_cli_runner().invoke(args=["ailydian", "config"]).output
    assert "AILYDIAN_THIRD_PARTY_FALLBACKS" in shown and "second secret" not in shown
