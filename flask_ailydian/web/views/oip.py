"""The Open Inference Protocol (KServe v2), under ``/v2``."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from flask import g
from flask import Response

from ... import errors
from ...inputs import strict_json
from ...oip.messages import BINARY_EXTENSION
from ...parallel import in_order
from ...prediction import Given
from ...prediction import Patience
from ...records import ModelRecord
from ...state import current_ailydian
from ...version import __version__
from .. import connection
from .. import http
from .. import protocol
from ..http import answer
from ..http import needs
from ..http import returns
from ..schemas import oip as schemas
from .health import look

EXTENSIONS = (BINARY_EXTENSION, "classification", "model_repository", "model_configuration")


@needs("infer")
@returns(schemas.Server(), fails=(401, 403))
def server() -> dict[str, t.Any]:
    """Say what this server is, and which extensions of the protocol it has."""
    return {"name": "flask-ailydian", "version": __version__, "extensions": list(EXTENSIONS)}


@needs("infer")
@returns(schemas.Live(), fails=(401, 403))
def live() -> dict[str, t.Any]:
    """Say that the process answers."""
    return {"live": True}


@needs("infer")
@returns(schemas.ServerReady(), fails=(401, 403, 503))
def ready() -> Response:
    """Say whether requests can be answered."""
    well = all(check.ok for check in look().values())
    return answer({"ready": well}, 200 if well else 503)


@needs("infer")
@returns(schemas.ModelMetadata(), fails=(401, 403, 404))
def metadata(name: str, version: str | None = None) -> dict[str, t.Any]:
    """Say what a model takes and gives."""
    return protocol.metadata(name, version)


@needs("infer")
@returns(schemas.ModelConfig(), fails=(401, 403, 404))
def config(name: str, version: str | None = None) -> dict[str, t.Any]:
    """Say how a model is configured, in the words of Triton's extension."""
    return protocol.configuration(name, version)


@needs("infer")
@returns(schemas.ModelReady(), fails=(401, 403, 404, 503))
def model_ready(name: str, version: str | None = None) -> dict[str, t.Any]:
    """Say whether a model answers."""
    registry = current_ailydian.registry
    if wrong := registry.verify(registry.resolve(name, version)):
        raise errors.BackendUnavailable(wrong)
    return {"name": name, "ready": True}


@needs("infer")
@returns(schemas.InferAnswer(), fails=(400, 401, 403, 404, 413, 415, 500, 503, 504))
def infer(name: str, version: str | None = None) -> Response:
    """Run a model on tensors; an image model takes the image file itself, as BYTES."""
    inference, actor = current_ailydian.inference, g.ailydian_actor
    patience = connection.patience()
    try:
        asked = protocol.read()
        givens = protocol.givens(asked, name, version)
    except errors.AilydianError as error:
        # What cannot be read is on record as well.
        inference.tensors(_refusing(error), actor=actor)
        raise
    if own := protocol.timeout(asked):
        patience = dataclasses.replace(patience, timeout=min(own, patience.timeout or own))
    work = _work(actor, patience)
    if len(givens) == 1:
        return protocol.respond(asked, [work(givens[0])])
    model = current_ailydian.serving.resolve(name, version)
    slots = current_ailydian.prediction.executor_of(model).slots
    workers = min(slots + 1, len(givens))
    return protocol.respond(asked, list(in_order(givens, work, workers=workers)))


def _work(actor: str | None, patience: Patience) -> c.Callable[[Given], t.Any]:
    inference = current_ailydian.inference
    return lambda given: inference.tensors(lambda: given, actor=actor, patience=patience)


def _refusing(error: errors.AilydianError) -> c.Callable[[], t.NoReturn]:
    def refuse() -> t.NoReturn:
        raise error

    return refuse


@needs("infer")
@returns(schemas.IndexEntry(many=True), fails=(400, 401, 403))
def index() -> Response:
    """List every version of every model, and whether it answers."""
    only_ready = _options().get("ready", False)
    if not isinstance(only_ready, bool):
        raise errors.InvalidInput("ready is true or false.")
    return answer(
        [
            {
                "name": record.name,
                "version": record.version,
                "state": "UNAVAILABLE" if record.status == "inactive" else "READY",
                "reason": "unloaded" if record.status == "inactive" else "",
            }
            for record in current_ailydian.registry.versions()
            if record.status != "inactive" or not only_ready
        ]
    )


@needs("manage")
@returns(schemas.Loaded(), fails=(400, 401, 403, 404, 409))
def load(name: str) -> dict[str, t.Any]:
    """Let a model answer: its newest version is activated, unless one does already."""
    if _options().get("parameters"):
        raise errors.InvalidInput("A model is loaded as it was registered, without parameters.")
    records = _versions(name)
    if all(record.status == "inactive" for record in records):
        _set(records[0], "active")
    return {"name": name}


@needs("manage")
@returns(schemas.Loaded(), fails=(400, 401, 403, 404))
def unload(name: str) -> dict[str, t.Any]:
    """Take every version of a model out of service; rows and files stay."""
    _options()
    for record in _versions(name):
        if record.status != "inactive":
            _set(record, "inactive")
    return {"name": name}


def _versions(name: str) -> list[ModelRecord]:
    records = current_ailydian.registry.versions(name)
    if not records:
        raise errors.ModelNotFound("No model has this name.")
    return records


def _set(record: ModelRecord, status: str) -> None:
    actor = g.ailydian_actor
    current_ailydian.registry.update(record.name, record.version, status=status, actor=actor)


def _options() -> dict[str, t.Any]:
    """Return the options of a body that may be empty."""
    body = http.read_body(current_ailydian.settings.body_limit)
    data = strict_json.loads(body) if body.strip() else {}
    if not isinstance(data, dict):
        raise errors.InvalidInput("Options are an object.")
    return data
