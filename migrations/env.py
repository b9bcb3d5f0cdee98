"""How Alembic reaches the example app's database."""

from __future__ import annotations

import typing as t

from alembic import context
from flask import current_app

extension = current_app.extensions["migrate"]
database = extension.db


def configure(**how: t.Any) -> None:
    """Run the migrations with the options that Flask-Migrate was given."""
    context.configure(target_metadata=database.metadata, **how, **extension.configure_args)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    url = database.engine.url.render_as_string(hide_password=False)
    configure(url=url, literal_binds=True)
else:
    with database.engine.connect() as connection:
        configure(connection=connection)
