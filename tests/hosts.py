"""Hosts as strangers build them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from flask_ailydian import FlaskAilydian

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class NamedBase(DeclarativeBase):
    metadata = sa.MetaData(naming_convention=CONVENTION)


def make_host(
    folder: Path,
    *,
    database: str | None = None,
    base: t.Any = None,
    own_pages: bool = False,
    create: bool = True,
    **config: t.Any,
) -> Flask:
    """Return a host with its own table, and our tables made."""
    app = Flask("host", instance_path=str(folder / "instance"), root_path=str(folder))
    app.config.update(
        SQLALCHEMY_DATABASE_URI=database or f"sqlite:///{folder / 'host.db'}", **config
    )
    if own_pages:
        app.register_error_handler(404, lambda error: ("<h1>host 404</h1>", 404))
        app.register_error_handler(405, lambda error: ("<h1>host 405</h1>", 405))
        app.register_error_handler(500, lambda error: ("<h1>host 500</h1>", 500))
        app.register_error_handler(Exception, lambda error: ("<h1>host oops</h1>", 500))
    db = SQLAlchemy(app, model_class=base) if base else SQLAlchemy(app)

    class Patient(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(80), index=True)

    app.extensions["test_ailydian"] = FlaskAilydian(app)
    if create:
        with app.app_context():
            _create(db, None if database or base else folder / "host.db")
    return app


#: A file with the usual tables, once this process has made one.
_made: list[bytes] = []


def _create(db: SQLAlchemy, file: Path | None) -> None:
    """Make the tables; in a new *file* by copying: fifty statements that are synced are slow."""
    if file is None or file.exists():
        db.create_all()
    elif _made:
        file.write_bytes(_made[0])
    else:
        db.create_all()
        db.engine.dispose()
        _made.append(file.read_bytes())


def dispose(app: Flask) -> None:
    """Close every connection of a host."""
    with app.app_context():
        app.extensions["ailydian"].audit.close()
        app.extensions["sqlalchemy"].engine.dispose()
