"""Deleting a user of the host's unlinks the rows about them, by a trigger of the database.

A foreign key would do the same for hosts whose keys are text; a trigger takes any key.
"""

from __future__ import annotations

import re
import typing as t

NAME = "pytorch_unlink_user"
SET_NULL = (
    "UPDATE pytorch_inference_logs SET user_id = NULL WHERE user_id = CAST(OLD.{key} AS {kind})"
)


def upgrade(op: t.Any, user_table: str) -> None:
    """Make the trigger on *user_table*, which is ``table.column``."""
    table, key = _quoted(user_table)
    if op.get_context().dialect.name == "sqlite":
        update = SET_NULL.format(key=key, kind="TEXT")
        op.execute(f"CREATE TRIGGER {NAME} AFTER DELETE ON {table} BEGIN {update}; END")
    elif op.get_context().dialect.name == "postgresql":
        update = SET_NULL.format(key=key, kind="VARCHAR")
        op.execute(
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {update}; RETURN OLD; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {NAME} AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {NAME}()"
        )


def downgrade(op: t.Any, user_table: str) -> None:
    """Take the trigger away."""
    table, _ = _quoted(user_table)
    if op.get_context().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER IF EXISTS {NAME}")
    elif op.get_context().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {table}")
        op.execute(f"DROP FUNCTION IF EXISTS {NAME}()")


def _quoted(user_table: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)", user_table, re.ASCII)
    if match is None:
        raise ValueError(f"{user_table!r} is not of the form table.column")
    return f'"{match[1]}"', f'"{match[2]}"'
