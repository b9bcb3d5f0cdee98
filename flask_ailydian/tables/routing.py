"""Routed queries: what each cost, what was spent, and which backends are left alone."""

from __future__ import annotations

import typing as t
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from ..clock import now


class QueryCostMixin:
    """What one routed query cost, in billionths of a dollar: whole numbers are exact everywhere.

    Carries the id of the query's row in ``pytorch_inference_logs``, which names the person.
    """

    __tablename__ = "pytorch_query_costs"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, index=True)
    state: Mapped[str] = mapped_column(sa.String(16))
    domain: Mapped[str] = mapped_column(sa.String(16))
    backend: Mapped[str | None] = mapped_column(sa.String(32))
    model: Mapped[str | None] = mapped_column(sa.String(160))
    score: Mapped[float] = mapped_column(sa.Float)
    complexity: Mapped[str] = mapped_column(sa.String(16))
    decision: Mapped[t.Any] = mapped_column(sa.JSON)
    arm: Mapped[str | None] = mapped_column(sa.String(64))
    propensity: Mapped[float] = mapped_column(sa.Float)
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    input_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    output_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    cached_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    usage_estimated: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    price: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    reserved_nano: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    estimated_nano: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    actual_nano: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    baseline_nano: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class BudgetMixin:
    """What was spent or reserved in one scope (a day, a user's day, a domain's day)."""

    __tablename__ = "pytorch_budgets"

    scope: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    committed_nano: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, index=True)


class RouterLessonMixin:
    """A query that a router may learn from, sealed under the key of the person it is about.

    Carries the id of the query's row in ``pytorch_query_costs``.
    """

    __tablename__ = "pytorch_router_lessons"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    subject_ref: Mapped[str] = mapped_column(sa.String(36), index=True)
    sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, index=True)


class BreakerMixin:
    """What the workers know together of one backend's failures; moments are Unix seconds."""

    __tablename__ = "pytorch_breakers"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(sa.Integer, default=0)
    opened_at: Mapped[float | None] = mapped_column(sa.Float)
    probe_until: Mapped[float | None] = mapped_column(sa.Float)
