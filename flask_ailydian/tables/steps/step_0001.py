"""Step 1: models, A/B tests, inference logs, daily metrics, idempotency keys. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa


def upgrade(op: t.Any) -> None:
    op.create_table(
        "pytorch_models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("model_type", sa.String(16), nullable=False),
        sa.Column("file_path", sa.String(255)),
        sa.Column("file_sha256", sa.String(64)),
        sa.Column("file_bytes", sa.BigInteger),
        sa.Column("domain", sa.String(16), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("input_shape", sa.JSON),
        sa.Column("output_shape", sa.JSON),
        sa.Column("labels", sa.JSON),
        sa.Column("preprocessing", sa.JSON),
        sa.Column("report", sa.JSON),
        sa.Column("description", sa.Text),
        sa.Column("deployment_status", sa.String(16), nullable=False, index=True),
        sa.Column("accuracy", sa.Float),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("model_name", "model_version"),
    )
    active = sa.text("deployment_status = 'active'")
    op.create_index(
        None,
        "pytorch_models",
        ["model_name"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )
    op.create_table(
        "pytorch_ab_tests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("test_name", sa.String(64), nullable=False, unique=True),
        sa.Column("model_a_id", sa.Integer, sa.ForeignKey("pytorch_models.id"), nullable=False),
        sa.Column("model_b_id", sa.Integer, sa.ForeignKey("pytorch_models.id"), nullable=False),
        sa.Column("traffic_split_percent", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("model_a_requests", sa.Integer, nullable=False),
        sa.Column("model_b_requests", sa.Integer, nullable=False),
        sa.Column("model_a_avg_latency_ms", sa.Float),
        sa.Column("model_b_avg_latency_ms", sa.Float),
        sa.Column("winner_model_id", sa.Integer, sa.ForeignKey("pytorch_models.id")),
        sa.Column("started_at", sa.DateTime),
        sa.Column("stopped_at", sa.DateTime),
    )
    op.create_table(
        "pytorch_inference_logs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("pytorch_models.id")),
        sa.Column("user_id", sa.String(255), index=True),
        sa.Column("input_hash", sa.String(64)),
        sa.Column("inference_time_ms", sa.Float),
        sa.Column("confidence", sa.Float),
        sa.Column("result", sa.JSON),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.String(64)),
        sa.Column("backend", sa.String(32)),
        sa.Column("cost_usd", sa.Numeric(18, 9)),
        sa.Column("ab_test_id", sa.Integer, sa.ForeignKey("pytorch_ab_tests.id")),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
    )
    op.create_index(None, "pytorch_inference_logs", ["model_id", "created_at"])
    op.create_table(
        "pytorch_model_metrics",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("pytorch_models.id"), nullable=False),
        sa.Column("date", sa.Date, nullable=False, index=True),
        sa.Column("total_requests", sa.Integer, nullable=False),
        sa.Column("successful_requests", sa.Integer, nullable=False),
        sa.Column("failed_requests", sa.Integer, nullable=False),
        sa.Column("avg_inference_time_ms", sa.Float),
        sa.Column("p50_inference_time_ms", sa.Float),
        sa.Column("p95_inference_time_ms", sa.Float),
        sa.Column("p99_inference_time_ms", sa.Float),
        sa.Column("accuracy", sa.Float),
        sa.Column("cost_usd", sa.Numeric(18, 9)),
        sa.UniqueConstraint("model_id", "date"),
    )
    op.create_table(
        "pytorch_idempotency_keys",
        sa.Column("key_hash", sa.String(64), primary_key=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("claim", sa.String(36), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.Text),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
    )


def downgrade(op: t.Any) -> None:
    for table in (
        "pytorch_idempotency_keys",
        "pytorch_model_metrics",
        "pytorch_inference_logs",
        "pytorch_ab_tests",
        "pytorch_models",
    ):
        op.drop_table(table)
