"""Refused access, on record."""

from __future__ import annotations

import logging

from flask import request

from .. import errors
from ..access import Action
from ..api_keys import WrongKey
from ..state import current_ailydian

log = logging.getLogger("flask_ailydian.web")


def note_refusal(action: Action, refusal: errors.AilydianError) -> None:
    """Put refused access on record; the refusal stands also where that fails."""
    detail = {"action": action, "endpoint": request.endpoint, "status": refusal.status}
    if isinstance(refusal, WrongKey):
        detail["key"] = refusal.why
    try:
        current_ailydian.audit.note(
            "access_refused", actor=current_ailydian.gate.caller(), detail=detail
        )
    except errors.AuditUnavailable:
        log.error("a refused access to %s is not on record", request.endpoint)
