"""The registry."""

from __future__ import annotations

import typing as t

from flask import g

from ... import errors
from ...folders import read
from ...folders import Source
from ...inputs import strict_json
from ...reading import parse_numbers
from ...reading import read_labels
from ...recipes import WRITES
from ...registration import Declared
from ...state import current_ailydian
from ...unpacking import holds_folder
from ...unpacking import unpacked
from .. import http
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.models import dump
from ..schemas.models import ModelAnswer
from ..schemas.models import ModelList
from ..schemas.models import ModelPatch
from ..schemas.models import ModelUpload


@needs("read")
@returns(ModelList(), fails=(401, 403))
def list_models() -> dict[str, t.Any]:
    """List every version of every model."""
    return {"success": True, "models": [dump(r) for r in current_ailydian.registry.versions()]}


@needs("read")
@returns(ModelList(), fails=(401, 403, 404))
def list_versions(name: str) -> dict[str, t.Any]:
    """List the versions of one model."""
    records = current_ailydian.registry.versions(name)
    if not records:
        raise errors.ModelNotFound("No model has this name.")
    return {"success": True, "models": [dump(record) for record in records]}


@needs("read")
@returns(ModelAnswer(), fails=(401, 403, 404))
def show_version(name: str, version: str) -> dict[str, t.Any]:
    """Show one version."""
    return {"success": True, "model": dump(current_ailydian.registry.get(name, version))}


@needs("manage")
@returns(ModelAnswer(), status=201, fails=(400, 401, 403, 409, 413, 415, 422))
def upload() -> dict[str, t.Any]:
    """Register a model file, or a ZIP archive of a model's folder.

    It is tried in a process of its own first.
    """
    if http.media_type() != "multipart/form-data":
        raise errors.UnsupportedMediaType("Send multipart/form-data with a file named `file`.")
    limit = current_ailydian.settings.max_model_bytes + http.MAX_FIELD_BYTES
    fields, files = http.read_multipart(http.read_body(limit))
    given = http.load(ModelUpload(), fields.to_dict(), text=True)
    if list(files) != ["file"]:
        raise errors.ValidationFailed(fields={"file": ["Send one file named `file`."]})
    source = _source(files["file"], writes=given.get("task") == WRITES)
    recipe = _recipe(given["preprocessing"]) if "preprocessing" in given else {}
    declared = Declared(
        labels=read_labels(given["labels"]) if "labels" in given else None,
        preprocessing={**source.recipe, **recipe} or None,
        tokenizer=source.tokenizer,
        size=parse_numbers("size", given.get("size"), pair=True),
        mean=parse_numbers("mean", given.get("mean")),
        std=parse_numbers("std", given.get("std")),
        **{key: given.get(key) for key in ("domain", "task", "description", "accuracy")},
    )
    record = current_ailydian.registry.register(
        source.data,
        given["model_name"],
        given["model_version"],
        declared,
        activate=given["activate"],
        actor=g.ailydian_actor,
    )
    return {"success": True, "model": dump(record)}


def _source(data: bytes, *, writes: bool) -> Source:
    if not holds_folder(data):
        return Source(data)
    limit = current_ailydian.settings.max_model_bytes
    with unpacked(data, max_bytes=limit) as folder:
        limits = current_ailydian.registry.storage.limits
        return read(folder, max_bytes=limit, writes=writes, limits=limits)


def _recipe(text: str) -> dict[str, t.Any]:
    recipe = strict_json.loads(text.encode())
    if not isinstance(recipe, dict):
        raise errors.ValidationFailed(fields={"preprocessing": ["A JSON object."]})
    return recipe


@needs("manage")
@accepts(ModelPatch())
@returns(ModelAnswer(), fails=(400, 401, 403, 404, 409, 422))
def change(given: dict[str, t.Any], name: str, version: str) -> dict[str, t.Any]:
    """Set the status, the text or the serving of a version."""
    record = current_ailydian.registry.update(
        name,
        version,
        status=given.get("deployment_status"),
        description=given.get("description"),
        accuracy=given.get("accuracy"),
        serving=given.get("serving"),
        actor=g.ailydian_actor,
    )
    return {"success": True, "model": dump(record)}


@needs("manage")
@returns(ModelAnswer(), fails=(401, 403, 404))
def retire(name: str, version: str) -> dict[str, t.Any]:
    """Take a version out of service; its row and file stay, for the answers it gave."""
    record = current_ailydian.registry.update(
        name, version, status="inactive", actor=g.ailydian_actor
    )
    return {"success": True, "model": dump(record)}
