"""Images of a folder and lines of a text, as samples on which a model is judged."""

from __future__ import annotations

import collections.abc as c
import csv
import dataclasses
import hashlib
import typing as t
from pathlib import Path

from .errors import ValidationFailed

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".dcm"})


@dataclasses.dataclass(frozen=True)
class Sample:
    """One input: a file or a text, the digest of its bytes, and what it is, where that is known."""

    digest: str
    path: Path | None = None
    text: str | None = None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Split:
    """Samples that a model is fitted on, and others that it is judged on."""

    fitted: tuple[Sample, ...]
    judged: tuple[Sample, ...]


def images(
    folder: Path, labels: c.Collection[str], table: c.Mapping[str, str] | None = None
) -> list[Sample]:
    """Return the images of a folder and of those inside it.

    :param labels: A folder that bears one of these names says what its images show.
    :param table: Labels by the file's path inside *folder*; then folders say nothing.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(folder)
        if table is not None:
            label = table.get(name.as_posix())
        else:
            label = name.parts[0] if len(name.parts) > 1 and name.parts[0] in labels else None
        found.append(Sample(_digest(path.read_bytes()), path=path, label=label))
    return found


def texts(path: Path) -> list[Sample]:
    """Return the lines of a text file that are not blank."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeError as error:
        raise ValidationFailed(fields={"texts": ["The file is not UTF-8."]}) from error
    kept = (line.strip() for line in lines)
    return [Sample(_digest(line.encode()), text=line) for line in kept if line]


def read_table(path: Path, labels: c.Collection[str]) -> dict[str, str]:
    """Read ``file,label`` lines.

    :raises ValidationFailed: for a label that is not one of *labels*.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeError, csv.Error) as error:
        raise ValidationFailed(fields={"labels_csv": ["The table cannot be read."]}) from error
    if rows and [cell.lower() for cell in rows[0][:2]] == ["file", "label"]:
        del rows[0]
    if not rows or any(len(row) < 2 for row in rows):
        message = "Two columns are needed: the file's path in the folder, and its label."
        raise ValidationFailed(fields={"labels_csv": [message]})
    for row in rows:
        if row[1] not in labels:
            raise ValidationFailed(fields={"labels_csv": [f"{row[1]!r} is no label of the model."]})
    return {row[0]: row[1] for row in rows}


def split(found: t.Iterable[Sample], fitted: int, *, most: int) -> Split:
    """Return *fitted* samples and at most *most* others; never one of equal bytes in both.

    The order goes by the bytes: the same samples are split the same way, whatever they are called.
    """
    different = {sample.digest: sample for sample in found}
    ordered = [different[digest] for digest in sorted(different)]
    return Split(tuple(ordered[:fitted]), tuple(ordered[fitted : fitted + most]))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
