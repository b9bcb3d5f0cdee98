"""``flask ailydian revision``: a migration that the host owns."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from alembic.util import rev_id
from flask import current_app

from ..tables.steps import LATEST
from .group import ailydian

BODY = "from flask_ailydian.tables import steps\n\n    steps.run(op, {start}, {stop})"


@ailydian.command("revision")
@click.option("-d", "--directory", help="The migrations folder; by default Flask-Migrate's own.")
def revision(directory: str | None) -> None:
    """Write a migration that brings the tables up to date; then run `flask db upgrade`."""
    extension = current_app.extensions.get("migrate")
    if extension is None:
        raise click.ClickException(
            "Flask-Migrate is not set up in this app; call Migrate(app, db) first."
        )
    folder = Path(directory or extension.directory)
    if not (folder / "env.py").exists():
        raise click.ClickException(f"There is no migrations folder {folder}; run `flask db init`.")
    scripts = ScriptDirectory.from_config(extension.migrate.get_config(directory))
    heads = scripts.get_heads()
    if len(heads) > 1:
        raise click.ClickException(
            "The migrations have several heads; run `flask db merge heads` first."
        )
    applied = (getattr(s.module, "ailydian_schema", 0) for s in scripts.walk_revisions())
    have = max(applied, default=0)
    if have >= LATEST:
        click.echo("The migrations are up to date.")
        return
    adopted = have == 0 and any(map(_creates_tables, scripts.walk_revisions()))
    written = _write(scripts, LATEST if adopted else have)
    if adopted:
        # `flask db migrate` saw our tables and wrote them down; they are the same tables.
        click.echo("A migration of yours creates the tables already; this one only notes it.")
    click.echo(f"Wrote {Path(written.path).name}. Now run: flask db upgrade")


def _creates_tables(script: t.Any) -> bool:
    """Whether a migration makes our first table by itself."""
    text = Path(script.path).read_text("utf-8", errors="replace")
    return re.search(r"create_table\(\s*['\"]pytorch_models['\"]", text) is not None


def _write(scripts: ScriptDirectory, have: int) -> t.Any:
    same = have == LATEST
    script = scripts.generate_revision(
        rev_id(),
        f"ailydian schema {LATEST}",
        head="head",
        imports=f"\nailydian_schema = {LATEST}",
        upgrades="pass" if same else BODY.format(start=have, stop=LATEST),
        downgrades="pass" if same else BODY.format(start=LATEST, stop=have),
    )
    assert script is not None
    return script
