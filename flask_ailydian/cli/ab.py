"""``flask ailydian ab …``."""

from __future__ import annotations

import typing as t

import click

from ..errors import ValidationFailed
from ..experiments.plan import MARGINS
from ..experiments.plan import METRICS
from ..experiments.plan import MODES
from ..experiments.plan import Plan
from ..experiments.plan import UNITS
from ..experiments.report import describe
from ..experiments.report import to_text
from ..state import current_ailydian
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table


@ailydian.group("ab", cls=Group)
def ab() -> None:
    """Start, watch and stop A/B tests."""


@ab.command("create")
@click.argument("name")
@click.option("--model-a", "--a", required=True, help="MODEL, MODEL:VERSION or backend:onnx.")
@click.option("--model-b", "--b", required=True, help="What it is compared with.")
@click.option("--split", default=50, show_default=True, help="Arm B's share, 1 to 99 per cent.")
@click.option("--subject", help="Whose requests meet it; by default those for model A's name.")
@click.option("--mode", type=click.Choice(MODES), default="split", show_default=True)
@click.option("--shadow", is_flag=True, help="The same as --mode shadow: B answers unseen.")
@click.option("--unit", type=click.Choice(UNITS), default="request", show_default=True)
@click.option("--coverage", default=100.0, show_default=True, help="Per cent that meet it at all.")
@click.option("--namespace", help="NAME:LOW:HIGH; disjoint parts share nobody.")
@click.option("--primary", type=click.Choice(list(METRICS)), default="latency", show_default=True)
@click.option("--guardrail", multiple=True, help="METRIC=MARGIN, as often as needed.")
@click.option("--min-days", default=7.0, show_default=True)
@click.option("--max-days", type=float, help="By default 28, or four times --min-days.")
@click.option("--min-units", default=100, show_default=True, help="Per arm.")
@click.option("--promote", is_flag=True, help="A winner takes over the traffic by itself.")
@json_option
def create(
    name: str,
    model_a: str,
    model_b: str,
    split: int,
    subject: str | None,
    mode: str,
    shadow: bool,
    coverage: float,
    namespace: str | None,
    guardrail: tuple[str, ...],
    min_days: float,
    max_days: float | None,
    as_json: bool,
    **rules: t.Any,
) -> None:
    """Start a test called NAME."""
    given = dict(map(_margin, guardrail))
    plan = Plan(
        mode="shadow" if shadow else mode,
        coverage=coverage / 100,
        namespace=None if namespace is None else _namespace(namespace),
        guardrails=given or Plan().guardrails,
        min_days=min_days,
        max_days=max(Plan.max_days, 4 * min_days) if max_days is None else max_days,
        **rules,
    )
    test = current_ailydian.experiments.create(
        name, model_a, model_b, split_percent=split, plan=plan, subject=subject
    )
    if as_json:
        print_json(describe(test))
    else:
        click.echo(f"{name} runs: {test.arms[0]} against {test.arms[1]}, for {test.subject}.")


def _margin(text: str) -> tuple[str, float]:
    name, _, margin = text.partition("=")
    try:
        return name, float(margin) if margin else MARGINS[name]
    except (ValueError, KeyError) as error:
        message = f"METRIC=MARGIN with one of {', '.join(METRICS)}."
        raise ValidationFailed(message, fields={"guardrail": [message]}) from error


def _namespace(text: str) -> tuple[str, float, float]:
    parts = text.split(":")
    try:
        name, low, high = parts
        return name, float(low), float(high)
    except ValueError as error:
        message = "NAME:LOW:HIGH, with numbers from 0 to 1."
        raise ValidationFailed(message, fields={"namespace": [message]}) from error


@ab.command("list")
@json_option
def list_tests(as_json: bool) -> None:
    """List every test."""
    tests = current_ailydian.experiments.store.every()
    if as_json:
        print_json([describe(test) for test in tests])
    elif not tests:
        click.echo("No tests yet. Start one: flask ailydian ab create NAME --model-a A --model-b B")
    else:
        rows = [
            (x.name, x.arms[0], x.arms[1], f"{x.split_percent} %", x.status, x.verdict or "running")
            for x in tests
        ]
        print_table(("NAME", "ARM A", "ARM B", "TO B", "STATUS", "VERDICT"), rows)


@ab.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Say what was compared, on how many, what is known, and what is not known yet."""
    _print(current_ailydian.experiments.report(name), as_json)


@ab.command("split")
@click.argument("name")
@click.argument("percent", type=int)
@click.option("--coverage", type=float, help="Per cent that meet the test at all.")
@json_option
def split(name: str, percent: int, coverage: float | None, as_json: bool) -> None:
    """Give arm B of NAME another share; a new phase begins."""
    test = current_ailydian.experiments.split(
        name, percent, coverage=None if coverage is None else coverage / 100
    )
    if as_json:
        print_json(describe(test))
    else:
        click.echo(f"{name} gives {percent} % to {test.arms[1]}; phase {test.phase.number} begins.")


@ab.command("stop")
@click.argument("name")
@json_option
def stop(name: str, as_json: bool) -> None:
    """End NAME and store what was concluded."""
    _print(current_ailydian.experiments.stop(name), as_json)


@ab.command("review")
@json_option
def review(as_json: bool) -> None:
    """Apply every running test's own rules now; for cron."""
    bodies = current_ailydian.experiments.review()
    if as_json:
        print_json(bodies)
        return
    for body in bodies:
        click.echo(f"{body['test_name']}: {body['decision']['verdict']}")
    if not bodies:
        click.echo("No test is running.")


def _print(body: dict[str, t.Any], as_json: bool) -> None:
    if as_json:
        print_json(body)
    else:
        click.echo(to_text(body))
