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

MONTHLY = "from flask_ailydian.tables.steps import partitions\n\n    partitions.{way}(op)"

UNLINK = "from flask_ailydian.tables.steps import unlink\n\n    unlink.{way}(op, {users!r})"


@ailydian.command("revision")
@click.option("-d", "--directory", help="The migrations folder; by default Flask-Migrate's own.")
@click.option(
    "--partitions",
    type=click.Choice(["monthly", "none"]),
    help="On PostgreSQL: part the trail and the inference logs by month, or make them whole again.",
)
def revision(directory: str | None, partitions: str | None) -> None:
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
    parted = _parted(scripts)
    written = None
    if have < LATEST:
        adopted = have == 0 and any(map(_creates_tables, scripts.walk_revisions()))
        written = _write(scripts, LATEST if adopted else have)
        if adopted:
            # `flask db migrate` saw our tables and wrote them down; they are the same tables.
            click.echo("A migration of yours creates the tables already; this one only notes it.")
    if users and users not in linked:
        mark = f"ailydian_user_table = {users!r}"
        written = _generate(scripts, f"ailydian unlinks {users}", UNLINK, mark, users=users)
    if partitions not in (None, parted):
        mark, back = f"ailydian_partitions = {partitions!r}", partitions == "none"
        title = f"ailydian partitions {partitions}"
        written = _generate(scripts, title, MONTHLY, mark, back=back)
        if current_ailydian.db.engine.dialect.name == "sqlite":
            click.echo("SQLite has no partitions: there this migration does nothing.")
    if written is None:
        click.echo("The migrations are up to date.")
    else:
        click.echo(f"Wrote {Path(written.path).name}. Now run: flask db upgrade")


def _parted(scripts: ScriptDirectory) -> str:
    """Return what the newest migration about partitions made of the tables."""
    for script in scripts.walk_revisions():
        if (found := getattr(script.module, "ailydian_partitions", None)) is not None:
            return str(found)
    return "none"


def _creates_tables(script: t.Any) -> bool:
    """Whether a migration makes our first table by itself."""
    text = Path(script.path).read_text("utf-8", errors="replace")
    return re.search(r"create_table\(\s*['\"]pytorch_models['\"]", text) is not None


def _write(scripts: ScriptDirectory, have: int) -> t.Any:
    body = None if have == LATEST else BODY
    mark = f"ailydian_schema = {LATEST}"
    return _generate(scripts, f"ailydian schema {LATEST}", body, mark, have=have)


def _generate(
    scripts: ScriptDirectory,
    title: str,
    body: str | None,
    mark: str,
    *,
    have: int = 0,
    users: str = "",
    back: bool = False,
) -> t.Any:
    """Write one revision; *body* is formatted for both ways, which *back* exchanges.

    :param mark: The line by which a later call knows it.
    """
    up = {"start": have, "stop": LATEST, "way": "upgrade", "users": users}
    down = {"start": LATEST, "stop": have, "way": "downgrade", "users": users}
    if back:
        up, down = down, up
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
