"""The pages, from files of this server alone: the dashboard, Swagger UI and its document."""

from __future__ import annotations

import importlib.util
import typing as t
from pathlib import Path

from flask import render_template
from flask import request
from flask import Response
from flask import send_from_directory
from flask import url_for

from ... import demo
from ... import errors
from ...demo import help_desk
from ...state import current_ailydian
from ..http import answer
from ..http import needs

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LANGUAGES = ("en", "tr")
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js")


def swagger_folder() -> Path:
    """Return where the extra ``docs`` keeps Swagger UI's files."""
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        raise errors.NotFound("Install flask-ailydian[docs] to see this page.")
    return Path(found.origin).parent / "dist"


def _page(name: str, code: int = 200, **values: t.Any) -> Response:
    """Return one of our pages, under the policy that all of them keep."""
    home = request.script_root + "/"
    text = render_template(f"ailydian/{name}.html", language=language(), home=home, **values)
    response = Response(text, code, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.vary.add("Accept-Language")
    return response


def language() -> str:
    """Return the language that is asked for: by ``?lang=``, else by the browser."""
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        return asked
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def dashboard() -> Response:
    """Show the dashboard to those who may read; say why not to the others."""
    try:
        return _dashboard()
    except (errors.Unauthenticated, errors.Forbidden) as refusal:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            raise
        return _page("refused", refusal.status, status=refusal.status)


@needs("read", personal=True)
def _dashboard() -> Response:
    return _page(
        "dashboard",
        api=request.script_root + current_ailydian.settings.url_prefix,
        manages=_manages(),
        teaching=(demo.NAME, help_desk.NAME),
    )


def _manages() -> bool:
    """Whether the trail may be shown; asked without a trace, as nothing is being read yet."""
    try:
        current_ailydian.gate.check("manage")
    except (errors.Unauthenticated, errors.Forbidden):
        return False
    return True


def docs() -> Response:
    """Show Swagger UI."""
    swagger_folder()
    return _page("docs", openapi=url_for("ailydian.openapi"))


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
