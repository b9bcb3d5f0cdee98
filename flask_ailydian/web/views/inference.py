"""``POST /inference``."""

from __future__ import annotations

import typing as t

from flask import g
from flask import request
from flask import Response

from ... import errors
from ...audit.claims import Claim
from ...audit.claims import Reply
from ...state import current_ailydian
from .. import connection
from .. import forms
from ..http import answer
from ..http import needs
from ..http import read_body
from ..http import returns
from ..schemas.inference import BatchResponse
from ..schemas.inference import InferenceResponse


@needs("infer")
@returns(InferenceResponse(), fails=(400, 404, 409, 413, 415, 422, 500, 503, 504))
def infer() -> dict[str, t.Any] | Response:
    """Predict one input."""
    actor = g.ailydian_actor
    patience = connection.patience()
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return current_ailydian.inference.answer(
            lambda: forms.read(read_body(*forms.body_limit())), actor=actor, patience=patience
        )
    try:
        body = read_body(*forms.body_limit())
        claim = claim_key(key, actor, body)
    except errors.AuditUnavailable:
        raise
    except errors.AilydianError as error:
        # Refused before there was anything to answer: an event, and no row.
        detail: dict[str, str | int | None] = {"error": error.code, "status": error.status}
        current_ailydian.audit.note("request_refused", actor=actor, detail=detail)
        raise
    if isinstance(claim, Reply):
        return replay(claim)
    return current_ailydian.inference.answer(
        lambda: forms.read(body), actor=actor, claim=claim, patience=patience
    )


@needs("infer")
@returns(BatchResponse(), fails=(400, 413, 415, 422, 503))
def infer_batch() -> dict[str, t.Any]:
    """Predict many inputs, each with its own result or error."""
    actor, patience = g.ailydian_actor, connection.patience()
    readers = forms.read_batch(read_body(current_ailydian.settings.max_batch_bytes))
    answers = current_ailydian.inference.answer_all(readers, actor=actor, patience=patience)
    results = list(answers)
    succeeded = sum(result["success"] for result in results)
    return {
        "success": True,
        "succeeded": succeeded,
        "failed": len(results) - succeeded,
        "results": results,
    }


def claim_key(key: str, actor: str | None, body: bytes) -> Claim | Reply:
    """Take the right to answer an ``Idempotency-Key``, or return the reply it had."""
    if not 1 <= len(key) <= 255 or not key.isprintable():
        message = "1 to 255 printable characters."
        raise errors.ValidationFailed(fields={"Idempotency-Key": [message]})
    scope = "\0".join((request.path, actor or "", key))
    form = "\0".join((request.content_type or "", request.query_string.decode("latin-1")))
    return current_ailydian.inference.claim(scope, form, body)


def replay(reply: Reply) -> Response:
    """Return an earlier answer once more."""
    response = answer(reply.body, reply.status)
    if reply.status >= 400:
        response.mimetype = "application/problem+json"
    response.headers["Idempotent-Replayed"] = "true"
    return response
