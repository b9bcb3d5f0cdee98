"""Outcomes as a CSV file: ``query, weak, strong`` and perhaps ``group``."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from ...errors import ValidationFailed
from .measures import Outcomes

NEEDED = ("query", "weak", "strong")
LEAST = 50


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Queries, what both backends were worth on them, and the groups they belong to."""

    texts: list[str]
    outcomes: Outcomes
    groups: list[str] | None


def read(path: Path) -> Labelled:
    """Read a file.

    :raises ValidationFailed: naming what is wrong.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if len(rows) < LEAST or not all(name in rows[0] for name in NEEDED):
            raise ValidationFailed(
                f"{path.name} needs the columns {', '.join(NEEDED)} and at least {LEAST} rows."
            )
        weak, strong = (np.array([float(row[name]) for row in rows]) for name in NEEDED[1:])
    except (OSError, UnicodeError, csv.Error, ValueError, TypeError) as error:
        raise ValidationFailed(f"{path.name} is not a CSV file of queries and numbers.") from error
    if not (np.isfinite(weak).all() and np.isfinite(strong).all()):
        raise ValidationFailed(f"{path.name} has outcomes that are no numbers.")
    if (strong - weak).sum() <= 0:
        raise ValidationFailed(
            "The strong backend is no better than the weak one on these queries."
        )
    groups = [row["group"] for row in rows] if rows[0].get("group") else None
    return Labelled([row["query"] for row in rows], Outcomes(weak, strong), groups)
