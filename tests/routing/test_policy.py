"""The decision: thresholds, splits, tests, what a domain forbids, who has the last word."""

from __future__ import annotations

import typing as t

import pytest

from flask_ailydian.routing import complexity
from flask_ailydian.routing import lexicon
from flask_ailydian.routing.policy import Arm
from flask_ailydian.routing.policy import decide
from flask_ailydian.routing.policy import Decision
from flask_ailydian.routing.policy import Rules

LEXICON = lexicon.build(("tr",))
SIMPLE, MEDIUM = "Merhaba", "Bu röntgende pnömoni var mı?"
COMPLEX = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)


def made(query: str, unit: str = "u", **more: t.Any) -> Decision:
    more = {"domain": "chat", "rules": Rules()} | more
    return decide(complexity.rules(query, LEXICON), unit=unit, **more)


def test_a_simple_query_goes_to_the_local_model() -> None:
    decision = made(SIMPLE)
    assert (decision.backend, decision.reason) == ("onnx", "simple-query")
    assert decision.propensity == 1


def test_a_complex_query_goes_to_the_paid_one() -> None:
    assert (made(COMPLEX).backend, made(COMPLEX).reason) == ("3rdparty", "complex-query")


def test_a_medium_query_is_split_in_halves_that_stick() -> None:
    found = [made(MEDIUM, unit=f"user-{i}") for i in range(2000)]
    paid = sum(d.backend == "3rdparty" for d in found)
    assert 900 < paid < 1100
    assert {d.propensity for d in found} == {0.5}
    assert all(made(MEDIUM, unit=f"user-{i}").backend == d.backend for i, d in enumerate(found))


def test_a_split_has_the_share_that_was_set_and_says_so() -> None:
    found = [made(MEDIUM, unit=str(i), rules=Rules(split=0.1)) for i in range(2000)]
    assert 140 < sum(d.backend == "3rdparty" for d in found) < 260
    assert {(d.backend, d.propensity) for d in found} == {("3rdparty", 0.1), ("onnx", 0.9)}


def test_a_running_test_assigns_medium_queries_alone() -> None:
    def choose(unit: str) -> Arm:
        return Arm("3rdparty", f"arm of {unit}", 0.25, 7)

    decision = made(MEDIUM, choose=choose)
    assert (decision.backend, decision.reason, decision.arm) == ("3rdparty", "ab-test", "arm of u")
    assert (decision.propensity, decision.test_id) == (0.25, 7)
    assert made(SIMPLE, choose=choose).reason == "simple-query"
    assert made(MEDIUM, choose=lambda unit: None).reason == "medium-query-split"


@pytest.mark.parametrize("query", [SIMPLE, MEDIUM, COMPLEX])
def test_what_must_not_leave_the_house_never_does(query: str) -> None:
    rules = Rules(split=1, in_house=frozenset({"medical"}))
    decision = made(query, domain="medical", rules=rules, override=lambda d: "3rdparty")
    assert (decision.backend, decision.allowed) == ("onnx", ("onnx",))
    with pytest.raises(PermissionError):
        made(query, domain="medical", rules=rules, asked="3rdparty")


def test_the_host_may_override_but_not_a_request() -> None:
    decision = made(SIMPLE, override=lambda d: "3rdparty")
    assert (decision.backend, decision.reason) == ("3rdparty", "host-override")
    assert made(SIMPLE, override=lambda d: None).reason == "simple-query"
    asked = made(COMPLEX, asked="onnx", override=lambda d: "3rdparty")
    assert (asked.backend, asked.reason) == ("onnx", "requested")
