"""``flask ailydian privacy …``."""

from __future__ import annotations

import sys
import typing as t

import click

from ..state import current_ailydian
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json


@ailydian.group("privacy", cls=Group)
def privacy() -> None:
    """What a person may ask for, and the end of rows."""


@privacy.command("export")
@click.argument("user_id")
@click.option("-o", "--output", type=click.File("w", encoding="utf-8"), default="-")
def export(user_id: str, output: t.TextIO) -> None:
    """Write everything that is kept about USER_ID as JSON."""
    for piece in current_ailydian.privacy.export(user_id, actor="command line"):
        output.write(piece)
    output.write("\n")


@privacy.command("erase")
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase(user_id: str, yes: bool, as_json: bool) -> None:
    """Destroy the key of USER_ID and every mention of who they are."""
    if not yes and sys.stdin.isatty():
        click.confirm("This cannot be undone. Erase?", abort=True)
    done = current_ailydian.privacy.erase(user_id, actor="command line")
    if as_json:
        print_json(done)
    elif done["erased"]:
        click.echo(f"Erased: {done['rows']} inference rows are nobody's now.")
    else:
        click.echo("Nothing was kept about this person.")


@privacy.command("correct")
@click.argument("id")
@click.argument("text")
def correct(id: str, text: str) -> None:
    """Append to answer ID what is right; the answer's own row stays."""
    event = current_ailydian.privacy.correct(id, text, actor="command line")
    click.echo(f"Recorded as {event}.")


@privacy.command("retain")
@click.option("--older-than", type=click.IntRange(1), metavar="DAYS", help="For every domain.")
@click.option("--dry-run", is_flag=True, help="Count, and take nothing away.")
@json_option
def retain(older_than: int | None, dry_run: bool, as_json: bool) -> None:
    """Take away rows that are older than their domain's days."""
    done = current_ailydian.privacy.retain(
        older_than=older_than, dry_run=dry_run, actor="command line"
    )
    if as_json:
        print_json(done.body())
        return
    verb = "would be" if dry_run else "were"
    click.echo(f"{done.events} events and {done.records} inference rows {verb} taken away.")
    for label in done.partitions:
        click.echo(f"  partition {label}: as a whole")
    for label in done.waiting:
        click.echo(f"  partition {label}: not yet, but as a whole within a month")
    for label, why in done.kept.items():
        click.echo(f"  partition {label} stays. {why}", err=True)
    for name, count in sorted(done.domains.items()):
        click.echo(f"  domain {name}: {count}")
    for name, count in sorted(done.tables.items()):
        click.echo(f"  {name}: {count}")
    if done.checkpoints:
        click.echo(f"  signed checkpoints: {done.checkpoints}")


@privacy.command("ropa")
def ropa() -> None:
    """Print the records of processing, as far as this package knows them."""
    print_json(current_ailydian.privacy.ropa())
