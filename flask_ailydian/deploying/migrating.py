"""The database brought up to date: with a backup, rehearsed on a copy, taken back on failure."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app

from .. import health
from ..state import current_ailydian
from . import backup
from .server import Place
from .steps import Stopped


def pending() -> list[str] | None:
    """Return the revisions that are still to come; ``None`` where the host has no Flask-Migrate.

    :raises Stopped: when the database is not one of this code's.
    """
    if "migrate" not in current_app.extensions:
        return None
    scripts = ScriptDirectory.from_config(_config())
    heads = set(scripts.get_heads())
    try:
        at = _revisions()
        if at == heads:
            return []
        return [script.revision for script in scripts.iterate_revisions(tuple(heads), tuple(at))]
    except CommandError as error:
        raise Stopped(
            f"The database is at a revision that this code does not know: {error}",
            "Deploy the code that the database was migrated with, or newer.",
        ) from error
    except sa.exc.SQLAlchemyError as error:
        raise Stopped(
            f"The database does not answer ({type(error).__name__}).",
            "Check SQLALCHEMY_DATABASE_URI and the database server.",
        ) from error


def migrate(place: Place, *, others_write: bool) -> str:
    """Bring the database up to date; say what was done.

    :param others_write: Whether a server is at work on the database meanwhile.
    :raises Stopped: and then the database is as it was, or the sentence says that it is not.
    """
    todo = pending()
    said = "The database is up to date already."
    if todo is None:
        said = "The app has no Flask-Migrate; its tables were only looked at."
    elif todo:
        file = sqlite_file()
        if file is None:
            _upgrade()
            said = f"{len(todo)} revisions on {current_ailydian.db.engine.dialect.name}."
        else:
            said = _with_backup(place, file, len(todo), others_write=others_write)
    found = health.database(current_ailydian.audit.database, current_ailydian.tables)
    if not found.ok:
        raise Stopped(found.detail, found.remedy)
    return said


def sqlite_file() -> Path | None:
    """Return the file of a SQLite database; ``None`` for others.

    :raises Stopped: for a database in memory, which every process would have for itself.
    """
    url = current_ailydian.db.engine.url
    if url.get_backend_name() != "sqlite":
        return None
    name = url.database or ""
    if name in ("", ":memory:") or name.startswith("file:"):
        raise Stopped(
            "A SQLite database in memory, or named by a URI, cannot be deployed.",
            "Set SQLALCHEMY_DATABASE_URI to sqlite:///FILE.",
        )
    return Path(name)


def _with_backup(place: Place, file: Path, count: int, *, others_write: bool) -> str:
    if not file.exists() or not file.stat().st_size:
        _upgrade()
        return f"{count} revisions on a new database."
    kept = backup.fresh(place.backups)
    try:
        backup.copy(file, kept)
    except (sqlite3.Error, OSError) as error:
        raise Stopped(
            f"The backup failed ({error}); nothing was migrated.", "Make room on the disk."
        ) from error
    rehearsed = _rehearse(kept)
    try:
        _upgrade()
    except Stopped as stopped:
        state = _take_back(kept, file, others_write)
        raise Stopped(f"{stopped.why} {state}", stopped.remedy) from stopped.__cause__
    return f"{count} revisions, {rehearsed}; the backup is {kept}."


def _rehearse(kept: Path) -> str:
    """Migrate a copy of the backup first: what fails there has not touched the database."""
    trial = kept.with_suffix(".rehearsal")
    backup.copy(kept, trial)
    engines: t.Any = current_ailydian.db.engines
    real = engines[None]
    engines[None] = copied = sa.create_engine(f"sqlite:///{trial}")
    before = backup.schema(trial)
    try:
        _upgrade()
        if backup.schema(trial) == before and pending():
            return "without a rehearsal, because migrations/env.py takes an engine of its own"
    except Stopped as stopped:
        raise Stopped(
            f"On a copy: {stopped.why} The database itself was not touched.", stopped.remedy
        ) from stopped.__cause__
    finally:
        engines[None] = real
        copied.dispose()
        for left in trial.parent.glob(trial.name + "*"):
            left.unlink(missing_ok=True)
    return "rehearsed on a copy"


def _upgrade() -> None:
    logging.disable(logging.INFO)
    try:
        command.upgrade(_config(), "heads")
    except (Exception, SystemExit) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Stopped(
            f"A migration failed ({type(error).__name__}): {why}.",
            "Mend the migration; `flask db current` says where the database stands.",
        ) from error
    finally:
        logging.disable(logging.NOTSET)
        current_ailydian.db.engine.dispose()


def _take_back(kept: Path, file: Path, others_write: bool) -> str:
    """Put the backup back unless that would lose what was written since."""
    if backup.schema(kept) == backup.schema(file) and not _differing(kept, file):
        return "The database is as it was."
    if others_write and (since := _differing(kept, file)):
        return (
            f"It was left half way, because rows came since the backup ({', '.join(since)}); "
            f"the backup is {kept}."
        )
    try:
        backup.restore(kept, file)
    except sqlite3.Error as error:
        return f"The backup could not be put back ({error}); it is {kept}."
    return "The backup was put back."


def _differing(kept: Path, file: Path) -> list[str]:
    tables = [name for kind, name, _ in backup.schema(kept) if kind == "table"]
    return [name for name in tables if backup.counted(kept, name) != backup.counted(file, name)]


def _config() -> t.Any:
    extension = current_app.extensions["migrate"]
    folder = Path(extension.directory)
    if not (folder / "env.py").exists():
        raise Stopped(f"There is no migrations folder {folder}.", "Run: flask db init")
    return extension.migrate.get_config(str(folder))


def _revisions() -> set[str]:
    with contextlib.suppress(Stopped):
        file = sqlite_file()
        if file is not None and not file.exists():
            # To connect would make the file.
            return set()
    with current_ailydian.db.engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads())
