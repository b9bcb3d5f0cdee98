"""Alive and ready."""

from __future__ import annotations

import typing as t

from flask import Response

from ... import health
from ...state import current_ailydian
from ...version import __version__
from ..http import answer
from ..http import returns
from ..schemas.health import Health
from ..schemas.health import Ready


@returns(Health())
def alive() -> dict[str, t.Any]:
    """Say that the process answers."""
    return {"success": True, "status": "alive", "version": __version__}


@returns(Ready(), fails=(503,))
def ready() -> Response:
    """Say whether requests can be answered: database, schema, models."""
    checks = look()
    well = all(check.ok for check in checks.values())
    state = current_ailydian
    if state.redis is not None:
        # Requests are answered without it: a worker is not taken out for that.
        shared = state.settings.breaker_shared
        checks["redis"] = health.redis(state.redis, breakers_in_database=shared)
    body = {
        "success": well,
        "status": "ready" if well else "not_ready",
        "checks": {name: {"ok": c.ok, "detail": c.detail} for name, c in checks.items()},
    }
    return answer(body, 200 if well else 503)


def look() -> dict[str, health.Finding]:
    """Look at everything that answering takes."""
    state = current_ailydian
    checks = {"database": health.database(state.audit.database, state.tables)}
    if checks["database"].ok:
        checks["models"] = health.models(state.registry)
    else:
        checks["models"] = health.Finding(False, "Not looked at: the database comes first.")
    if checks["models"].ok:
        checks["engine"] = health.warm(state.serving)
    if checks["models"].ok and any(m.type == "remote" for m in state.registry.servable()):
        checks["remote"] = health.remotes(state.registry, state.serving)
    checks["process"] = health.Finding(
        not state.lifecycle.draining, "Draining." if state.lifecycle.draining else "Serving."
    )
    if (waiting := state.audit.spooled()) or state.settings.audit_failure == "spool":
        checks["spool"] = health.Finding(True, f"{waiting} rows wait for the database.")
    return checks
