"""The queue against what queueing theory has in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flask_ailydian.planning.queueing import Figures
from flask_ailydian.planning.queueing import plan
from flask_ailydian.planning.queueing import predict


def figures(slots: int = 1, seconds: float = 0.05, *, steady: bool = False) -> Figures:
    chance = np.random.default_rng(7)
    spread = np.ones(1) if steady else chance.exponential(1.0, 50_000)
    return Figures(
        model="m v1",
        slots=slots,
        seconds={count: seconds for count in range(1, slots + 1)},
        spread=tuple((spread / spread.mean()).tolist()),
        cpu_seconds=seconds,
        lone_cpu_seconds=seconds,
        bytes_per_request=1000.0,
        memory_bytes=10**8,
    )


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_slot_with_random_lengths_is_the_m_m_1_queue(busy: float) -> None:
    found = predict(figures(), busy / 0.05)
    # The time in an M/M/1 queue is exponential with mean s / (1 - busy).
    mean = 0.05 / (1 - busy)
    assert found.p50 == pytest.approx(math.log(2) * mean, rel=0.1)
    assert found.p99 == pytest.approx(math.log(100) * mean, rel=0.15)


@pytest.mark.parametrize(("slots", "busy"), [(2, 0.7), (4, 0.8)])
def test_many_slots_wait_as_erlang_c_says(slots: int, busy: float) -> None:
    seconds, load = 0.05, slots * busy
    top = load**slots / math.factorial(slots) / (1 - busy)
    waits = top / (sum(load**k / math.factorial(k) for k in range(slots)) + top)
    found = predict(figures(slots, steady=True), load / seconds)
    # Lengths are steady here, so what exceeds one length is waiting; half of Erlang C's wait
    # is the known approximation of M/D/c.
    wait_p95 = max(0.0, math.log(waits / 0.05)) * seconds / (slots - load)
    assert found.p95 == pytest.approx(seconds + wait_p95 / 2, rel=0.25)
    assert found.p50 >= seconds


def test_an_idle_machine_answers_in_the_measured_time() -> None:
    found = predict(figures(steady=True), 0.01)
    assert found.p50 == pytest.approx(0.05) and found.busy < 0.001


def test_lone_requests_go_as_fast_as_lone_ones_do() -> None:
    quick = Figures("m", 2, {1: 0.03, 2: 0.06}, (1.0,), 0.06, 0.06, 0.0, 0)
    assert quick.capacity == pytest.approx(2 / 0.06)
    assert predict(quick, 0.1).p50 == pytest.approx(0.03)


def test_one_that_begins_beside_another_stays_on_its_core() -> None:
    # Two cores, which a lone request uses both of: three threads share them, two to one.
    quick = Figures("m", 2, {1: 0.03, 2: 0.06}, (1.0,), 0.06, 0.06, 0.0, 0)
    found = predict(quick, 1, arrivals=[0.0, 0.0])
    # The first takes 0.03 / (2/3); by then half of the other is done, and half is left.
    assert found.p50 == pytest.approx((0.045 + 0.075) / 2)
    assert found.p99 == pytest.approx(0.075, rel=0.01)
    # Where a lone request uses one core, there is room for two, and both take what they take.
    narrow = Figures("m", 2, {1: 0.05, 2: 0.06}, (1.0,), 0.06, 0.05, 0.0, 0)
    found = predict(narrow, 1, arrivals=[0.0, 0.0])
    assert found.p50 == pytest.approx((0.05 + 0.06) / 2)
    # Of three, the third waits for the first and begins beside the second.
    found = predict(quick, 1, arrivals=[0.0, 0.0, 0.0])
    assert found.p99 == pytest.approx(0.105, rel=0.01)


def test_the_moments_given_are_played_through() -> None:
    found = predict(figures(steady=True), 20, arrivals=[0.0, 0.0, 0.0])
    assert found.p50 == pytest.approx(0.10)
    assert found.p99 == pytest.approx(0.15, rel=0.02)


def test_the_plan_is_the_fewest_machines_that_hold() -> None:
    measured = figures(2, steady=True)
    found = plan(measured, 1000, 0.2)
    assert found is not None
    assert found.machines == found.cores // 2 and found.database == "postgresql"
    assert found.predicted.p99 <= 0.2
    assert found.predicted.busy <= 0.9
    fewer = found.machines - 1
    tighter = 1000 / fewer / measured.capacity > 0.9 or predict(measured, 1000 / fewer).p99 > 0.2
    assert tighter
    assert found.rows_per_second == 2000
    assert found.bytes_per_day == pytest.approx(1000 * 1000 * 86_400)


def test_one_machine_is_enough_for_little_and_sqlite_with_it() -> None:
    found = plan(figures(2, steady=True), 5, 0.5)
    assert found is not None and (found.machines, found.database) == (1, "sqlite")


def test_a_target_below_the_work_itself_has_no_plan() -> None:
    assert plan(figures(steady=True), 10, 0.04) is None
