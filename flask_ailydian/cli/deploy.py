"""``flask ailydian deploy``."""

from __future__ import annotations

import dataclasses
import typing as t

import click
from flask.cli import ScriptInfo
from flask.cli import with_appcontext

from ..deploying import deployment
from ..deploying import standing
from ..deploying.standing import place
from ..deploying.steps import Stopped
from ..state import current_ailydian
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json

FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)


@ailydian.group("deploy", cls=Group, invoke_without_command=True)
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="HOST:PORT.")
@click.option("--workers", type=click.IntRange(1, 64), help="SQLite: 1; else up to four.")
@click.option("--config", type=FILE, help="A gunicorn configuration of yours.")
@click.option("--wsgi", help="What gunicorn serves; by default what `flask --app` names.")
@click.option("--attempts", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--dry-run", is_flag=True, help="Only look, and say what would be done.")
@json_option
@with_appcontext
def deploy(
    bind: str,
    workers: int | None,
    config: str | None,
    wsgi: str | None,
    attempts: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check, migrate, try, start; replace the old server without a failed request."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        return
    name = context.ensure_object(ScriptInfo).app_import_path
    app = wsgi or f"flask_ailydian.deploying.wsgi:load({name!r})"
    wanted = deployment.Wanted(app, bind, workers or 0, config, attempts)
    made = deployment.Deployment(place(), wanted)
    outcomes, well = [], True
    try:
        for outcome in made.rehearse() if dry_run else made.run():
            well = outcome.ok
            outcomes.append(outcome)
            if not as_json:
                _tell(outcome)
    except Stopped as stopped:
        raise click.ClickException(_sentence(stopped)) from stopped
    if as_json:
        print_json({"success": well, "steps": [dataclasses.asdict(o) for o in outcomes]})
    if not well:
        old = place().running()
        if not as_json:
            runs = f"Process {old.pid} runs on, as before." if old else "Nothing was started."
            click.echo(runs, err=True)
        raise SystemExit(1)


@deploy.command("stop")
@json_option
def stop(as_json: bool) -> None:
    """Stop the server that was deployed here, and nobody else."""
    try:
        said = standing.stop(place())
    except Stopped as stopped:
        raise click.ClickException(_sentence(stopped)) from stopped
    print_json({"said": said}) if as_json else click.echo(said)


@deploy.command("status")
@json_option
def status(as_json: bool) -> None:
    """Say what runs here; exits with 1 when nothing does, or it is not ready."""
    found = standing.status(place(), current_ailydian.settings.url_prefix)
    if as_json:
        print_json(found)
    elif not found["running"]:
        click.echo("Nothing that was deployed here runs.")
    else:
        ready = "ready" if found["ready"] else "not ready"
        click.echo(f"Process {found['pid']} on {found['bind']} since {found['since']}: {ready}.")
        click.echo(f"It prints to {found['log']}.")
    if not found["ready"]:
        raise SystemExit(1)


def _tell(outcome: t.Any) -> None:
    mark = click.style("ok  ", fg="green") if outcome.ok else click.style("FAIL", fg="red")
    head = f"{mark}  {outcome.number}/8 {outcome.name}"
    click.echo(f"{head} ({outcome.seconds:.1f} s): {outcome.detail}")
    if outcome.remedy:
        click.echo(f"      → {outcome.remedy}")


def _sentence(stopped: Stopped) -> str:
    return f"{stopped.why} {stopped.remedy or ''}".strip()
