"""``flask ailydian models optimize``: an int8 variant, with its proof."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import click

from .. import optimization
from .. import samples
from ..state import current_ailydian
from ..web.schemas.models import dump
from .group import json_option
from .group import print_json
from .models import models

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@models.command("optimize")
@click.argument("name")
@click.option("--version", help="Of the model to optimise; by default the one that answers.")
@click.option("--images", type=FOLDER, help="Images like those that will be asked about.")
@click.option("--texts", type=FILE, help="For models of text: one text a line.")
@click.option("--labels-csv", type=FILE, help="Lines of file,label: what the images show.")
@click.option("--as", "variant", help="The variant's version; by default VERSION-int8.")
@click.option("--min-agreement", type=click.FloatRange(0, 1), default=0.99, show_default=True)
@click.option(
    "--max-proof",
    type=click.IntRange(optimization.FEWEST_JUDGED),
    default=optimization.MOST_JUDGED,
    show_default=True,
    help="How many held-out samples are used at most.",
)
@json_option
def optimize(
    name: str,
    version: str | None,
    images: Path | None,
    texts: Path | None,
    labels_csv: Path | None,
    variant: str | None,
    min_agreement: float,
    max_proof: int,
    as_json: bool,
) -> None:
    """Make an int8 variant of NAME and register it as testing, if it answers the same.

    A third of the images calibrates the variant, the others judge it. Exits with 1 and registers
    nothing when it predicts the same class less often than --min-agreement.
    """
    registry = current_ailydian.registry
    record = registry.get(name, version) if version else registry.resolve(name)
    found = _samples(record, images, texts, labels_csv)
    split = optimization.plan(record, found, most=max_proof)
    steps = len(split.fitted) + 2 * len(split.judged)
    with click.progressbar(length=steps, label="Samples", file=sys.stderr) as progress:
        outcome = optimization.optimise(
            registry,
            current_ailydian.settings,
            record,
            split,
            version=variant or f"{record.version}-int8",
            min_agreement=min_agreement,
            tick=lambda: progress.update(1),
        )
    if as_json:
        model = None if outcome.record is None else dump(outcome.record)
        print_json({"registered": model is not None, "proof": outcome.proof, "model": model})
    else:
        click.echo("\n".join(_lines(outcome.proof)))
        if outcome.record is not None:
            click.echo(f"Added {name} {outcome.record.version} as testing.")
            if record.status != "active":
                click.echo(f"No version of {name} is active: the newest in testing answers.")
    if outcome.record is None:
        raise click.ClickException(
            f"The variant agrees on {outcome.proof['agreement']:.4f} of the samples, less than "
            f"{min_agreement}; nothing was registered."
        )


def _samples(
    record: t.Any, images: Path | None, texts: Path | None, labels_csv: Path | None
) -> list[samples.Sample]:
    if record.task == "text-classification":
        if texts is None:
            raise click.UsageError("This model takes text: give --texts FILE.")
        return samples.texts(texts)
    if images is None:
        raise click.UsageError("Give --images FOLDER.")
    table = None if labels_csv is None else samples.read_table(labels_csv, record.labels)
    return samples.images(images, record.labels, table)


def _lines(proof: dict[str, t.Any]) -> t.Iterator[str]:
    change, right = proof["change"], proof["accuracy"]
    yield (
        f"agreement    {proof['agreement']:.4f} on {proof['proof_samples']} held-out samples "
        f"(at least {proof['agreement_at_least']:.4f} with 95 % confidence)"
    )
    yield (
        f"probability  changes by {change['largest']:.4f} at most, {change['mean']:.6f} in the mean"
    )
    if right is not None:
        both = f"{right['before']:.4f} -> {right['after']:.4f}"
        yield f"accuracy     {both} on {right['samples']} labelled samples"
    size, ms, peak = proof["bytes"], proof["ms"], proof["peak_bytes"]
    yield f"file         {size['before'] / 1e6:.2f} MB -> {size['after'] / 1e6:.2f} MB"
    faster = ms["before"] / max(ms["after"], 1e-9)
    yield f"one thread   {ms['before']:.2f} ms -> {ms['after']:.2f} ms ({faster:.2f} x as fast)"
    yield f"peak memory  {peak['before'] / 1e6:.0f} MB -> {peak['after'] / 1e6:.0f} MB"
    if proof["unreadable_samples"]:
        yield f"unreadable   {proof['unreadable_samples']} samples were left out"
