"""Looking at the trail of a test's host."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from flask import Flask

from flask_ailydian.clock import new_id
from flask_ailydian.clock import now

SECRET = "PNEUMONIA-OF-ALICE"


def events(app: Flask, kind: str | None = None) -> list[t.Any]:
    """Return the events in the order in which they were linked."""
    table = app.extensions["ailydian"].tables.AuditEvent.__table__
    query = table.select().order_by(table.c.chain_id, table.c.seq)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
        return list(connection.execute(query))


def run(app: Flask, sql: str, **values: t.Any) -> int:
    """Run one statement behind the package's back; return how many rows it met."""
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        return connection.execute(sa.text(sql), values).rowcount


def answer(app: Flask, user: str | None, domain: str = "medical", **more: t.Any) -> str:
    """Record one answer; return its id."""
    audit = app.extensions["ailydian"].audit
    row: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "backend": "onnx"}
    row |= dict.fromkeys(("model_id", "ab_test_id", "cost_usd", "error"))
    row |= {"status": "success", "user_id": user, "confidence": 0.5, "inference_time_ms": 1.0}
    row |= {"domain": domain, "result": {"prediction": SECRET}} | more
    hashed = audit.input_hash("image", b"x-ray", user_id=user, domain=domain)
    row["input_hash"], row["hash_key_id"] = hashed
    audit.record(row)
    return str(row["id"])
