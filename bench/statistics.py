"""How often the tests of `experiments.statistics` are wrong, and how often they see what is there.

``make bench-statistics``: every test is looked at after every request up to 10,000 (those that
read whole samples: after every 50th), and the first p ≤ 0.05 counts. Seeded; a minute or two.
"""

from __future__ import annotations

import collections.abc as c
import functools
import sys
import typing as t

import numpy as np

from flask_ailydian.experiments import statistics as st

Rng = np.random.Generator
N = 10_000


def normal(rng: Rng, size: t.Any) -> t.Any:
    return rng.normal(100, 20, size)


def lognormal(rng: Rng, size: t.Any) -> t.Any:
    return rng.lognormal(4, 0.5, size)


def spiky(rng: Rng, size: t.Any) -> t.Any:
    """A cache that is missed in one request of a hundred, at fifty times the price."""
    return rng.normal(20, 2, size) * np.where(rng.random(size) < 0.01, 50, 1)


def pareto(rng: Rng, size: t.Any) -> t.Any:
    return 10 * (1 + rng.pareto(2.5, size))


def heavy_pareto(rng: Rng, size: t.Any) -> t.Any:
    """Without a finite variance."""
    return 10 * (1 + rng.pareto(1.5, size))


LATENCIES = (normal, lognormal, spiky, pareto, heavy_pareto)


def moments(arm_b: t.Any, values: t.Any) -> list[t.Any]:
    """Return the six running numbers of ``mean_p``, at every look."""
    return [
        np.cumsum(x, axis=1)
        for arm in (~arm_b, arm_b)
        for x in (arm.astype(float), np.where(arm, values, 0), np.where(arm, values * values, 0))
    ]


def ever(p: t.Any) -> float:
    """Return in which share of runs p was ever 0.05 or below."""
    return float(np.mean(np.min(p, axis=1) <= 0.05))


def means(rng: Rng, runs: int, draw: t.Any, share_b: float, lift: float = 0.0) -> float:
    arm_b = rng.random((runs, N)) < share_b
    values = draw(rng, (runs, N)) * np.where(arm_b, 1 + lift, 1)
    return ever(st.mean_p(*moments(arm_b, values)))


def srm(rng: Rng, runs: int, planned: float, real: float) -> float:
    n_b = np.cumsum(rng.random((runs, N)) < real, axis=1).astype(float)
    n = np.arange(1, N + 1) * np.ones((runs, 1))
    return ever(st.srm_p((n - n_b, n_b), (1 - planned, planned)))


def rates(rng: Rng, runs: int, rate_a: float, rate_b: float, share_b: float = 0.5) -> float:
    arm_b = rng.random((runs, N)) < share_b
    failed = rng.random((runs, N)) < np.where(arm_b, rate_b, rate_a)
    counts: list[t.Any] = [
        np.cumsum(x, axis=1).astype(float) for x in (failed & ~arm_b, ~arm_b, failed & arm_b, arm_b)
    ]
    x_a, n_a, x_b, n_b = counts
    return ever(st.rate_p(x_a, n_a, x_b, n_b, share_b))


def quantiles(
    rng: Rng, runs: int, draw: t.Any, share_b: float, lift: float = 0.0, every: int = 50
) -> float:
    hits = 0
    for _ in range(runs):
        arm_b = rng.random(N) < share_b
        values = draw(rng, N) * np.where(arm_b, 1 + lift, 1)
        looks = range(every, N + 1, every)
        hits += any(
            st.quantile_p(values[:n][~arm_b[:n]], values[:n][arm_b[:n]], 0.95) <= 0.05
            for n in looks
        )
    return hits / runs


def clusters(rng: Rng, runs: int, users: int, lift: float = 0.0, every: int = 50) -> float:
    """Users of very different diligence and luck, each with one arm throughout."""
    hits = 0
    arms: t.Any
    for _ in range(runs):
        diligence = rng.pareto(1.5, users) + 0.2
        who = rng.choice(users, N, p=diligence / diligence.sum())
        level = rng.lognormal(0, 0.5, users)
        arm_b = rng.random(users) < 0.5
        values = 50 * level[who] * rng.lognormal(0, 0.3, N) * np.where(arm_b[who], 1 + lift, 1)
        requests, sums = np.zeros(users), np.zeros(users)
        for start in range(0, N, every):
            part = slice(start, start + every)
            np.add.at(requests, who[part], 1)
            np.add.at(sums, who[part], values[part])
            met = requests > 0
            arms = [np.column_stack([requests, sums])[met & chosen] for chosen in (~arm_b, arm_b)]
            if st.cluster_p(*arms) <= 0.05:
                hits += 1
                break
    return hits / runs


def ramp(rng: Rng, runs: int, lift: float = 0.0) -> float:
    """10, 30, then 50 % to arm B while everything gets slower: pooled, B seems slow."""
    arm_b, values = np.empty((runs, N), bool), np.empty((runs, N))
    edges = (0, 3000, 6000, N)
    looks: list[t.Any] = []
    for start, stop, share, level in zip(
        edges, edges[1:], (0.1, 0.3, 0.5), (1, 1.3, 1.8), strict=False
    ):
        shape = (runs, stop - start)
        part_b = rng.random(shape) < share
        part = lognormal(rng, shape) * level * np.where(part_b, 1 + lift, 1)
        arm_b[:, start:stop], values[:, start:stop] = part_b, part
        running = moments(part_b, part)
        looks.append(
            [
                np.concatenate(
                    [np.zeros((runs, start)), x, np.repeat(x[:, -1:], N - stop, axis=1)], axis=1
                )
                for x in running
            ]
        )
    return ever(st.phased_p(looks))


def pairs(rng: Rng, runs: int, lift: float, noise: float = 0.1, n: int = 2000) -> float:
    """Two answers to one input: the input's own size is common to both."""
    size = rng.lognormal(4, 0.5, (runs, n))
    first = size * rng.lognormal(0, noise, (runs, n))
    second = size * (1 + lift) * rng.lognormal(0, noise, (runs, n))
    gap = second - first
    counts = np.arange(1, n + 1) * np.ones((runs, 1))
    return ever(st.paired_p(counts, np.cumsum(gap, axis=1), np.cumsum(gap * gap, axis=1)))


def _means(runs: int, draw: t.Any, share_b: float, rng: Rng) -> float:
    return means(rng, runs, draw, share_b)


Case = tuple[str, float, str, c.Callable[[Rng], float]]


def cases(runs: int) -> list[Case]:
    """Return name, limit, which side of it is right, and what to run."""
    few = max(runs // 4, 20)
    found: list[Case] = []
    for draw in LATENCIES:
        for share in (0.5, 0.1):
            name = f"A/A mean, {draw.__name__}, {share:.0%} to B"
            found.append((name, 0.05, "≤", functools.partial(_means, runs, draw, share)))
    found += [
        ("A/A share, 50/50", 0.05, "≤", lambda r: srm(r, runs, 0.5, 0.5)),
        ("A/A share, 90/10", 0.05, "≤", lambda r: srm(r, runs, 0.1, 0.1)),
        ("A/A failures 1 %", 0.05, "≤", lambda r: rates(r, runs, 0.01, 0.01)),
        ("A/A failures 1 %, 90/10", 0.05, "≤", lambda r: rates(r, runs, 0.01, 0.01, 0.1)),
        ("A/A failures 40 %", 0.05, "≤", lambda r: rates(r, runs, 0.4, 0.4)),
        ("A/A p95, lognormal", 0.05, "≤", lambda r: quantiles(r, few, lognormal, 0.5)),
        ("A/A p95, spiky, 90/10", 0.05, "≤", lambda r: quantiles(r, few, spiky, 0.1)),
        ("A/A 400 sticky users", 0.05, "≤", lambda r: clusters(r, few, 400)),
        ("A/A 3000 sticky users", 0.05, "≤", lambda r: clusters(r, few, 3000)),
        ("A/A ramp with drift", 0.05, "≤", lambda r: ramp(r, runs)),
        ("A/A pairs", 0.05, "≤", lambda r: pairs(r, runs, 0.0)),
        ("latency +5 %", 0.90, "≥", lambda r: means(r, runs, lognormal, 0.5, 0.05)),
        ("failures 1 to 2 %", 0.80, "≥", lambda r: rates(r, runs, 0.01, 0.02)),
        ("p95 +15 %", 0.95, "≥", lambda r: quantiles(r, few, lognormal, 0.5, 0.15)),
        ("53/47 for 50/50", 0.99, "≥", lambda r: srm(r, runs, 0.5, 0.47)),
        ("2 % in 2,000 pairs", 0.95, "≥", lambda r: pairs(r, runs, 0.02)),
    ]
    return found


def main(runs: int) -> int:
    """Print every figure; return 1 when one is on the wrong side of its limit."""
    wrong = 0
    for number, (name, limit, side, run) in enumerate(cases(runs)):
        found = run(np.random.default_rng([20261125, number]))
        right = found <= limit if side == "≤" else found >= limit
        wrong += not right
        mark = "ok" if right else "WRONG"
        print(f"{name:36} {found:7.2%}  {side} {limit:.0%}  {mark}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
