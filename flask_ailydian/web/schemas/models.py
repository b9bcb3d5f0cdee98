"""The registry's routes."""

from __future__ import annotations

import typing as t

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from ...records import ModelRecord
from ...registration import DOMAINS
from ...registration import TASKS
from ...registry import STATUSES
from .common import described
from .common import NAME
from .common import Number
from .common import Truth
from .common import Whole


class Tensor(ma.Schema):
    """An input or output of a model."""

    name = fields.String(required=True)
    dtype = fields.String(required=True)
    shape = fields.List(fields.Raw(allow_none=True), required=True)


class Model(ma.Schema):
    """One version of a model."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    type = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    domain = fields.String(required=True, validate=validate.OneOf(DOMAINS))
    task = fields.String(required=True, validate=validate.OneOf(TASKS))
    sha256 = fields.String(required=True)
    bytes = fields.Integer(required=True)
    labels = fields.List(fields.String(), required=True)
    preprocessing = fields.Dict(allow_none=True)
    inputs = fields.List(fields.Nested(Tensor), required=True)
    outputs = fields.List(fields.Nested(Tensor), required=True)
    opset = fields.Integer(required=True)
    description = fields.String(allow_none=True, metadata=described("Harmless HTML."))
    accuracy = fields.Float(allow_none=True)
    serving = fields.Dict(required=True, metadata=described("How it is cached and batched."))
    created_at = fields.String(required=True)
    updated_at = fields.String(required=True)
    proof = fields.Dict(
        allow_none=True,
        metadata=described("How an optimised variant compares with the version it was made from."),
    )


class ModelAnswer(ma.Schema):
    """One version."""

    success = fields.Boolean(required=True)
    model = fields.Nested(Model, required=True)


class ModelList(ma.Schema):
    """Every version, by name, newest first."""

    success = fields.Boolean(required=True)
    models = fields.List(fields.Nested(Model), required=True)


class Served(ma.Schema):
    """How a version is served."""

    cache_entries = Whole(metadata=described("Answers a process keeps; 0 for none."))
    cache_seconds = Number(metadata=described("How long it keeps them."))
    max_batch = Whole(metadata=described("Inputs that may run together; 1: one by one."))
    max_delay_ms = Number(metadata=described("How long the first waits for others."))


class ModelPatch(ma.Schema):
    """What may change in a version."""

    deployment_status = fields.String(validate=validate.OneOf(STATUSES))
    description = fields.String(validate=validate.Length(max=20_000))
    accuracy = Number(validate=validate.Range(0, 1))
    serving = fields.Nested(Served)

    @ma.validates_schema
    def something(self, data: dict[str, t.Any], **_: t.Any) -> None:
        """An empty change is a mistake."""
        if not data:
            raise ma.ValidationError("Give deployment_status, description, accuracy or serving.")


class ModelUpload(ma.Schema):
    """The fields beside the file of an upload."""

    model_name = fields.String(required=True, validate=NAME)
    model_version = fields.String(required=True, validate=NAME)
    labels = fields.String(metadata=described("A JSON list, or one label a line."))
    domain = fields.String(validate=validate.OneOf(DOMAINS))
    task = fields.String(validate=validate.OneOf(TASKS))
    preprocessing = fields.String(metadata=described("The recipe, as JSON."))
    size = fields.String(metadata=described("`224`, or height and width: `224,320`."))
    mean = fields.String(metadata=described("Of pixels divided by 255: `0.485,0.456,0.406`."))
    std = fields.String()
    description = fields.String(validate=validate.Length(max=20_000))
    accuracy = Number(validate=validate.Range(0, 1))
    activate = Truth(load_default=False)


def dump(record: ModelRecord) -> dict[str, t.Any]:
    """Return a version as the API shows it: never its file path."""
    return {
        "name": record.name,
        "version": record.version,
        "type": record.type,
        "status": record.status,
        "domain": record.domain,
        "task": record.task,
        "sha256": record.sha256,
        "bytes": record.file_bytes,
        "labels": list(record.labels),
        "preprocessing": record.preprocessing,
        "inputs": [spec.to_json() for spec in record.report.inputs],
        "outputs": [spec.to_json() for spec in record.report.outputs],
        "opset": record.report.opset,
        "description": record.description,
        "accuracy": record.accuracy,
        "serving": record.serving.to_json(),
        "proof": record.proof,
        "created_at": record.created_at.isoformat() + "Z",
        "updated_at": record.updated_at.isoformat() + "Z",
    }
