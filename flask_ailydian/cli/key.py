"""``flask ailydian key …``."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import click

from ..access import Action
from ..access import ACTIONS
from ..api_keys import ApiKey
from ..state import current_ailydian
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table

HINT = "Keys are not let in: set AILYDIAN_API_KEYS to true."


@ailydian.group("key", cls=Group)
def key() -> None:
    """Keys for machines that call."""


@key.command("create")
@click.argument("name")
@click.option(
    "--may",
    "actions",
    multiple=True,
    type=click.Choice(ACTIONS),
    default=("infer",),
    show_default=True,
    help="What it may; once for each.",
)
@click.option("--days", type=click.IntRange(1, 36500), help="It ends after so many days.")
@json_option
def create(name: str, actions: tuple[Action, ...], days: int | None, as_json: bool) -> None:
    """Make a key called NAME, and print it this once."""
    lasts = None if days is None else timedelta(days=days)
    made = current_ailydian.api_keys.create(name, actions, expires_in=lasts)
    if as_json:
        print_json({"name": name, "key": made, "actions": list(actions)})
    else:
        click.echo(made)
        click.echo("This is shown once; send it as `Authorization: Bearer …`.", err=True)
    if not current_ailydian.settings.api_keys:
        click.echo(HINT, err=True)


@key.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List every key that was ever made."""
    keys = current_ailydian.api_keys.all()
    if as_json:
        print_json([shown(key) for key in keys])
        return
    if not keys:
        click.echo("There is no key. Make one: flask ailydian key create NAME")
        return
    head = ("NAME", "BEGINS", "MAY", "STATE", "CREATED", "EXPIRES", "LAST USED")
    print_table(
        head,
        [
            (
                key.name,
                key.prefix,
                ",".join(key.actions),
                key.state,
                *(_day(at) for at in (key.created_at, key.expires_at, key.last_used_at)),
            )
            for key in keys
        ],
    )


@key.command("revoke")
@click.argument("name")
@json_option
def revoke(name: str, as_json: bool) -> None:
    """Let the key called NAME in no more; its row stays."""
    gone = current_ailydian.api_keys.revoke(name)
    if as_json:
        print_json(shown(gone))
    else:
        click.echo(f"{name} ({gone.prefix}…) is let in no more; workers know it within a second.")


def shown(key: ApiKey) -> dict[str, t.Any]:
    """Return what may be shown of a key."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "actions": list(key.actions),
        "state": key.state,
        "created_at": _moment(key.created_at),
        "expires_at": _moment(key.expires_at),
        "last_used_at": _moment(key.last_used_at),
        "revoked_at": _moment(key.revoked_at),
    }


def _moment(at: t.Any) -> str | None:
    return None if at is None else at.isoformat() + "Z"


def _day(at: t.Any) -> str:
    return "never" if at is None else at.strftime("%Y-%m-%d %H:%M")
