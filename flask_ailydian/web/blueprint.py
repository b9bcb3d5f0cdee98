"""The routes, and the blueprint that a host may decorate before ``init_app``."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from flask import Blueprint
from flask import current_app
from flask import request
from flask import Response
from flask.blueprints import BlueprintSetupState
from werkzeug import exceptions
from werkzeug.routing import RequestRedirect

from .. import errors
from ..state import current_ailydian
from . import connection
from . import http
from . import openapi
from . import problems
from .views import audit
from .views import experiments
from .views import feedback
from .views import health
from .views import inference
from .views import jobs
from .views import metrics
from .views import models
from .views import oip
from .views import pages
from .views import privacy
from .views import query

#: What a route may answer to; what else is sent, ``PROPFIND`` or a made-up word, is refused.
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@dataclasses.dataclass(frozen=True)
class Route:
    """One route; *body* names a request body that no schema describes."""

    method: str
    path: str
    endpoint: str
    view: c.Callable[..., t.Any]
    tag: str
    body: str | None = None
    hidden: bool = False


def _document() -> dict[str, t.Any]:
    return openapi.document(ROUTES, request.script_root + current_ailydian.settings.url_prefix)


def _of_each_model(
    method: str, path: str, endpoint: str, view: c.Callable[..., t.Any], body: str | None = None
) -> tuple[Route, Route]:
    """Return the two routes of what the protocol has for a model and for one of its versions."""
    model = "/v2/models/<name>"
    version = f"{model}/versions/<version>"
    return (
        Route(method, model + path, endpoint, view, "oip", body),
        Route(method, version + path, f"{endpoint}_version", view, "oip", body),
    )


ROUTES = (
    Route("POST", "/inference", "infer", inference.infer, "inference", body="inference"),
    Route(
        "POST", "/inference/batch", "infer_batch", inference.infer_batch, "inference", body="batch"
    ),
    Route("GET", "/models", "models", models.list_models, "models"),
    Route("POST", "/models", "upload_model", models.upload, "models", body="upload"),
    Route("GET", "/models/<name>", "model_versions", models.list_versions, "models"),
    Route("GET", "/models/<name>/<version>", "model", models.show_version, "models"),
    Route("PATCH", "/models/<name>/<version>", "change_model", models.change, "models"),
    Route("DELETE", "/models/<name>/<version>", "retire_model", models.retire, "models"),
    Route("GET", "/health", "alive", health.alive, "health"),
    Route("GET", "/health/ready", "ready", health.ready, "health"),
    Route("GET", "/openapi.json", "openapi", pages.openapi_view(_document), "docs", hidden=True),
    Route("GET", "/docs", "docs", pages.docs, "docs", hidden=True),
    Route("GET", "/dashboard", "dashboard", pages.dashboard, "docs", hidden=True),
    Route("GET", "/docs/<name>", "docs_asset", pages.docs_asset, "docs", hidden=True),
    Route("GET", "/audit/verify", "audit_verify", audit.verify, "audit"),
    Route("GET", "/audit/logs", "audit_logs", audit.logs, "audit"),
    Route("GET", "/privacy/users/<user_id>/export", "export_user", privacy.export, "privacy"),
    Route("DELETE", "/privacy/users/<user_id>", "erase_user", privacy.erase, "privacy"),
    Route("GET", "/ab-tests", "ab_tests", experiments.list_tests, "experiments"),
    Route("POST", "/ab-tests", "create_ab_test", experiments.create_test, "experiments"),
    Route("GET", "/ab-tests/<name>", "ab_test", experiments.show_test, "experiments"),
    Route("PATCH", "/ab-tests/<name>", "split_ab_test", experiments.split_test, "experiments"),
    Route("POST", "/ab-tests/<name>/stop", "stop_ab_test", experiments.stop_test, "experiments"),
    Route("POST", "/feedback", "feedback", feedback.give, "experiments"),
    Route("GET", "/metrics", "metrics", metrics.scrape, "metrics", hidden=True),
    Route("GET", "/metrics/daily", "daily_metrics", metrics.daily, "metrics"),
    Route("GET", "/metrics/today", "today_metrics", metrics.today, "metrics"),
    Route("GET", "/metrics/drift", "drift", metrics.drift, "metrics"),
    Route("POST", "/route", "route", query.route, "queries"),
    Route("POST", "/query", "query", query.answer_query, "queries"),
    Route("GET", "/costs", "costs", query.costs, "queries"),
    Route("POST", "/jobs", "submit_job", jobs.submit, "jobs", body="job"),
    Route("GET", "/jobs/<id>", "job", jobs.show, "jobs"),
    Route("DELETE", "/jobs/<id>", "cancel_job", jobs.cancel, "jobs"),
    Route("GET", "/v2", "oip_server", oip.server, "oip"),
    Route("GET", "/v2/health/live", "oip_live", oip.live, "oip"),
    Route("GET", "/v2/health/ready", "oip_ready", oip.ready, "oip"),
    *_of_each_model("GET", "", "oip_metadata", oip.metadata),
    *_of_each_model("GET", "/config", "oip_config", oip.config),
    *_of_each_model("GET", "/ready", "oip_model_ready", oip.model_ready),
    *_of_each_model("POST", "/infer", "oip_infer", oip.infer, body="oip"),
    Route("POST", "/v2/repository/index", "oip_index", oip.index, "oip"),
    Route("POST", "/v2/repository/models/<name>/load", "oip_load", oip.load, "oip"),
    Route("POST", "/v2/repository/models/<name>/unload", "oip_unload", oip.unload, "oip"),
)


def create_blueprint() -> Blueprint:
    """Return a new blueprint.

    One per extension object: Flask refuses hooks on a blueprint that was registered once.
    """
    blueprint = Blueprint("ailydian", __name__, static_folder="static", template_folder="templates")
    blueprint.before_request(http.guard_request)
    blueprint.before_request(_refuse_nul)
    blueprint.after_request(http.finish_response)
    blueprint.after_request(_say_allowed)
    blueprint.after_request(connection.read_on)
    problems.register_errors(blueprint)
    for route in ROUTES:
        blueprint.add_url_rule(
            route.path, route.endpoint, route.view, methods=[route.method], strict_slashes=True
        )
    for path in ("/", "/<path:rest>"):
        blueprint.add_url_rule(
            path, "unmatched", _unmatched, methods=METHODS, provide_automatic_options=False
        )
    blueprint.record(_match_any_method)
    return blueprint


def _match_any_method(setup: BlueprintSetupState) -> None:
    """Let the last rule match every method there is: Flask's own way of adding it needs a list."""
    for rule in setup.app.url_map.iter_rules(f"{setup.name}.unmatched"):
        rule.methods = None


def _refuse_nul() -> None:
    """No name holds a NUL, and PostgreSQL takes none."""
    if "\0" in request.path:
        raise errors.NotFound("No address holds a NUL.")


def _unmatched(rest: str = "") -> t.NoReturn:
    """Answer what no route answers.

    Routing errors never reach a blueprint's handlers; this last rule does.
    """
    allowed = _allowed()
    if not allowed or request.method in allowed:
        raise errors.NotFound("No route of this server has this path.")
    raise errors.MethodNotAllowed(allowed)


def _allowed() -> list[str]:
    """Return the methods that a route answers to at the request's address."""
    allowed = []
    urls = current_app.create_url_adapter(request)
    assert urls is not None
    for method in METHODS:
        try:
            endpoint, _ = urls.match(method=method)
        except (exceptions.NotFound, exceptions.MethodNotAllowed, RequestRedirect):
            continue
        if endpoint != "ailydian.unmatched":
            allowed.append(method)
    return allowed


def _say_allowed(response: Response) -> Response:
    """Name the methods of the routes: Flask finds none where a rule matches every method."""
    if request.method == "OPTIONS" and (allowed := _allowed()):
        response.headers["Allow"] = ", ".join(allowed)
    return response
