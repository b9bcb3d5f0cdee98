"""What is looked at before anything is changed: the machine, the settings, the packages."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from pathlib import Path

from flask import current_app

from ..audit.keys import MasterKeys
from ..checks import app as checks
from ..checks import data
from ..engine import cores
from ..engine import memory
from ..state import current_ailydian
from . import server
from .processes import Running
from .steps import Stopped

MIB = 2**20
#: What a worker needs with one model of the size of ResNet-50: `make bench` measured 314 MB.
WORKER_MIB, DISK_MIB = 350, 500
WEAK = frozenset({"dev", "secret", "changeme", "change-me", "development", "test", "password"})


def machine(place: server.Place, bind: str, workers: int) -> str:
    """Look whether this machine can run a server here."""
    found = checks.python()
    if not found.ok:
        raise Stopped(found.detail, found.remedy)
    if not Path("/proc/self/stat").exists():
        raise Stopped("This system has no /proc.", "Deploy on Linux, or run gunicorn yourself.")
    nearest = next(p for p in (place.folder, *place.folder.parents) if p.exists())
    if not os.access(nearest, os.W_OK):
        raise Stopped(f"{nearest} cannot be written.", "Give this user the right to write there.")
    free, needed = shutil.disk_usage(nearest).free // MIB, DISK_MIB + 3 * _database_mib()
    if free < needed:
        raise Stopped(f"{free} MiB of disk are free, {needed} are needed.", "Make room.")
    room = _free_memory() // MIB
    if room < workers * WORKER_MIB:
        raise Stopped(
            f"{room} MiB of memory are free; {workers} workers need {workers * WORKER_MIB}.",
            "Say fewer --workers, or give the machine more memory.",
        )
    kept = Running.read(place.keeper)
    if kept is None or not kept.alive() or kept.details.get("bind") != bind:
        server.listen(bind).close()
    version = ".".join(map(str, sys.version_info[:3]))
    return (
        f"Python {version}, {cores.count()} cores, {room} MiB of memory and {free} MiB of disk "
        f"free; {workers} workers."
    )


def _free_memory() -> int:
    """Return the bytes that new processes may take: of the machine, and of a container's limit."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    free = int(found[1]) * 1024 if found else memory.available()
    try:
        used = int((memory.LIMIT.parent / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, memory.available() - used)


def _database_mib() -> int:
    url = current_ailydian.db.engine.url
    if url.get_backend_name() != "sqlite" or not url.database:
        return 0
    file = Path(url.database)
    return file.stat().st_size // MIB if file.is_file() else 0


def settings() -> str:
    """Look at what a server in the open must not have, and at what it needs."""
    if current_app.debug or current_app.testing:
        raise Stopped("DEBUG or TESTING is on.", "Take them out of the configuration.")
    secret = current_app.config.get("SECRET_KEY")
    if secret is not None and (len(secret) < 16 or str(secret).lower() in WEAK):
        raise Stopped(
            "SECRET_KEY can be guessed.",
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    for check in (checks.settings, checks.folder, checks.telemetry, checks.third_party):
        found = check()
        if not found.ok:
            raise Stopped(found.detail, found.remedy)
    keys = current_ailydian.audit.subjects.keys
    if isinstance(keys, MasterKeys) and not keys.made:
        return "All settings are known and in range; a master key is made on first use."
    if not (found := data.keys()).ok:
        raise Stopped(found.detail, found.remedy)
    return "All settings are known and in range; the master key is there."


def packages() -> str:
    """Look whether what this package needs, gunicorn too, is there in a version that fits."""
    try:
        from packaging.requirements import Requirement

        importlib.metadata.version("gunicorn")
    except (ModuleNotFoundError, importlib.metadata.PackageNotFoundError):
        raise Stopped(
            "gunicorn is not installed.", "Run: pip install 'flask-ailydian[deploy]'"
        ) from None
    seen: set[str] = set()
    todo, wrong = ["flask-ailydian", "gunicorn"], []
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in importlib.metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            try:
                have = importlib.metadata.version(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                wrong.append(f"{wanted} is missing")
                continue
            if not wanted.specifier.contains(have, prereleases=True):
                wrong.append(f"{wanted.name} {have} is not {wanted.specifier}")
            todo.append(wanted.name)
    if wrong:
        raise Stopped(f"{'; '.join(wrong)}.", "Run: pip install 'flask-ailydian[deploy]'")
    return f"{len(seen)} packages fit, gunicorn {importlib.metadata.version('gunicorn')}."
