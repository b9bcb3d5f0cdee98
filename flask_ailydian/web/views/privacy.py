"""The rights of persons."""

from __future__ import annotations

import typing as t

from flask import g
from flask import Response
from flask import stream_with_context

from ...state import current_ailydian
from ..http import needs
from ..http import returns
from ..schemas.audit import Erased
from ..schemas.audit import Exported


@needs("manage")
@returns(Exported(), fails=(401, 403, 404, 503))
def export(user_id: str) -> Response:
    """Send everything that is kept about a person."""
    pieces = current_ailydian.privacy.export(user_id, actor=g.ailydian_actor)
    response = Response(stream_with_context(pieces), mimetype="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="export.json"'
    return response


@needs("manage")
@returns(Erased(), fails=(401, 403, 503))
def erase(user_id: str) -> dict[str, t.Any]:
    """Destroy a person's key, and every mention of who they are."""
    return {
        "success": True,
        **current_ailydian.privacy.erase(user_id, actor=g.ailydian_actor),
    }
