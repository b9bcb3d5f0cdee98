"""A/B tests and feedback."""

from __future__ import annotations

import typing as t

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from ...experiments.plan import METRICS
from ...experiments.plan import MODES
from ...experiments.plan import Plan
from ...experiments.plan import UNITS
from .common import described
from .common import NAME
from .common import Number
from .common import Truth
from .common import Whole

ARM = validate.Regexp(
    r"\A(backend:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}(:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z",
    error="MODEL, MODEL:VERSION, backend:onnx or backend:3rdparty.",
)
PERCENT = validate.Range(1, 99)


class ABTestRequest(ma.Schema):
    """A test to start."""

    test_name = fields.String(required=True, validate=NAME)
    model_a = fields.String(
        required=True,
        validate=ARM,
        metadata=described("MODEL, MODEL:VERSION, `backend:onnx` or `backend:3rdparty`."),
    )
    model_b = fields.String(required=True, validate=ARM)
    traffic_split_percent = Whole(
        load_default=50, validate=PERCENT, metadata=described("Arm B's share.")
    )
    subject = fields.String(
        validate=validate.Regexp(r"\A[A-Za-z0-9][A-Za-z0-9._-]*(:[a-z]+)?\Z"),
        metadata=described("Whose requests meet the test; by default those for model A's name."),
    )
    mode = fields.String(
        validate=validate.OneOf(MODES),
        metadata=described("`shadow`: B answers unseen, off the request's path."),
    )
    unit = fields.String(
        validate=validate.OneOf(UNITS), metadata=described("Who keeps an arm: `user`, `request`.")
    )
    coverage = Number(
        validate=validate.Range(0, 1, min_inclusive=False),
        metadata=described("Which share of the traffic meets the test at all."),
    )
    namespace = fields.List(
        fields.Raw(),
        validate=validate.Length(equal=3),
        metadata=described("Name, low, high: disjoint parts of one namespace share nobody."),
    )
    primary_metric = fields.String(validate=validate.OneOf(list(METRICS)))
    guardrails = fields.Dict(
        keys=fields.String(validate=validate.OneOf(list(METRICS))),
        values=Number(validate=validate.Range(0)),
        metadata=described("By how much the winner may be worse, by metric."),
    )
    min_units = Whole(validate=validate.Range(2, 10**9))
    min_days = Number(validate=validate.Range(0, 3650))
    max_days = Number(validate=validate.Range(0, 3650))
    promote = Truth(metadata=described("Whether a winner takes over the traffic itself."))

    @ma.post_load
    def planned(self, data: dict[str, t.Any], **_: t.Any) -> dict[str, t.Any]:
        """Put the rules together into a plan."""
        rest = ("test_name", "model_a", "model_b", "traffic_split_percent", "subject")
        made = {key: value for key, value in data.items() if key not in rest}
        if "primary_metric" in made:
            made["primary"] = made.pop("primary_metric")
        if "namespace" in made:
            made["namespace"] = _namespace(made["namespace"])
        if "min_days" in made and "max_days" not in made:
            made["max_days"] = max(Plan.max_days, 4 * made["min_days"])
        return {key: data[key] for key in rest if key in data} | {"plan": Plan(**made)}


def _namespace(given: list[t.Any]) -> tuple[str, float, float]:
    name, low, high = given
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high))
    if not isinstance(name, str) or not numbers:
        raise ma.ValidationError("A name and two numbers.", "namespace")
    return name, float(low), float(high)


class ABTestPatch(ma.Schema):
    """Another split for a running test; it opens a new phase."""

    traffic_split_percent = Whole(required=True, validate=PERCENT)
    coverage = Number(validate=validate.Range(0, 1, min_inclusive=False))


class ABPhase(ma.Schema):
    """A stretch in which nothing about the split changed."""

    number = fields.Integer(required=True)
    traffic_split_percent = fields.Integer(required=True)
    coverage = fields.Float(required=True)
    started_at = fields.String(required=True)
    ended_at = fields.String(required=True, allow_none=True)


class ABTest(ma.Schema):
    """A test; with its analysis and decision where one test was asked for."""

    test_name = fields.String(required=True)
    subject = fields.String(required=True)
    arms = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    traffic_split_percent = fields.Integer(required=True)
    status = fields.String(required=True, metadata=described("`running` or `stopped`."))
    mode = fields.String(required=True)
    unit = fields.String(required=True)
    verdict = fields.String(
        required=True, metadata=described("`running`, `winner`, `inconclusive` or `harm`.")
    )
    winner_model_id = fields.Integer(required=True, allow_none=True)
    plan = fields.Dict(required=True)
    phases = fields.List(fields.Nested(ABPhase), required=True)
    started_at = fields.String(required=True)
    stopped_at = fields.String(required=True, allow_none=True)
    analysis = fields.Dict(metadata=described("Per arm and metric, with bounds that always hold."))
    decision = fields.Dict(metadata=described("What may be concluded now, and why."))
    decided = fields.Dict(
        allow_none=True, metadata=described("The numbers that justified what was decided.")
    )


class ABTestAnswer(ma.Schema):
    """One test."""

    success = fields.Boolean(required=True)
    ab_test = fields.Nested(ABTest, required=True)


class ABTestList(ma.Schema):
    """Every test, the oldest first."""

    success = fields.Boolean(required=True)
    ab_tests = fields.List(fields.Nested(ABTest), required=True)


class FeedbackRequest(ma.Schema):
    """What somebody says of an earlier answer."""

    id = fields.String(
        required=True, validate=validate.Length(1, 36), metadata=described("The answer's id.")
    )
    label = fields.String(
        validate=validate.Length(1, 255),
        metadata=described("The class that is true; one of the model's labels."),
    )
    rating = Whole(validate=validate.Range(1, 5))

    @ma.validates_schema
    def something(self, data: dict[str, t.Any], **_: t.Any) -> None:
        """Feedback says something."""
        if not {"label", "rating"} & data.keys():
            raise ma.ValidationError("Give label or rating.")


class FeedbackAnswer(ma.Schema):
    """What is kept of the feedback."""

    success = fields.Boolean(required=True)
    id = fields.String(required=True)
    correct = fields.Boolean(
        required=True, allow_none=True, metadata=described("Whether the answer was right.")
    )
    rating = fields.Integer(required=True, allow_none=True)
