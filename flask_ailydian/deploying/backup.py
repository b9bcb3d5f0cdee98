"""Copies of a SQLite database that is in use, and the way back."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path


def copy(source: Path, target: Path) -> None:
    """Copy a database to *target*, as it is at one moment, while others go on writing.

    :raises sqlite3.Error: when it cannot be read or written; no half copy is left.
    """
    draft = target.with_name(target.name + ".draft")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        with _open(source) as old, _open(draft) as new:
            old.backup(new)
            if new.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("The copy is not whole.")
            # In one file, to be moved about and kept.
            new.execute("PRAGMA journal_mode=DELETE")
        descriptor = os.open(draft, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def restore(backup: Path, target: Path) -> None:
    """Put a copy back into the database that it was made of, in one transaction of its own."""
    with _open(backup) as old, _open(target) as new:
        old.backup(new)


def fresh(folder: Path) -> Path:
    """Return the name of a new backup; the ten newest before it are kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.sqlite"))[:-9]:
        old.unlink()
    return folder / time.strftime("%Y%m%dT%H%M%SZ.sqlite", time.gmtime())


def schema(path: Path) -> list[tuple[str, ...]]:
    """Return what defines the tables of a database."""
    with _open(path) as connection:
        return sorted(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master"))


def counted(path: Path, table: str) -> int | None:
    """Return how many rows a table has; ``None`` without the table."""
    with _open(path) as connection:
        with contextlib.suppress(sqlite3.OperationalError):
            return int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
    return None


@contextlib.contextmanager
def _open(path: Path):  # type: ignore[no-untyped-def]
    connection = sqlite3.connect(path, timeout=30)
    try:
        yield connection
    finally:
        connection.close()
