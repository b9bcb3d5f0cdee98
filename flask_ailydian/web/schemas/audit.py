"""The trail, and the rights of persons."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from .common import described
from .common import Opaque
from .common import PRINTABLE
from .common import Truth
from .common import Whole


class VerifyQuery(ma.Schema):
    """How much is walked."""

    incremental = Truth(
        load_default=False,
        metadata=described("Only what was added since the last time it was found whole."),
    )


class BadPlace(ma.Schema):
    """The first place of a chain that is not right."""

    chain_id = fields.String(required=True, allow_none=True)
    seq = fields.Integer(required=True, allow_none=True)
    why = fields.String(required=True)


class VerifyAnswer(ma.Schema):
    """Whether the trail is whole."""

    success = fields.Boolean(required=True)
    ok = fields.Boolean(required=True)
    events = fields.Integer(required=True)
    records = fields.Integer(required=True)
    chains = fields.Integer(required=True)
    checkpoints = fields.Integer(required=True)
    first_bad = fields.Nested(BadPlace, allow_none=True, required=True)
    bad = fields.List(fields.Nested(BadPlace), required=True)


class LogsQuery(ma.Schema):
    """Which events."""

    kind = fields.String(validate=[validate.Length(1, 32), PRINTABLE])
    user_id = Opaque(metadata=described("Whom they are about, or who did them."))
    since = fields.DateTime(data_key="from", metadata=described("From this moment, UTC."))
    until = fields.DateTime(data_key="to", metadata=described("Before this moment, UTC."))
    after = fields.UUID(metadata=described("The `next` of the page before."))
    limit = Whole(load_default=100, validate=validate.Range(1, 1000))


class LogsAnswer(ma.Schema):
    """One page of the trail, newest first."""

    success = fields.Boolean(required=True)
    events = fields.List(fields.Dict(), required=True)
    next = fields.String(required=True, allow_none=True)


class Erased(ma.Schema):
    """What an erasure met."""

    success = fields.Boolean(required=True)
    erased = fields.Boolean(required=True, metadata=described("Whether anything was there."))
    rows = fields.Integer(required=True, metadata=described("Inference rows that were unlinked."))


class Exported(ma.Schema):
    """Everything that is kept about a person; rooms that keep more add a list of their own."""

    class Meta:
        unknown = ma.INCLUDE

    schema = fields.String(required=True)
    user_id = fields.String(required=True)
    generated_at = fields.String(required=True)
    inferences = fields.List(fields.Dict(), required=True)
    events = fields.List(fields.Dict(), required=True)
    recipients = fields.List(fields.String(), required=True)
    ab_tests = fields.List(fields.Dict(), required=True)
    feedback = fields.List(fields.Dict(), required=True)
    jobs = fields.List(fields.Dict(), required=True)
