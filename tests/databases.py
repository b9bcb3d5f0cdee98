"""Real databases for tests: SQLite files, and PostgreSQL where a server answers."""

from __future__ import annotations

import contextlib
import os
import typing as t
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

SERVER = os.environ.get(
    "AILYDIAN_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)


@contextlib.contextmanager
def database(kind: str, folder: Path) -> t.Iterator[str]:
    """Yield the URL of an empty database, and drop it afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    try:
        connection = server.connect()
    except (sa.exc.OperationalError, ModuleNotFoundError) as error:
        if os.environ.get("CI"):
            raise
        why = f"no PostgreSQL at {SERVER} ({type(error).__name__})"
        pytest.skip(f"{why}; start one and set AILYDIAN_TEST_POSTGRES")
    name = f"ailydian_test_{uuid.uuid4().hex}"
    with connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
