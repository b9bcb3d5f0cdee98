"""``flask users …``: the host's own commands."""

from __future__ import annotations

import secrets

import click
from flask.cli import AppGroup

from .models import db
from .models import User

users = AppGroup("users", help="The people of this app.")


def create_user(name: str, password: str | None, *, admin: bool) -> str | None:
    """Add somebody, and return the password if one had to be made up; ``None`` if they exist."""
    if db.session.execute(db.select(User).filter_by(name=name)).first():
        return None
    made = password or secrets.token_urlsafe(12)
    user = User(name=name, is_admin=admin)
    user.set_password(made)
    db.session.add(user)
    db.session.commit()
    return made


@users.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="May manage models.")
@click.option("--password", help="Made up and shown once when left out.")
def create(name: str, admin: bool, password: str | None) -> None:
    """Add a user called NAME."""
    made = create_user(name, password, admin=admin)
    if made is None:
        raise click.ClickException(f"{name} exists already.")
    click.echo(f"Added {name}." if password else f"Added {name} with the password {made}")
