"""``POST /inference``."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from .common import described
from .common import NAME
from .common import Opaque
from .common import Truth
from .common import Whole


class InferenceFields(ma.Schema):
    """What goes with an input, whatever its form."""

    model_name = fields.String(
        required=True, validate=NAME, metadata=described("A registered model's name.")
    )
    model_version = fields.String(
        validate=NAME, metadata=described("One version; by default the one that answers.")
    )
    user_id = Opaque(metadata=described("Whom the answer is about, as the host's opaque id."))
    top_k = Whole(
        validate=validate.Range(1, 100_000),
        metadata=described("How many of the most probable classes are listed."),
    )
    explain = Truth(
        metadata=described("Also say which parts of the image the answer hangs on; takes 50 runs.")
    )


class InferenceRequest(InferenceFields):
    """One input: an image, a text or tensors."""

    image = fields.String(
        metadata=described("The image file, as base64 or as a data URI. URLs are never fetched.")
    )
    text = fields.String(metadata=described("For models that take text."))
    inputs = fields.Dict(
        keys=fields.String(),
        metadata=described("For models without declared pre-processing: nested lists by name."),
    )


class BatchItem(ma.Schema):
    """One input of a batch."""

    image = fields.String(metadata=described("The image file, as base64 or as a data URI."))
    text = fields.String(metadata=described("For models that take text."))
    inputs = fields.Dict(
        keys=fields.String(), metadata=described("For models without declared pre-processing.")
    )
    user_id = Opaque(metadata=described("Whom this answer is about; instead of the batch's."))


class BatchRequest(InferenceFields):
    """Many inputs for one model."""

    items = fields.List(
        fields.Nested(BatchItem),
        required=True,
        metadata=described("The inputs; as many as `AILYDIAN_MAX_BATCH` allows."),
    )


class Chance(ma.Schema):
    """A class's probability."""

    probability = fields.Float(required=True, metadata=described("At full precision."))
    percentage = fields.String(required=True, metadata=described("With two decimals."))


class Answering(ma.Schema):
    """The model that answered."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    type = fields.String(required=True)
    domain = fields.String(required=True)
    status = fields.String(required=True)


class Performance(ma.Schema):
    """Milliseconds."""

    preprocessing_ms = fields.Float(required=True)
    inference_ms = fields.Float(required=True)
    total_ms = fields.Float(required=True)


class Frame(ma.Schema):
    """Which part of the picture the model saw, always from its middle."""

    fit = fields.String(
        required=True,
        metadata=described("How the picture was fitted.", enum=["cover", "contain", "stretch"]),
    )
    size = fields.List(
        fields.Integer(), required=True, metadata=described("Height and width of what was seen.")
    )
    upright = fields.Boolean(
        required=True, metadata=described("Whether the orientation that a camera noted counts.")
    )


class Explanation(ma.Schema):
    """Which parts of an image speak for its class."""

    method = fields.String(required=True, metadata=described("`cam` or `occlusion`."))
    class_ = fields.String(required=True, data_key="class")
    frame = fields.Nested(
        Frame, required=True, metadata=described("Where the grid lies on the picture.")
    )
    grid = fields.List(
        fields.List(fields.Float()),
        required=True,
        metadata=described(
            "From top to bottom. `cam`: what each place adds to the score of the class; "
            "`occlusion`: by how much covering the part lowers its probability."
        ),
    )


class MetTest(ma.Schema):
    """The A/B test that the request met."""

    name = fields.String(required=True)
    arm = fields.String(
        required=True, metadata=described("The arm it was assigned.", enum=["a", "b"])
    )
    phase = fields.Integer(required=True, metadata=described("Counts changes of the split."))


class InferenceResponse(ma.Schema):
    """A prediction."""

    success = fields.Boolean(required=True)
    id = fields.String(required=True, metadata=described("The id of the audit row."))
    model = fields.Nested(Answering, required=True)
    cached = fields.Boolean(metadata=described("Present when an earlier run's answer is given."))
    prediction = fields.String(metadata=described("The most probable class."))
    confidence = fields.String(metadata=described("Its probability in per cent."))
    probabilities = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(Chance),
        metadata=described("By class, in the model's label order."),
    )
    explanation = fields.Nested(Explanation)
    ab_test = fields.Nested(MetTest)
    outputs = fields.Dict(metadata=described("The outputs of a model without classes."))
    performance = fields.Nested(Performance, required=True)


class BatchResponse(ma.Schema):
    """The answers to many inputs, in their order."""

    success = fields.Boolean(required=True, metadata=described("Whether the batch was worked on."))
    succeeded = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    results = fields.List(
        fields.Dict(),
        required=True,
        metadata=described("For each input what `POST /inference` answers, or its error's body."),
    )
