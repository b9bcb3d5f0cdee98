"""When a test may be called."""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np
import pytest

from flask_ailydian.errors import ValidationFailed
from flask_ailydian.experiments.analysis import analyse
from flask_ailydian.experiments.analysis import Analysis
from flask_ailydian.experiments.analysis import Rows
from flask_ailydian.experiments.decision import decide
from flask_ailydian.experiments.decision import Decision
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.experiments.shadows import analyse_pairs
from flask_ailydian.experiments.shadows import Pairs


def rows(
    n: int = 6000,
    *,
    slower: float = 0.0,
    failing: tuple[float, float] = (0.01, 0.01),
    share: float = 0.5,
    cost: tuple[float, float] | None = None,
    stars: tuple[float, float] | None = None,
    users: int | None = None,
    seed: int = 1,
) -> Rows:
    rng = np.random.default_rng(seed)
    unit = np.arange(n) if users is None else rng.integers(0, users, n)
    arm = (rng.random(n) < share)[unit].astype(int)
    by_arm = np.where(arm, 1 + slower, 1)
    unknown = np.full(n, np.nan)
    return Rows(
        phase=np.ones(n, int),
        arm=arm,
        unit=unit,
        latency=rng.lognormal(3, 0.3, n) * by_arm,
        failures=(rng.random(n) < np.where(arm, failing[1], failing[0])).astype(float),
        cost=unknown if cost is None else np.where(arm, cost[1], cost[0]) * rng.uniform(1, 2, n),
        accuracy=unknown,
        satisfaction=unknown if stars is None else rng.normal(np.where(arm, stars[1], stars[0]), 1),
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12)


def called(
    found: Rows,
    plan: Plan | None = None,
    days: float = 8,
    *,
    share: float = 0.5,
    over: bool = False,
) -> Decision:
    plan = plan or Plan()
    return decide(analyse(found, {1: share}, plan), plan, days, over=over)


def test_the_faster_arm_wins_once_everything_is_there() -> None:
    assert called(rows(slower=-0.08)) == Decision(
        "winner", 1, ("The difference in latency is shown, and every guardrail holds.",)
    )
    assert called(rows(slower=0.05)).winner == 0


def test_nothing_is_called_before_its_days_are_over() -> None:
    decision = called(rows(slower=-0.08), days=3)
    assert (decision.verdict, decision.winner) == ("running", None)
    assert "3.0 of 7 days" in decision.reasons[0]


def test_nothing_is_called_on_a_few_units() -> None:
    decision = called(rows(150, slower=-0.5))
    assert decision.verdict == "running" and "needs" in decision.reasons[0]


def test_equal_arms_are_never_called() -> None:
    assert called(rows()).verdict == "running"
    assert called(rows(), days=30).verdict == "inconclusive"
    assert called(rows(), over=True).verdict == "inconclusive"


def test_a_wrong_split_makes_every_number_worthless() -> None:
    decision = called(rows(slower=-0.3, share=0.4), share=0.5)
    assert decision.verdict == "inconclusive" and "planned" in decision.reasons[0]


def test_an_open_guardrail_stops_a_winner() -> None:
    # Faster, and it fails more often by one in a hundred: not excluded that it is too much.
    decision = called(rows(slower=-0.08, failing=(0.01, 0.02)))
    assert decision.verdict == "running" and "failures" in decision.reasons[-1]


def test_harm_is_called_early() -> None:
    decision = called(rows(slower=0.3), days=0.1)
    assert (decision.verdict, decision.winner) == ("harm", 0)
    failing = called(rows(2000, failing=(0.01, 0.2)), days=0.1)
    assert failing.verdict == "harm" and "failures" in failing.reasons[0]


def test_a_cheaper_arm_wins_where_cost_is_what_counts() -> None:
    plan = Plan(primary="cost", guardrails={"failures": 0.02})
    assert called(rows(cost=(0.02, 0.01)), plan).winner == 1
    assert called(rows(cost=(0.02, 0.0201)), plan).verdict == "running"


def test_more_stars_win_by_user() -> None:
    plan = Plan(unit="user", primary="satisfaction", guardrails={})
    assert called(rows(stars=(3.0, 3.6), users=900), plan).winner == 1
    assert called(rows(stars=(3.6, 3.0), users=900), plan).verdict == "harm"


def test_slower_by_user_is_called_by_user() -> None:
    plan = Plan(unit="user")
    assert called(rows(slower=-0.1, users=1500, failing=(0, 0)), plan).winner == 1
    found = analyse(rows(users=500), {1: 0.5}, plan)
    assert sum(found.units) == 500 and sum(found.requests) == 6000


def test_phases_are_compared_within_themselves() -> None:
    first, second = rows(3000, share=0.1, seed=2), rows(3000, share=0.5, seed=3)
    later = dataclasses.replace(second, phase=np.full(3000, 2), latency=second.latency * 2)
    both = Rows(
        **{
            f.name: np.concatenate([getattr(first, f.name), getattr(later, f.name)])
            for f in dataclasses.fields(Rows)
        }
    )
    found = analyse(both, {1: 0.1, 2: 0.5}, Plan())
    assert found.srm_p > 0.05 and found.findings["latency"].p > 0.05 and found.p95_p > 0.05
    pooled = dataclasses.replace(both, phase=np.ones(6000, int))
    assert analyse(pooled, {1: 0.3}, Plan()).findings["latency"].p < 0.001


def pairs(n: int = 1000, *, slower: float = 0.0, failing: float = 0.0) -> Pairs:
    rng = np.random.default_rng(4)
    size = rng.lognormal(3, 0.5, n)
    failed = rng.random(n) < failing
    unknown = np.full(n, np.nan)
    return Pairs(
        latency_a=size * rng.lognormal(0, 0.1, n),
        latency_b=np.where(failed, np.nan, size * (1 + slower) * rng.lognormal(0, 0.1, n)),
        failed=failed.astype(float),
        agrees=np.where(failed, np.nan, rng.random(n) < 0.9),
        cost_a=unknown,
        cost_b=unknown,
    )


def test_a_shadow_is_judged_by_its_pairs() -> None:
    plan = Plan(mode="shadow", guardrails={"failures": 0.02})
    found = analyse_pairs(pairs(slower=-0.05))
    assert decide(found, plan, 8).winner == 1
    assert found.agreement is not None and found.agreement[2] < 0.9 < found.agreement[3]
    assert decide(analyse_pairs(pairs(failing=0.2)), plan, 1).verdict == "harm"
    assert decide(analyse_pairs(pairs(0)), plan, 1).verdict == "running"


def test_worse_is_told_from_either_side() -> None:
    latency = analyse(rows(slower=0.05), {1: 0.5}, Plan()).findings["latency"]
    low, high = latency.worse(1)
    assert 0 < low < 0.05 < high
    low, high = latency.worse(0)
    assert low < 1 / 1.05 - 1 < high < 0


@pytest.mark.parametrize("users", [None, 300])
def test_no_failures_so_far_are_no_proof_that_there_will_be_none(users: int | None) -> None:
    plan = Plan(unit="request" if users is None else "user", guardrails={"failures": 0.01})
    decision = called(rows(600, slower=-0.5, failing=(0, 0), users=users), plan)
    assert decision.verdict == "running" and "failures" in decision.reasons[0]


def test_bounds_of_rare_failures_hold(rng: np.random.Generator) -> None:
    missed = 0
    for _ in range(300):
        n = 400
        a, b = rng.random(n) < 0.004, rng.random(n) < 0.012
        values = np.concatenate([a, b]).astype(float)
        one = dataclasses.replace(rows(2 * n), arm=np.repeat([0, 1], n), failures=values)
        found = analyse(one, {1: 0.5}, Plan()).findings["failures"]
        missed += not found.low <= 0.008 <= found.high
    assert missed <= 15


def test_what_costs_is_worse_than_what_costs_nothing() -> None:
    free, dear = (0.0, 0.0), (0.0, 0.02)
    assert analyse(rows(cost=free), {1: 0.5}, Plan()).findings["cost"].worse(1) == (0, 0)
    cost = analyse(rows(cost=dear), {1: 0.5}, Plan()).findings["cost"]
    assert cost.worse(1) == (np.inf, np.inf) and cost.worse(0) == (-np.inf, 0)
    assert called(rows(cost=dear)).verdict == "harm"
    assert called(rows(slower=0.05, cost=dear), Plan(guardrails={})).winner == 0


def test_nothing_is_known_of_nothing() -> None:
    nothing = rows(0)
    found = analyse(nothing, {1: 0.5}, Plan())
    assert isinstance(found, Analysis) and found.findings["latency"].value == (None, None)
    assert called(nothing).verdict == "running"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"unit": "ward"}, "unit"),
        ({"mode": "mirror"}, "mode"),
        ({"primary": "mood"}, "primary_metric"),
        ({"coverage": 0}, "coverage"),
        ({"namespace": ("n", 0.5, 0.5)}, "namespace"),
        ({"guardrails": {"mood": 1}}, "guardrails"),
        ({"min_units": 1}, "min_units"),
        ({"min_days": 30}, "min_days"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, t.Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        Plan(**wrong).check()
    assert field in (caught.value.fields or {})


def test_a_plan_is_what_was_stored() -> None:
    plan = Plan(unit="user", namespace=("n", 0.0, 0.5), promote=True)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(None) == Plan()
