"""Jobs: many inputs at once, answered later."""

from __future__ import annotations

import typing as t

from flask import g
from flask import request
from flask import Response
from flask import stream_with_context

from ... import errors
from ...audit.ledger import encode
from ...inputs import strict_json
from ...jobs.items import Asked
from ...state import current_ailydian
from .. import http
from .. import uploads
from ..http import accepts
from ..http import needs
from ..http import read_body
from ..http import returns
from ..schemas.inference import InferenceFields
from ..schemas.jobs import JobQuery
from ..schemas.jobs import JobRequest
from ..schemas.jobs import JobResponse

LINES = "application/x-ndjson"
FIELDS, REQUEST = InferenceFields(), JobRequest()


@needs("infer")
@returns(JobResponse(), status=202, fails=(400, 404, 413, 415, 422, 503))
def submit() -> dict[str, t.Any]:
    """Hand in many images, uploaded or in a storage; they are answered one after the other."""
    current_ailydian.jobs.queue.check()
    if http.is_json():
        return _listed()
    if http.media_type() == "multipart/form-data":
        return _uploaded()
    raise errors.UnsupportedMediaType("Send application/json or multipart/form-data.")


@needs("infer")
@accepts(JobQuery(), location="query")
@returns(JobResponse(), fails=(401, 403, 404, 422))
def show(query: dict[str, t.Any], id: str) -> dict[str, t.Any] | Response:
    """Say how a job stands; as `application/x-ndjson` also what came of each finished item."""
    jobs = current_ailydian.jobs
    jobs.check_owner(id, g.ailydian_actor)
    state = jobs.state(id)
    if request.accept_mimetypes.best_match(["application/json", LINES]) != LINES:
        return {"success": True, "job": state}

    def lines() -> t.Iterator[str]:
        yield encode({"job": state}) + "\n"
        for result in jobs.results(id, query["from_"]):
            yield encode(result) + "\n"

    return Response(stream_with_context(lines()), mimetype=LINES)


@needs("infer")
@returns(JobResponse(), fails=(401, 403, 404, 409, 503))
def cancel(id: str) -> dict[str, t.Any]:
    """Give up what is not being answered yet."""
    jobs = current_ailydian.jobs
    jobs.check_owner(id, g.ailydian_actor)
    state = jobs.cancel(id, actor=g.ailydian_actor)
    return {"success": True, "job": state}


def _listed() -> dict[str, t.Any]:
    limit = current_ailydian.settings.max_batch_bytes
    data: dict[str, t.Any] = http.load(REQUEST, strict_json.loads(read_body(limit)))
    manifest = data.pop("manifest")
    with current_ailydian.jobs.draft(_asked(data), key=_key()) as draft:
        for entry in manifest:
            draft.stored(**entry)
        return {"success": True, "job": draft.submit()}


def _uploaded() -> dict[str, t.Any]:
    settings = current_ailydian.settings
    found = uploads.parts(
        most=settings.jobs_max_items + http.MAX_PARTS,
        limit=settings.jobs_max_bytes,
        file_limit=settings.max_image_bytes,
    )
    fields: dict[str, str] = {}
    first: bytes | None = None
    for name, value in found:
        if name is None:
            first = t.cast("bytes | None", value)
            break
        fields[name] = t.cast(str, value)
    else:
        raise errors.ValidationFailed(fields={"image": ["At least one input."]})
    with current_ailydian.jobs.draft(
        _asked(http.load(FIELDS, fields, text=True)), key=_key()
    ) as draft:
        _add(draft, first)
        for name, value in found:
            if name is not None:
                # Whose inputs they are decides how they are sealed.
                raise errors.ValidationFailed(fields={name: ["Send the fields before the files."]})
            _add(draft, t.cast("bytes | None", value))
        return {"success": True, "job": draft.submit()}


def _add(draft: t.Any, data: bytes | None) -> None:
    if data is None:
        draft.refuse("image_too_large")
    else:
        draft.upload(data)


def _asked(fields: dict[str, t.Any]) -> Asked:
    return Asked(actor=g.ailydian_actor, **fields)


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        message = "1 to 255 printable characters."
        raise errors.ValidationFailed(fields={"Idempotency-Key": [message]})
    return key
