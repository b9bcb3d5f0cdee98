"""``flask ailydian revision``: a migration that the host owns."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from alembic.util import rev_id
from flask import current_app

from ..state import current_ailydian
from ..tables.steps import LATEST
from .group import ailydian

BODY = "from flask_ailydian.tables import steps\n\n    steps.run(op, {start}, {stop})"

UNLINK = "from flask_ailydian.tables.steps import unlink\n\n    unlink.{way}(op, {users!r})"


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
    users = current_ailydian.settings.user_table
    linked = {getattr(s.module, "ailydian_user_table", None) for s in scripts.walk_revisions()}
    if have >= LATEST:
        if users and users not in linked:
            _told(_generate(scripts, f"ailydian unlinks {users}", UNLINK, users=users))
        else:
            click.echo("The migrations are up to date.")
        return
    adopted = have == 0 and any(map(_creates_tables, scripts.walk_revisions()))
    written = _write(scripts, LATEST if adopted else have)
    if adopted:
        # `flask db migrate` saw our tables and wrote them down; they are the same tables.
        click.echo("A migration of yours creates the tables already; this one only notes it.")
    if users and users not in linked:
        written = _generate(scripts, f"ailydian unlinks {users}", UNLINK, users=users)
    _told(written)


def _creates_tables(script: t.Any) -> bool:
    """Whether a migration makes our first table by itself."""
    text = Path(script.path).read_text("utf-8", errors="replace")
    return re.search(r"create_table\(\s*['\"]pytorch_models['\"]", text) is not None


def _write(scripts: ScriptDirectory, have: int) -> t.Any:
    body = None if have == LATEST else BODY
    return _generate(scripts, f"ailydian schema {LATEST}", body, have=have)


def _generate(
    scripts: ScriptDirectory, title: str, body: str | None, *, have: int = 0, users: str = ""
) -> t.Any:
    """Write one revision; *body* is formatted for both ways."""
    mark = f"ailydian_user_table = {users!r}" if users else f"ailydian_schema = {LATEST}"
    up = {"start": have, "stop": LATEST, "way": "upgrade", "users": users}
    down = {"start": LATEST, "stop": have, "way": "downgrade", "users": users}
    script = scripts.generate_revision(
        rev_id(),
        title,
        head="head",
        imports=f"\n{mark}",
        upgrades=body.format(**up) if body else "pass",
        downgrades=body.format(**down) if body else "pass",
    )
    assert script is not None
    return script


def _told(script: t.Any) -> None:
    click.echo(f"Wrote {Path(script.path).name}. Now run: flask db upgrade")
