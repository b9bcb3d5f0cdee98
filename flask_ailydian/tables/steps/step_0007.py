"""Step 7: jobs and their items. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.create_table(
        "pytorch_jobs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key_hash", sa.String(64), unique=True),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("subject_ref", sa.String(64), nullable=False, index=True),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("woken_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime, index=True),
    )
    op.create_table(
        "pytorch_job_items",
        sa.Column("job_id", sa.String(36), sa.ForeignKey("pytorch_jobs.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("subject_ref", sa.String(64), nullable=False, index=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("source", sa.LargeBinary),
        sa.Column("result", sa.LargeBinary),
        sa.Column("error", sa.String(64)),
    )
    op.create_index(None, "pytorch_job_items", ["job_id", "status", "due_at"])


def downgrade(op: t.Any) -> None:
    for table in ("pytorch_job_items", "pytorch_jobs"):
        op.drop_table(table)
