"""Typed mixins, mapped once on the host's declarative base."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import date
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import declared_attr
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from ..clock import new_id
from ..clock import now
from .api_keys import ApiKeyMixin
from .audit import AuditCheckpointMixin
from .audit import AuditEventMixin
from .audit import AuditPurgeMixin
from .audit import SubjectMixin
from .experiments import ABExposureMixin
from .experiments import ABPhaseMixin
from .experiments import ABShadowMixin
from .experiments import FeedbackMixin
from .jobs import JobItemMixin
from .jobs import JobMixin
from .routing import BreakerMixin
from .routing import BudgetMixin
from .routing import QueryCostMixin
from .routing import RouterLessonMixin


class ModelMixin:
    """One version of one registered model."""

    __tablename__ = "pytorch_models"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    model_name: Mapped[str] = mapped_column(sa.String(64))
    model_version: Mapped[str] = mapped_column(sa.String(64))
    model_type: Mapped[str] = mapped_column(sa.String(16))
    file_path: Mapped[str | None] = mapped_column(sa.String(255))
    file_sha256: Mapped[str | None] = mapped_column(sa.String(64))
    file_bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    domain: Mapped[str] = mapped_column(sa.String(16))
    task: Mapped[str] = mapped_column(sa.String(64))
    input_shape: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    output_shape: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    labels: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    preprocessing: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    report: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    description: Mapped[str | None] = mapped_column(sa.Text)
    deployment_status: Mapped[str] = mapped_column(sa.String(16), index=True)
    accuracy: Mapped[float | None] = mapped_column(sa.Float)
    serving: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    # How a variant that was made from another version compares with it.
    proof: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, onupdate=now)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        active = sa.text("deployment_status = 'active'")
        return (
            sa.UniqueConstraint("model_name", "model_version"),
            # The database itself holds that a name has one active version at most.
            sa.Index(None, "model_name", unique=True, sqlite_where=active, postgresql_where=active),
        )


class ABTestMixin:
    """One comparison of two models."""

    __tablename__ = "pytorch_ab_tests"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    test_name: Mapped[str] = mapped_column(sa.String(64), unique=True)
    # Empty where the arms are backends of the router.
    model_a_id: Mapped[int | None] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_models.id"))
    model_b_id: Mapped[int | None] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_models.id"))
    traffic_split_percent: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[str] = mapped_column(sa.String(16), index=True)
    model_a_requests: Mapped[int] = mapped_column(sa.Integer, default=0)
    model_b_requests: Mapped[int] = mapped_column(sa.Integer, default=0)
    model_a_avg_latency_ms: Mapped[float | None] = mapped_column(sa.Float)
    model_b_avg_latency_ms: Mapped[float | None] = mapped_column(sa.Float)
    winner_model_id: Mapped[int | None] = mapped_column(
        sa.Integer, sa.ForeignKey("pytorch_models.id")
    )
    started_at: Mapped[datetime | None] = mapped_column(sa.DateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(sa.DateTime)
    # Whose requests are split: a model's name, or `query` and a domain.
    subject: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    arm_a: Mapped[str | None] = mapped_column(sa.String(160))
    arm_b: Mapped[str | None] = mapped_column(sa.String(160))
    seed: Mapped[str | None] = mapped_column(sa.String(32))
    plan: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    verdict: Mapped[str | None] = mapped_column(sa.String(16))
    decided_at: Mapped[datetime | None] = mapped_column(sa.DateTime)
    snapshot: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)


class InferenceLogMixin:
    """One answered request; holds a keyed hash of the input, never the input."""

    __tablename__ = "pytorch_inference_logs"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    model_id: Mapped[int | None] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_models.id"))
    # The host's opaque id: no foreign key into a table whose name and key type are the host's.
    user_id: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    input_hash: Mapped[str | None] = mapped_column(sa.String(64))
    inference_time_ms: Mapped[float | None] = mapped_column(sa.Float)
    confidence: Mapped[float | None] = mapped_column(sa.Float)
    result: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    status: Mapped[str] = mapped_column(sa.String(16))
    error: Mapped[str | None] = mapped_column(sa.String(64))
    backend: Mapped[str | None] = mapped_column(sa.String(32))
    cost_usd: Mapped[Decimal | None] = mapped_column(sa.Numeric(18, 9))
    ab_test_id: Mapped[int | None] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_ab_tests.id"))
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, index=True)
    # Under which key `input_hash` was made: a deployment key's id, or "subject".
    hash_key_id: Mapped[str | None] = mapped_column(sa.String(32))
    purpose: Mapped[str | None] = mapped_column(sa.String(64))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.Index(None, "model_id", "created_at"),)


class ModelMetricMixin:
    """One model on one UTC day."""

    __tablename__ = "pytorch_model_metrics"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    model_id: Mapped[int] = mapped_column(sa.Integer, sa.ForeignKey("pytorch_models.id"))
    date: Mapped[date] = mapped_column(sa.Date, index=True)
    total_requests: Mapped[int] = mapped_column(sa.Integer, default=0)
    successful_requests: Mapped[int] = mapped_column(sa.Integer, default=0)
    failed_requests: Mapped[int] = mapped_column(sa.Integer, default=0)
    avg_inference_time_ms: Mapped[float | None] = mapped_column(sa.Float)
    p50_inference_time_ms: Mapped[float | None] = mapped_column(sa.Float)
    p95_inference_time_ms: Mapped[float | None] = mapped_column(sa.Float)
    p99_inference_time_ms: Mapped[float | None] = mapped_column(sa.Float)
    accuracy: Mapped[float | None] = mapped_column(sa.Float)
    cost_usd: Mapped[Decimal | None] = mapped_column(sa.Numeric(18, 9))
    labelled_requests: Mapped[int | None] = mapped_column(sa.Integer)
    # Counts by bucket of `metrics.histogram`: days can be added up, percentiles cannot.
    histogram: Mapped[t.Any] = mapped_column(sa.JSON, nullable=True)
    finalised: Mapped[bool | None] = mapped_column(sa.Boolean)
    computed_at: Mapped[datetime | None] = mapped_column(sa.DateTime)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.UniqueConstraint("model_id", "date"),)


class IdempotencyKeyMixin:
    """One caller's ``Idempotency-Key`` of the last day, and the answer that it got."""

    __tablename__ = "pytorch_idempotency_keys"

    # A digest over caller, route and key: the key itself may be anything.
    key_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    claim: Mapped[str] = mapped_column(sa.String(36))
    status: Mapped[int | None] = mapped_column(sa.Integer)
    body: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now, index=True)


@dataclasses.dataclass(frozen=True)
class Tables:
    """The mapped classes on one ``SQLAlchemy`` instance."""

    Model: t.Any
    ABTest: t.Any
    InferenceLog: t.Any
    ModelMetric: t.Any
    IdempotencyKey: t.Any
    AuditEvent: t.Any
    AuditCheckpoint: t.Any
    AuditPurge: t.Any
    Subject: t.Any
    ABPhase: t.Any
    ABExposure: t.Any
    ABShadow: t.Any
    Feedback: t.Any
    QueryCost: t.Any
    Budget: t.Any
    Breaker: t.Any
    RouterLesson: t.Any
    Job: t.Any
    JobItem: t.Any
    ApiKey: t.Any

    @property
    def all(self) -> tuple[sa.Table, ...]:
        """The tables themselves, in the order in which they can be created."""
        return tuple(getattr(self, f.name).__table__ for f in dataclasses.fields(self))


def bind_tables(db: t.Any) -> Tables:
    """Map the mixins on ``db.Model``, or return what an earlier call mapped."""
    info = db.metadata.info
    if "ailydian" not in info:
        mixins = {
            "Model": ModelMixin,
            "ABTest": ABTestMixin,
            "InferenceLog": InferenceLogMixin,
            "ModelMetric": ModelMetricMixin,
            "IdempotencyKey": IdempotencyKeyMixin,
            "AuditEvent": AuditEventMixin,
            "AuditCheckpoint": AuditCheckpointMixin,
            "AuditPurge": AuditPurgeMixin,
            "Subject": SubjectMixin,
            "ABPhase": ABPhaseMixin,
            "ABExposure": ABExposureMixin,
            "ABShadow": ABShadowMixin,
            "Feedback": FeedbackMixin,
            "QueryCost": QueryCostMixin,
            "Budget": BudgetMixin,
            "Breaker": BreakerMixin,
            "RouterLesson": RouterLessonMixin,
            "Job": JobMixin,
            "JobItem": JobItemMixin,
            "ApiKey": ApiKeyMixin,
        }
        info["ailydian"] = Tables(
            **{
                name: type(f"Ailydian{name}", (mixin, db.Model), {})
                for name, mixin in mixins.items()
            }
        )
    return t.cast(Tables, info["ailydian"])
