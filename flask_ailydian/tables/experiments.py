"""The tables of A/B tests and of feedback."""

from __future__ import annotations

import typing as t
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import declared_attr
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from ..clock import now


class ABPhaseMixin:
    """A stretch of one test in which nothing about the split changed."""

    __tablename__ = "pytorch_ab_phases"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    ab_test_id: Mapped[int] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_ab_tests.id"))
    number: Mapped[int] = mapped_column(sa.Integer)
    split_percent: Mapped[int] = mapped_column(sa.Integer)
    coverage: Mapped[float] = mapped_column(sa.Float)
    started_at: Mapped[datetime] = mapped_column(sa.DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(sa.DateTime)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.UniqueConstraint("ab_test_id", "number"),)


class ABExposureMixin:
    """One request that met a test, and what became of it; the arms are 0 (A) and 1 (B)."""

    __tablename__ = "pytorch_ab_exposures"

    # That of the request's row in the inference logs; no foreign key, as those may be retired.
    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    ab_test_id: Mapped[int] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_ab_tests.id"))
    phase: Mapped[int] = mapped_column(sa.Integer)
    # A keyed fingerprint of whom the arm was drawn for.
    unit: Mapped[str] = mapped_column(sa.String(64), index=True)
    arm: Mapped[int] = mapped_column(sa.SmallInteger)
    served_arm: Mapped[int] = mapped_column(sa.SmallInteger)
    latency_ms: Mapped[float] = mapped_column(sa.Float)
    failed: Mapped[bool] = mapped_column(sa.Boolean)
    cost_usd: Mapped[Decimal | None] = mapped_column(sa.Numeric(18, 9))
    correct: Mapped[bool | None] = mapped_column(sa.Boolean)
    rating: Mapped[int | None] = mapped_column(sa.SmallInteger)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.Index(None, "ab_test_id", "created_at"),)


class ABShadowMixin:
    """The second arm's answer to an input that the first arm answered."""

    __tablename__ = "pytorch_ab_shadows"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    ab_test_id: Mapped[int] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_ab_tests.id"))
    latency_a_ms: Mapped[float] = mapped_column(sa.Float)
    latency_b_ms: Mapped[float | None] = mapped_column(sa.Float)
    failed: Mapped[bool] = mapped_column(sa.Boolean)
    agrees: Mapped[bool | None] = mapped_column(sa.Boolean)
    cost_usd: Mapped[Decimal | None] = mapped_column(sa.Numeric(18, 9))
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.Index(None, "ab_test_id", "created_at"),)


class FeedbackMixin:
    """What somebody said of an earlier answer; the last word counts."""

    __tablename__ = "pytorch_feedback"

    # That of the answer's row in the inference logs.
    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    label: Mapped[str | None] = mapped_column(sa.String(255))
    correct: Mapped[bool | None] = mapped_column(sa.Boolean)
    rating: Mapped[int | None] = mapped_column(sa.SmallInteger)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, index=True)
