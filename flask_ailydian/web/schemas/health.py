"""Alive and ready."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from .common import described


class Health(ma.Schema):
    """The process answers."""

    success = fields.Boolean(required=True)
    status = fields.String(required=True)
    version = fields.String(required=True)


class Check(ma.Schema):
    """One thing that was looked at."""

    ok = fields.Boolean(required=True)
    detail = fields.String(required=True)


class Ready(ma.Schema):
    """Whether requests can be answered."""

    success = fields.Boolean(required=True)
    status = fields.String(required=True, metadata=described("`ready` or `not_ready`."))
    checks = fields.Dict(keys=fields.String(), values=fields.Nested(Check), required=True)
