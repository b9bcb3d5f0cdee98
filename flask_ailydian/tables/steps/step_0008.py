"""Step 8: queries that a router may learn from, sealed. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.create_table(
        "pytorch_router_lessons",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("subject_ref", sa.String(36), nullable=False, index=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
    )


def downgrade(op: t.Any) -> None:
    op.drop_table("pytorch_router_lessons")
