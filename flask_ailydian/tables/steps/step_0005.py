"""Step 5: phases, exposures, shadows of A/B tests; feedback; histograms of days. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

TESTS = "pytorch_ab_tests"
COPY = "pytorch_ab_tests_copy"
OLD = (
    "id, test_name, model_a_id, model_b_id, traffic_split_percent, status, model_a_requests, "
    "model_b_requests, model_a_avg_latency_ms, model_b_avg_latency_ms, winner_model_id, "
    "started_at, stopped_at"
)
METRICS = "pytorch_model_metrics"


def upgrade(op: t.Any) -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild(op, arms_may_be_empty=True)
    else:
        for column in _new_columns():
            op.add_column(TESTS, column)
        for name in ("model_a_id", "model_b_id"):
            op.alter_column(TESTS, name, existing_type=sa.Integer, nullable=True)
    op.create_index(None, TESTS, ["subject"])
    op.create_table(
        "pytorch_ab_phases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ab_test_id", sa.Integer, sa.ForeignKey(f"{TESTS}.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("split_percent", sa.Integer, nullable=False),
        sa.Column("coverage", sa.Float, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.UniqueConstraint("ab_test_id", "number"),
    )
    op.create_table(
        "pytorch_ab_exposures",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("ab_test_id", sa.Integer, sa.ForeignKey(f"{TESTS}.id"), nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("unit", sa.String(64), nullable=False, index=True),
        sa.Column("arm", sa.SmallInteger, nullable=False),
        sa.Column("served_arm", sa.SmallInteger, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("cost_usd", sa.Numeric(18, 9)),
        sa.Column("correct", sa.Boolean),
        sa.Column("rating", sa.SmallInteger),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index(None, "pytorch_ab_exposures", ["ab_test_id", "created_at"])
    op.create_table(
        "pytorch_ab_shadows",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("ab_test_id", sa.Integer, sa.ForeignKey(f"{TESTS}.id"), nullable=False),
        sa.Column("latency_a_ms", sa.Float, nullable=False),
        sa.Column("latency_b_ms", sa.Float),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("agrees", sa.Boolean),
        sa.Column("cost_usd", sa.Numeric(18, 9)),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index(None, "pytorch_ab_shadows", ["ab_test_id", "created_at"])
    op.create_table(
        "pytorch_feedback",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("label", sa.String(255)),
        sa.Column("correct", sa.Boolean),
        sa.Column("rating", sa.SmallInteger),
        sa.Column("created_at", sa.DateTime, nullable=False, index=True),
    )
    for column in _metric_columns():
        op.add_column(METRICS, column)


def downgrade(op: t.Any) -> None:
    for column in reversed(_metric_columns()):
        op.drop_column(METRICS, column.name)
    for table in (
        "pytorch_feedback",
        "pytorch_ab_shadows",
        "pytorch_ab_exposures",
        "pytorch_ab_phases",
    ):
        op.drop_table(table)
    # What the older schema cannot hold goes: tests between backends.
    backends = "model_a_id IS NULL OR model_b_id IS NULL"
    op.execute(
        "UPDATE pytorch_inference_logs SET ab_test_id = NULL "
        f"WHERE ab_test_id IN (SELECT id FROM {TESTS} WHERE {backends})"
    )
    op.execute(f"DELETE FROM {TESTS} WHERE {backends}")
    if op.get_context().dialect.name == "sqlite":
        _rebuild(op, arms_may_be_empty=False)
        return
    for name in ("model_a_id", "model_b_id"):
        op.alter_column(TESTS, name, existing_type=sa.Integer, nullable=False)
    # The index on a column goes with it.
    for column in reversed(_new_columns()):
        op.drop_column(TESTS, column.name)


def _rebuild(op: t.Any, *, arms_may_be_empty: bool) -> None:
    """Make the table anew: SQLite cannot change whether a column may be empty.

    By way of a copy, not by renaming, which would turn the references of other tables.
    """
    op.execute(f"CREATE TABLE {COPY} AS SELECT {OLD} FROM {TESTS}")
    op.drop_table(TESTS)
    key = "pytorch_models.id"
    op.create_table(
        TESTS,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("test_name", sa.String(64), nullable=False, unique=True),
        sa.Column("model_a_id", sa.Integer, sa.ForeignKey(key), nullable=arms_may_be_empty),
        sa.Column("model_b_id", sa.Integer, sa.ForeignKey(key), nullable=arms_may_be_empty),
        sa.Column("traffic_split_percent", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("model_a_requests", sa.Integer, nullable=False),
        sa.Column("model_b_requests", sa.Integer, nullable=False),
        sa.Column("model_a_avg_latency_ms", sa.Float),
        sa.Column("model_b_avg_latency_ms", sa.Float),
        sa.Column("winner_model_id", sa.Integer, sa.ForeignKey(key)),
        sa.Column("started_at", sa.DateTime),
        sa.Column("stopped_at", sa.DateTime),
        *(_new_columns() if arms_may_be_empty else ()),
    )
    op.execute(f"INSERT INTO {TESTS} ({OLD}) SELECT {OLD} FROM {COPY}")
    op.drop_table(COPY)


def _new_columns() -> list[sa.Column[t.Any]]:
    return [
        sa.Column("subject", sa.String(64)),
        sa.Column("arm_a", sa.String(160)),
        sa.Column("arm_b", sa.String(160)),
        sa.Column("seed", sa.String(32)),
        sa.Column("plan", sa.JSON),
        sa.Column("verdict", sa.String(16)),
        sa.Column("decided_at", sa.DateTime),
        sa.Column("snapshot", sa.JSON),
    ]


def _metric_columns() -> list[sa.Column[t.Any]]:
    return [
        sa.Column("labelled_requests", sa.Integer),
        sa.Column("histogram", sa.JSON),
        sa.Column("finalised", sa.Boolean),
        sa.Column("computed_at", sa.DateTime),
    ]
