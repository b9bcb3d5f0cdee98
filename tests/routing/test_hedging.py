"""Who is kept waiting by the paid backend hears from the local one, and both are paid for."""

from __future__ import annotations

import collections.abc as c
import json
import threading
import time
import typing as t

import pytest
from flask import Flask
from routing.conftest import ANSWERS
from routing.conftest import GREETING
from routing.conftest import rows
from routing.conftest import Twin
from routing.test_query import API
from routing.test_query import ask

from flask_ailydian.routing import hedging
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.backends.base import Event
from flask_ailydian.routing.backends.base import Question

#: Every query is complex, so that the paid backend is asked first.
PAID_FIRST = {"AILYDIAN_ROUTER_SIMPLE_BELOW": 0, "AILYDIAN_ROUTER_MEDIUM_BELOW": 0}
HEDGED = PAID_FIRST | {"AILYDIAN_HEDGE_SECONDS": 0.05, "AILYDIAN_PRICES": {}}


class Slow(Twin):
    """Says nothing until it is let go."""

    def __init__(self, failure: BackendFailure | None = None) -> None:
        super().__init__(failure)
        self.go = threading.Event()

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        assert self.go.wait(20)
        yield from super().attempt(question, deadline)


def settled(app: Flask, state: str = "settled") -> t.Any:
    """Wait until the call that was left behind has its costs in the row."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        (row,) = rows(app, "QueryCost")
        if row.state == state:
            return row
        time.sleep(0.02)
    raise AssertionError(row)


def test_the_local_model_answers_and_both_are_in_the_ledger(make_twin: t.Any) -> None:
    slow = Slow()
    app, _ = make_twin(slow, AILYDIAN_BUDGET_DAY=1.0, **HEDGED)
    body = ask(app, "Merhaba").json
    assert (body["backend"], body["answer"]) == ("onnx-fallback", ANSWERS[GREETING])
    assert body["tried"] == {"3rdparty": "slow"}
    # The paid call goes on: its worst case is held, in the answer, the row and the budget.
    assert body["cost"]["actual"] == 0.0201
    (row,) = rows(app, "QueryCost")
    assert (row.state, row.actual_nano) == ("reserved", 20_100_000)
    assert rows(app, "Budget")[0].committed_nano == 20_000_000
    slow.go.set()
    row = settled(app)
    assert (row.actual_nano, row.attempts, row.backend) == (20_100_000, 1, "onnx-fallback")
    kinds = [event.kind for event in rows(app, "AuditEvent")]
    assert kinds.count("egress_intent") == kinds.count("egress_result") == 1


def test_what_the_slow_call_did_not_cost_is_given_back(make_twin: t.Any) -> None:
    slow = Slow(BackendFailure("provider_error"))
    app, _ = make_twin(slow, AILYDIAN_BUDGET_DAY=1.0, **HEDGED)
    assert ask(app, "Merhaba").json["cost"]["actual"] == 0.0201
    slow.go.set()
    assert settled(app).actual_nano == 100_000
    assert rows(app, "Budget")[0].committed_nano == 0


def test_what_is_left_behind_is_not_tried_again(make_twin: t.Any) -> None:
    slow = Slow(BackendFailure("cut_short", retry=True, billed=True))
    app, _ = make_twin(slow, **HEDGED)
    assert ask(app, "Merhaba").json["backend"] == "onnx-fallback"
    slow.go.set()
    row = settled(app)
    assert (row.attempts, len(slow.asked), row.actual_nano) == (1, 1, 20_100_000)


def test_a_quick_paid_answer_is_left_alone(make_twin: t.Any) -> None:
    app, twin = make_twin(**HEDGED | {"AILYDIAN_HEDGE_SECONDS": 30})
    body = ask(app, "bir iki").json
    assert (body["backend"], body["answer"]) == ("3rdparty", "bir iki ")
    assert body["cost"]["actual"] == 0.02 and len(twin.asked) == 1 and "tried" not in body


def test_a_local_model_that_is_not_sure_does_not_win(make_twin: t.Any) -> None:
    slow = Slow()
    app, _ = make_twin(slow, **HEDGED)
    threading.Timer(0.3, slow.go.set).start()
    body = ask(app, "kararsız bir soru").json
    assert (body["backend"], body["reason"]) == ("3rdparty", "complex-query")
    assert settled(app).actual_nano == 20_100_000


def test_when_the_slow_one_fails_as_well_all_goes_as_without_it(make_twin: t.Any) -> None:
    slow = Slow(BackendFailure("provider_error"))
    app, _ = make_twin(slow, **HEDGED)
    threading.Timer(0.3, slow.go.set).start()
    body = ask(app, "kararsız bir soru").json
    assert (body["backend"], body["tried"]) == ("onnx-fallback", {"3rdparty": "provider_error"})


def test_a_stream_has_one_beginning(make_twin: t.Any) -> None:
    slow = Slow()
    app, _ = make_twin(slow, **HEDGED)
    sent = {"query": "Merhaba", "stream": True}
    text = app.test_client().post(f"{API}/query", json=sent).get_data(as_text=True)
    slow.go.set()
    events = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("event")]
    assert events == ["route", "delta", "done"]
    done = json.loads(text.splitlines()[-2].removeprefix("data: "))
    assert done["backend"] == "onnx-fallback" and done["answer"] == ANSWERS[GREETING]
    settled(app)


def test_text_that_must_stay_is_never_sent_for_being_quick(make_twin: t.Any) -> None:
    app, twin = make_twin(AILYDIAN_ROUTER_IN_HOUSE=["chat"], **HEDGED)
    assert ask(app, "Merhaba").json["backend"] == "onnx" and not twin.asked


def test_slow_calls_do_not_pile_up(make_twin: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hedging, "MOST_LEFT_BEHIND", 1)
    slow = Slow()
    app, _ = make_twin(slow, **HEDGED)
    assert ask(app, "Merhaba").json["backend"] == "onnx-fallback"
    # There is no room for another: this one waits for the paid backend like everybody.
    threading.Timer(0.2, slow.go.set).start()
    assert ask(app, "Merhaba").json["backend"] == "3rdparty"
