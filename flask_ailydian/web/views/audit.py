"""The trail."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import g

from ...audit import reading
from ...audit import verify as verification
from ...state import current_ailydian
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.audit import LogsAnswer
from ..schemas.audit import LogsQuery
from ..schemas.audit import VerifyAnswer
from ..schemas.audit import VerifyQuery


@needs("manage")
@accepts(VerifyQuery(), location="query")
@returns(VerifyAnswer(), fails=(401, 403, 422, 503))
def verify(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Walk the trail and say whether it is whole, or where it is not."""
    audit = current_ailydian.audit
    report = audit.inspection.verify(incremental=given["incremental"])
    audit.note("trail_verified", actor=g.ailydian_actor, detail={"ok": int(report.ok)})
    worst = verification.first(report.bad)
    first = None if worst is None else dataclasses.asdict(worst)
    return {"success": True, "first_bad": first, **report.body()}


@needs("manage")
@accepts(LogsQuery(), location="query")
@returns(LogsAnswer(), fails=(401, 403, 422, 503))
def logs(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Show the trail, newest first; that it was read is on record too."""
    state = current_ailydian
    if "after" in given:
        given["after"] = str(given["after"])
    state.audit.note("trail_read", actor=g.ailydian_actor, subject=given.get("user_id"))
    return {"success": True, **reading.read(state.audit, state.tables, reading.Asked(**given))}
