"""The Open Inference Protocol's bodies, as its specification names them."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from .common import described


class Server(ma.Schema):
    """What the server is."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    extensions = fields.List(fields.String(), required=True)


class Live(ma.Schema):
    """The process answers."""

    live = fields.Boolean(required=True)


class ServerReady(ma.Schema):
    """Whether requests can be answered."""

    ready = fields.Boolean(required=True)


class ModelReady(ma.Schema):
    """Whether a model answers."""

    name = fields.String(required=True)
    ready = fields.Boolean(required=True)


class TensorMetadata(ma.Schema):
    """A tensor of a model; -1 is a dimension that each request chooses."""

    name = fields.String(required=True)
    datatype = fields.String(required=True)
    shape = fields.List(fields.Integer(), required=True)


class ModelMetadata(ma.Schema):
    """What a model takes and gives."""

    name = fields.String(required=True)
    versions = fields.List(fields.String(), required=True)
    platform = fields.String(required=True)
    inputs = fields.List(fields.Nested(TensorMetadata), required=True)
    outputs = fields.List(fields.Nested(TensorMetadata), required=True)


class ConfiguredTensor(ma.Schema):
    """A tensor of a model, without the batch where the model takes batches."""

    name = fields.String(required=True)
    data_type = fields.String(required=True)
    dims = fields.List(fields.Integer(), required=True)


class ModelConfig(ma.Schema):
    """How a model is configured."""

    name = fields.String(required=True)
    platform = fields.String(required=True)
    max_batch_size = fields.Integer(
        required=True, metadata=described("0 where a dimension of the batch is fixed.")
    )
    input = fields.List(fields.Nested(ConfiguredTensor), required=True)
    output = fields.List(fields.Nested(ConfiguredTensor), required=True)
    dynamic_batching = fields.Dict(metadata=described("Where inputs run together."))


class InferTensor(TensorMetadata):
    """A tensor with its data, here or behind the JSON."""

    parameters = fields.Dict(
        metadata=described("`binary_data_size` where the data follows the JSON.")
    )
    data = fields.List(fields.Raw(), metadata=described("In row-major order, flat or nested."))


class InferOutput(ma.Schema):
    """An output that is asked for."""

    name = fields.String(required=True)
    parameters = fields.Dict(metadata=described("`binary_data`, `classification`."))


class InferRequest(ma.Schema):
    """Input tensors for one model."""

    id = fields.String(metadata=described("Comes back with the answer."))
    parameters = fields.Dict(
        metadata=described("`binary_data_output`, `timeout` (microseconds), `user_id`.")
    )
    inputs = fields.List(fields.Nested(InferTensor), required=True)
    outputs = fields.List(fields.Nested(InferOutput))


class InferAnswer(ma.Schema):
    """The output tensors."""

    model_name = fields.String(required=True)
    model_version = fields.String(required=True)
    id = fields.String()
    parameters = fields.Dict(metadata=described("`audit_id`: under which id it is on record."))
    outputs = fields.List(fields.Nested(InferTensor), required=True)


class IndexEntry(ma.Schema):
    """One version in the repository."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    state = fields.String(required=True, metadata=described("`READY` or `UNAVAILABLE`."))
    reason = fields.String(required=True)


class Loaded(ma.Schema):
    """The version that was loaded or unloaded last."""

    name = fields.String(required=True)
