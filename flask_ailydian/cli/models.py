"""``flask ailydian models …``."""

from __future__ import annotations

import collections.abc as c
import typing as t
from pathlib import Path

import click

from .. import demo as demo_model
from .. import triton_export
from ..demo import help_desk
from ..engine.remote.discovery import read_spec
from ..engine.signature import TensorSpec
from ..folders import read
from ..folders import Source
from ..inputs import strict_json
from ..reading import parse_numbers
from ..reading import read_labels
from ..recipes import WRITES
from ..records import ModelRecord
from ..registration import Declared
from ..registration import DOMAINS
from ..registration import TASKS
from ..state import current_ailydian
from ..web.schemas.models import dump
from .group import ailydian
from .group import Group
from .group import json_option
from .group import print_json
from .group import print_table
from .serving import serving_options
from .serving import take_serving

FILE = click.Path(exists=True, path_type=Path)
TENSOR = "NAME:FP32:-1,3,224,224"


@ailydian.group("models", cls=Group)
def models() -> None:
    """Register, list, activate, retire and verify models."""


@models.command("add")
@click.argument("file", type=FILE, required=False)
@click.option("--remote", multiple=True, help="Not a file: oip://HOST:PORT/MODEL[/versions/N].")
@click.option("--input", "inputs", multiple=True, help=f"What a remote model takes: {TENSOR}.")
@click.option("--output", "outputs", multiple=True, help="What it gives, in the same way.")
@click.option("--fallback", help="The local version that answers while no server does.")
@click.option("--name", required=True, help="What clients call it.")
@click.option("--version", required=True, help="Of this file; never replaced later.")
@click.option("--labels", type=FILE, help="A JSON list, or one label a line.")
@click.option("--domain", type=click.Choice(DOMAINS))
@click.option("--task", type=click.Choice(TASKS))
@click.option("--size", help="224, or height and width: 224,320.")
@click.option("--mean", help="Of pixels divided by 255: R,G,B.")
@click.option("--std", help="Of pixels divided by 255: R,G,B.")
@click.option("--description", help="What people should know; simple HTML is kept.")
@click.option("--accuracy", type=float, help="As measured, between 0 and 1.")
@click.option("--activate", is_flag=True, help="Let this version answer to the name.")
@click.option("--answers", type=FILE, help="What a text model says: JSON, texts by label.")
@click.option("--knowledge", type=FILE, help="Questions and answers to search: JSON, pairs.")
@click.option("--threshold", type=float, help="Confidence from which a text model is sure.")
@click.option("--max-tokens", type=int, help="Of a text: read, or of an answer that is written.")
@click.option("--system", help="What a model that writes is told before every query.")
@click.option("--temperature", type=float, help="Of a model that writes; 0: no chance in it.")
@click.option("--top-p", type=float, help="With a temperature: the share that is drawn from.")
@click.option("--stop", multiple=True, help="A text before which answers end; up to four times.")
@serving_options
@json_option
def add(
    file: Path | None,
    remote: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    fallback: str | None,
    name: str,
    version: str,
    labels: Path | None,
    size: str | None,
    mean: str | None,
    std: str | None,
    activate: bool,
    answers: Path | None,
    knowledge: Path | None,
    as_json: bool,
    **declared: t.Any,
) -> None:
    """Register FILE: an ONNX, TorchScript or torch.export file, or a folder.

    A folder is MLflow's, or one for onnxruntime-genai, or holds `model.onnx` and perhaps
    `tokenizer.json`.

    With --remote, register a model on another server that speaks the Open Inference Protocol
    (KServe v2); give it once for each of several servers.
    """
    if (file is None) == (not remote):
        raise click.UsageError("Give a FILE, or --remote URL.")
    if not remote and (inputs or outputs or fallback):
        raise click.UsageError("--input, --output and --fallback go with --remote.")
    serving = take_serving(declared)
    registry = current_ailydian.registry
    own = {
        name: declared.pop(name)
        for name in ("threshold", "max_tokens", "system", "temperature", "top_p")
    } | {"stop": list(declared.pop("stop")) or None}
    said = _said(answers, knowledge) | {k: v for k, v in own.items() if v is not None}
    if file is not None:
        source = read(
            file,
            max_bytes=current_ailydian.settings.max_model_bytes,
            writes=declared["task"] == WRITES,
            limits=registry.storage.limits,
        )
    else:
        found = registry.storage.discover(
            remote,
            inputs=[_tensor(text) for text in inputs],
            outputs=[_tensor(text) for text in outputs],
            fallback=fallback,
        )
        source = Source(found.to_bytes())
    record = registry.register(
        source.data,
        name,
        version,
        Declared(
            labels=None if labels is None else read_labels(_text(labels)),
            size=parse_numbers("size", size, pair=True),
            mean=parse_numbers("mean", mean),
            std=parse_numbers("std", std),
            serving=serving or None,
            preprocessing={**source.recipe, **said} or None,
            tokenizer=source.tokenizer,
            **declared,
        ),
        kind="remote" if remote else None,
        activate=activate,
    )
    _show(record, as_json, f"Added {name} {version} as {record.status}: {record.task}.")


@models.command("demo")
@json_option
def demo(as_json: bool) -> None:
    """Register the demo models: a teaching model, not for diagnosis, and a help desk."""
    xray, said = _demo(demo_model.NAME, demo_model.VERSION, demo_model.read, "medical")
    desk, more = _demo(help_desk.NAME, help_desk.VERSION, help_desk.read, "chat")
    if as_json:
        print_json({**dump(xray), "others": [dump(desk)]})
        return
    click.echo(f"{said}: a teaching model, not for diagnosis.")
    click.echo(f"{more}: a help desk that answers `POST /query`.")


def _demo(
    name: str, version: str, read: c.Callable[[], bytes], domain: str
) -> tuple[ModelRecord, str]:
    """Register a model that the package ships, unless it is there."""
    registry = current_ailydian.registry
    known = [record for record in registry.versions(name) if record.version == version]
    if known:
        return known[0], f"{name} is there already"
    record = registry.register(read(), name, version, Declared(domain=domain))
    return record, f"Added {name} {version} as {record.status}"


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List every version of every model."""
    records = current_ailydian.registry.versions()
    if as_json:
        print_json([dump(record) for record in records])
        return
    if not records:
        click.echo("No models yet. Add one: flask ailydian models add FILE --name N --version V")
        return
    rows = [(r.name, r.version, r.status, r.domain, r.task, r.sha256[:12]) for r in records]
    print_table(("NAME", "VERSION", "STATUS", "DOMAIN", "TASK", "SHA-256"), rows)


@models.command("activate")
@click.argument("name")
@click.argument("version")
@json_option
def activate(name: str, version: str, as_json: bool) -> None:
    """Let VERSION answer to NAME; the version that did becomes inactive."""
    record = current_ailydian.registry.update(name, version, status="active")
    _show(record, as_json, f"{name} is answered by {version} now.")


@models.command("set")
@click.argument("name")
@click.argument("version")
@serving_options
@click.option("--description", help="What people should know; simple HTML is kept.")
@click.option("--accuracy", type=float, help="As measured, between 0 and 1.")
@json_option
def set_options(name: str, version: str, as_json: bool, **options: t.Any) -> None:
    """Change how VERSION of NAME is served and described."""
    serving = take_serving(options)
    if not serving and not any(value is not None for value in options.values()):
        raise click.UsageError("Say what to set; --help lists it.")
    record = current_ailydian.registry.update(name, version, serving=serving or None, **options)
    _show(record, as_json, f"{name} {version} is changed.")


@models.command("retire")
@click.argument("name")
@click.argument("version")
@json_option
def retire(name: str, version: str, as_json: bool) -> None:
    """Take VERSION of NAME out of service; its row and file stay."""
    record = current_ailydian.registry.update(name, version, status="inactive")
    _show(record, as_json, f"{name} {version} does not answer any more.")


@models.command("export")
@click.argument("names", nargs=-1)
@click.option(
    "--triton",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of a model repository; made where it is not there.",
)
@json_option
def export(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Write the versions that answer to NAMES, by default all, as Triton loads them."""
    registry = current_ailydian.registry
    records = [registry.resolve(name) for name in names] or registry.servable()
    written: list[dict[str, t.Any]] = []
    for record in records:
        if record.type != "onnx" and not names:
            if not as_json:
                click.echo(f"{record.name} {record.version} is no ONNX file: left out.")
            continue
        number = triton_export.number_of(record, registry.versions(record.name))
        try:
            file = triton_export.export(folder, record, number, registry.read(record))
        except OSError as error:
            raise click.ClickException(f"{folder} cannot be written ({error.strerror}).") from error
        written.append({"name": record.name, "version": record.version, "number": number})
        if not as_json:
            click.echo(f"{record.name} {record.version} → {file.parent}, version {number}")
    if as_json:
        print_json(written)


@models.command("verify")
@click.argument("name", required=False)
@json_option
def verify(name: str | None, as_json: bool) -> None:
    """Read every model file again and compare its digest."""
    registry = current_ailydian.registry
    found = [(record, registry.verify(record)) for record in registry.versions(name)]
    if as_json:
        print_json([{"name": r.name, "version": r.version, "wrong": w} for r, w in found])
    else:
        for record, wrong in found:
            click.echo(wrong or f"{record.name} {record.version}: unchanged")
        if not found:
            click.echo("There are no models.")
    if any(wrong for _, wrong in found):
        raise SystemExit(1)


def _tensor(text: str) -> TensorSpec:
    parts = text.rsplit(":", 2)
    try:
        name, datatype, sides = parts
        return read_spec(name, datatype, [int(side) for side in sides.split(",") if side])
    except ValueError as error:
        raise click.UsageError(f"{text!r} is not as {TENSOR}.") from error


def _said(answers: Path | None, knowledge: Path | None) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for name, path in (("answers", answers), ("knowledge", knowledge)):
        if path is not None:
            found[name] = strict_json.loads(_text(path).encode())
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise click.ClickException(f"{path.name} is not a readable UTF-8 text.") from error


def _show(record: t.Any, as_json: bool, said: str) -> None:
    if as_json:
        print_json(dump(record))
    else:
        click.echo(said)
