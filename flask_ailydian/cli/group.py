"""The group, and how its commands fail and print."""

from __future__ import annotations

import collections.abc as c
import functools
import importlib
import json
import typing as t

import click
import sqlalchemy as sa
from flask.cli import AppGroup

from ..errors import AilydianError
from ..health import database
from ..state import current_ailydian


class Group(AppGroup):
    """A group whose commands answer a user's mistake with a sentence, never a traceback."""

    # With a name always, never as a bare decorator: one of click's two ways is enough here.
    def command(  # type: ignore[override]
        self, *args: t.Any, **kwargs: t.Any
    ) -> c.Callable[[c.Callable[..., t.Any]], click.Command]:
        register = super().command(*args, **kwargs)
        # Inside the application context that Flask puts around a command.
        return lambda function: register(_told(function))


def _told(function: c.Callable[..., t.Any]) -> c.Callable[..., t.Any]:
    @functools.wraps(function)
    def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            return function(*args, **kwargs)
        except AilydianError as error:
            raise click.ClickException(sentence(error)) from error
        except sa.exc.SQLAlchemyError as error:
            found = database(current_ailydian.audit.database, current_ailydian.tables)
            what = found.detail if not found.ok else f"The database said {type(error).__name__}."
            remedy = f" {found.remedy}" if found.remedy else ""
            raise click.ClickException(what + remedy) from error

    return wrapped


class Door(Group):
    """The group of all commands, which are imported when one of them is asked for.

    A server never asks: with Alembic and what else they need, they would be a sixth of its memory.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        _register()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        _register()
        return super().list_commands(ctx)


def _register() -> None:
    importlib.import_module(".commands", __package__)


ailydian = Door("ailydian", help="Models, inference and their records.")


def sentence(error: AilydianError) -> str:
    """Return an error as one line, with its fields."""
    parts = [error.detail or error.title]
    for field, messages in (error.fields or {}).items():
        words = " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
        if words not in parts:
            parts.append(f"{field}: {words}")
    return " ".join(parts)


def print_json(value: t.Any) -> None:
    """Print *value* as one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[t.Any]]) -> None:
    """Print rows in columns as wide as they need to be."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
