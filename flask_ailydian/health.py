"""Whether requests can be answered: the questions that readiness and the doctor share."""

from __future__ import annotations

import dataclasses
import typing as t

import sqlalchemy as sa

from .registry import Registry
from .tables import Tables
from .tables.steps import LATEST


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found, and what to do when it is not well."""

    ok: bool
    detail: str
    remedy: str | None = None


def database(db: t.Any, tables: Tables) -> Finding:
    """Look whether the database answers and has the tables of this version."""
    try:
        inspector = sa.inspect(db.engine)
        present = set(inspector.get_table_names())
        for table in tables.all:
            if table.name not in present:
                return _behind(f"Table {table.name} is missing.")
            columns = {column["name"] for column in inspector.get_columns(table.name)}
            missing = sorted(set(table.columns.keys()) - columns)
            if missing:
                return _behind(f"Table {table.name} lacks {', '.join(missing)}.")
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return Finding(
            False,
            f"The database does not answer ({type(error).__name__}).",
            "Check SQLALCHEMY_DATABASE_URI and the database server.",
        )
    return Finding(True, f"The database answers; schema version {LATEST}.")


def _behind(what: str) -> Finding:
    return Finding(False, what, "Run: flask ailydian revision, then flask db upgrade")


def models(registry: Registry) -> Finding:
    """Look whether every model that would answer has its file, unchanged."""
    try:
        servable = registry.servable()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return Finding(False, f"The models cannot be read ({type(error).__name__}).")
    # Nothing to serve is not "all is well".
    if not servable:
        return Finding(
            False,
            "No model is active or testing.",
            "Run: flask ailydian models add FILE --name N --version V --activate",
        )
    for record in servable:
        if wrong := registry.verify(record):
            return Finding(False, wrong, "Restore the file, or activate another version.")
    names = ", ".join(f"{r.name} {r.version} ({r.status})" for r in servable[:5])
    return Finding(True, f"{len(servable)} loadable: {names}.")
