"""Step 6: keys of machines that call. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.create_table(
        "pytorch_api_keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("prefix", sa.String(8), nullable=False),
        sa.Column("actions", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime),
        sa.Column("last_used_at", sa.DateTime),
        sa.Column("revoked_at", sa.DateTime),
    )


def downgrade(op: t.Any) -> None:
    op.drop_table("pytorch_api_keys")
