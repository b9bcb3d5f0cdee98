"""The router's routes."""

from __future__ import annotations

import collections.abc as c
import typing as t

from flask import current_app
from flask import g
from flask import request
from flask import Response
from flask import stream_with_context

from ...audit.claims import Reply
from ...audit.ledger import encode
from ...clock import now
from ...errors import AilydianError
from ...inputs import strict_json
from ...routing.budget import Limits
from ...routing.router import Event
from ...routing.turn import Asked
from ...state import current_ailydian
from .. import connection
from .. import http
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.query import CostsQuery
from ..schemas.query import CostsResponse
from ..schemas.query import QueryRequest
from ..schemas.query import QueryResponse
from ..schemas.query import RouteRequest
from ..schemas.query import RouteResponse
from .inference import claim_key
from .inference import replay


@needs("infer")
@accepts(RouteRequest())
@returns(RouteResponse(), fails=(400, 403, 413, 415, 422))
def route(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Say which backend would answer a query, and why; nobody is called."""
    return current_ailydian.router.route(Asked(**given), g.ailydian_actor)


@needs("infer")
@returns(QueryResponse(), fails=(400, 403, 409, 413, 415, 422, 429, 500, 503))
def answer_query() -> dict[str, t.Any] | Response:
    """Route and answer a query; with `stream` as server-sent events."""
    body = http.read_json_body()
    actor, router, gone = g.ailydian_actor, current_ailydian.router, connection.gone()
    key = request.headers.get("Idempotency-Key")
    claim = claim_key(key, actor, body) if key is not None else None
    if isinstance(claim, Reply):
        return _again(claim, body)
    if not _wants_stream(body):
        return router.answer(lambda: _asked(body), actor=actor, claim=claim, gone=gone)
    events = router.stream(lambda: _asked(body), actor=actor, claim=claim, gone=gone)
    # What fails before the first event is an answer like any other, with its own status.
    first = next(events)
    return _events(first, events)


answer_query.accepts = (QueryRequest(), "json")  # type: ignore[attr-defined]


@needs("read")
@accepts(CostsQuery(), location="query")
@returns(CostsResponse(), fails=(401, 403, 422))
def costs(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what was spent and saved, by backend and model."""
    state = current_ailydian
    found = state.costs.summary(given.get("from_"), given.get("to"))
    left = state.router.third_party.budgets.today(Limits.of(state.settings), now())
    return {"success": True, **found, "budgets": left}


def _asked(body: bytes) -> Asked:
    given = http.load(QueryRequest(), strict_json.loads(body))
    given.pop("stream")
    return Asked(**given)


def _wants_stream(body: bytes) -> bool:
    """Whether events are asked for; a body that cannot be read is refused later, on record."""
    try:
        given = strict_json.loads(body)
    except AilydianError:
        return False
    return isinstance(given, dict) and given.get("stream") is True


def _again(reply: Reply, body: bytes) -> Response:
    if reply.status >= 400 or not _wants_stream(body):
        return replay(reply)
    done = strict_json.loads(reply.body.encode())
    response = _events(("delta", {"text": done["answer"]}), (e for e in [("done", done)]))
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _events(first: Event, rest: c.Generator[Event, None, None]) -> Response:
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def lines() -> c.Iterator[str]:
        yield _line(first)
        for event in rest:
            yield _line(event)

    def close() -> None:
        # A reader who leaves ends the call to the backend, and that is put on record.
        with app.app_context():
            rest.close()

    response = Response(stream_with_context(lines()), mimetype="text/event-stream")
    response.call_on_close(close)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _line(event: Event) -> str:
    name, data = event
    return f"event: {name}\ndata: {encode(data)}\n\n"
