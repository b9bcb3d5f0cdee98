"""``flask ailydian doctor``: everything that a deployment needs, one line each."""

from __future__ import annotations

import collections.abc as c
import os
import sys

import click

from .. import health
from ..engine.runtime import telemetry_state
from ..health import Finding
from ..state import current_ailydian
from ..trial import try_one
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


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= (3, 11), f"Python {version}.", "Use Python 3.11 or newer.")


def _settings() -> Finding:
    # init_app refused anything wrong; what is left is what a deployment should not leave open.
    state = current_ailydian
    if state.settings.hash_key:
        return Finding(True, "All keys are known and in range; the fingerprint key is configured.")
    return Finding(
        True,
        "All keys are known and in range; AILYDIAN_HASH_KEY is not set, so a key in the instance "
        "folder is used, and every machine needs the same one.",
    )


def _folder() -> Finding:
    folder = current_ailydian.registry.folder
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return Finding(True, "The folder of the model files can be written.")
    return Finding(
        False,
        "The folder of the model files cannot be written.",
        "Set AILYDIAN_MODEL_DIR, or give this user the right to write there.",
    )


def _telemetry() -> Finding:
    state = telemetry_state()
    return Finding(
        state == "off",
        f"ONNX Runtime's telemetry: {state}.",
        "Set ORT_DISABLE_TELEMETRY=1 in the environment, or import flask_ailydian first.",
    )


def _database() -> Finding:
    return health.database(current_ailydian.db, current_ailydian.tables)


def _models() -> Finding:
    if not _database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    return health.models(current_ailydian.registry)


def _inference() -> Finding:
    if not _models().ok:
        return Finding(False, "Not tried: the models come first.")
    return try_one(current_ailydian)


def _third_party() -> Finding:
    """Look at what is configured; nobody is called."""
    settings, router = current_ailydian.settings, current_ailydian.router
    if not settings.third_party:
        return Finding(True, "No paid backend is configured; queries are answered locally.")
    absent = router.third_party.absence()
    if absent is None:
        return Finding(True, f"{settings.third_party} {router.third_party.model} is configured.")
    return Finding(False, f"{settings.third_party}: {absent}.", REMEDIES[absent])


REMEDIES = {
    "not_registered": "Name openai or anthropic, or register the backend before it is used.",
    "no_key": "Set AILYDIAN_THIRD_PARTY_KEY in the environment.",
    "no_model_named": "Set AILYDIAN_THIRD_PARTY_MODEL.",
    "sdk_not_installed": "Install the extra: flask-ailydian[openai] or flask-ailydian[anthropic].",
}

CHECKS: dict[str, c.Callable[[], Finding]] = {
    "python": _python,
    "settings": _settings,
    "model folder": _folder,
    "telemetry": _telemetry,
    "database": _database,
    "models": _models,
    "inference": _inference,
    "third party": _third_party,
}
