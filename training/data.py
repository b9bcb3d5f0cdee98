"""Reads the two layouts of labels: this project's, and CheXpert's."""

from __future__ import annotations

import collections.abc as c
import csv
import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import ImageOps

CLASSES = ("COVID-19", "Pneumonia", "Normal")
#: What CheXpert's -1 ("uncertain") counts as; ``ignore`` leaves it out of the loss.
UNCERTAIN = {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}


@dataclasses.dataclass(frozen=True)
class Example:
    """One image file, its targets (NaN: not known), its patient and the patient's split."""

    path: Path
    targets: tuple[float, ...]
    split: str
    patient: str = ""


def read_classes(folder: Path) -> list[Example]:
    """Read ``labels.csv`` (file, cls, split, patient): one class for each image."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return [
            Example(
                folder / row["file"],
                tuple(float(row["cls"] == name) for name in CLASSES),
                row["split"],
                row.get("patient") or row["file"],
            )
            for row in csv.DictReader(file)
        ]


def read_chexpert(
    table: Path, findings: c.Sequence[str], *, uncertain: str, split: str, frontal: bool = True
) -> list[Example]:
    """Read a CheXpert CSV: a column for each finding with 1, 0, -1 or nothing.

    :param uncertain: One of ``UNCERTAIN``; a blank means that the finding is absent.
    :param split: ``train`` or ``val``: CheXpert keeps them in files of their own.
    :raises ValueError: for a finding that the file has no column for.
    """
    examples = []
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = set(findings) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"The CSV has no column {', '.join(sorted(missing))}.")
        for row in reader:
            if frontal and row.get("Frontal/Lateral", "Frontal") != "Frontal":
                continue
            targets = tuple(_target(row[finding], uncertain) for finding in findings)
            examples.append(Example(_locate(table, row["Path"]), targets, split))
    return examples


def _target(text: str, uncertain: str) -> float:
    value = float(text) if text.strip() else 0.0
    return UNCERTAIN[uncertain] if value == -1 else value


def _locate(table: Path, name: str) -> Path:
    """Find an image: the paths begin with the name of the data set's own folder."""
    inside = Path(*Path(name).parts[1:])
    return next((p for p in (table.parent / inside, table.parent / name) if p.exists()), Path(name))


def load_grey(examples: c.Sequence[Example], side: int) -> NDArray[np.uint8]:
    """Return the images as ``[n, side, side]`` grey, cut as a served image is."""
    images = []
    for example in examples:
        with Image.open(example.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB").convert("L")
        images.append(np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.BILINEAR)))
    return np.stack(images)


def targets_of(examples: c.Sequence[Example]) -> NDArray[np.float32]:
    """Return the targets as ``[n, outputs]``."""
    return np.array([example.targets for example in examples], dtype=np.float32)
