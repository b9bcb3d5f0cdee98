"""Jobs."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from .common import described
from .common import NAME
from .common import Opaque
from .common import Whole
from .inference import InferenceFields


class ManifestEntry(ma.Schema):
    """One file of a storage that the server knows."""

    storage = fields.String(
        required=True, validate=NAME, metadata=described("A name of `AILYDIAN_JOBS_STORAGE`.")
    )
    path = fields.String(
        required=True,
        validate=validate.Length(1, 1024),
        metadata=described("The file's path inside that storage."),
    )
    user_id = Opaque(metadata=described("Whom this answer is about; instead of the job's."))


class JobRequest(InferenceFields):
    """Many files of storages, for one model."""

    manifest = fields.List(
        fields.Nested(ManifestEntry), required=True, validate=validate.Length(min=1)
    )


class JobState(ma.Schema):
    """How a job stands."""

    id = fields.String(required=True)
    model_name = fields.String(required=True)
    status = fields.String(
        required=True,
        metadata=described(
            "How it stands.", enum=["queued", "running", "done", "cancelled", "expired"]
        ),
    )
    total = fields.Integer(required=True)
    done = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)
    waiting = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    finished_at = fields.DateTime(required=True, allow_none=True)


class JobResponse(ma.Schema):
    """A job."""

    success = fields.Boolean(required=True)
    job = fields.Nested(JobState, required=True)


class JobQuery(ma.Schema):
    """From where on results are wanted."""

    from_ = Whole(
        data_key="from",
        load_default=0,
        validate=validate.Range(0, 2**31 - 1),
        metadata=described("The first position, for JSON lines."),
    )
