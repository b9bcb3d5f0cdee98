"""The UTC day that is not over: counted from the rows themselves."""

from __future__ import annotations

import math
import typing as t
from datetime import datetime
from datetime import time

import sqlalchemy as sa

from ..database import Database
from ..tables import Tables

PERCENTS = (50, 95, 99)


def read(database: Database, tables: Tables, moment: datetime) -> dict[str, t.Any]:
    """Return what the models have answered since midnight, UTC, and when the days were rolled up.

    Percentiles are exact: the database sorts the day's times and gives the nearest rank.
    """
    logs, metrics = tables.InferenceLog.__table__, tables.ModelMetric.__table__
    c = logs.c
    today = (c.created_at >= datetime.combine(moment.date(), time()), c.model_id.is_not(None))
    bad = sa.func.sum(sa.case((c.status == "success", 0), else_=1))
    times = (
        sa.select(c.inference_time_ms)
        .where(*today, c.inference_time_ms.is_not(None))
        .order_by(c.inference_time_ms)
    )
    with database.connect() as connection:
        counted = sa.select(sa.func.count(), bad, sa.func.count(c.inference_time_ms))
        total, failed, known = connection.execute(counted.where(*today)).one()
        percentiles = {
            f"p{p}_ms": connection.execute(times.offset(rank).limit(1)).scalar()
            for p in PERCENTS
            for rank in [max(math.ceil(p * known / 100), 1) - 1]
        }
        rolled_up = connection.execute(sa.select(sa.func.max(metrics.c.computed_at))).scalar()
    return {
        "date": moment.date().isoformat(),
        "requests": total,
        "failed": int(failed or 0),
        **percentiles,
        "rolled_up_at": None if rolled_up is None else rolled_up.isoformat() + "Z",
    }
