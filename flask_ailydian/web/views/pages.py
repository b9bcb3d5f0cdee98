"""The OpenAPI document, and Swagger UI from files of this server alone."""

from __future__ import annotations

import importlib.util
import typing as t
from pathlib import Path

from flask import render_template
from flask import Response
from flask import send_from_directory
from flask import url_for

from ... import errors
from ..http import answer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js")


def swagger_folder() -> Path:
    """Return where the extra ``docs`` keeps Swagger UI's files."""
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        raise errors.NotFound("Install flask-ailydian[docs] to see this page.")
    return Path(found.origin).parent / "dist"


def docs() -> Response:
    """Show Swagger UI."""
    swagger_folder()
    page = render_template("ailydian/docs.html", openapi=url_for("ailydian.openapi"))
    response = Response(page, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def docs_asset(name: str) -> Response:
    """Send one file of Swagger UI."""
    if name not in ASSETS:
        raise errors.NotFound()
    return send_from_directory(swagger_folder(), name)


def openapi_view(document: t.Callable[[], dict[str, t.Any]]) -> t.Callable[[], Response]:
    """Return the view of the OpenAPI document."""

    def openapi() -> Response:
        """Return the OpenAPI document."""
        return answer(document())

    return openapi
