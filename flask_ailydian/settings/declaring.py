"""What one setting is declared with, and how a value is checked against it."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t


class Table(dict[str, t.Any]):
    """A mapping that may stand as a default: dataclasses refuse one without a hash."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def option(
    default: t.Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    pattern: str | None = None,
    secret: bool = False,
    choices: t.Collection[str] | None = None,
) -> t.Any:
    """Declare one setting with its default, meaning and range."""
    metadata: dict[str, t.Any] = {"help": meaning, "low": low, "high": high}
    metadata |= {"pattern": pattern, "secret": secret, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def checked(key: str, value: t.Any, kind: t.Any, field: dataclasses.Field[t.Any]) -> t.Any:
    """Return a value as its setting holds it, or raise ``RuntimeError`` naming the key."""
    rules = field.metadata
    if kind == tuple[str, ...]:
        value = tuple(value) if isinstance(value, list | tuple) else value
        right = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        wanted = "a list of strings"
    elif kind is float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        wanted = "a number"
    elif kind == dict[str, t.Any]:
        right = isinstance(value, dict) and all(isinstance(key, str) for key in value)
        wanted = "a mapping with strings as keys"
        value = Table(value) if right else value
    elif kind is bool:
        right, wanted = isinstance(value, bool), "true or false"
    else:
        right = isinstance(value, kind) and not isinstance(value, bool)
        wanted = "a whole number" if kind is int else "a string"
        if kind is str and isinstance(value, os.PathLike):
            value, right = os.fspath(value), True
    if not right:
        raise RuntimeError(f"{key} must be {wanted}, not {type(value).__name__}.")
    if rules["choices"] is not None and not set(value) <= set(rules["choices"]):
        raise RuntimeError(f"{key} may name {', '.join(rules['choices'])}.")
    low, high = rules["low"], rules["high"]
    if low is not None and not low <= value <= high:
        raise RuntimeError(f"{key} must be between {low} and {high}.")
    if rules["pattern"] and not re.fullmatch(rules["pattern"], value):
        if rules["secret"]:
            raise RuntimeError(f"{key} must have at least 16 characters.")
        raise RuntimeError(f"{key} must match {rules['pattern']}, and {value!r} does not.")
    return float(value) if kind is float else value
