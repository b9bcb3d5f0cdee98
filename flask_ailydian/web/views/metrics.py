"""Daily metrics, drift, and what Prometheus scrapes."""

from __future__ import annotations

import typing as t

from flask import Response

from ...state import current_ailydian
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.metrics import DailyAnswer
from ..schemas.metrics import DailyQuery
from ..schemas.metrics import DriftAnswer
from ..schemas.metrics import TodayAnswer


@needs("read")
@accepts(DailyQuery(), location="query")
@returns(DailyAnswer(), fails=(401, 403, 422))
def daily(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """List the daily metrics as the last rollup left them."""
    found = current_ailydian.metrics.daily(given.get("from_"), given.get("to"), given.get("model"))
    return {"success": True, **found}


@needs("read")
@returns(TodayAnswer(), fails=(401, 403))
def today() -> dict[str, t.Any]:
    """Count what was answered since midnight, UTC, from the rows themselves."""
    return {"success": True, **current_ailydian.metrics.today()}


@needs("read")
@returns(DriftAnswer(), fails=(401, 403))
def drift() -> dict[str, t.Any]:
    """Say whether inputs and answers still look as they did, and how much room is left."""
    metrics = current_ailydian.metrics
    return {"success": True, "signals": metrics.drift(), "capacity": metrics.capacity()}


def scrape() -> Response:
    """Return the metrics as Prometheus reads them."""
    state = current_ailydian
    if not state.settings.metrics_open:
        state.gate.check("read", personal=True)
    text, media_type = state.metrics.prometheus.render()
    return Response(text, content_type=media_type)
