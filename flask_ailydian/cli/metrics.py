"""``flask ailydian metrics …``."""

from __future__ import annotations

import typing as t
from datetime import date
from datetime import datetime
from importlib import resources
from pathlib import Path

import click

from ..clock import now
from ..state import current_ailydian
from .days import DAY
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table


@ailydian.group("metrics", cls=Group)
def metrics() -> None:
    """Daily metrics and drift."""


@metrics.command("rollup")
@click.option("--from", "first", type=DAY, help="The first UTC day; by default the first due.")
@click.option("--to", "last", type=DAY, help="The last UTC day; by default today.")
@click.option("--shrink", is_flag=True, help="Also where fewer requests are left than counted.")
@json_option
def rollup(first: datetime | None, last: datetime | None, shrink: bool, as_json: bool) -> None:
    """Recompute the daily metrics, whole days at a time; for cron, as often as you like.

    Then the running A/B tests' own rules are applied, and the next months' partitions made.
    """
    state = current_ailydian
    found = state.metrics.rollup.run(_day(first), _day(last), now=now(), shrink=shrink)
    kept = [one for one in found if one.state == "kept"]
    reviewed = state.experiments.review()
    state.audit.partitions.tend()
    if as_json:
        print_json(
            {
                "written": len(found) - len(kept),
                "kept": [{"model_id": x.model_id, "date": x.date.isoformat()} for x in kept],
                "ab_tests": {x["test_name"]: x["decision"]["verdict"] for x in reviewed},
            }
        )
        return
    days = {one.date for one in found}
    click.echo(f"{len(found) - len(kept)} slices written, {len(days)} days looked at.")
    for one in kept:
        click.echo(
            f"{one.date} of model {one.model_id} is kept as it was: only {one.total_requests} "
            "of its requests are left; --shrink replaces it all the same."
        )


@metrics.command("files")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def files(folder: Path) -> None:
    """Write the alert rules for Prometheus and the dashboards for Grafana into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    source = resources.files("flask_ailydian.metrics") / "monitoring"
    for file in sorted(source.iterdir(), key=lambda file: file.name):
        (folder / file.name).write_bytes(file.read_bytes())
        click.echo(str(folder / file.name))


@metrics.command("drift")
@json_option
def drift(as_json: bool) -> None:
    """Say whether inputs and answers still look as they did; exits with 1 on an alarm."""
    signals = current_ailydian.metrics.drift()
    capacity = current_ailydian.metrics.capacity()
    if as_json:
        print_json({"signals": signals, "capacity": capacity})
    elif signals:
        rows = [
            (x["model"], x["version"], x["name"], _number(x), x["limit"], _word(x)) for x in signals
        ]
        print_table(("MODEL", "VERSION", "SIGNAL", "VALUE", "LIMIT", ""), rows)
    else:
        click.echo("No day has been counted yet. Run: flask ailydian metrics rollup")
    if capacity["alarm"] or any(x["alarm"] for x in signals):
        raise SystemExit(1)


def _number(signal: dict[str, t.Any]) -> str:
    return "-" if signal["value"] is None else f"{signal['value']:.3f}"


def _word(signal: dict[str, t.Any]) -> str:
    if signal["value"] is None:
        return f"too little ({signal['rows']} rows)"
    return "ALARM" if signal["alarm"] else "ok"


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()
