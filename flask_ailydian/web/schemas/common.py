"""Schemas that several views share."""

from __future__ import annotations

import contextlib
import typing as t

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from ...clock import FIRST_DAY
from ...clock import LAST_DAY

NAME = validate.Regexp(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    error="Letters, digits, '.', '_' and '-', at most 64, no other start.",
)


PRINTABLE = validate.Regexp(r"\A[^\x00-\x1f\x7f]+\Z", error="No control characters.")


class Opaque(fields.String):
    """An opaque id: printable text without control characters, at most 255 characters."""

    def __init__(self, **kwargs: t.Any) -> None:
        super().__init__(validate=[validate.Length(1, 255), PRINTABLE], **kwargs)


class Truth(fields.Boolean):
    """True or false, and nothing that may stand for them."""

    def _deserialize(self, value: t.Any, attr: str | None, data: t.Any, **kwargs: t.Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Whole(fields.Integer):
    """A whole number, and no text that may stand for one."""

    def _deserialize(self, value: t.Any, attr: str | None, data: t.Any, **kwargs: t.Any) -> int:
        if isinstance(value, str) or isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Number(fields.Float):
    """A number, and no text that may stand for one."""

    def _deserialize(self, value: t.Any, attr: str | None, data: t.Any, **kwargs: t.Any) -> float:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Day(fields.Date):
    """A day that others can be reckoned from."""

    def _deserialize(self, value: t.Any, attr: str | None, data: t.Any, **kwargs: t.Any) -> t.Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        if not FIRST_DAY <= found <= LAST_DAY:
            raise ma.ValidationError(f"Between {FIRST_DAY} and {LAST_DAY}.")
        return found


#: How the text of forms and query strings is read where a field is no text.
WRITTEN: tuple[tuple[type[fields.Field[t.Any]], fields.Field[t.Any]], ...] = (
    (Truth, fields.Boolean()),
    (Whole, fields.Integer()),
    (Number, fields.Float()),
)


def parsed(schema: ma.Schema, text: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Return what *text* says, as JSON would have said it; what cannot be read stays text."""
    values: dict[str, t.Any] = dict(text)
    for name, field in schema.fields.items():
        key = field.data_key or name
        reader = next((reader for kind, reader in WRITTEN if isinstance(field, kind)), None)
        if reader is not None and key in values:
            with contextlib.suppress(ma.ValidationError):
                values[key] = reader.deserialize(values[key])
    return values


def described(text: str, **more: t.Any) -> dict[str, t.Any]:
    """Return a field's OpenAPI metadata."""
    return {"description": text, **more}


class Problem(ma.Schema):
    """The one body of every error; some have members of their own beside these."""

    class Meta:
        unknown = ma.INCLUDE

    success = fields.Boolean(required=True, metadata=described("Always false.", enum=[False]))
    error = fields.String(required=True, metadata=described("A stable word to switch on."))
    status = fields.Integer(required=True)
    title = fields.String(required=True, metadata=described("A sentence for people."))
    detail = fields.String(metadata=described("One sentence on this very case."))
    fields_ = fields.Dict(data_key="fields", metadata=described("Messages by field."))
    id = fields.String(metadata=described("The id under which it was recorded or logged."))
