"""The trail as people read it: filtered, paged, in the clear for those who may."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import UTC

import sqlalchemy as sa

from ..tables import Tables
from .canonical import microseconds
from .ledger import Ledger

RECORD = ("model_id", "status", "error", "backend", "confidence", "purpose")


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which events: *after* is the ``next`` of the page before."""

    kind: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    limit: int = 100


def read(ledger: Ledger, tables: Tables, asked: Asked) -> dict[str, t.Any]:
    """Return one page of events, newest first, and where the next one begins."""
    events, logs = tables.AuditEvent.__table__, tables.InferenceLog.__table__
    e = events.c
    query = sa.select(events, *(logs.c[name] for name in RECORD)).select_from(
        events.outerjoin(logs, logs.c.id == e.id)
    )
    if asked.kind is not None:
        query = query.where(e.kind == asked.kind)
    if asked.user_id is not None:
        ref = ledger.subjects.find(asked.user_id)
        query = query.where(sa.or_(e.subject_ref == ref, e.actor_ref == ref))
        if ref is None:
            return {"events": [], "next": None}
    if asked.since is not None:
        query = query.where(e.created_us >= microseconds(_utc(asked.since)))
    if asked.until is not None:
        query = query.where(e.created_us < microseconds(_utc(asked.until)))
    if asked.after is not None:
        query = query.where(e.id < asked.after)
    query = query.order_by(e.id.desc()).limit(asked.limit + 1)
    with ledger.database.connect() as connection:
        rows = connection.execute(query).all()
    names: dict[str, str | None] = {}
    page = [_shown(ledger, row, names) for row in rows[: asked.limit]]
    return {"events": page, "next": page[-1]["id"] if len(rows) > asked.limit else None}


def _shown(ledger: Ledger, row: t.Any, names: dict[str, str | None]) -> dict[str, t.Any]:
    for ref in (row.actor_ref, row.subject_ref):
        if ref is not None and ref not in names:
            names[ref] = ledger.subjects.identity(ref)
    at = datetime(1970, 1, 1) + timedelta(microseconds=row.created_us)
    shown = {
        "id": row.id,
        "kind": row.kind,
        "at": f"{at.isoformat(timespec='microseconds')}Z",
        "domain": row.domain,
        "actor": names.get(row.actor_ref),
        "user_id": names.get(row.subject_ref),
        "detail": ledger.detail(row),
        "chain_id": row.chain_id,
        "seq": row.seq,
    }
    if row.record_hash is not None:
        shown["record"] = {name: getattr(row, name) for name in RECORD}
    return shown


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
