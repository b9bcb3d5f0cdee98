"""What a database refuses, told before the row waits beside others."""

from __future__ import annotations

import math
import typing as t
from decimal import Decimal

import sqlalchemy as sa

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class Unstorable(Exception):
    """A row holds what no database can keep."""


class Checker:
    """Checks rows of one table."""

    def __init__(self, table: sa.Table) -> None:
        self._lengths = {
            column.name: column.type.length
            for column in table.columns
            if isinstance(column.type, sa.String | sa.LargeBinary)
        }

    def check(self, row: dict[str, t.Any]) -> None:
        """Raise :class:`Unstorable`, naming the column and never the value."""
        for name, value in row.items():
            if value is not None and not _sound(value, self._lengths.get(name)):
                raise Unstorable(f"The column {name} cannot keep this value.")


def _sound(value: t.Any, length: int | None = None) -> bool:
    # On the exact type, for what nearly everything is: every answer passes here.
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is str or isinstance(value, str):
        # One NUL or lone surrogate makes PostgreSQL refuse the whole batch around it.
        return "\0" not in value and _encodes(value) and (length is None or len(value) <= length)
    if kind is dict or isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str) or not _sound(name) or not _sound(inner):
                return False
        return True
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return _LOWEST <= value <= _HIGHEST
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value) < 10**9
    if isinstance(value, list | tuple):
        return all(map(_sound, value))
    return True


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
