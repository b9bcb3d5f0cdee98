"""The metrics of one app."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import date
from datetime import timedelta

import sqlalchemy as sa

from ..clock import now
from ..database import Database
from ..settings import Settings
from ..tables import Tables
from . import daily
from . import drift
from . import today
from .drift import Day
from .prometheus import Prometheus
from .rollup import Rollup


class Metrics:
    """Daily metrics, drift and what Prometheus scrapes."""

    def __init__(
        self, database: Database, tables: Tables, settings: Settings, prometheus: Prometheus
    ) -> None:
        self._database = database
        self._tables = tables
        self._settings = settings
        self.rollup = Rollup(database, tables)
        self.prometheus = prometheus

    def daily(
        self, first: date | None = None, last: date | None = None, model: str | None = None
    ) -> dict[str, t.Any]:
        """Return the days of every model, or of one name, and what they come to together."""
        last = last or now().date()
        first = first or last - timedelta(days=29)
        found = daily.read(self._database, self._tables, first, last, model)
        return {"from": first.isoformat(), "to": last.isoformat(), **found}

    def today(self) -> dict[str, t.Any]:
        """Return what was answered since midnight, UTC."""
        return today.read(self._database, self._tables, now())

    def drift(self) -> list[dict[str, t.Any]]:
        """Return every signal of every version that answers, and the use of the capacity."""
        today = now().date()
        found = []
        for name, version, days in self._versions(today):
            signals = drift.watch(days, today, reference_days=self._settings.drift_reference_days)
            found += [
                {"model": name, "version": version, **dataclasses.asdict(signal)}
                for signal in signals
            ]
        return found

    def _versions(self, today: date) -> t.Iterator[tuple[str, str, list[Day]]]:
        """Yield every version that answers, with the days that its signals are made of."""
        metrics, models = self._tables.ModelMetric.__table__, self._tables.Model.__table__
        c, m = metrics.c, models.c
        lived = (
            sa.select(m.id, m.model_name, m.model_version, sa.func.min(c.date).label("first"))
            .select_from(metrics.join(models, m.id == c.model_id))
            .where(m.deployment_status != "inactive")
            .group_by(m.id, m.model_name, m.model_version)
            .order_by(m.model_name, m.model_version)
        )
        recent = today - timedelta(weeks=drift.WEEKS + 1)
        with self._database.connect() as connection:
            counted = connection.execute(
                sa.select(sa.func.max(c.date)).where(c.date < today)
            ).scalar()
            for version in connection.execute(lived).all():
                end = version.first + timedelta(days=self._settings.drift_reference_days)
                wanted = sa.and_(c.model_id == version.id, sa.or_(c.date < end, c.date >= recent))
                rows = connection.execute(metrics.select().where(wanted).order_by(c.date)).all()
                days = [_day(row) for row in rows]
                if counted is not None and days and days[-1].date < counted:
                    # The day was counted for others: here nobody asked, which is news as well.
                    days.append(Day(counted, 0, None, {}, {}, {}, (0, 0)))
                yield version.model_name, version.model_version, days

    def capacity(self) -> dict[str, t.Any]:
        """Return the busiest of the last seven days against what a load test has shown."""
        c = self._tables.ModelMetric.__table__.c
        limit = self._settings.capacity_per_day
        since = now().date() - timedelta(days=drift.RECENT_DAYS)
        query = sa.select(sa.func.sum(c.total_requests)).where(c.date >= since).group_by(c.date)
        with self._database.connect() as connection:
            busiest = max((int(x) for x in connection.execute(query).scalars()), default=0)
        used = busiest / limit if limit else None
        return {
            "requests_per_day": busiest,
            "capacity_per_day": limit or None,
            "used": used,
            "alarm": used is not None and used > drift.CAPACITY_LIMIT,
        }


def _day(row: t.Any) -> Day:
    counted = row.histogram or {}
    total, different = counted.get("inputs") or (0, 0)
    return Day(
        date=row.date,
        requests=row.total_requests,
        p95_ms=row.p95_inference_time_ms,
        latency=counted.get("latency") or {},
        confidence=counted.get("confidence") or {},
        classes=counted.get("classes") or {},
        inputs=(total, different),
    )
