"""The database's own guard: the trail takes new rows, and no UPDATE and no DELETE."""

from __future__ import annotations

import collections.abc as c
import contextlib

import sqlalchemy as sa

TABLES = ("pytorch_audit_events", "pytorch_audit_checkpoints", "pytorch_audit_purges")
SAID = "the audit trail takes new rows only"
FUNCTION = "pytorch_audit_append_only"
SWITCH = "ailydian.retention"
EVENTS = TABLES[0]
#: Partitions get the triggers for rows from their table, and that for TRUNCATE from nobody.
ON_PARTITIONS = f"""
DO $$ DECLARE leaf regclass; BEGIN
FOR leaf IN SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('{EVENTS}')
AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = '{EVENTS}_all')
LOOP EXECUTE 'CREATE TRIGGER {EVENTS}_all BEFORE TRUNCATE ON ' || leaf::text ||
' FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()'; END LOOP; END $$
"""
#: How many partitions lack it, or have it switched off.
UNGUARDED = f"""
SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('{EVENTS}') AND NOT EXISTS
(SELECT 1 FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = '{EVENTS}_all'
AND tgenabled <> 'D')
"""


def statements(dialect: str) -> list[str]:
    """Return the SQL that puts the guard up; nothing for databases that it is not written for."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
            for table in TABLES
            for verb in ("UPDATE", "DELETE")
        ]
    if dialect != "postgresql":
        return []
    return [
        f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'DELETE' AND current_setting('{SWITCH}', true) = 'on' THEN RETURN OLD; "
        f"END IF; RAISE EXCEPTION '{SAID}'; END $$",
        *(
            sql
            for table in TABLES
            for sql in (
                f"DROP TRIGGER IF EXISTS {table}_rows ON {table}",
                f"CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION {FUNCTION}()",
                f"DROP TRIGGER IF EXISTS {table}_all ON {table}",
                f"CREATE TRIGGER {table}_all BEFORE TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()",
            )
        ),
        ON_PARTITIONS,
    ]


def removal(dialect: str) -> list[str]:
    """Return the SQL that takes the guard down."""
    if dialect == "sqlite":
        return [
            f"DROP TRIGGER IF EXISTS {table}_no_{verb}"
            for table in TABLES
            for verb in ("update", "delete")
        ]
    if dialect != "postgresql":
        return []
    drops = [
        f"DROP TRIGGER IF EXISTS {t}_{what} ON {t}" for t in TABLES for what in ("rows", "all")
    ]
    # The partitions' triggers go with it.
    return [*drops, f"DROP FUNCTION IF EXISTS {FUNCTION}() CASCADE"]


def role_statements(role: str) -> list[str]:
    """Return the SQL for PostgreSQL that lets *role* write the trail and never change it."""
    quoted = '"' + role.replace('"', '""') + '"'
    tables = ", ".join(TABLES)
    return [
        f"REVOKE ALL ON {tables} FROM {quoted}",
        f"GRANT SELECT, INSERT ON {tables} TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE (user_id) ON pytorch_inference_logs TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE ON pytorch_subjects TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON pytorch_idempotency_keys TO {quoted}",
    ]


def present(connection: sa.Connection) -> bool:
    """Whether the guard stands on every table of the trail."""
    if connection.dialect.name == "sqlite":
        query, wanted = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND ", 2
        query += " OR ".join(f"name LIKE '{table}_no_%'" for table in TABLES).join("()")
    elif connection.dialect.name == "postgresql":
        names = ", ".join(f"'{t}_{what}'" for t in TABLES for what in ("rows", "all"))
        query, wanted = f"SELECT count(*) FROM pg_trigger WHERE tgname IN ({names})", 2
        query += " AND tgenabled <> 'D'"
        query += " AND tgrelid IN (SELECT oid FROM pg_class WHERE pg_table_is_visible(oid))"
        if connection.execute(sa.text(UNGUARDED)).scalar_one():
            return False
    else:
        return False
    found = connection.execute(sa.text(query)).scalar_one()
    return int(found) >= wanted * len(TABLES)


@contextlib.contextmanager
def lifted(connection: sa.Connection) -> c.Iterator[None]:
    """Let this very transaction delete: for retention, which signs what it takes away."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SET LOCAL {SWITCH} = 'on'"))
        yield
        return
    if not present(connection):
        yield
        return
    raw = connection.connection.dbapi_connection
    if raw is not None and not raw.in_transaction:
        # Python's driver begins a transaction for rows, not for triggers.
        connection.execute(sa.text("BEGIN IMMEDIATE"))
    for sql in removal(connection.dialect.name):
        connection.execute(sa.text(sql))
    yield
    for sql in statements(connection.dialect.name):
        connection.execute(sa.text(sql))
