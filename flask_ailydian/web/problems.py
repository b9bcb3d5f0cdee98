"""Errors as answers: one shape for all of them, whatever the host does with its own."""

from __future__ import annotations

import logging
import typing as t

import sqlalchemy as sa
from flask import Blueprint
from flask import current_app
from flask import request
from flask import Response
from werkzeug import exceptions

from .. import errors
from .. import health
from ..audit.ledger import encode
from ..clock import new_id
from ..connections import unable
from ..state import current_ailydian

log = logging.getLogger("flask_ailydian.web")

#: The stable words for the statuses that Flask, Werkzeug and the host's own guards raise.
WORDS = {
    400: "invalid_input",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation_failed",
    429: "overloaded",
    503: "overloaded",
    504: "timeout",
}


def problem(error: errors.AilydianError) -> Response:
    """Return an error in the shape that every error has."""
    response = Response(encode(error.body()), error.status, mimetype="application/problem+json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.Unauthenticated) and current_ailydian.settings.api_keys:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def register_errors(blueprint: Blueprint) -> None:
    """Give this blueprint's errors their shape; the host's pages stay the host's.

    By code, not by class: Flask prefers a host's handler for a code over a blueprint's for a
    class.
    """
    blueprint.register_error_handler(errors.AilydianError, _refused)
    blueprint.register_error_handler(Exception, _crash)
    for status in exceptions.default_exceptions:
        blueprint.register_error_handler(status, _http)


def _refused(error: errors.AilydianError) -> Response:
    return problem(_without_tables(error.__cause__) or error)


def _without_tables(error: BaseException | None) -> errors.AilydianError | None:
    """Return what to say where an error comes of tables that nobody has made, or ``None``."""
    if not isinstance(error, sa.exc.ProgrammingError | sa.exc.OperationalError) or unable(error):
        return None
    state = current_ailydian
    found = health.database(state.audit.database, state.tables)
    if found.ok:
        return None
    what = f"{found.detail} {found.remedy}."
    log.error("%s", what)
    return errors.BackendUnavailable(what)


def _http(error: exceptions.HTTPException) -> Response:
    if isinstance(error, exceptions.InternalServerError):
        return _crash(error.original_exception or error)
    if error.response is not None:
        return t.cast(Response, error.response)
    status = error.code or 500
    shaped = type(
        "Shaped",
        (errors.AilydianError,),
        {"status": status, "code": WORDS.get(status, f"http_{status}"), "title": f"{error.name}."},
    )
    response = problem(shaped())
    for name, value in error.get_headers(request.environ):
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _crash(error: BaseException) -> Response:
    if isinstance(error, exceptions.HTTPException):
        return _http(error)
    if (known := _without_tables(error)) is not None:
        return problem(known)
    incident = new_id()
    log.error(
        "request %s failed: %s",
        incident,
        type(error).__name__,
        exc_info=error if current_app.debug else None,
    )
    return problem(errors.InternalError(id=incident))
