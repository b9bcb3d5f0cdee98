"""What the tests say, and how often they are wrong; `make bench-statistics` is the long form."""

from __future__ import annotations

import math
import typing as t

import numpy as np
import pytest

from bench import statistics as simulation
from flask_ailydian.experiments import intervals
from flask_ailydian.experiments import statistics as st


def moments(values: t.Any) -> tuple[float, float, float]:
    return len(values), float(np.sum(values)), float(np.sum(np.square(values)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# Being wrong: looked at after every request, 5 % at most, with three standard errors of room.


@pytest.mark.parametrize("draw", simulation.LATENCIES, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_equal_arms_are_seldom_told_apart(
    rng: np.random.Generator, draw: t.Any, share: float
) -> None:
    assert simulation.means(rng, 60, draw, share) <= 0.05 + 3 * 0.028


def test_a_planned_split_is_seldom_called_wrong(rng: np.random.Generator) -> None:
    assert simulation.srm(rng, 60, 0.1, 0.1) <= 0.13


def test_equal_failures_are_seldom_told_apart(rng: np.random.Generator) -> None:
    assert simulation.rates(rng, 60, 0.02, 0.02, 0.1) <= 0.13


def test_equal_tails_are_seldom_told_apart(rng: np.random.Generator) -> None:
    assert simulation.quantiles(rng, 20, simulation.spiky, 0.1, every=200) <= 0.2


def test_users_who_stay_are_counted_once(rng: np.random.Generator) -> None:
    assert simulation.clusters(rng, 30, 400, every=250) <= 0.17


def test_a_ramp_while_everything_slows_down_is_no_difference(rng: np.random.Generator) -> None:
    assert simulation.ramp(rng, 60) <= 0.13


def test_pooling_the_phases_of_that_ramp_would_be_wrong(rng: np.random.Generator) -> None:
    # The positive control of the test above.
    share = np.repeat([0.1, 0.5], 3000)
    arm_b = rng.random(6000) < share
    values = rng.lognormal(4, 0.5, 6000) * np.repeat([1, 1.8], 3000)
    assert st.mean_p(*moments(values[~arm_b]), *moments(values[arm_b])) < 0.001


# Seeing what is there.


def test_five_percent_more_latency_is_seen(rng: np.random.Generator) -> None:
    assert simulation.means(rng, 60, simulation.lognormal, 0.5, 0.05) >= 0.85


def test_twice_the_failures_are_seen(rng: np.random.Generator) -> None:
    assert simulation.rates(rng, 60, 0.01, 0.02) >= 0.75


def test_a_longer_tail_is_seen(rng: np.random.Generator) -> None:
    assert simulation.quantiles(rng, 20, simulation.lognormal, 0.5, 0.15, every=500) >= 0.9


def test_a_wrong_split_is_seen(rng: np.random.Generator) -> None:
    assert simulation.srm(rng, 60, 0.5, 0.47) >= 0.97


def test_two_percent_are_seen_in_pairs(rng: np.random.Generator) -> None:
    assert simulation.pairs(rng, 60, 0.02) >= 0.95


def test_a_difference_common_to_the_phases_is_seen(rng: np.random.Generator) -> None:
    assert simulation.ramp(rng, 20, 0.1) >= 0.9


def test_slower_users_are_seen(rng: np.random.Generator) -> None:
    assert simulation.clusters(rng, 10, 3000, 0.3, every=1000) >= 0.8


# The edges.


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_concluded_from_nothing(n: int) -> None:
    assert st.mean_p(n, n * 5.0, n * 25.0, n, n * 9.0, n * 81.0) == 1
    assert st.paired_p(n, n * 5.0, n * 25.0) == 1
    assert st.phased_p([]) == 1
    assert st.srm_p((0, 0), (0.5, 0.5)) == pytest.approx(1)
    assert st.rate_p(0, 0, 0, 0, 0.5) == pytest.approx(1)
    assert st.quantile_p([], [1.0], 0.95) == 1
    assert st.cluster_p([], [(1, 5.0)]) == 1
    assert st.average_p([]) == 1
    assert intervals.mean_gap([]) is None
    assert intervals.rate(0, 0) == (0, 1)


def test_equal_constants_are_equal_whatever_rounding_does() -> None:
    a, b = [0.1] * 4000, [0.1] * 5000
    assert st.mean_p(*moments(a), *moments(b)) == 1


def test_different_constants_are_different() -> None:
    assert st.mean_p(*moments([10.0] * 200), *moments([20.0] * 200)) < 1e-6


def test_a_hundred_requests_never_suffice_for_a_small_difference(
    rng: np.random.Generator,
) -> None:
    a, b = rng.normal(100, 20, 20), rng.normal(400, 20, 20)
    assert st.mean_p(*moments(a), *moments(b)) > 0.05


def test_scalars_and_arrays_agree() -> None:
    numbers = (500, 51_000.0, 5_500_000.0, 480, 50_500.0, 5_700_000.0)
    arrays = [np.array([float(x)]) for x in numbers]
    assert st.mean_p(*arrays)[0] == pytest.approx(st.mean_p(*numbers))
    assert st.phased_p([arrays, arrays])[0] == pytest.approx(st.phased_p([numbers, numbers]))
    assert st.paired_p(*arrays[:3])[0] == pytest.approx(st.paired_p(*numbers[:3]))
    few = [np.array([x]) for x in (3.0, 500.0, 20.0, 480.0)]
    assert st.rate_p(*few, 0.5)[0] == pytest.approx(st.rate_p(3, 500, 20, 480, 0.5))


def test_one_phase_is_what_no_phases_are() -> None:
    numbers = (500, 51_000.0, 5_500_000.0, 480, 50_500.0, 5_700_000.0)
    assert st.phased_p([numbers]) == st.mean_p(*numbers)


def test_traffic_where_none_was_planned_is_wrong_at_once() -> None:
    assert st.srm_p((100, 1), (1, 0)) == 0
    assert st.srm_p((100, 0), (1, 0)) == 1


# Intervals say what the tests say.


def test_an_interval_excludes_nothing_exactly_when_the_test_is_significant(
    rng: np.random.Generator,
) -> None:
    for lift in (0.0, 0.02, 0.04, 0.06, 0.08):
        a, b = rng.lognormal(4, 0.5, 4000), rng.lognormal(4, 0.5, 4000) * (1 + lift)
        phase = (*moments(a), *moments(b))
        gap, ratio = intervals.mean_gap([phase]), intervals.mean_ratio([phase])
        assert gap is not None and ratio is not None
        significant = st.mean_p(*phase) < 0.05
        assert significant == (gap[1] > 0 or gap[2] < 0) == (ratio[1] > 0 or ratio[2] < 0)
        assert ratio[1] < ratio[0] < ratio[2]


def test_intervals_hold_what_is_true(rng: np.random.Generator) -> None:
    missed = 0
    for _ in range(100):
        values = np.sort(rng.exponential(1, 500))
        low, high = intervals.quantile(values, 0.9)
        missed += not low <= math.log(10) <= high
        x_a, x_b = rng.binomial(1000, 0.02), rng.binomial(1000, 0.04)
        low, high = intervals.share_ratio(x_a, x_b, 0.5)
        missed += not low <= 2 <= high
    assert missed <= 10


def test_few_values_have_a_tail_without_end() -> None:
    low, high = intervals.quantile([1.0, 2.0, 3.0], 0.95)
    assert (low, high) == (-math.inf, math.inf)


def test_bounds_by_user_hold_the_difference(rng: np.random.Generator) -> None:
    def users(mean: float) -> t.Any:
        requests = rng.integers(1, 30, 800)
        return np.column_stack([requests, requests * rng.normal(mean, 5, 800)])

    found = intervals.clustered_gap(users(50), users(53))
    assert found is not None and found[1] < 3 < found[2] and found[1] > 0
