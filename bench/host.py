"""A host app as a stranger would write it: its own database, and the package beside it.

``BENCH_FOLDER`` holds the database and the models. ``BENCH_AUDIT=off`` takes the audit away, to
see what it costs: inputs then get no fingerprint and answers no row. No setting of the package
does that.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import click
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_ailydian import current_ailydian
from flask_ailydian import FlaskAilydian
from flask_ailydian.audit.ledger import Ledger


def create_app() -> Flask:
    """Return the app; ``FLASK_AILYDIAN_…`` in the environment sets the package's settings."""
    folder = os.environ["BENCH_FOLDER"]
    app = Flask(__name__, instance_path=folder)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/host.db"
    app.config.from_prefixed_env()
    db = SQLAlchemy(app)
    FlaskAilydian(app)
    with app.app_context():
        sa.event.listen(db.engine, "connect", _durable)
    if os.environ.get("BENCH_AUDIT") == "off":
        Ledger.record = _no_row  # type: ignore[method-assign]
        Ledger.input_hash = _no_hash  # type: ignore[method-assign]

    @app.cli.command("create-tables")
    def create_tables() -> None:
        db.create_all()
        click.echo("Made the tables.")

    @app.cli.command("cost")
    @click.argument("name")
    def cost(name: str) -> None:
        # What counts against AILYDIAN_MODEL_MEMORY_BYTES.
        click.echo(current_ailydian.registry.resolve(name).memory_bytes)

    @app.cli.command("add-folder")
    @click.argument("folder", type=click.Path(path_type=Path))
    def add_folder(folder: Path) -> None:
        for file in sorted(folder.glob("*.onnx")):
            words = ["ailydian", "models", "add", str(file), "--name", file.stem, "--version", "v1"]
            words += ["--task", "image-classification", "--size", "224", "--activate"]
            done = app.test_cli_runner().invoke(args=words)
            if done.exit_code:
                raise click.ClickException(done.output)

    return app


def _durable(connection: t.Any, _: object) -> None:
    # In WAL mode readers and the writer do not wait for each other; FULL syncs every commit.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _no_row(*_: object, **__: object) -> None:
    pass


def _no_hash(*_: object, **__: object) -> tuple[str, str]:
    return "", ""
