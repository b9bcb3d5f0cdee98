"""``flask ailydian route`` and ``flask ailydian router …``."""

from __future__ import annotations

import click

from ..registration import DOMAINS
from ..routing.turn import Asked
from ..state import current_ailydian
from ..web.schemas.query import BACKENDS
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json


@ailydian.command("route")
@click.argument("query")
@click.option("--domain", type=click.Choice(DOMAINS), default="chat", show_default=True)
@click.option("--user-id", help="Whom the answer would be for.")
@click.option("--backend", type=click.Choice(BACKENDS), default="auto", show_default=True)
@json_option
def route(query: str, domain: str, user_id: str | None, backend: str, as_json: bool) -> None:
    """Say who would answer QUERY, and why; nobody is called."""
    found = current_ailydian.router.route(Asked(query, domain, user_id, backend))
    if as_json:
        print_json(found)
        return
    scored = found["classification"]
    click.echo(f"{found['backend']} ({found['reason']})")
    click.echo(f"score {scored['score']:g}: {scored['complexity']}, by {scored['profile']}")
    for part in scored["parts"]:
        click.echo(f"  {part['points']:+g}  {part['feature']}: {part['because']}")
    for name, state in found["available"].items():
        click.echo(f"{name}: {state}")


@ailydian.group("router", cls=Group)
def router() -> None:
    """Train, evaluate, calibrate and replay the router."""
