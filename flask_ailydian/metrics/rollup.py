"""Daily metrics per model, recomputed from the rows a whole UTC day at a time."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal

import numpy as np
import sqlalchemy as sa

from ..database import Database
from ..tables import Tables
from ..transactions import patiently
from . import histogram

#: After so long no rows are expected for a day any more.
FINAL_AFTER = timedelta(days=2)

State = t.Literal["written", "kept"]


@dataclasses.dataclass(frozen=True)
class Slice:
    """What became of one model's day; ``kept``: more requests were counted before."""

    model_id: int
    date: date
    total_requests: int
    state: State


class Rollup:
    """Fills ``pytorch_model_metrics``; may run as often, late and concurrently as it likes."""

    def __init__(self, database: Database, tables: Tables) -> None:
        # A day of a million rows takes as long as it takes: nobody waits for the answer.
        self._engine = database.engine
        self._logs: sa.Table = tables.InferenceLog.__table__
        self._feedback: sa.Table = tables.Feedback.__table__
        self._metrics: sa.Table = tables.ModelMetric.__table__

    def run(
        self, first: date | None, last: date | None, *, now: datetime, shrink: bool = False
    ) -> list[Slice]:
        """Recompute the days from *first* to *last*.

        :param first: By default the first day that is not final yet.
        :param last: By default today.
        :param shrink: Also replace a slice by one with fewer requests, as after rows were
            deleted; without it such a slice is kept as it was.
        """
        day = first or self._due()
        last = last or now.date()
        found: list[Slice] = []
        while day is not None and day <= last:
            found += self._day(day, now, shrink)
            day += timedelta(days=1)
        return found

    def _due(self) -> date | None:
        metrics, logs = self._metrics.c, self._logs.c
        with self._engine().connect() as connection:
            open_ = sa.select(sa.func.min(metrics.date)).where(metrics.finalised.is_not(True))
            unfinished = connection.execute(open_).scalar()
            newest = connection.execute(sa.select(sa.func.max(metrics.date))).scalar()
            if unfinished is not None:
                return t.cast(date, unfinished)
            query = sa.select(sa.func.min(logs.created_at))
            if newest is not None:
                start = datetime.combine(newest, time()) + timedelta(days=1)
                query = query.where(logs.created_at >= start)
            row = connection.execute(query).scalar()
        return None if row is None else row.date()

    def _day(self, day: date, now: datetime, shrink: bool) -> list[Slice]:
        start = datetime.combine(day, time())
        end = start + timedelta(days=1)
        with self._engine().connect() as connection:
            columns = self._read(connection, start, end)
            right = self._read_feedback(connection, start, end)
            classes = self._read_classes(connection, start, end)
            inputs = self._read_inputs(connection, start, end)
        values = [
            {
                **_aggregate(columns, model_id),
                **_accuracy(right.get(model_id)),
                "histogram": {
                    "latency": histogram.of(_measured(columns, model_id, 1)),
                    "confidence": histogram.of(_measured(columns, model_id, 4)),
                    "classes": classes.get(model_id, {}),
                    "inputs": inputs.get(model_id, [0, 0]),
                },
                "finalised": end + FINAL_AFTER <= now,
                "computed_at": now,
            }
            for model_id in np.unique(columns[0]).tolist()
        ]
        return [patiently(functools.partial(self._write, day, row, shrink)) for row in values]

    def _read(self, connection: t.Any, start: datetime, end: datetime) -> list[t.Any]:
        c = self._logs.c
        answered = sa.case((c.status == "success", 1), else_=0)
        cost = sa.cast(c.cost_usd, sa.Float)
        query = sa.select(c.model_id, c.inference_time_ms, answered, cost, c.confidence)
        rows = connection.execute(query.where(*self._during(start, end))).all()
        kinds = (np.int64, float, bool, float, float)
        columns = zip(*rows, strict=True) if rows else [()] * 5
        return [np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]

    def _during(self, start: datetime, end: datetime) -> tuple[t.Any, ...]:
        c = self._logs.c
        return c.created_at >= start, c.created_at < end, c.model_id.is_not(None)

    def _read_classes(
        self, connection: t.Any, start: datetime, end: datetime
    ) -> dict[int, dict[str, int]]:
        """Count the predicted classes; results that are sealed or not kept count nowhere."""
        c = self._logs.c
        predicted = c.result["prediction"].as_string().label("predicted")
        named = sa.select(c.model_id, predicted).where(*self._during(start, end)).subquery()
        query = (
            sa.select(named.c.model_id, named.c.predicted, sa.func.count())
            .where(named.c.predicted.is_not(None))
            .group_by(named.c.model_id, named.c.predicted)
        )
        found: dict[int, dict[str, int]] = {}
        for model_id, label, count in connection.execute(query):
            found.setdefault(model_id, {})[label] = count
        return found

    def _read_inputs(
        self, connection: t.Any, start: datetime, end: datetime
    ) -> dict[int, list[int]]:
        """Return how many inputs there were and how many different ones, by their fingerprints."""
        c = self._logs.c
        counted = (sa.func.count(c.input_hash), sa.func.count(sa.distinct(c.input_hash)))
        query = sa.select(c.model_id, *counted).where(*self._during(start, end))
        rows = connection.execute(query.group_by(c.model_id))
        return {row[0]: [row[1], row[2]] for row in rows}

    def _read_feedback(
        self, connection: t.Any, start: datetime, end: datetime
    ) -> dict[int, tuple[int, int]]:
        c, said = self._logs.c, self._feedback.c
        # Joined from the day's rows: feedback may come a year later.
        right = sa.func.sum(sa.case((said.correct, 1), else_=0))
        query = (
            sa.select(c.model_id, sa.func.count(said.correct), right)
            .select_from(self._feedback.join(self._logs, c.id == said.id))
            .where(*self._during(start, end), said.correct.is_not(None))
            .group_by(c.model_id)
        )
        return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}

    def _write(self, day: date, values: dict[str, t.Any], shrink: bool) -> Slice:
        c = self._metrics.c
        here = sa.and_(c.model_id == values["model_id"], c.date == day)
        allowed = sa.true() if shrink else c.total_requests <= values["total_requests"]
        change = self._metrics.update().where(here, allowed).values(**values)
        state: State = "written"
        with self._engine().begin() as connection:
            if not connection.execute(change).rowcount:
                try:
                    with connection.begin_nested():
                        connection.execute(self._metrics.insert(), {"date": day, **values})
                except sa.exc.IntegrityError:
                    # It is there: with more requests, or written by another run just now.
                    state = "written" if connection.execute(change).rowcount else "kept"
        return Slice(values["model_id"], day, values["total_requests"], state)


def _aggregate(columns: list[t.Any], model_id: int) -> dict[str, t.Any]:
    mine, answered = columns[0] == model_id, columns[2]
    measured = np.sort(_measured(columns, model_id, 1))
    spent = _measured(columns, model_id, 3)
    good = int(answered[mine].sum())
    total = int(mine.sum())
    return {
        "model_id": model_id,
        "total_requests": total,
        "successful_requests": good,
        "failed_requests": total - good,
        "avg_inference_time_ms": float(measured.mean()) if len(measured) else None,
        **{f"p{p}_inference_time_ms": nearest_rank(measured, p) for p in (50, 95, 99)},
        "cost_usd": Decimal(f"{math.fsum(spent):.9f}") if len(spent) else None,
    }


def _measured(columns: list[t.Any], model_id: int, which: int) -> t.Any:
    """Return what is known in one column of one model's rows."""
    values = columns[which]
    return values[(columns[0] == model_id) & ~np.isnan(values)]


def nearest_rank(ordered: t.Any, percent: int) -> float | None:
    """Return the exact percentile of sorted values by nearest rank; ``None`` of none."""
    if not len(ordered):
        return None
    # In whole numbers: 0.07 * 100 is a hair above 7.
    rank = max(-(-percent * len(ordered) // 100), 1)
    return float(ordered[rank - 1])


def _accuracy(right: tuple[int, int] | None) -> dict[str, t.Any]:
    if right is None:
        return {"accuracy": None, "labelled_requests": 0}
    return {"accuracy": right[1] / right[0], "labelled_requests": right[0]}
