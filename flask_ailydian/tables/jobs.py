"""Jobs and their items; what they hold of persons is sealed."""

from __future__ import annotations

import typing as t
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import declared_attr
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from ..clock import now


class JobMixin:
    """Many inputs for one model; *asked* holds who asked and how, sealed under *subject_ref*."""

    __tablename__ = "pytorch_jobs"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    # Of the caller's Idempotency-Key, where there was one.
    key_hash: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    model_name: Mapped[str] = mapped_column(sa.String(64))
    subject_ref: Mapped[str] = mapped_column(sa.String(64), index=True)
    asked: Mapped[bytes] = mapped_column(sa.LargeBinary)
    status: Mapped[str] = mapped_column(sa.String(16), index=True)
    total: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(sa.DateTime)
    # When a worker last had it in hand, or was told of it.
    woken_at: Mapped[datetime] = mapped_column(sa.DateTime)
    finished_at: Mapped[datetime | None] = mapped_column(sa.DateTime, index=True)


class JobItemMixin:
    """One input of a job: where it lies, and what came of it; both sealed under *subject_ref*.

    *due_at* is when a worker may take it: now, after a pause, or once who had it is given up.
    """

    __tablename__ = "pytorch_job_items"

    job_id: Mapped[str] = mapped_column(
        sa.String(36), sa.ForeignKey("pytorch_jobs.id"), primary_key=True
    )
    position: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    subject_ref: Mapped[str] = mapped_column(sa.String(64), index=True)
    status: Mapped[str] = mapped_column(sa.String(16))
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    due_at: Mapped[datetime] = mapped_column(sa.DateTime)
    source: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    result: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    error: Mapped[str | None] = mapped_column(sa.String(64))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.Index(None, "job_id", "status", "due_at"),)
