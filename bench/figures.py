"""What was measured, round by round, and what it is held against."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

from .machine import Meter
from .machine import NOISY


class Skipped(Exception):
    """A line cannot be measured here; the text says why."""


@dataclasses.dataclass
class Figure:
    """One quantity in one unit: a value a round, beside what others used of the machine."""

    unit: str = ""
    values: list[float] = dataclasses.field(default_factory=list)
    others: list[float] = dataclasses.field(default_factory=list)

    def add(self, value: float, meter: Meter | float) -> None:
        """Add a round."""
        self.values.append(float(value))
        self.others.append(meter if isinstance(meter, float) else meter.others)

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    @property
    def share(self) -> float:
        """The median share of the machine that others used."""
        return statistics.median(self.others) if self.others else 0.0

    @property
    def noisy(self) -> int:
        """In how many rounds others used more than they may."""
        return sum(share > NOISY for share in self.others)

    def to_json(self) -> dict[str, t.Any]:
        """Return everything that was measured."""
        return {
            "unit": self.unit,
            "median": self.median,
            "rounds": self.values,
            "others": [round(share, 4) for share in self.others],
            "noisy_rounds": self.noisy,
        }


def ratio(above: Figure, below: Figure) -> Figure:
    """Return the ratio round by round: both were measured in the same round."""
    found = Figure("×")
    pairs = zip(above.values, below.values, above.others, below.others, strict=True)
    for value, base, share, other in pairs:
        found.add(value / base, max(share, other))
    return found


def difference(above: Figure, below: Figure) -> Figure:
    """Return the difference round by round."""
    found = Figure(above.unit)
    pairs = zip(above.values, below.values, above.others, below.others, strict=True)
    for value, base, share, other in pairs:
        found.add(value - base, max(share, other))
    return found


#: A comparison, as ``("<=", 1.03)``.
Reach = tuple[t.Literal["<=", ">=", "<"], float]


@dataclasses.dataclass
class Row:
    """One row of the table.

    :param reach: What the median must be; none for what is only told.
    """

    line: str
    what: str
    figure: Figure
    reach: Reach | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is where it should be."""
        if self.reach is None:
            return None
        kind, bound = self.reach
        value = self.figure.median
        return {"<=": value <= bound, ">=": value >= bound, "<": value < bound}[kind]

    def to_json(self) -> dict[str, t.Any]:
        """Return the row as the results file holds it."""
        bound = None if self.reach is None else f"{self.reach[0]} {self.reach[1]:g}"
        head = {"line": self.line, "what": self.what, "reach": bound, "met": self.met}
        return {**head, "note": self.note, **self.figure.to_json()}
