"""``flask ailydian doctor``: everything that a deployment needs, one line each."""

from __future__ import annotations

import collections.abc as c

import click

from ..checks import app
from ..checks import data
from ..checks import machine
from ..deploying.standing import place
from ..deploying.standing import status
from ..health import Finding
from ..state import current_ailydian
from .group import ailydian
from .group import json_option
from .group import print_json


@ailydian.command("doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Check everything a deployment needs; exits with 1 when something is wrong."""
    found = {name: check() for name, check in CHECKS.items()}
    if as_json:
        print_json(
            {n: {"ok": f.ok, "detail": f.detail, "remedy": f.remedy} for n, f in found.items()}
        )
    else:
        for name, finding in found.items():
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {name}: {finding.detail}")
            if finding.remedy and not finding.ok:
                click.echo(f"      → {finding.remedy}")
    if not all(finding.ok for finding in found.values()):
        raise SystemExit(1)


def _server() -> Finding:
    """Look at the server that was deployed here, if one was."""
    found = status(place(), current_ailydian.settings.url_prefix)
    if not found["running"]:
        return Finding(True, "None that was deployed here runs.")
    return Finding(
        found["ready"],
        f"Process {found['pid']} on {found['bind']} is {'' if found['ready'] else 'not '}ready.",
        f"Look at {found['log']}, then: flask ailydian deploy",
    )


CHECKS: dict[str, c.Callable[[], Finding]] = {
    "python": app.python,
    "settings": app.settings,
    "model folder": app.folder,
    "telemetry": app.telemetry,
    "engine": app.engine,
    "database": data.database,
    "models": data.models,
    "remote": data.remote,
    "inference": data.inference,
    "durability": data.durability,
    "keys": data.keys,
    "guard": data.guard,
    "partitions": data.partitions,
    "drift": data.drift,
    "third party": app.third_party,
    "redis": app.redis,
    "disk": machine.disk,
    "clock": machine.clock,
    "connections": machine.connections,
    "gunicorn": machine.gunicorn,
    "server": _server,
    "counts": machine.counts,
    "pages": machine.pages,
    "api keys": machine.api_keys,
}
