"""Step 3: the trail of events, its checkpoints and purges, and the keys of persons. Frozen."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

LOGS = "pytorch_inference_logs"
TRAIL = ("pytorch_audit_events", "pytorch_audit_checkpoints", "pytorch_audit_purges")
SAID = "the audit trail takes new rows only"
GUARDS = {
    "sqlite": [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        for table in TRAIL
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION pytorch_audit_append_only() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN IF TG_OP = 'DELETE' AND current_setting('ailydian.retention', true) = 'on' "
        f"THEN RETURN OLD; END IF; RAISE EXCEPTION '{SAID}'; END $$",
        *(
            f"CREATE TRIGGER {table}_{name} BEFORE {verbs} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION pytorch_audit_append_only()"
            for table in TRAIL
            for name, verbs, each in (
                ("rows", "UPDATE OR DELETE", "ROW"),
                ("all", "TRUNCATE", "STATEMENT"),
            )
        ),
    ],
}


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
    for statement in GUARDS.get(op.get_context().dialect.name, ()):
        op.execute(statement)


def downgrade(op: t.Any) -> None:
    for table in (
        "pytorch_subjects",
        "pytorch_audit_purges",
        "pytorch_audit_checkpoints",
        "pytorch_audit_events",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS pytorch_audit_append_only()")
    op.drop_column(LOGS, "purpose")
    op.drop_column(LOGS, "hash_key_id")
