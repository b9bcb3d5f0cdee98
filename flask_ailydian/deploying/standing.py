"""What stands deployed: looked at, and stopped."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from flask import current_app

from . import server
from .asking import Asker
from .processes import Running
from .server import STOP_SECONDS
from .steps import Stopped


def place() -> server.Place:
    """Return where the current app is deployed to."""
    return server.Place(Path(current_app.instance_path) / "ailydian" / "deploy")


def stop(place: server.Place) -> str:
    """Stop the server that was deployed here, and what holds its socket.

    :raises Stopped: when it does not end.
    """
    with place.alone():
        said = []
        for path in (place.candidate, place.server):
            found = Running.read(path)
            if found is None:
                continue
            if found.alive():
                if not found.terminate(STOP_SECONDS):
                    raise Stopped(
                        f"Process {found.pid} did not end in {STOP_SECONDS:g} seconds.",
                        f"Look at {found.details.get('log')}; kill it by hand if need be.",
                    )
                said.append(f"Process {found.pid} has ended.")
            path.unlink()
        kept = Running.read(place.keeper)
        if kept is not None:
            kept.terminate(5)
            place.keeper.unlink()
        place.pid_file.unlink(missing_ok=True)
        return " ".join(said) or "Nothing that was deployed here runs."


def status(place: server.Place, prefix: str) -> dict[str, t.Any]:
    """Return what runs here, and whether it is ready."""
    found = place.running()
    if found is None:
        return {"running": False, "ready": False}
    ready = False
    with contextlib.suppress(OSError):
        port = int(found.details["private"])
        ready = Asker(port, prefix, None).ask("GET", "/health/ready")[0] == 200
    return {"running": True, "ready": ready, "pid": found.pid, **found.details}
