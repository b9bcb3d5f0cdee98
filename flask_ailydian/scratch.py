"""A host of one model, in a folder of its own: what planning measures. Run by gunicorn."""

from __future__ import annotations

import json
import os
import typing as t
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from .engine import files
from .extension import FlaskAilydian
from .state import current_ailydian


def create_app() -> Flask:
    """Return the host; ``AILYDIAN_SCRATCH`` names the folder."""
    folder = Path(os.environ["AILYDIAN_SCRATCH"])
    told = json.loads((folder / "plan.json").read_text())
    app = Flask(__name__, instance_path=str(folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder / 'scratch.db'}"
    app.config.update(told["config"])
    db = SQLAlchemy(app)
    FlaskAilydian(app)
    with app.app_context():
        db.create_all()
        _add(told["row"], (folder / "model").read_bytes())
        # Made before the fork: no worker may share them.
        current_ailydian.audit.close()
        db.engine.dispose()
    return app


def _add(row: dict[str, t.Any], data: bytes) -> None:
    state = current_ailydian
    files.store(data, state.registry.folder, row["file_path"])
    table: sa.Table = state.tables.Model.__table__
    values = {
        name: datetime.fromisoformat(value)
        if isinstance(table.c[name].type, sa.DateTime)
        else value
        for name, value in row.items()
    }
    with state.db.engine.begin() as connection:
        connection.execute(table.insert(), values | {"deployment_status": "active"})
