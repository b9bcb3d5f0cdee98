"""``flask ailydian audit …``."""

from __future__ import annotations

import typing as t
from pathlib import Path

import click

from ..audit import guards
from ..audit.inspection import proven
from ..audit.keys import MasterKeys
from ..audit.partitions import AHEAD
from ..audit.verify import first
from ..state import current_ailydian
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@ailydian.group("audit", cls=Group)
def audit() -> None:
    """Verify, prove, sign and guard the trail."""


@audit.command("verify")
@click.option("--incremental", is_flag=True, help="Only what came since it was found whole.")
@click.option("--checkpoints", "files", type=FILE, multiple=True, help="Exported elsewhere.")
@click.option("--public-key", "trusted", multiple=True, help="Of a key that is gone.")
@json_option
def verify(
    incremental: bool, files: tuple[Path, ...], trusted: tuple[str, ...], as_json: bool
) -> None:
    """Walk the trail; exits with 1 and the first bad link when it is not whole."""
    try:
        report = current_ailydian.audit.inspection.verify(
            incremental=incremental, exported=files, public_keys=trusted
        )
    except ValueError as error:
        raise click.ClickException(f"Not what was expected: {error}.") from error
    if as_json:
        print_json(report.body())
    elif report.ok:
        click.echo(
            f"Whole: {report.events} events in {report.chains} chains, {report.records} with their "
            f"inference rows, against {report.checkpoints} signed checkpoints."
        )
    else:
        place = first(report.bad)
        assert place is not None
        where = "" if place.seq is None else f"chain {place.chain_id}, link {place.seq}: "
        click.echo(f"Not whole: {where}{place.why}", err=True)
        more = len(report.bad) - 1
        if more:
            click.echo(f"{more} more; --json names them.", err=True)
    if not report.ok:
        raise SystemExit(1)


@audit.command("prove")
@click.argument("id")
def prove(id: str) -> None:
    """Print the proof that event ID is in the trail as it was signed."""
    inspection = current_ailydian.audit.inspection
    proof = inspection.prove(id)
    if not any(proven(proof, key) for key in proof["public_keys"]):
        raise click.ClickException("The trail does not hold what was signed; run audit verify.")
    print_json(proof)


@audit.command("checkpoint")
@json_option
def checkpoint(as_json: bool) -> None:
    """Sign where the chains stand now, and hand it to the sinks."""
    made = current_ailydian.audit.checkpoints.make(now=True)
    if as_json:
        print_json(None if made is None else {"number": made.number, "root": made.root.hex()})
    elif made is None:
        click.echo("Nothing has changed since the last checkpoint.")
    else:
        click.echo(f"Checkpoint {made.number} over {made.chains} chains: {made.root.hex()}")


@audit.command("public-key")
def public_key() -> None:
    """Print the keys that checkpoints are signed with, the one in use first."""
    for key in current_ailydian.audit.inspection.signer.public_keys():
        click.echo(key.hex())


@audit.command("guard")
@click.argument("action", type=click.Choice(["status", "install", "remove", "sql"]))
@click.option("--role", help="With `sql`: a PostgreSQL role that may add and never change.")
def guard(action: str, role: str | None) -> None:
    """Let the database itself refuse UPDATE and DELETE on the trail."""
    engine = current_ailydian.db.engine
    dialect = engine.dialect.name
    if action == "sql":
        lines = guards.role_statements(role) if role else guards.statements(dialect)
        for line in lines:
            click.echo(f"{line};")
        return
    with engine.begin() as connection:
        if action != "status":
            todo = guards.statements if action == "install" else guards.removal
            for line in todo(dialect):
                connection.exec_driver_sql(line)
        stands = guards.present(connection)
    if action != "status":
        current_ailydian.audit.note(f"guard_{'installed' if stands else 'removed'}")
    click.echo("The guard stands." if stands else "The guard is down.")


@audit.command("partitions")
@click.option(
    "--ahead",
    default=AHEAD,
    show_default=True,
    type=click.IntRange(1, 120),
    help="How many months beside this one are to be there.",
)
@json_option
def partitions(ahead: int, as_json: bool) -> None:
    """Make the next months' partitions on PostgreSQL, and list them all; for cron, daily."""
    parts = current_ailydian.audit.partitions
    made = parts.make_ahead(ahead)
    found = parts.layout()
    held = parts.contents(found) if found else {}
    if as_json:
        listed = [
            {"partition": one.label, "events": events, "inferences": answers, "bytes": size}
            for one, (events, answers, size) in held.items()
        ]
        print_json({"parted": found is not None, "made": made, "partitions": listed})
        return
    if found is None:
        click.echo(
            "The tables are whole. On PostgreSQL: flask ailydian revision --partitions monthly"
        )
        return
    if made:
        click.echo(f"Made: {', '.join(made)}.")
    rows = [
        (one.label, events, answers, f"{size / 1e6:.1f}")
        for one, (events, answers, size) in held.items()
    ]
    print_table(("PARTITION", "EVENTS ABOUT", "INFERENCES ABOUT", "MB"), rows)


@audit.command("rotate-keys")
@click.option("--fingerprints", is_flag=True, help="The key of the inputs' fingerprints as well.")
def rotate_keys(fingerprints: bool) -> None:
    """Make a new master key and wrap every person's key under it; no row is touched."""
    state = current_ailydian
    keys: t.Any = state.audit.subjects.keys
    before = keys.ids()[0]
    if isinstance(keys, MasterKeys) and keys.from_file:
        keys.rotate()
    done = state.audit.subjects.rewrap()
    if fingerprints:
        try:
            state.fingerprint.rotate()
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
    state.audit.note("keys_rotated", detail={"from": before, "to": keys.ids()[0], "wrapped": done})
    click.echo(f"{done} keys are wrapped under {keys.ids()[0]} now.")
    click.echo("Keep the old public key: checkpoints that it signed need it (audit public-key).")
