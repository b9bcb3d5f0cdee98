"""Step 2: how a version is served, and what was proven of it. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

COLUMNS = ("serving", "proof")


def upgrade(op: t.Any) -> None:
    for name in COLUMNS:
        op.add_column("pytorch_models", sa.Column(name, sa.JSON, nullable=True))


def downgrade(op: t.Any) -> None:
    for name in reversed(COLUMNS):
        op.drop_column("pytorch_models", name)
