"""The metrics of one app."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import date
from datetime import timedelta

import sqlalchemy as sa

from ..clock import now
from ..settings import Settings
from ..tables import Tables
from . import daily
from . import drift
from .prometheus import Prometheus
from .rollup import Rollup


class Metrics:
    """Daily metrics, drift and what Prometheus scrapes."""

    def __init__(
        self, db: t.Any, tables: Tables, settings: Settings, prometheus: Prometheus
    ) -> None:
        self._db = db
        self._tables = tables
        self._settings = settings
        self.rollup = Rollup(db, tables)
        self.prometheus = prometheus

    def daily(
        self, first: date | None = None, last: date | None = None, model: str | None = None
    ) -> dict[str, t.Any]:
        """Return the days of every model, or of one name, and what they come to together."""
        last = last or now().date()
        first = first or last - timedelta(days=29)
        found = daily.read(self._db, self._tables, first, last, model)
        return {"from": first.isoformat(), "to": last.isoformat(), **found}

    def drift(self) -> list[dict[str, t.Any]]:
        """Return every signal of every version that answers, and the use of the capacity."""
        metrics, models = self._tables.ModelMetric.__table__, self._tables.Model.__table__
        c, m = metrics.c, models.c
        query = (
            sa.select(*c, m.model_name, m.model_version)
            .select_from(metrics.join(models, m.id == c.model_id))
            .where(m.deployment_status != "inactive")
            .order_by(c.date)
        )
        with self._db.engine.connect() as connection:
            rows = connection.execute(query).all()
        versions: dict[tuple[str, str], list[drift.Day]] = {}
        for row in rows:
            versions.setdefault((row.model_name, row.model_version), []).append(_day(row))
        today = now().date()
        return [
            {"model": name, "version": version, **dataclasses.asdict(signal)}
            for (name, version), days in sorted(versions.items())
            for signal in drift.watch(
                days, today, reference_days=self._settings.drift_reference_days
            )
        ]

    def capacity(self) -> dict[str, t.Any]:
        """Return the busiest of the last seven days against what a load test has shown."""
        c = self._tables.ModelMetric.__table__.c
        limit = self._settings.capacity_per_day
        since = now().date() - timedelta(days=drift.RECENT_DAYS)
        query = sa.select(sa.func.sum(c.total_requests)).where(c.date >= since).group_by(c.date)
        with self._db.engine.connect() as connection:
            busiest = max((int(x) for x in connection.execute(query).scalars()), default=0)
        used = busiest / limit if limit else None
        return {
            "requests_per_day": busiest,
            "capacity_per_day": limit or None,
            "used": used,
            "alarm": used is not None and used > drift.CAPACITY_LIMIT,
        }


def _day(row: t.Any) -> drift.Day:
    counted = row.histogram or {}
    total, different = counted.get("inputs") or (0, 0)
    return drift.Day(
        date=row.date,
        requests=row.total_requests,
        p95_ms=row.p95_inference_time_ms,
        latency=counted.get("latency") or {},
        confidence=counted.get("confidence") or {},
        classes=counted.get("classes") or {},
        inputs=(total, different),
    )
