"""Step 2: the proof of a variant. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.add_column("pytorch_models", sa.Column("proof", sa.JSON))


def downgrade(op: t.Any) -> None:
    op.drop_column("pytorch_models", "proof")
