"""``flask ailydian plan``: how many machines a load needs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from ..planning import service
from ..planning.queueing import Figures
from ..planning.queueing import plan as reckon
from ..state import current_ailydian
from .group import ailydian
from .group import json_option
from .group import print_json

POSITIVE = click.FloatRange(0, 10**7, min_open=True)


@ailydian.command("plan")
@click.option(
    "--requests-per-second", "rate", required=True, type=click.FloatRange(0, 10**7, min_open=True)
)
@click.option("--model", "name", required=True, help="The model that will be asked.")
@click.option("--version", help="One version; by default the one that answers.")
@click.option(
    "--p99",
    default=500.0,
    show_default=True,
    type=POSITIVE,
    help="What 99 of 100 answers must not exceed, in milliseconds.",
)
@click.option(
    "--sample",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A typical input; by default a made-up one of usual size.",
)
@click.option("--seconds", default=4.0, show_default=True, type=click.FloatRange(0.2, 600))
@click.option(
    "--figures",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read what was measured from this file, or measure and write it there.",
)
@json_option
def plan(
    rate: float,
    name: str,
    version: str | None,
    p99: float,
    sample: Path | None,
    seconds: float,
    figures: Path | None,
    as_json: bool,
) -> None:
    """Work out machines, database rows and disk for a load, from figures measured here.

    Starts a scratch copy of the host on loopback and asks it for half a minute: measure on a
    machine that is idle and like those that will serve.
    """
    if figures is not None and figures.exists():
        measured = _read(figures)
    else:
        given = None if sample is None else sample.read_bytes()
        with service.bench(current_ailydian, name, version, given) as bench:
            measured = service.measure(bench, seconds, _say)
        if figures is not None:
            figures.write_text(json.dumps(dataclasses.asdict(measured)))
    found = reckon(measured, rate, p99 / 1000)
    if found is None:
        lone = measured.seconds[1] * 1000
        raise click.ClickException(
            f"Even an idle machine like this one takes {lone:.0f} ms and more; a p99 of {p99:g} ms "
            "needs faster cores, a smaller model (`models optimize`) or a remote engine."
        )
    if as_json:
        print_json({"figures": _shown(measured), "plan": found.to_json()})
        return
    many = "s" if found.machines > 1 else ""
    half, most, nearly_all = (
        f"{seconds * 1000:.0f} ms"
        for seconds in (found.predicted.p50, found.predicted.p95, found.predicted.p99)
    )
    for line in (
        f"Measured    {measured.model}: {measured.seconds[1] * 1000:.1f} ms alone, "
        f"{measured.capacity:.1f} requests/s with {measured.slots} slots busy, "
        f"{measured.cpu_seconds * 1000:.1f} ms of processor, {measured.memory_bytes / 1e6:.0f} MB",
        f"Machines    {found.machines} like this one ({found.cores} cores), one worker process "
        f"of gunicorn with threads on each",
        f"Expect      p50 {half}, p95 {most}, p99 {nearly_all}, "
        f"{found.predicted.busy:.0%} of the slots busy",
        f"Database    {'SQLite will do' if found.database == 'sqlite' else 'PostgreSQL'}; "
        f"{found.rows_per_second:,.0f} rows/s",
        f"Disk        {found.bytes_per_day / 1e9:,.2f} GB a day, "
        f"{found.bytes_per_month / 1e9:,.1f} GB a monthly partition",
        f"Elsewhere   or one Flask machine and {found.machines} remote engine{many} like this one",
    ):
        click.echo(line)


def _say(step: str) -> None:
    click.echo(f"Measuring: {step} …", err=True)


def _shown(measured: Figures) -> dict[str, object]:
    shown = dataclasses.asdict(measured)
    del shown["spread"]
    return shown | {"capacity": measured.capacity}


def _read(file: Path) -> Figures:
    try:
        held = json.loads(file.read_text())
        held["seconds"] = {int(count): value for count, value in held["seconds"].items()}
        held["spread"] = tuple(held["spread"])
        return Figures(**held)
    except (ValueError, TypeError, KeyError) as error:
        raise click.ClickException(f"{file.name} holds no figures of this command.") from error
