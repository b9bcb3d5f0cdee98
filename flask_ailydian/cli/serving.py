"""The options of how a version is cached and batched."""

from __future__ import annotations

import typing as t

import click

SERVING = (
    click.option("--cache-entries", type=int, help="Answers that a process keeps; 0 for none."),
    click.option("--cache-seconds", type=float, help="How long it keeps them; by default 3600."),
    click.option("--max-batch", type=int, help="Inputs that may run together; 1: one by one."),
    click.option("--max-delay-ms", type=float, help="How long the first waits for others."),
)


def serving_options(command: t.Any) -> t.Any:
    """Add what ``ServingOptions`` takes."""
    for option in reversed(SERVING):
        command = option(command)
    return command


def take_serving(options: dict[str, t.Any]) -> dict[str, t.Any]:
    """Take what was given of ``SERVING`` out of a command's options."""
    names = ("cache_entries", "cache_seconds", "max_batch", "max_delay_ms")
    found = {name: options.pop(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
