"""``POST /route``, ``POST /query`` and ``GET /costs``."""

from __future__ import annotations

import typing as t

import marshmallow as ma
from marshmallow import fields
from marshmallow import validate

from ...registration import DOMAINS
from .common import Day
from .common import described
from .common import Opaque
from .common import Truth
from .common import Whole

BACKENDS = ("auto", "onnx", "3rdparty")


class RouteRequest(ma.Schema):
    """A query, and what is known of it."""

    query = fields.String(required=True, metadata=described("The question, in plain text."))
    domain = fields.String(load_default="chat", validate=validate.OneOf(DOMAINS))
    user_id = Opaque(metadata=described("Whom the answer is for; assignments stick to it."))
    backend = fields.String(
        load_default="auto",
        validate=validate.OneOf(BACKENDS),
        metadata=described("Who should answer; `onnx` never costs money."),
    )


class QueryRequest(RouteRequest):
    """A query to be answered."""

    stream = Truth(
        load_default=False,
        metadata=described("Answer as server-sent events: `route`, `delta`s, then `done`."),
    )
    max_tokens = Whole(
        load_default=None,
        validate=validate.Range(1, 2**20),
        metadata=described("Of an answer that is written; the limits that are set hold as well."),
    )


class Part(ma.Schema):
    """Some of the points."""

    feature = fields.String(required=True)
    points = fields.Float(required=True)
    because = fields.String(required=True, metadata=described("The stem or number that fired."))


class Limits(ma.Schema):
    """Where simple and medium end."""

    simple = fields.Float(required=True)
    medium = fields.Float(required=True)


class Classified(ma.Schema):
    """How complex a query looks, and why."""

    score = fields.Float(required=True)
    complexity = fields.String(
        required=True, validate=validate.OneOf(("simple", "medium", "complex"))
    )
    features = fields.Dict(required=True)
    parts = fields.List(fields.Nested(Part), required=True)
    thresholds = fields.Nested(Limits, required=True)
    profile = fields.String(required=True)
    rule_version = fields.Integer(required=True)


class Decided(ma.Schema):
    """Who should answer."""

    backend = fields.String(required=True)
    reason = fields.String(required=True)
    arm = fields.String(required=True, allow_none=True)
    propensity = fields.Float(required=True, metadata=described("With which it was chosen."))
    allowed = fields.List(fields.String(), required=True)


class Cost(ma.Schema):
    """In dollars."""

    estimated = fields.Float(required=True)
    actual = fields.Float()
    saved = fields.Float(required=True, metadata=described("Against asking the paid backend."))
    currency = fields.String(required=True)


class RoutingTime(ma.Schema):
    """Milliseconds."""

    routing_ms = fields.Float(required=True)
    backend_ms = fields.Float()
    total_ms = fields.Float()


class RouteResponse(ma.Schema):
    """Who would answer, and why."""

    success = fields.Boolean(required=True)
    backend = fields.String(required=True)
    reason = fields.String(required=True)
    classification = fields.Nested(Classified, required=True)
    decision = fields.Nested(Decided, required=True)
    available = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata=described("By backend: `ready`, a breaker's state, or why it is absent."),
    )
    cost = fields.Nested(Cost, required=True)
    performance = fields.Nested(RoutingTime, required=True)


class Local(ma.Schema):
    """What the local model thought of it."""

    label = fields.String(metadata=described("What a model that answers from a list chose."))
    tokens = fields.Integer(metadata=described("That a model wrote."))
    finish = fields.String(
        validate=validate.OneOf(("stop", "length", "cut")),
        metadata=described("How what it wrote ends: by itself, or at the longest."),
    )
    seed = fields.Integer(metadata=described("Of chance, where it had any."))
    confidence = fields.Float(required=True)
    in_scope = fields.Boolean(required=True)
    sure = fields.Boolean(required=True)


class QueryResponse(ma.Schema):
    """An answer; with ``stream`` the data of the event ``done``."""

    success = fields.Boolean(required=True)
    id = fields.String(required=True, metadata=described("The id of the audit row."))
    answer = fields.String(required=True)
    backend = fields.String(
        required=True,
        validate=validate.OneOf(("onnx", "3rdparty", "3rdparty-fallback", "onnx-fallback")),
        metadata=described("Who really answered."),
    )
    reason = fields.String(required=True)
    model = fields.String(allow_none=True)
    classification = fields.Nested(Classified, required=True)
    decision = fields.Nested(Decided, required=True)
    provider = fields.String(
        metadata=described("The paid backend that answered, where there are several.")
    )
    tried = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata=described("Who was asked before, and why they did not answer."),
    )
    local = fields.Nested(Local)
    cached = fields.Boolean(metadata=described("The same question was answered before."))
    redacted = fields.Dict(metadata=described("How many of each kind did not leave."))
    cost = fields.Nested(Cost, required=True)
    performance = fields.Nested(RoutingTime, required=True)


class CostsQuery(ma.Schema):
    """A span of days."""

    from_ = Day(data_key="from", metadata=described("By default thirty days back."))
    to = Day(metadata=described("By default today; included."))

    @ma.validates_schema
    def ordered(self, data: dict[str, t.Any], **_: t.Any) -> None:
        """A span ends after it began."""
        if data.get("from_") and data.get("to") and data["from_"] > data["to"]:
            raise ma.ValidationError("`from` comes after `to`.", "from")


class Spent(ma.Schema):
    """Sums in dollars."""

    queries = fields.Integer(required=True)
    estimated = fields.Float(required=True)
    spent = fields.Float(required=True)
    all_paid = fields.Float(required=True, metadata=described("Had every query been paid for."))
    saved = fields.Float(required=True)
    saved_percent = fields.Float(required=True)


class BudgetLeft(ma.Schema):
    """What one of today's limits has left, in dollars."""

    scope = fields.String(required=True, validate=validate.OneOf(("day", "domain")))
    domain = fields.String(required=True, allow_none=True)
    limit = fields.Float(required=True)
    used = fields.Float(required=True, metadata=described("Spent or reserved."))
    left = fields.Float(required=True)


class CostsResponse(Spent):
    """What was spent and saved."""

    success = fields.Boolean(required=True)
    from_ = fields.String(data_key="from", required=True)
    to = fields.String(required=True)
    currency = fields.String(required=True)
    by_backend = fields.Dict(keys=fields.String(), values=fields.Nested(Spent), required=True)
    by_model = fields.Dict(keys=fields.String(), values=fields.Nested(Spent), required=True)
    by_domain = fields.Dict(keys=fields.String(), values=fields.Nested(Spent), required=True)
    by_day = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(Spent),
        required=True,
        metadata=described("By UTC day; days without a query are left out."),
    )
    budgets = fields.List(
        fields.Nested(BudgetLeft), required=True, metadata=described("Of today, whatever the span.")
    )
