"""Looking at the trail of a test's host."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from flask import Flask


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
