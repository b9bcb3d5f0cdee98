"""``flask ailydian doctor``: everything that a deployment needs, one line each."""

from __future__ import annotations

import collections.abc as c
import os
import sys

import click

from .. import health
from ..audit import durability
from ..audit import guards
from ..audit.keys import KeyUnavailable
from ..audit.keys import MasterKeys
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


def _engine() -> Finding:
    return health.engine(current_ailydian.serving, current_ailydian.prediction.executor)


def _database() -> Finding:
    return health.database(current_ailydian.db, current_ailydian.tables)


def _models() -> Finding:
    if not _database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    return health.models(current_ailydian.registry)


def _remote() -> Finding:
    if not _models().ok:
        return Finding(False, "Not looked at: the models come first.")
    return health.remotes(current_ailydian.registry, current_ailydian.serving)


def _inference() -> Finding:
    if not _models().ok:
        return Finding(False, "Not tried: the models come first.")
    return try_one(current_ailydian)


def _durability() -> Finding:
    if not _database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    state = current_ailydian
    with state.db.engine.connect() as connection:
        why = durability.wrong(connection)
    if why is None:
        return Finding(True, "What the database acknowledges is on disk.")
    return Finding(
        state.settings.audit_durability == "warn",
        f"{why} A power cut may take acknowledged rows back.",
        "Set them on in postgresql.conf, or AILYDIAN_AUDIT_DURABILITY to warn.",
    )


def _keys() -> Finding:
    keys = current_ailydian.audit.subjects.keys
    try:
        ids = keys.ids()
    except (OSError, RuntimeError, KeyUnavailable) as error:
        return Finding(
            False,
            f"The master keys cannot be read ({type(error).__name__}).",
            "Set AILYDIAN_MASTER_KEYS, or restore master.keys in the instance folder.",
        )
    if not ids:
        return Finding(False, "There is no master key.", "Set AILYDIAN_MASTER_KEYS.")
    where = "the key provider"
    if isinstance(keys, MasterKeys):
        where = "a file in the instance folder" if keys.from_file else "the settings"
    return Finding(
        True,
        f"Persons' keys are wrapped under {ids[0]}, from {where}; without it nothing that is "
        "sealed can be read, so keep a copy away from the database's backups.",
    )


def _guard() -> Finding:
    if not _database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    with current_ailydian.db.engine.connect() as connection:
        if guards.present(connection):
            return Finding(True, "The database refuses UPDATE and DELETE on the trail.")
    # Tables that were not made by the migration have none; the chains tell of changes anyway.
    return Finding(
        True,
        "The database does not refuse UPDATE and DELETE on the trail; "
        "`flask ailydian audit guard install` lets it.",
    )


def _drift() -> Finding:
    if not _database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    signals = current_ailydian.metrics.drift()
    alarms = [f"{x['model']} {x['version']}: {x['name']}" for x in signals if x["alarm"]]
    if current_ailydian.metrics.capacity()["alarm"]:
        alarms.append("requests a day near the measured capacity")
    if alarms:
        remedy = "See: flask ailydian metrics drift"
        return Finding(False, f"Not as in the reference: {', '.join(alarms)}.", remedy)
    if not signals:
        return Finding(True, "Not measured yet: flask ailydian metrics rollup, daily, by cron.")
    return Finding(True, "Inputs and answers look as they did.")


def _third_party() -> Finding:
    """Look at what is configured; nobody is called."""
    settings, router = current_ailydian.settings, current_ailydian.router
    if not settings.third_party:
        return Finding(True, "No paid backend is configured; queries are answered locally.")
    absent = router.third_party.absence()
    if absent is None:
        return Finding(True, f"{settings.third_party} {router.third_party.model} is configured.")
    return Finding(False, f"{settings.third_party}: {absent}.", REMEDIES[absent])


def _redis() -> Finding:
    state = current_ailydian
    if state.redis is None:
        return Finding(True, "None is configured; workers share nothing but the database.")
    return health.redis(state.redis, breakers_in_database=state.settings.breaker_shared)


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
    "engine": _engine,
    "database": _database,
    "models": _models,
    "remote": _remote,
    "inference": _inference,
    "durability": _durability,
    "keys": _keys,
    "guard": _guard,
    "drift": _drift,
    "third party": _third_party,
    "redis": _redis,
}
