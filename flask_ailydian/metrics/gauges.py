"""Gauges that are read from the database at each scrape, at most once a minute where it costs."""

from __future__ import annotations

import collections.abc as c
import functools
import time
import typing as t

import sqlalchemy as sa

from ..clock import now
from ..database import Database
from ..registry import Registry
from ..tables import Tables
from .prometheus import Prometheus
from .service import Metrics

Sample = tuple[tuple[str, ...], float]

#: So long the last look at a database full of days is good enough.
TRUSTED_SECONDS = 60.0


def register(
    prometheus: Prometheus,
    metrics: Metrics,
    registry: Registry,
    database: Database,
    tables: Tables,
) -> None:
    """Add what is known without counting: models, tests, drift, capacity."""
    prometheus.gauge(
        "ailydian_model_ready",
        "1 where a model that answers has its file, unchanged; 0 where it has not.",
        ("model", "version"),
        lambda: (
            ((record.name, record.version), float(registry.verify(record) is None))
            for record in registry.servable()
        ),
    )
    _register_costs(prometheus, database, tables)
    tests = _Tests(database, tables)
    for name, help in (
        ("requests", "Requests that an arm was assigned."),
        ("latency_ms", "Mean wall time of an arm's requests, in milliseconds."),
    ):
        prometheus.gauge(f"ailydian_ab_test_{name}", help, ("test", "arm"), getattr(tests, name))
    prometheus.gauge(
        "ailydian_ab_test_winner",
        "1 for the arm that a test was decided for.",
        ("test", "arm"),
        tests.winner,
    )
    drift = Lately(lambda: list(_drift(metrics)))
    prometheus.gauge(
        "ailydian_drift",
        "How far a signal is from its reference, over its limit: an alarm above 1.",
        ("model", "version", "signal"),
        drift,
    )
    capacity = Lately(lambda: list(_capacity(metrics)))
    prometheus.gauge(
        "ailydian_capacity_used_ratio",
        "Requests of the busiest recent day over the measured capacity.",
        (),
        capacity,
    )


def register_endpoints(
    prometheus: Prometheus, endpoints: c.Callable[[], c.Iterable[tuple[t.Any, str, bool, int]]]
) -> None:
    """Add how the servers of remote models stand, as the process that is scraped sees them.

    :param endpoints: Yields model, name of the endpoint, whether it is in use, calls under way.
    """
    names = ("model", "version", "endpoint")
    prometheus.gauge(
        "ailydian_remote_endpoint_up",
        "0 where an endpoint of a remote model is left alone because it keeps failing.",
        names,
        lambda: (((m.name, m.version, name), float(used)) for m, name, used, _ in endpoints()),
    )
    prometheus.gauge(
        "ailydian_remote_calls",
        "Calls of an endpoint of a remote model that are under way.",
        names,
        lambda: (((m.name, m.version, name), float(calls)) for m, name, _, calls in endpoints()),
    )


def _register_costs(prometheus: Prometheus, database: Database, tables: Tables) -> None:
    """Add what today's answers cost by backend, whoever gave them, and how full the budgets are."""
    logs = tables.InferenceLog.__table__

    def today() -> list[Sample]:
        c = logs.c
        midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
        spent = sa.func.sum(sa.cast(c.cost_usd, sa.Float))
        query = sa.select(c.backend, sa.func.count(), sa.func.coalesce(spent, 0.0))
        with database.connect() as connection:
            rows = connection.execute(query.where(c.created_at >= midnight).group_by(c.backend))
            return [
                (((backend or ""), what), float(value))
                for backend, count, cost in rows
                for what, value in (("answers", count), ("usd", cost))
            ]

    lately = Lately(today)
    for name, what, help in (
        ("ailydian_answers_today", "answers", "Answers of this UTC day, by backend."),
        ("ailydian_cost_today_usd", "usd", "What the answers of this UTC day cost, by backend."),
    ):
        prometheus.gauge(name, help, ("backend",), functools.partial(_only, lately, what))
    prometheus.gauge(
        "ailydian_budget_used_ratio",
        "How much of a budget is used; 1 is all of it.",
        ("budget",),
        lambda: [((name,), used()) for name, used in prometheus.budgets.items()],
    )


def _only(samples: c.Callable[[], list[Sample]], what: str) -> list[Sample]:
    return [(labels[:1], value) for labels, value in samples() if labels[1] == what]


class Lately:
    """A function whose last answer is given again for a while."""

    def __init__(self, ask: c.Callable[[], list[Sample]]) -> None:
        self._ask = ask
        self._last: tuple[float, list[Sample]] = (-1.0, [])

    def __call__(self) -> list[Sample]:
        until, answer = self._last
        if time.monotonic() >= until:
            answer = self._ask()
            self._last = (time.monotonic() + TRUSTED_SECONDS, answer)
        return answer


class _Tests:
    """The cached columns of the tests that run."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self._tests: sa.Table = tables.ABTest.__table__

    def requests(self) -> list[Sample]:
        return self._read("model_{}_requests")

    def latency_ms(self) -> list[Sample]:
        return self._read("model_{}_avg_latency_ms")

    def winner(self) -> list[Sample]:
        return [
            ((row.test_name, arm), float(model is not None and row.winner_model_id == model))
            for row in self._rows()
            for arm, model in (("a", row.model_a_id), ("b", row.model_b_id))
        ]

    def _read(self, column: str) -> list[Sample]:
        return [
            ((row.test_name, arm), float(value))
            for row in self._rows()
            for arm in "ab"
            for value in [getattr(row, column.format(arm))]
            if value is not None
        ]

    def _rows(self) -> list[t.Any]:
        query = self._tests.select().where(self._tests.c.status == "running")
        with self._database.connect() as connection:
            return list(connection.execute(query))


def _drift(metrics: Metrics) -> t.Iterator[Sample]:
    for signal in metrics.drift():
        if signal["value"] is not None:
            labels = (signal["model"], signal["version"], signal["name"])
            # A signal that is far off on a few rows is no alarm.
            value = signal["value"] / signal["limit"]
            yield labels, value if signal["alarm"] else min(value, 1.0)


def _capacity(metrics: Metrics) -> t.Iterator[Sample]:
    used = metrics.capacity()["used"]
    if used is not None:
        yield (), used
