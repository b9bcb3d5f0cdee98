"""``flask ailydian infer``: files and folders, one line of JSON each."""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import sys
import typing as t
from pathlib import Path

import click

from ..errors import InvalidInput
from ..prediction import Given
from ..samples import SUFFIXES
from ..state import current_ailydian
from .group import ailydian

#: How every line of results begins.
START = b'{"file": '


def asks_about_images(command: c.Callable[..., t.Any]) -> c.Callable[..., t.Any]:
    """Let a command take a model, files and folders, and what goes with each of them."""
    paths = click.Path(exists=True, path_type=Path)
    for decorate in (
        click.option("--user-id", help="Whom the answers are about."),
        click.option("--top-k", type=click.IntRange(1), help="How many classes are listed."),
        click.option("--version", help="One version; by default the one that answers."),
        click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=paths),
        click.argument("model"),
    ):
        command = decorate(command)
    return command


@ailydian.command("infer")
@asks_about_images
@click.option(
    "--resume",
    metavar="RESULTS",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add the lines to this file, and leave out the images that it has answers for.",
)
def infer(model: str, paths: tuple[Path, ...], resume: Path | None, **options: t.Any) -> None:
    """Ask MODEL about images: files or folders; prints one line of JSON for each.

    Exits with 1 when an input failed.
    """
    # An unknown model is one mistake, not one for each file.
    current_ailydian.registry.resolve(model, options["version"])
    files = images_of(paths)
    done = _answered(resume) if resume else set()
    waiting = [path for path in files if str(path) not in done]
    readers = (_reader(model, path, options) for path in waiting)
    answers = current_ailydian.inference.answer_all(readers)
    failed = 0
    with (
        resume.open("a", encoding="utf-8") if resume else contextlib.nullcontext(sys.stdout) as out,
        # The bar goes to standard error, so that the lines can be piped.
        click.progressbar(
            zip(waiting, answers, strict=True),
            length=len(waiting),
            label="Images",
            file=sys.stderr,
            hidden=len(files) == 1,
        ) as progress,
    ):
        for path, line in progress:
            failed += not line["success"]
            click.echo(json.dumps({"file": str(path), **line}, ensure_ascii=False), file=out)
            out.flush()
    if resume:
        had = len(files) - len(waiting)
        click.echo(f"{len(waiting)} answered now, {failed} of them failed; {had} were there.")
    if failed:
        raise SystemExit(1)


def images_of(paths: t.Iterable[Path]) -> list[Path]:
    """Return the files, and the images of the folders, that were named; at least one."""
    found = list(_files(paths))
    if not found:
        raise click.ClickException(f"No image here; known are {', '.join(sorted(SUFFIXES))}.")
    return found


def _files(paths: t.Iterable[Path]) -> t.Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES)
            yield from (p for p in inside if p.is_file())
        else:
            yield path


def _reader(model: str, path: Path, options: dict[str, t.Any]) -> c.Callable[[], Given]:
    def read() -> Given:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"The file cannot be read ({type(error).__name__}).") from error
        return Given(
            model,
            image=data,
            model_version=options["version"],
            top_k=options["top_k"],
            user_id=options["user_id"],
        )

    return read


def _answered(results: Path) -> set[str]:
    """Return the files that have an answer; a last line that was cut short is taken away."""
    if not results.exists():
        return set()
    text = results.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    done = set()
    try:
        for line in whole.splitlines():
            found = json.loads(line)
            if found["success"]:
                done.add(found["file"])
        if not START.startswith(text[len(whole) :][: len(START)]):
            raise ValueError
    except (ValueError, TypeError, KeyError) as error:
        raise click.ClickException(
            f"{results.name} holds something else than results of this command."
        ) from error
    if len(whole) < len(text):
        with results.open("r+b") as file:
            file.truncate(len(whole))
    return done
