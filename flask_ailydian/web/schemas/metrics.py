"""Daily metrics and drift."""

from __future__ import annotations

import typing as t

import marshmallow as ma
from marshmallow import fields

from .common import Day
from .common import described
from .common import NAME


class DailyQuery(ma.Schema):
    """Which days of which model."""

    model = fields.String(validate=NAME)
    from_ = Day(
        data_key="from", metadata=described("The first UTC day; by default 29 days before `to`.")
    )
    to = Day(metadata=described("The last UTC day; by default today."))

    @ma.validates_schema
    def in_order(self, data: dict[str, t.Any], **_: t.Any) -> None:
        """A stretch does not end before it begins."""
        if "from_" in data and "to" in data and data["from_"] > data["to"]:
            raise ma.ValidationError("The first day is after the last.", "from")


class Numbers(ma.Schema):
    """What was counted."""

    model = fields.String(required=True)
    version = fields.String(required=True)
    total_requests = fields.Integer(required=True)
    successful_requests = fields.Integer(required=True)
    failed_requests = fields.Integer(required=True)
    p50_inference_time_ms = fields.Float(required=True, allow_none=True)
    p95_inference_time_ms = fields.Float(required=True, allow_none=True)
    p99_inference_time_ms = fields.Float(required=True, allow_none=True)
    accuracy = fields.Float(
        required=True, allow_none=True, metadata=described("Of those with feedback.")
    )
    labelled_requests = fields.Integer(required=True, allow_none=True)
    cost_usd = fields.Float(required=True, allow_none=True)


class DailyNumbers(Numbers):
    """One model on one UTC day; percentiles are exact."""

    date = fields.String(required=True)
    avg_inference_time_ms = fields.Float(required=True, allow_none=True)
    finalised = fields.Boolean(
        required=True, metadata=described("No more rows are expected for this day.")
    )


class DailyAnswer(ma.Schema):
    """The days, and what they come to together; there percentiles are right to 1 %."""

    success = fields.Boolean(required=True)
    from_ = fields.String(data_key="from", required=True)
    to = fields.String(required=True)
    days = fields.List(fields.Nested(DailyNumbers), required=True)
    summary = fields.List(fields.Nested(Numbers), required=True)


class TodayAnswer(ma.Schema):
    """The day that is not over; percentiles are exact."""

    success = fields.Boolean(required=True)
    date = fields.String(required=True)
    requests = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    p50_ms = fields.Float(required=True, allow_none=True)
    p95_ms = fields.Float(required=True, allow_none=True)
    p99_ms = fields.Float(required=True, allow_none=True)
    rolled_up_at = fields.String(
        required=True, allow_none=True, metadata=described("When the daily metrics were computed.")
    )


class Drift(ma.Schema):
    """One signal of one version."""

    model = fields.String(required=True)
    version = fields.String(required=True)
    name = fields.String(required=True)
    value = fields.Float(
        required=True, allow_none=True, metadata=described("None on too few rows.")
    )
    limit = fields.Float(required=True)
    alarm = fields.Boolean(required=True)
    rows = fields.Integer(required=True)


class Capacity(ma.Schema):
    """The busiest recent day against the measured capacity."""

    requests_per_day = fields.Integer(required=True)
    capacity_per_day = fields.Integer(required=True, allow_none=True)
    used = fields.Float(required=True, allow_none=True)
    alarm = fields.Boolean(required=True)


class DriftAnswer(ma.Schema):
    """Every signal of every version that answers."""

    success = fields.Boolean(required=True)
    signals = fields.List(fields.Nested(Drift), required=True)
    capacity = fields.Nested(Capacity, required=True)
