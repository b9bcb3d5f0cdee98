"""The machine, and what stands around the app on it."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import current_app

from ..clock import now
from ..health import Finding
from ..state import current_ailydian
from .data import database

MIB = 2**20
LOW_DISK_MIB = 300
SOON_DAYS = 14


def disk() -> Finding:
    """Look at the disks that rows, models and logs go to."""
    url = current_ailydian.db.engine.url
    folders = {Path(current_app.instance_path), current_ailydian.registry.folder}
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        folders.add(Path(url.database).absolute().parent)
    nearest = {next(p for p in (f, *f.parents) if p.exists()) for f in folders}
    free = min(shutil.disk_usage(folder).free for folder in nearest) // MIB
    return Finding(
        free >= LOW_DISK_MIB,
        f"{free} MiB are free.",
        "Make room: when the disk is full no answer can be put on record, and none is given.",
    )


def clock() -> Finding:
    """Look whether the clock is behind what the trail has seen already."""
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    events = current_ailydian.tables.AuditEvent.__table__
    with current_ailydian.db.engine.connect() as connection:
        last = connection.execute(sa.select(sa.func.max(events.c.created_us))).scalar()
    ahead = 0 if last is None else int(last) // 1_000_000 - int(time.time())
    return Finding(
        ahead <= 60,
        f"The trail's last event lies {ahead} seconds ahead of this clock."
        if ahead > 60
        else "It is not behind the trail.",
        "Let a time service set the clock, on every machine.",
    )


def connections() -> Finding:
    """Look whether PostgreSQL takes as many connections as the workers may open."""
    engine = current_ailydian.db.engine
    if engine.dialect.name != "postgresql":
        return Finding(True, f"{engine.dialect.name} has no limit of connections.")
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    with engine.connect() as connection:
        most = int(connection.exec_driver_sql("SHOW max_connections").scalar_one())
        kept = int(connection.exec_driver_sql("SHOW superuser_reserved_connections").scalar_one())
    workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
    pool = engine.pool
    sized = pool.size() + max(pool._max_overflow, 0) if isinstance(pool, sa.QueuePool) else 1
    # One more for the trail's writer.
    needed = workers * (sized + 1)
    return Finding(
        needed <= most - kept,
        f"{workers} workers may open {needed} connections; the server takes {most - kept}.",
        "Set SQLALCHEMY_ENGINE_OPTIONS to a smaller pool_size, or raise max_connections.",
    )


def gunicorn() -> Finding:
    """Look whether there is a server to deploy with."""
    try:
        return Finding(True, f"gunicorn {importlib.metadata.version('gunicorn')}.")
    except importlib.metadata.PackageNotFoundError:
        return Finding(True, "No gunicorn here; `deploy` needs flask-ailydian[deploy].")


def counts() -> Finding:
    """Look whether the counts of several workers come together in a scrape."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if importlib.util.find_spec("prometheus_client") is None:
        return Finding(True, "Not counted: flask-ailydian[prometheus] is not installed.")
    if folder is None:
        workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
        return Finding(
            workers == 1,
            "One process is scraped." if workers == 1 else f"A scrape shows one of {workers}.",
            "Set PROMETHEUS_MULTIPROC_DIR to an empty folder before the server starts.",
        )
    return Finding(
        Path(folder).is_dir() and os.access(folder, os.W_OK),
        f"Workers count in {folder}.",
        "Make the folder of PROMETHEUS_MULTIPROC_DIR, writable, before the server starts.",
    )


def pages() -> Finding:
    """Look whether the pages have their files, and the reference its own."""
    web = importlib.resources.files("flask_ailydian.web")
    files = [f for f in web.joinpath("static").iterdir() if f.is_file()]
    if not files or not web.joinpath("templates", "ailydian").is_dir():
        return Finding(False, "Files of the pages are missing.", "Install the package again.")
    if importlib.util.find_spec("flask_swagger_ui") is None:
        return Finding(True, f"{len(files)} files; /docs needs flask-ailydian[docs].")
    return Finding(True, f"{len(files)} files, and Swagger UI.")


def api_keys() -> Finding:
    """Look at the machines' keys."""
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    on = current_ailydian.settings.api_keys
    good = [key for key in current_ailydian.api_keys.all() if key.state == "good"]
    if not on:
        return Finding(True, f"{len(good)} keys; none is let in (AILYDIAN_API_KEYS).")
    ending = [
        key.name
        for key in good
        if key.expires_at and key.expires_at - now() < timedelta(days=SOON_DAYS)
    ]
    soon = f"; within {SOON_DAYS} days {', '.join(ending)} end" if ending else ""
    return Finding(True, f"{len(good)} keys are let in{soon}.")
