"""What is recorded, how durably, under which keys, and for how long."""

from __future__ import annotations

import dataclasses

from .declaring import option


@dataclasses.dataclass(frozen=True)
class AuditSettings:
    """What is recorded, how durably, under which keys, and for how long."""

    audit_failure: str = option(
        "refuse",
        "When the database does not take a row: `refuse` the answer, or `spool` the row to a file.",
        pattern=r"refuse|spool",
    )
    audit_timeout_seconds: float = option(
        5.0, "How long a row may wait to be on disk.", low=0.05, high=600
    )
    audit_queue: int = option(
        4096, "How many rows of one process may wait at once.", low=1, high=2**20
    )
    audit_durability: str = option(
        "refuse",
        "On a PostgreSQL server without `fsync` or `full_page_writes`: `refuse` or `warn`.",
        pattern=r"refuse|warn",
    )
    audit_result: tuple[str, ...] = option(
        ("*=full",), "What rows keep of results, as `domain=off`, `=summary` or `=full`."
    )
    audit_identity: str = option(
        "plain",
        "What `user_id` in the rows holds: the host's id (`plain`) or a random name (`sealed`).",
        pattern=r"plain|sealed",
    )
    purpose: tuple[str, ...] = option(
        (), "The purpose that rows stand under, as `domain=purpose`; `*` is any other domain."
    )
    retention_days: tuple[str, ...] = option(
        (), "How long rows are kept, as `domain=days`; never under 183, six years for medical."
    )
    master_keys: tuple[str, ...] = option(
        (),
        "Master keys as `ID:BASE64` of 32 bytes, newest first; none: one is made.",
        secret=True,
    )
    subject_keys_url: str = option(
        "", "Database URL of the persons' keys; empty: the host's own database.", secret=True
    )
    checkpoint_seconds: float = option(
        1.0, "How often the trail is signed while it grows; 0: never.", low=0, high=86_400
    )
    checkpoint_sinks: tuple[str, ...] = option(
        ("file",),
        "Where signed checkpoints go: `stdout`, `file`, `file:PATH`, `syslog`, `https://…`.",
    )
    user_table: str = option(
        "",
        "The host's user table and its key, as `user.id`: the next `revision` lets the database "
        "unlink rows when a user is deleted there.",
        pattern=r"|[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*",
    )
    spool_rows: int = option(
        100_000, "How many rows the spool takes before answers are refused.", low=1, high=10**8
    )
