"""The database, the models in it, and the trail."""

from __future__ import annotations

from .. import health
from ..audit import durability as durable
from ..audit import guards
from ..audit.keys import KeyUnavailable
from ..audit.keys import MasterKeys
from ..audit.partitions import TOO_FEW
from ..health import Finding
from ..state import current_ailydian
from ..trial import try_one


def database() -> Finding:
    """Look at the database and its schema."""
    return health.database(current_ailydian.audit.database, current_ailydian.tables)


def models() -> Finding:
    """Look at the models that would answer, and their files."""
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    return health.models(current_ailydian.registry)


def remote() -> Finding:
    """Look at the servers that remote models are on."""
    if not models().ok:
        return Finding(False, "Not looked at: the models come first.")
    return health.remotes(current_ailydian.registry, current_ailydian.serving)


def inference() -> Finding:
    """Run one model once."""
    if not models().ok:
        return Finding(False, "Not tried: the models come first.")
    return try_one(current_ailydian)


def durability() -> Finding:
    """Look whether acknowledged rows are on disk."""
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    state = current_ailydian
    with state.db.engine.connect() as connection:
        why = durable.wrong(connection)
    if why is None:
        return Finding(True, "What the database acknowledges is on disk.")
    return Finding(
        state.settings.audit_durability == "warn",
        f"{why} A power cut may take acknowledged rows back.",
        "Set them on in postgresql.conf, or AILYDIAN_AUDIT_DURABILITY to warn.",
    )


def keys() -> Finding:
    """Look at the master keys."""
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


def guard() -> Finding:
    """Look whether the database guards the trail."""
    if not database().ok:
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


def partitions() -> Finding:
    """Look whether the months ahead have their partitions, where there are any."""
    if not database().ok:
        return Finding(False, "Not looked at: the database comes first.")
    parts = current_ailydian.audit.partitions
    if (found := parts.layout()) is None:
        return Finding(True, "The tables are whole.")
    remedy = "Run daily, by cron, as the owner of the tables: flask ailydian audit partitions"
    if parts.stray(found) is not None:
        return Finding(False, "Rows lie in the default partition.", remedy)
    ahead = parts.ahead(found)
    said = f"{len(found.partitions)} partitions, {ahead} of them for months to come"
    return Finding(ahead >= TOO_FEW, f"{said}.", remedy)


def drift() -> Finding:
    """Look whether inputs look as they did."""
    if not database().ok:
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
