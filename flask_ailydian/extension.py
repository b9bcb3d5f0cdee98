"""Wires the rooms on one app."""

from __future__ import annotations

import typing as t
from pathlib import Path

from flask import Flask

from .access import Gate
from .audit.fingerprint import Fingerprint
from .audit.ledger import Ledger
from .cli import ailydian as commands
from .engine.sessions import SessionPool
from .inference import Inference
from .lifecycle import Lifecycle
from .registry import Registry
from .routing.wiring import create_router
from .settings import Settings
from .state import State
from .tables import bind_tables
from .web.blueprint import create_blueprint


class FlaskAilydian:
    """Adds accountable inference to an app: routes, tables, commands.

    :param app: Call :meth:`init_app` on this application now.
    :param db: The host's ``SQLAlchemy`` instance; by default the one registered on the app.
    """

    def __init__(self, app: Flask | None = None, db: t.Any = None) -> None:
        self._db = db
        self.gate = Gate()
        """Who calls, and may they: decorate with ``gate.actor`` and ``gate.may``."""
        self.blueprint = create_blueprint()
        """The routes. Decorate it (CORS, limits, login) before ``init_app``."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register the extension on *app*; call it after ``db.init_app(app)``.

        :raises RuntimeError: without SQLAlchemy, on a second registration, and for a setting
            that is unknown or out of range; the message names the remedy.
        """
        if "ailydian" in app.extensions:
            raise RuntimeError("FlaskAilydian is already registered on this app; do it once.")
        db = self._db or app.extensions.get("sqlalchemy")
        if "sqlalchemy" not in app.extensions or not hasattr(db, "Model"):
            raise RuntimeError(
                "Call SQLAlchemy(app) of Flask-SQLAlchemy before FlaskAilydian(app)."
            )
        settings = Settings.from_config(app.config)
        app.extensions["ailydian"] = _state(app, db, settings, self.gate)
        app.register_blueprint(self.blueprint, url_prefix=settings.url_prefix)
        app.cli.add_command(commands)


def _state(app: Flask, db: t.Any, settings: Settings, gate: Gate) -> State:
    tables = bind_tables(db)
    own = Path(app.instance_path) / "ailydian"
    folder = Path(app.root_path, settings.model_dir) if settings.model_dir else own / "models"
    registry = Registry(db, tables, settings, folder)
    ledger = Ledger(db, tables, stale_after=2 * settings.timeout_seconds)
    fingerprint = Fingerprint(settings.hash_key, own)
    sessions = SessionPool(threads=settings.threads)
    inference = Inference(settings, registry, sessions, ledger, fingerprint)
    router = create_router(settings, db, tables, registry, inference, ledger, fingerprint)
    return State(
        settings=settings,
        db=db,
        tables=tables,
        gate=gate,
        registry=registry,
        inference=inference,
        audit=ledger,
        fingerprint=fingerprint,
        lifecycle=Lifecycle(),
        router=router,
        costs=router.third_party.costs,
    )
