"""``POST /feedback``."""

from __future__ import annotations

import typing as t

from flask import g
from flask import request
from flask import Response

from ... import errors
from ...audit.claims import Reply
from ...inputs import strict_json
from ...state import current_ailydian
from .. import http
from ..http import needs
from ..http import returns
from ..schemas.experiments import FeedbackAnswer
from ..schemas.experiments import FeedbackRequest
from .inference import claim_key
from .inference import replay

#: Longest body, in bytes.
MAX_BYTES = 64 * 2**10


@needs("infer")
@returns(FeedbackAnswer(), fails=(400, 404, 409, 413, 415, 422))
def give() -> dict[str, t.Any] | Response:
    """Say whether an earlier answer was right, or how good it was; the last word counts."""
    if not http.is_json():
        raise errors.UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    body = http.read_body(MAX_BYTES)
    given = http.load(FeedbackRequest(), strict_json.loads(body))
    said = {"label": given.get("label"), "rating": given.get("rating")}
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return current_ailydian.feedback.give(given["id"], **said)
    claim = claim_key(key, g.ailydian_actor, body)
    if isinstance(claim, Reply):
        return replay(claim)
    try:
        return current_ailydian.feedback.give(given["id"], **said, claim=claim)
    except BaseException:
        current_ailydian.audit.release(claim)
        raise


give.accepts = (FeedbackRequest(), "json")  # type: ignore[attr-defined]
