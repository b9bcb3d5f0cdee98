"""Reads the daily metrics: the days, and what they come to together."""

from __future__ import annotations

import typing as t
from datetime import date

import sqlalchemy as sa

from ..database import Database
from ..tables import Tables
from . import histogram

NUMBERS = (
    "total_requests",
    "successful_requests",
    "failed_requests",
    "avg_inference_time_ms",
    "p50_inference_time_ms",
    "p95_inference_time_ms",
    "p99_inference_time_ms",
    "accuracy",
    "labelled_requests",
)


def read(
    database: Database,
    tables: Tables,
    first: date,
    last: date,
    model: str | None = None,
) -> dict[str, list[dict[str, t.Any]]]:
    """Return the days of every model, or of one name, and a summary per version.

    The summary's percentiles come from the days' histograms, right to 1 %: percentiles of days
    cannot be averaged.
    """
    metrics, models = tables.ModelMetric.__table__, tables.Model.__table__
    c, m = metrics.c, models.c
    query = (
        sa.select(*c, m.model_name, m.model_version)
        .select_from(metrics.join(models, m.id == c.model_id))
        .where(c.date >= first, c.date <= last)
        .order_by(m.model_name, m.model_version, c.date)
    )
    if model is not None:
        query = query.where(m.model_name == model)
    with database.connect() as connection:
        rows = connection.execute(query).all()
    by_version: dict[tuple[str, str], list[t.Any]] = {}
    for row in rows:
        by_version.setdefault((row.model_name, row.model_version), []).append(row)
    return {
        "days": [_day(row) for row in rows],
        "summary": [_summary(*version, found) for version, found in by_version.items()],
    }


def _day(row: t.Any) -> dict[str, t.Any]:
    return {
        "model": row.model_name,
        "version": row.model_version,
        "date": row.date.isoformat(),
        **{name: getattr(row, name) for name in NUMBERS},
        "cost_usd": None if row.cost_usd is None else float(row.cost_usd),
        "finalised": bool(row.finalised),
    }


def _summary(name: str, version: str, rows: list[t.Any]) -> dict[str, t.Any]:
    total = histogram.merged((row.histogram or {}).get("latency") for row in rows)
    labelled = sum(row.labelled_requests or 0 for row in rows)
    right = sum((row.accuracy or 0) * (row.labelled_requests or 0) for row in rows)
    spent = [float(row.cost_usd) for row in rows if row.cost_usd is not None]
    return {
        "model": name,
        "version": version,
        **{key: sum(getattr(row, key) for row in rows) for key in NUMBERS[:3]},
        **{
            f"p{percent}_inference_time_ms": histogram.quantile(total, percent / 100)
            for percent in (50, 95, 99)
        },
        "accuracy": right / labelled if labelled else None,
        "labelled_requests": labelled,
        "cost_usd": sum(spent) if spent else None,
    }
