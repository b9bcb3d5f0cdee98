"""``flask ailydian costs``."""

from __future__ import annotations

import typing as t
from datetime import date
from datetime import datetime
from decimal import Decimal

import click

from ..state import current_ailydian
from .days import DAY
from .group import ailydian
from .group import json_option
from .group import print_json
from .group import print_table


@ailydian.command("costs")
@click.option("--from", "start", type=DAY, help="First day; by default thirty days back.")
@click.option("--to", "end", type=DAY, help="Last day; by default today.")
@click.option("--what-if", type=click.IntRange(1), help="Project this many queries a day instead.")
@click.option(
    "--onnx-share",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Share of them that the local model answers.",
)
@json_option
def costs(
    start: datetime | None,
    end: datetime | None,
    what_if: int | None,
    onnx_share: float,
    as_json: bool,
) -> None:
    """Say what was spent and saved, or what a traffic would cost."""
    if what_if is not None:
        found = current_ailydian.costs.what_if(what_if, Decimal(str(onnx_share)))
        if as_json:
            print_json(found)
            return
        click.echo(_projected(found))
        return
    found = current_ailydian.costs.summary(_day(start), _day(end))
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['from']} to {found['to']}, {found['currency']}")
    rows = [("all", found), *found["by_backend"].items(), *found["by_model"].items()]
    head = ("", "QUERIES", "SPENT", "ALL PAID", "SAVED", "%")
    keys = ("queries", "spent", "all_paid", "saved", "saved_percent")
    print_table(head, [(name, *(_shown(sums[key]) for key in keys)) for name, sums in rows])


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _shown(value: t.Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


def _projected(found: dict[str, t.Any]) -> str:
    return "\n".join(
        (
            f"{found['queries_per_day']} queries a day, {found['onnx_share']:.0%} of them local:",
            f"  ${found['all_paid_per_day']} -> ${found['hybrid_per_day']} a day, "
            f"{found['saved_percent']} % saved",
            f"  ${found['saved_per_year_of_365_days']} saved in a year of 365 days",
            f"  ${found['saved_per_12_months_of_30_days']} saved in twelve months of 30 days",
        )
    )
