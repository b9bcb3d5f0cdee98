"""Step 4: what queries cost, budgets, circuit breakers. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.create_table(
        "pytorch_query_costs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("domain", sa.String(16), nullable=False),
        sa.Column("backend", sa.String(32)),
        sa.Column("model", sa.String(160)),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("complexity", sa.String(16), nullable=False),
        sa.Column("decision", sa.JSON, nullable=False),
        sa.Column("arm", sa.String(64)),
        sa.Column("propensity", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("usage_estimated", sa.Boolean, nullable=False),
        sa.Column("price", sa.JSON),
        sa.Column("reserved_nano", sa.BigInteger, nullable=False),
        sa.Column("estimated_nano", sa.BigInteger, nullable=False),
        sa.Column("actual_nano", sa.BigInteger, nullable=False),
        sa.Column("baseline_nano", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "pytorch_budgets",
        sa.Column("scope", sa.String(160), primary_key=True),
        sa.Column("committed_nano", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
    )
    op.create_table(
        "pytorch_breakers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.Float),
        sa.Column("probe_until", sa.Float),
    )


def downgrade(op: t.Any) -> None:
    for table in ("pytorch_breakers", "pytorch_budgets", "pytorch_query_costs"):
        op.drop_table(table)
