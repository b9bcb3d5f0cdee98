"""What people write on the command line and in forms: labels, and lists of numbers."""

from __future__ import annotations

import json
import re
import typing as t

from .errors import ValidationFailed


def read_labels(text: str) -> list[str]:
    """Read labels from a file's text: a JSON list, or one label a line."""
    stripped = text.removeprefix("\ufeff").strip()
    if stripped.startswith("["):
        try:
            labels = json.loads(stripped)
        except ValueError as error:
            raise ValidationFailed(fields={"labels": ["The JSON list cannot be read."]}) from error
        if not all(isinstance(label, str) for label in labels):
            raise ValidationFailed(fields={"labels": ["Every label must be a string."]})
        return t.cast(list[str], labels)
    lines = [line.strip() for line in stripped.splitlines()]
    # Many published lists number their lines; the number is no part of the name.
    numbered = [re.fullmatch(r"(\d+)[:,\s]\s*(\S.*)", line) for line in lines]
    if all(match and int(match[1]) == i for i, match in enumerate(numbered)):
        return [match[2] for match in numbered if match]
    return lines


@t.overload
def parse_numbers(field: str, text: str | None) -> tuple[float, ...] | None: ...
@t.overload
def parse_numbers(
    field: str, text: str | None, *, pair: t.Literal[True]
) -> tuple[int, int] | None: ...
def parse_numbers(field: str, text: str | None, *, pair: bool = False) -> t.Any:
    """Read `0.5,0.5,0.5`; with *pair* whole numbers, height and width, one standing for both."""
    if text is None:
        return None
    try:
        numbers = tuple((int if pair else float)(part) for part in text.split(","))
    except ValueError as error:
        raise ValidationFailed(fields={field: ["Numbers, with commas between them."]}) from error
    if not pair:
        return numbers
    if len(numbers) > 2:
        raise ValidationFailed(fields={field: ["One number, or height and width."]})
    return numbers if len(numbers) == 2 else numbers * 2
