"""Whether what comes in and goes out still looks as it did; from daily counts alone. Pure."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import statistics
import typing as t
from datetime import date
from datetime import timedelta

from . import histogram

#: On fewer rows than this nothing is said: the noise would be louder.
LEAST_ROWS = 200
#: Population stability index: above this, noise deducted, something has moved.
PSI_LIMIT = 0.2
#: Share of repeated inputs, above that of the reference.
REPEATED_LIMIT = 0.25
#: Requests a day over what a load test has shown to be possible.
CAPACITY_LIMIT = 0.8
#: Days that are compared with the reference, and weeks that a weekday is compared with.
RECENT_DAYS, WEEKS, LEAST_WEEKS = 7, 8, 4
BINS = 10


@dataclasses.dataclass(frozen=True)
class Day:
    """One version's day, as the rollup counted it."""

    date: date
    requests: int
    p95_ms: float | None
    latency: dict[str, int]
    confidence: dict[str, int]
    classes: dict[str, int]
    inputs: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Signal:
    """One thing that was watched; without enough rows there is no value and no alarm."""

    name: str
    value: float | None
    limit: float
    alarm: bool
    rows: int


def watch(days: c.Sequence[Day], today: date, *, reference_days: int) -> list[Signal]:
    """Return the signals of one version.

    :param days: Every day that the version answered on, the oldest first.
    :param today: Not over yet, so it is left out.
    :param reference_days: The reference is so many days from the first answer.
    """
    days = [day for day in days if day.date < today]
    if not days:
        return []
    end = days[0].date + timedelta(days=reference_days)
    reference = [day for day in days if day.date < end]
    since = max(end, today - timedelta(days=RECENT_DAYS))
    recent = [day for day in days if day.date >= since]
    signals = [
        _compared("confidence", reference, recent, lambda day: day.confidence, ordered=True),
        _compared("latency", reference, recent, lambda day: day.latency, ordered=True),
        _compared("classes", reference, recent, lambda day: day.classes, ordered=False),
        _repeated(reference, recent),
    ]
    return [*signals, *_weekday(days)]


def psi(reference: c.Sequence[float], current: c.Sequence[float]) -> float:
    """Return the population stability index of counts, less what chance alone makes of it.

    Without drift the expectation is about (bins - 1) · (1/n + 1/m); empty bins count half a row.
    """
    n, m = sum(reference), sum(current)
    bins = len(reference)
    value = 0.0
    for have, see in zip(reference, current, strict=True):
        p, q = (have + 0.5) / (n + 0.5 * bins), (see + 0.5) / (m + 0.5 * bins)
        value += (q - p) * math.log(q / p)
    return max(value - (bins - 1) * (1 / n + 1 / m), 0.0)


def _compared(
    name: str,
    reference: list[Day],
    recent: list[Day],
    counts: c.Callable[[Day], dict[str, int]],
    *,
    ordered: bool,
) -> Signal:
    before, after = (histogram.merged(map(counts, days)) for days in (reference, recent))
    rows = min(sum(before.values()), sum(after.values()))
    if rows < LEAST_ROWS:
        return Signal(name, None, PSI_LIMIT, False, rows)
    bins = _tenths(before) if ordered else [[label] for label in sorted(before | after)]
    groups: list[list[float]] = [
        [sum(x.get(key, 0) for key in keys) for keys in bins] for x in (before, after)
    ]
    if ordered:
        # What the reference never met falls below or above it.
        groups[1] = _into(after, bins)
    value = psi(groups[0], groups[1])
    return Signal(name, value, PSI_LIMIT, value > PSI_LIMIT, rows)


def _tenths(counts: dict[str, int]) -> list[list[str]]:
    """Return the buckets in up to ten groups of like weight."""
    total, groups, weight = sum(counts.values()), [[]], 0  # type: tuple[int, list[list[str]], int]
    for key in sorted(counts, key=int):
        if weight >= total / BINS and len(groups) < BINS:
            groups.append([])
            weight = 0
        groups[-1].append(key)
        weight += counts[key]
    return groups


def _into(counts: dict[str, int], bins: list[list[str]]) -> list[float]:
    edges = [int(keys[-1]) for keys in bins[:-1]]
    found = [0.0] * len(bins)
    for key, count in counts.items():
        found[sum(int(key) > edge for edge in edges)] += count
    return found


def _repeated(reference: list[Day], recent: list[Day]) -> Signal:
    shares = []
    for days in (reference, recent):
        total = sum(day.inputs[0] for day in days)
        shares.append((total, 1 - sum(day.inputs[1] for day in days) / total if total else 0.0))
    (before, usual), (after, now) = shares
    rows = min(before, after)
    if rows < LEAST_ROWS:
        return Signal("repeated_inputs", None, REPEATED_LIMIT, False, rows)
    value = max(now - usual, 0.0)
    return Signal("repeated_inputs", value, REPEATED_LIMIT, value > REPEATED_LIMIT, rows)


def _weekday(days: list[Day]) -> t.Iterator[Signal]:
    """Compare the last day with the same weekday of the weeks before: median and MAD."""
    last = days[-1]
    weeks = {last.date - timedelta(weeks=week) for week in range(1, WEEKS + 1)}
    before = [day for day in days if day.date in weeks]
    series = {
        "volume": ([float(day.requests) for day in before], float(last.requests)),
        "latency_p95": ([day.p95_ms for day in before if day.p95_ms is not None], last.p95_ms),
    }
    for name, (values, value) in series.items():
        rows = last.requests
        if len(values) < LEAST_WEEKS or value is None:
            yield Signal(name, None, 4.0, False, rows)
            continue
        middle = statistics.median(values)
        spread = statistics.median(abs(x - middle) for x in values)
        # Weeks that were all alike do not make every other week an alarm.
        spread = max(spread, 0.05 * abs(middle), 1e-9)
        away = abs(value - middle) / spread
        enough = max(rows, min(day.requests for day in before)) >= LEAST_ROWS
        yield Signal(name, away, 4.0, enough and away > 4, rows)
