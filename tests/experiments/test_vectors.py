"""The closed forms against numbers that others published."""

from __future__ import annotations

import json
import math
import typing as t
from pathlib import Path

import numpy as np
import pytest

from flask_ailydian.experiments import intervals
from flask_ailydian.experiments import mixtures
from flask_ailydian.experiments import statistics as st


@pytest.fixture(scope="module")
def vectors(data: Path) -> dict[str, t.Any]:
    file = data / "experiments" / "stats_vectors.json"
    if not file.exists():
        pytest.skip("no published vectors here; AILYDIAN_TEST_DATA has experiments/ elsewhere")
    return t.cast("dict[str, t.Any]", json.loads(file.read_text("utf-8")))


def test_quantile_tests_as_published(vectors: dict[str, t.Any]) -> None:
    for case in vectors["confseq"]["quantile_ab_p_value"]:
        shifted = range(1 + case["offset"], 1001 + case["offset"])
        assert st.quantile_p(range(1, 1001), shifted, case["q"]) == pytest.approx(
            case["p"], abs=1e-6
        )


def test_gaussian_mixtures_as_published(vectors: dict[str, t.Any]) -> None:
    case = vectors["confseq"]["two_sided_normal_mixture"]
    rho = mixtures.best_rho(case["v_opt"], case["alpha_opt"])
    assert rho == pytest.approx(case["rho"], abs=1e-5)
    assert mixtures.log_normal(10, 100, rho) == pytest.approx(
        case["log_mixture_s10_v100"], abs=1e-6
    )
    assert mixtures.normal_bound(100, 0.05, rho) == pytest.approx(case["bound_v100_alpha05"])


def test_beta_binomial_mixtures_as_published(vectors: dict[str, t.Any]) -> None:
    case = vectors["confseq"]["two_sided_beta_binomial"]
    g, h = case["g"], case["h"]
    r = mixtures.beta_precision(case["v_opt"], case["alpha_opt"], g, h)
    found = mixtures.log_beta_binomial(10, 100, g, h, r)
    assert found == pytest.approx(case["log_mixture_s10_v100"], abs=1e-6)
    bound = case["bound_v100_alpha05"]
    at_bound = mixtures.log_beta_binomial(bound, 100, g, h, r)
    assert at_bound == pytest.approx(math.log(20), abs=1e-4)


def test_confidence_sequences_of_rates_as_published(vectors: dict[str, t.Any]) -> None:
    for case in vectors["confseq"]["bernoulli_confidence_interval"]:
        found = intervals.rate(case["successes"], case["n"], case["alpha"], case["t_opt"])
        assert found == pytest.approx(case["ci"], abs=2e-6)


def test_sequential_sample_ratios_as_published(vectors: dict[str, t.Any]) -> None:
    for case in vectors["ssrm"]["cases"]:
        counts, ways = np.zeros(3), 0.0
        for row, log_m1, log_m0 in zip(case["data"], case["log_m1"], case["log_m0"], strict=True):
            counts += row
            # Published marginals count the orders within a batch; the ratio does not need them.
            ways += math.lgamma(sum(row) + 1) - sum(math.lgamma(x + 1) for x in row)
            found = mixtures.log_dirichlet(
                [float(x) for x in counts], case["dirichlet_alpha"], case["null"]
            )
            assert found == pytest.approx(log_m1 - log_m0, abs=1e-9)
            null = sum(x * math.log(w) for x, w in zip(counts, case["null"], strict=True))
            assert null + ways == pytest.approx(log_m0, abs=1e-9)


def test_estimates_and_their_spread_as_published(vectors: dict[str, t.Any]) -> None:
    for case in vectors["gbstats_frequentist"]["cases"]:
        if "stddev" not in case or case.get("proportion"):
            continue
        a, b = case["a"], case["b"]
        phase = (a["n"], a["sum"], a["sum_squares"], b["n"], b["sum"], b["sum_squares"])
        if case["difference"] == "absolute":
            gap = intervals.mean_gap([phase])
            assert gap is not None and gap[0] == pytest.approx(case["expected"], abs=1e-5)
            weight, _, variance, _ = t.cast("t.Any", st.difference([phase]))
            # Ours is the larger of Welch's, which is published, and the pooled one.
            assert case["stddev"] - 1e-5 < math.sqrt(variance) / weight < case["stddev"] * 1.05
        else:
            ratio = intervals.mean_ratio([phase])
            assert ratio is not None and ratio[0] == pytest.approx(case["expected"], abs=1e-5)


def test_sequential_intervals_as_published(vectors: dict[str, t.Any]) -> None:
    cases = [
        case
        for case in vectors["gbstats_frequentist"]["cases"]
        if case["test"] == "sequential_two_sided"
    ]
    assert cases
    for case in cases:
        n = case["a"]["n"] + case["b"]["n"]
        rho = mixtures.best_rho(case["tuning"], case["alpha"])
        half = case["stddev"] * mixtures.normal_bound(n, case["alpha"], rho) / math.sqrt(n)
        found = (case["expected"] - half, case["expected"] + half)
        # The published spread has five decimals.
        assert found == pytest.approx(case["ci"], abs=5e-5)


def test_the_t_mixture_is_a_likelihood_ratio() -> None:
    # Its expectation under the null hypothesis is 1: integrate it against Student's density.
    nu, n_eff, g = 8.0, 2.5, 0.6
    points = np.linspace(-400, 400, 2_000_001)
    constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    density = np.exp(constant - (nu + 1) / 2 * np.log1p(points**2 / nu))
    values = np.exp(mixtures.log_t(points**2, nu * np.ones_like(points), n_eff, g))
    assert np.sum(density * values) * (points[1] - points[0]) == pytest.approx(1, abs=1e-3)


def test_the_bound_of_the_t_mixture_is_where_it_reaches_its_level() -> None:
    bound = mixtures.t2_bound(998, 250, 0.005, 0.05)
    assert mixtures.log_t(bound, 998, 250, 0.005) == pytest.approx(math.log(20))
    assert mixtures.t2_bound(4, 1.5, 0.005, 0.05) == math.inf


def test_the_gamma_function_of_arrays_is_that_of_numbers() -> None:
    x = np.array([0.01, 0.5, 1.0, 2.5, 7.9, 30.0, 1e4, 1e7])
    expected = [math.lgamma(float(value)) for value in x]
    assert mixtures.functions(x).lgamma(x) == pytest.approx(expected, rel=1e-12, abs=1e-11)
