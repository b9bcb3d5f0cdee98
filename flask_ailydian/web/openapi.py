"""The OpenAPI 3.1 document of one app, made from what the views say of themselves."""

from __future__ import annotations

import copy
import re
import typing as t

import marshmallow as ma
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from ..oip.messages import HEADER as HEADER_LENGTH
from ..version import __version__
from . import examples
from .connection import HEADER
from .forms import RAW_TYPES
from .schemas.common import Problem
from .schemas.inference import BatchRequest
from .schemas.inference import InferenceFields
from .schemas.inference import InferenceRequest
from .schemas.jobs import JobRequest
from .schemas.models import ModelUpload
from .schemas.oip import InferRequest

ERRORS = {
    400: "The input cannot be read.",
    401: "Nobody is signed in.",
    403: "The host does not allow it.",
    404: "There is no such thing.",
    405: "Another method is meant; `Allow` names it.",
    409: "It clashes with what exists.",
    413: "It is too large.",
    415: "The format is not accepted.",
    422: "The JSON is well formed and its content is not right; `fields` says what.",
    429: "Too many requests.",
    500: "The model or the server failed; the body has the id under which it was logged.",
    503: "Busy or not available; `Retry-After` says when to come again.",
    504: "The deadline passed.",
}
SIMPLE: dict[type, str] = {
    ma.fields.Boolean: "boolean",
    ma.fields.Float: "number",
    ma.fields.Integer: "integer",
}
BINARY = {"type": "string", "format": "binary"}
#: What says "not ready" in the body of its answer, and not in that of an error.
ANSWER_NOT_READY = ("ready", "oip_ready")
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeat within a day gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
LENGTH = {
    "name": HEADER_LENGTH,
    "in": "header",
    "description": "How many bytes of the body are JSON, where binary tensors follow it.",
    "schema": {"type": "integer", "minimum": 1},
}


def _simple(field: ma.fields.Field[t.Any]) -> str:
    return next((name for kind, name in SIMPLE.items() if isinstance(field, kind)), "string")


def document(routes: t.Iterable[t.Any], prefix: str) -> dict[str, t.Any]:
    """Return the document of *routes* (see ``blueprint.ROUTES``) mounted under *prefix*."""
    spec = APISpec(
        title="flask-ailydian",
        version=__version__,
        openapi_version="3.1.0",
        info={"description": "Accountable machine-learning inference inside this app."},
        servers=[{"url": prefix}],
        plugins=[MarshmallowPlugin(schema_name_resolver=_name)],
    )
    spec.components.schema("Problem", schema=Problem)
    for route in routes:
        if route.hidden:
            continue
        operation = _operation(route)
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        spec.path(path=path, operations={route.method.lower(): operation})
    return examples.added(spec.to_dict())


def _name(schema: t.Any) -> t.Any:
    kind = schema if isinstance(schema, type) else type(schema)
    # A schema with some fields left out is another schema: it is described in place.
    if isinstance(schema, ma.Schema) and (schema.exclude or schema.only):
        return None
    return str(kind.__name__)


def _operation(route: t.Any) -> dict[str, t.Any]:
    view = route.view
    summary = (view.__doc__ or "").strip().splitlines()[0]
    operation: dict[str, t.Any] = {
        "operationId": route.endpoint,
        "summary": summary,
        "tags": [route.tag],
        "responses": {},
    }
    parameters: list[t.Any] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"<(?:\w+:)?(\w+)>", route.path)
    ]
    if route.body == "inference":
        operation["requestBody"] = _inference_body()
        parameters += _inference_parameters()
    elif route.body == "batch":
        operation["requestBody"] = _batch_body()
        parameters.append(_patience())
    elif route.body == "job":
        operation["requestBody"] = _job_body()
        parameters.append(copy.copy(KEY))
    elif route.body == "oip":
        operation["requestBody"] = _tensors_body()
        parameters += [_patience(), copy.copy(LENGTH)]
    elif route.body == "upload":
        operation["requestBody"] = _upload_body()
    accepted = getattr(view, "accepts", None)
    if accepted is not None:
        schema, location = accepted
        if location == "json":
            content = {"application/json": {"schema": schema}}
            operation["requestBody"] = {"required": True, "content": content}
        else:
            parameters.append({"in": "query", "schema": schema})
    if route.endpoint == "query":
        parameters.append(copy.copy(KEY))
    if parameters:
        operation["parameters"] = parameters
    schema, status, fails = view.returns
    operation["responses"][str(status)] = {
        "description": "Done.",
        "content": {"application/json": {"schema": schema}},
    }
    if route.body == "oip":
        binary = {"schema": copy.copy(BINARY)}
        operation["responses"][str(status)]["content"]["application/octet-stream"] = binary
    if route.endpoint == "query":
        events = {"schema": {"type": "string"}}
        operation["responses"][str(status)]["content"]["text/event-stream"] = events
    if route.endpoint == "job":
        lines = {"schema": {"type": "string"}}
        operation["responses"][str(status)]["content"]["application/x-ndjson"] = lines
    for code in fails:
        if route.endpoint in ANSWER_NOT_READY and code == 503:
            content = {"application/json": {"schema": schema}}
        else:
            content = {"application/problem+json": {"schema": Problem}}
        operation["responses"][str(code)] = {"description": ERRORS[code], "content": content}
    problem = {"application/problem+json": {"schema": Problem}}
    operation["responses"]["default"] = {"description": "Any other error.", "content": problem}
    return operation


def _types(schema: ma.Schema) -> dict[str, t.Any]:
    """Return the fields of a form, which knows simple types alone."""
    return {name: {"type": _simple(field)} for name, field in schema.fields.items()}


def _inference_body() -> dict[str, t.Any]:
    form = {
        "type": "object",
        "required": ["model_name"],
        "properties": {
            "image": BINARY,
            **_types(InferenceFields()),
            "text": {"type": "string"},
        },
    }
    content: dict[str, t.Any] = {
        "application/json": {"schema": InferenceRequest},
        "multipart/form-data": {"schema": form},
    }
    content |= {kind: {"schema": copy.copy(BINARY)} for kind in sorted(RAW_TYPES)}
    return {"required": True, "content": content}


def _batch_body() -> dict[str, t.Any]:
    images = {"type": "array", "items": BINARY}
    form = {
        "type": "object",
        "required": ["model_name", "image"],
        "properties": {"model_name": {"type": "string"}, "image": images},
    }
    content = {
        "application/json": {"schema": BatchRequest},
        "multipart/form-data": {"schema": form},
    }
    return {"required": True, "content": content}


def _job_body() -> dict[str, t.Any]:
    images = {"type": "array", "items": BINARY}
    form = {
        "type": "object",
        "required": ["model_name", "image"],
        "properties": {**_types(InferenceFields()), "image": images},
    }
    content = {
        "application/json": {"schema": JobRequest},
        "multipart/form-data": {"schema": form},
    }
    return {"required": True, "content": content}


def _tensors_body() -> dict[str, t.Any]:
    content: dict[str, t.Any] = {
        "application/json": {"schema": InferRequest},
        "application/octet-stream": {"schema": copy.copy(BINARY)},
    }
    return {"required": True, "content": content}


def _patience() -> dict[str, t.Any]:
    return {
        "name": HEADER,
        "in": "header",
        "description": "After so long the caller wants no answer any more.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }


def _inference_parameters() -> list[dict[str, t.Any]]:
    described = [
        {
            "name": name,
            "in": "query",
            "description": f"{field.metadata['description']} For raw bodies.",
            "schema": {"type": _simple(field)},
        }
        for name, field in InferenceFields().fields.items()
    ]
    return [copy.copy(KEY), _patience(), *described]


def _upload_body() -> dict[str, t.Any]:
    file = BINARY | {"description": "A model file, or a ZIP archive of a model's folder."}
    properties: dict[str, t.Any] = {"file": file, **_types(ModelUpload())}
    for name, field in ModelUpload().fields.items():
        if "description" in field.metadata:
            properties[name]["description"] = field.metadata["description"]
    schema = {
        "type": "object",
        "required": ["file", "model_name", "model_version"],
        "properties": properties,
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
