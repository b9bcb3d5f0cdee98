"""``flask ailydian infer``: files and folders, one line of JSON each."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import click

from ..errors import AilydianError
from ..state import current_ailydian
from .group import ailydian
from .group import print_json

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".dcm"})


@ailydian.command("infer")
@click.argument("model")
@click.argument(
    "paths",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--version", help="One version; by default the one that answers.")
@click.option("--top-k", type=click.IntRange(1), help="How many classes are listed.")
@click.option("--user-id", help="Whom the answers are about.")
def infer(model: str, paths: tuple[Path, ...], **options: t.Any) -> None:
    """Ask MODEL about images: files or folders; prints one line of JSON for each.

    Exits with 1 when an input failed.
    """
    # An unknown model is one mistake, not one for each file.
    current_ailydian.registry.resolve(model, options["version"])
    files = list(_files(paths))
    if not files:
        raise click.ClickException(f"No image here; known are {', '.join(sorted(SUFFIXES))}.")
    failed = 0
    # The bar goes to standard error, so that the lines can be piped.
    with click.progressbar(
        files, label="Images", file=sys.stderr, hidden=len(files) == 1
    ) as progress:
        for path in progress:
            line = _ask(model, path, options)
            failed += not line["success"]
            print_json({"file": str(path), **line})
    if failed:
        raise SystemExit(1)


def _files(paths: t.Iterable[Path]) -> t.Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES)
            yield from (p for p in inside if p.is_file())
        else:
            yield path


def _ask(model: str, path: Path, options: dict[str, t.Any]) -> dict[str, t.Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        return {"success": False, "error": "unreadable", "detail": type(error).__name__}
    try:
        return current_ailydian.predict(
            model,
            image=data,
            model_version=options["version"],
            top_k=options["top_k"],
            user_id=options["user_id"],
        )
    except AilydianError as error:
        return error.body()
