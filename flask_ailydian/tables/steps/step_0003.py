"""Step 3: the trail of events, its checkpoints and purges, and the keys of persons. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

LOGS = "pytorch_inference_logs"


def upgrade(op: t.Any) -> None:
    op.add_column(LOGS, sa.Column("hash_key_id", sa.String(32)))
    op.add_column(LOGS, sa.Column("purpose", sa.String(64)))
    op.create_table(
        "pytorch_audit_events",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("chain_id", sa.String(36), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False, index=True),
        sa.Column("domain", sa.String(16)),
        sa.Column("actor_ref", sa.String(36)),
        sa.Column("subject_ref", sa.String(36), index=True),
        sa.Column("sealed_ref", sa.String(36)),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("record_hash", sa.LargeBinary(32)),
        sa.Column("prev_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("chain_id", "seq"),
    )
    op.create_table(
        "pytorch_audit_checkpoints",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
    )
    op.create_table(
        "pytorch_audit_purges",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("chain_id", sa.String(36), nullable=False, index=True),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
    )
    op.create_table(
        "pytorch_subjects",
        sa.Column("ref", sa.String(36), primary_key=True),
        sa.Column("blind", sa.String(64), unique=True),
        sa.Column("key_id", sa.String(32)),
        sa.Column("wrapped", sa.LargeBinary),
        sa.Column("identity", sa.LargeBinary),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("erased_us", sa.BigInteger),
    )


def downgrade(op: t.Any) -> None:
    for table in (
        "pytorch_subjects",
        "pytorch_audit_purges",
        "pytorch_audit_checkpoints",
        "pytorch_audit_events",
    ):
        op.drop_table(table)
    op.drop_column(LOGS, "purpose")
    op.drop_column(LOGS, "hash_key_id")
