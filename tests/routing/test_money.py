"""Prices, projections and budgets: to the cent, and while many spend at once."""

from __future__ import annotations

import json
import threading
import typing as t
from datetime import date
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from hypothesis import given
from hypothesis import strategies as st
from routing.conftest import rows
from routing.conftest import Twin
from routing.test_query import ask
from routing.test_query import LONG

from flask_ailydian import clock
from flask_ailydian.errors import BudgetExhausted
from flask_ailydian.routing.backends.base import BackendFailure
from flask_ailydian.routing.budget import Budgets
from flask_ailydian.routing.budget import Limits
from flask_ailydian.routing.costs import Purse
from flask_ailydian.routing.money import from_nano
from flask_ailydian.routing.money import Price
from flask_ailydian.routing.money import PriceList
from flask_ailydian.routing.money import to_nano
from flask_ailydian.routing.money import Usage
from flask_ailydian.routing.money import what_if

NOW = datetime(2026, 11, 25, 12)
TOKENS = {"since": "2026-06-01", "input": "3", "output": "15", "cached": "0.3", "per": 1_000_000}


def test_ten_thousand_queries_a_day_come_to_what_was_promised() -> None:
    found = what_if(10_000, Decimal("0.6"), Decimal("0.02"), Decimal("0.0001")).to_json()
    assert (found["all_paid_per_day"], found["hybrid_per_day"]) == ("200.00", "80.60")
    assert (found["saved_per_day"], found["saved_percent"]) == ("119.40", 59.7)
    assert found["saved_per_year_of_365_days"] == "43581.00"
    assert found["saved_per_12_months_of_30_days"] == "42984.00"


def test_the_command_says_the_same(make_app: t.Callable[..., Flask]) -> None:
    runner = make_app().test_cli_runner()
    args = ["ailydian", "costs", "--what-if", "10000", "--onnx-share", "0.6"]
    said = runner.invoke(args=args).output
    for figure in ("$200.00 -> $80.60 a day, 59.7 % saved", "$43581.00", "$42984.00"):
        assert figure in said
    assert json.loads(runner.invoke(args=[*args, "--json"]).output)["hybrid_per_day"] == "80.60"


def test_tokens_are_priced_by_kind_and_day() -> None:
    prices = PriceList({"m": [{"since": "2026-01-01", "query": "1"}, TOKENS]})
    assert prices.at("m", date(2026, 5, 31)).query == 1
    price = prices.at("m", date(2026, 6, 1))
    assert price.of(Usage(1_000_000, 2, 10)) == Decimal("3.000033")
    assert prices.at("unknown", date(2026, 6, 1)).query == Decimal("0.02")


@pytest.mark.parametrize(
    "wrong", [{"m": []}, {"m": {"input": "-1"}}, {"m": {"inptu": "1"}}, {"m": 3}]
)
def test_a_wrong_price_stops_the_app_by_name(make_app: t.Any, wrong: t.Any) -> None:
    with pytest.raises(RuntimeError, match="AILYDIAN_PRICES"):
        make_app(AILYDIAN_PRICES={"m": wrong})


@given(st.text(max_size=200), st.integers(1, 4000), st.integers(0, 10_000))
def test_the_worst_case_is_never_less_than_the_bill(text: str, most: int, cached: int) -> None:
    price = PriceList({"m": TOKENS}).at("m", date(2026, 7, 1))
    # Byte-level tokenisers make at most one token of a byte.
    length = len(text.encode())
    used = Usage(length - min(cached, length), most, min(cached, length))
    assert price.of(used) <= price.worst(text, most)


@given(st.decimals(0, 1000, places=9))
def test_billionths_are_exact(amount: Decimal) -> None:
    assert from_nano(to_nano(amount)) == amount


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sixteen_threads_never_overspend(kind: str, tmp_path: Path) -> None:
    price, limit = Price(date(2026, 1, 1), query=Decimal("0.02")), Decimal("1.005")
    with database(kind, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        state = app.extensions["ailydian"]
        budgets = Budgets(state.audit.database, state.tables)
        scopes = Limits(limit, Decimal(10), {"chat": Decimal(5)}).scopes(NOW, "u", "chat")
        assert len(scopes) == 3
        spent: list[int] = []
        refused: list[str] = []
        broken: list[Exception] = []

        def work() -> None:
            with app.app_context():
                for _ in range(6):
                    purse = Purse(price, Decimal("0.02"), budgets, scopes, NOW, lambda: None)
                    try:
                        purse.take()
                        purse.settle(Usage())
                        spent.append(purse.spent)
                    except BudgetExhausted as error:
                        refused.append(error.extra["scope"])
                    except Exception as error:
                        broken.append(error)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with app.app_context():
            committed = {scope: budgets.committed(scope) for scope in scopes}
        dispose(app)
    assert broken == []
    # Fifty fit into 1.005 dollars, and not one more; the wider scopes agree to the last billionth.
    assert len(spent) == 50 and set(refused) == {"day"} and len(refused) == 46
    assert set(committed.values()) == {sum(spent)} == {to_nano(Decimal(1))}


def test_what_was_not_spent_is_given_back(make_app: t.Any) -> None:
    app = make_app()
    state = app.extensions["ailydian"]
    price = PriceList({"m": TOKENS}).at("m", date(2026, 7, 1))
    with app.app_context():
        budgets = Budgets(state.audit.database, state.tables)
        scopes = {"day:x": to_nano(Decimal("0.02"))}
        purse = Purse(price, Decimal("0.015"), budgets, scopes, NOW, lambda: None)
        purse.take()
        assert budgets.committed("day:x") == 15_000_000
        purse.settle(None)
        assert budgets.committed("day:x") == 0
        purse.take()
        purse.settle(Usage(100, 10))
        assert budgets.committed("day:x") == purse.spent == 100 * 3000 + 10 * 15_000
        broken = Purse(price, Decimal("0.01"), budgets, scopes, NOW, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        with pytest.raises(ZeroDivisionError):
            broken.take()
        assert budgets.committed("day:x") == purse.spent


@pytest.mark.parametrize(("then", "status"), [("local", 200), ("refuse", 429)])
def test_a_used_up_budget_answers_locally_or_refuses(
    make_twin: t.Any, then: str, status: int
) -> None:
    app, twin = make_twin(
        AILYDIAN_BUDGET_EXHAUSTED=then, AILYDIAN_BUDGET_DAY=0.03, AILYDIAN_PRICES={}
    )
    assert ask(app, LONG).json["backend"] == "3rdparty"
    second = ask(app, LONG)
    assert second.status_code == status and len(twin.asked) == 1
    if then == "local":
        assert second.json["tried"] == {"3rdparty": "budget_exhausted"}
    else:
        assert second.json["error"] == "budget_exhausted" and int(second.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("then", "status"), [("local", 200), ("refuse", 429)])
def test_an_unsure_answer_at_hand_stands_in_for_one_there_is_no_money_for(
    make_twin: t.Any, then: str, status: int
) -> None:
    app, twin = make_twin(
        AILYDIAN_BUDGET_EXHAUSTED=then,
        AILYDIAN_BUDGET_DAY=0.01,
        AILYDIAN_PRICES={},
        AILYDIAN_ROUTER_SPLIT=0,
    )
    said = ask(app, "kararsız")
    assert said.status_code == status and not twin.asked
    if then == "local":
        assert said.json["backend"] == "onnx-fallback" and not said.json["local"]["sure"]


def test_a_user_s_budget_is_that_user_s(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_BUDGET_USER=0.03, AILYDIAN_TRUST_USER_ID=True, AILYDIAN_PRICES={})
    told = [ask(app, LONG, user_id=user).json["backend"] for user in ("a", "a", "b")]
    assert told == ["3rdparty", "onnx-fallback", "3rdparty"]
    assert not any("a:" in row.scope and len(row.scope) < 40 for row in rows(app, "Budget"))


def test_whoever_is_unknown_gets_no_other_budget_by_another_name(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_BUDGET_USER=0.03, AILYDIAN_PRICES={})
    told = [ask(app, LONG, user_id="a"), ask(app, LONG, user_id="b"), ask(app, LONG)]
    assert [said.json["backend"] for said in told] == ["3rdparty", "onnx-fallback", "onnx-fallback"]
    # Whom the host names itself is somebody.
    with app.app_context():
        said = [app.extensions["ailydian"].answer(LONG, user_id=user) for user in ("a", "a", "b")]
    assert [x["backend"] for x in said] == ["3rdparty", "onnx-fallback", "3rdparty"]
    assert {row.committed_nano for row in rows(app, "Budget")} == {20_000_000}


def test_a_caller_whom_the_gate_knows_spends_one_budget_under_every_name(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_BUDGET_USER=0.03, AILYDIAN_PRICES={})
    gate = app.extensions["ailydian"].gate
    gate.actor(lambda: "the same one")
    told = [ask(app, LONG, user_id=user).json["backend"] for user in ("a", "b", "c")]
    assert told == ["3rdparty", "onnx-fallback", "onnx-fallback"]
    gate.actor(lambda: "another")
    assert ask(app, LONG, user_id="a").json["backend"] == "3rdparty"


def test_without_a_local_model_a_used_up_budget_says_so(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_BUDGET_DAY=0.01, AILYDIAN_PRICES={}, model=False)
    answer = ask(app, LONG)
    assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")
    assert answer.json["backends"] == {"3rdparty": "budget_exhausted", "onnx": "no_model"}


def test_attempts_that_may_be_charged_are_counted_and_others_are_not(make_twin: t.Any) -> None:
    free, _ = make_twin(Twin(BackendFailure("provider_error", retry=True)), AILYDIAN_PRICES={})
    ask(free, LONG)
    charged, _ = make_twin(
        Twin(BackendFailure("cut_short", retry=True, billed=True), after=2), AILYDIAN_PRICES={}
    )
    body = ask(charged, LONG).json
    nothing, thrice = rows(free, "QueryCost")[0], rows(charged, "QueryCost")[0]
    assert (nothing.attempts, nothing.actual_nano) == (3, 100_000)
    assert (thrice.attempts, thrice.actual_nano) == (3, 3 * 20_000_000 + 100_000)
    assert body["cost"]["saved"] == -0.0401


def test_costs_add_up(make_twin: t.Any) -> None:
    app, _ = make_twin(AILYDIAN_PRICES={})
    for query in ("Merhaba", "Merhaba", LONG):
        ask(app, query)
    body = app.test_client().get("/api/pytorch/costs").json
    assert (body["queries"], body["spent"], body["all_paid"]) == (3, 0.0202, 0.06)
    assert (body["saved"], body["saved_percent"]) == (0.0398, 66.3)
    assert body["by_backend"]["onnx"]["queries"] == 2
    assert set(body["by_model"]) == {"desk v1", "twin-1"}
    assert (
        app.test_client().get("/api/pytorch/costs?from=2020-01-01&to=2020-01-02").json["queries"]
        == 0
    )
    wrong = app.test_client().get("/api/pytorch/costs?from=2020-01-02&to=2020-01-01")
    assert (wrong.status_code, list(wrong.json["fields"])) == (422, ["from"])
    said = app.test_cli_runner().invoke(args=["ailydian", "costs"]).output
    assert "0.0202" in said and "desk v1" in said


def test_an_answer_and_what_it_cost_are_on_record_together_or_not_at_all(make_twin: t.Any) -> None:
    app, _ = make_twin()
    assert ask(app, "Merhaba").status_code == 200
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON pytorch_audit_events "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    assert ask(app, "Merhaba").status_code == 503
    assert len(rows(app, "QueryCost")) == len(rows(app, "InferenceLog")) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_costs_are_told_by_day_and_domain_with_what_is_left(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url:
        app = make_host(
            tmp_path, database=url, AILYDIAN_BUDGET_DAY=1, AILYDIAN_BUDGET_DOMAINS={"legal": 0.05}
        )
        state = app.extensions["ailydian"]
        with app.app_context():
            for i, domain in enumerate(("chat", "legal", "legal")):
                state.costs.write(
                    {
                        "id": str(i),
                        "created_at": datetime(2026, 3, 1 + i // 2, 23, 59),
                        "state": "settled",
                        "domain": domain,
                        "backend": "3rdparty",
                        "score": 1.0,
                        "complexity": "complex",
                        "decision": {},
                        "propensity": 1.0,
                        "actual_nano": 20_000_000,
                        "baseline_nano": 20_000_000,
                    }
                )
            scopes = Limits.of(state.settings).scopes(clock.now(), None, "legal")
            state.router.third_party.budgets.reserve(scopes, 20_000_000, clock.now())
        body = app.test_client().get("/api/pytorch/costs?from=2026-03-01&to=2026-03-02").json
        assert {day: found["queries"] for day, found in body["by_day"].items()} == {
            "2026-03-01": 2,
            "2026-03-02": 1,
        }
        assert body["by_domain"]["legal"]["spent"] == 0.04
        assert body["budgets"] == [
            {"scope": "day", "domain": None, "limit": 1.0, "used": 0.02, "left": 0.98},
            {"scope": "domain", "domain": "legal", "limit": 0.05, "used": 0.02, "left": 0.03},
        ]
        dispose(app)
