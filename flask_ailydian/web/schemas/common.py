"""Schemas that several views share."""

from __future__ import annotations

import typing as t

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

NAME = validate.Regexp(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    error="Letters, digits, '.', '_' and '-', at most 64, no other start.",
)


class Opaque(fields.String):
    """An opaque id: printable text without control characters, at most 255 characters."""

    def __init__(self, **kwargs: t.Any) -> None:
        printable = validate.Regexp(r"\A[^\x00-\x1f\x7f]+\Z", error="No control characters.")
        super().__init__(validate=[validate.Length(1, 255), printable], **kwargs)


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
