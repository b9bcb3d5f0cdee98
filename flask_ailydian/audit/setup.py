"""Wires the ledger of one app from its settings."""

from __future__ import annotations

import collections.abc as c
import os
import typing as t
from pathlib import Path

import sqlalchemy as sa

from ..database import Database
from ..database import HostEngine
from ..settings import describe
from ..settings import Settings
from ..tables import Tables
from ..version import __version__
from .checkpoints import Checkpoints
from .delivery import Limits
from .fingerprint import Fingerprint
from .inspection import Inspection
from .keys import KEY_FILE
from .keys import KeyProvider
from .keys import MasterKeys
from .ledger import Ledger
from .partitions import Partitions
from .policy import Policy
from .privacy import Privacy
from .retention import Retention
from .shipping import Shipping
from .signing import Signer
from .sinks import exported
from .sinks import Outlet
from .sinks import parse
from .spool import Spool
from .subjects import Subjects


def create_ledger(
    db: t.Any,
    tables: Tables,
    settings: Settings,
    folder: Path,
    fingerprint: Fingerprint,
    keys: KeyProvider | None,
) -> Ledger:
    """Return the ledger of one app.

    :param folder: Where what is not the database's lies: keys, spool, exported checkpoints.
    :raises RuntimeError: for a setting that makes no sense; the message names it.
    """
    keys = keys or MasterKeys(settings.master_keys, folder / KEY_FILE)
    table = tables.Subject.__table__
    database = Database(HostEngine(db), settings.audit_timeout_seconds)
    engine = database.engine
    offline = settings.audit_failure == "spool"
    if settings.subject_keys_url:
        own = Database(_own_engine(settings.subject_keys_url, table), database.seconds)
        subjects = Subjects(own, table, keys, separate=True, offline=offline)
    else:
        subjects = Subjects(database, table, keys, offline=offline)
    signer = Signer(keys)
    outlets = [Outlet(parse(spec, folder)) for spec in settings.checkpoint_sinks]
    files = [exported(spec, folder) for spec in settings.checkpoint_sinks]
    checkpoints = Checkpoints(database, tables, signer, outlets, settings.checkpoint_seconds)
    shipping = None
    if offline:
        spool = Spool(folder / "spool.db", settings.spool_rows)
        shipping = Shipping(spool, engine, tables, subjects)
    return Ledger(
        database,
        tables,
        subjects,
        fingerprint,
        Policy.of(settings),
        Limits(
            timeout=settings.audit_timeout_seconds,
            queue=settings.audit_queue,
            stale_after=2 * settings.timeout_seconds,
            refuse_unsafe=settings.audit_durability == "refuse",
        ),
        _started(settings),
        checkpoints,
        Inspection(
            database,
            tables,
            checkpoints,
            signer,
            [file for file in files if file is not None],
            folder / "verified.json",
        ),
        Partitions(engine),
        shipping,
    )


def create_privacy(ledger: Ledger, tables: Tables) -> Privacy:
    """Return what answers the rights of persons."""
    signer = ledger.inspection.signer
    retention = Retention(
        ledger.engine, tables, signer, ledger.policy, ledger.subjects, ledger.partitions
    )
    return Privacy(ledger, tables, ledger.policy, retention)


def _own_engine(url: str, table: sa.Table) -> c.Callable[[], sa.Engine]:
    made: dict[int, sa.Engine] = {}

    def engine() -> sa.Engine:
        # One for each process: connections do not survive a fork.
        own = made.get(os.getpid())
        if own is None:
            own = sa.create_engine(url)
            if own.dialect.name == "sqlite":
                sa.event.listen(own, "connect", _overwrite_what_is_deleted)
            # It is ours alone: no migration of the host's reaches it.
            table.create(own, checkfirst=True)
            made[os.getpid()] = own
        return own

    return engine


def _overwrite_what_is_deleted(raw: t.Any, _: t.Any) -> None:
    raw.execute("PRAGMA secure_delete=ON")


def _started(settings: Settings) -> dict[str, str | int | None]:
    """Return what every writer states first: the version, and the settings it runs with."""
    said: dict[str, str | int | None] = {"version": __version__}
    for row in describe(settings, {}):
        if row.value != row.default:
            said[row.key] = str(row.value)
    return said
