"""``POST /feedback``."""

from __future__ import annotations

import typing as t

from ...state import current_ailydian
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.experiments import FeedbackAnswer
from ..schemas.experiments import FeedbackRequest


@needs("infer")
@accepts(FeedbackRequest())
@returns(FeedbackAnswer(), fails=(400, 404, 415, 422))
def give(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Say whether an earlier answer was right, or how good it was; the last word counts."""
    said = current_ailydian.feedback.give(
        given["id"], label=given.get("label"), rating=given.get("rating")
    )
    return {"success": True, **said}
