"""The forms in which an input may come: JSON, multipart, raw body."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

from flask import request

from .. import errors
from ..inputs import encoding
from ..inputs import strict_json
from ..inputs.images import MEDIA_TYPES
from ..prediction import Given
from ..state import current_ailydian
from . import http
from .schemas.inference import BatchRequest
from .schemas.inference import InferenceFields
from .schemas.inference import InferenceRequest

FIELDS, REQUEST, BATCH = InferenceFields(), InferenceRequest(), BatchRequest()
TEXT_FORM = InferenceRequest(exclude=["inputs", "image"])
RAW_TYPES = frozenset(MEDIA_TYPES) | {"application/dicom"}


def read(body: bytes) -> Given:
    """Return the input that the current request's *body* holds."""
    kind = http.media_type()
    if kind in RAW_TYPES:
        return Given(**_named(request.query_string), image=body, media_type=kind)
    if http.is_json():
        return _from_json(body)
    if kind == "multipart/form-data":
        return _from_multipart(body)
    raise errors.UnsupportedMediaType(
        "Send application/json, multipart/form-data, or a body of type "
        f"{', '.join(sorted(RAW_TYPES))}."
    )


def _named(query: bytes) -> dict[str, t.Any]:
    # Most requests name nothing but the model. Whom an answer is about is not kept here, however
    # its name is written.
    personal = b"user_id" in query or b"%" in query
    return _fields() if personal or len(query) > 512 else _repeated(query)


@functools.lru_cache(maxsize=256)
def _repeated(query: bytes) -> dict[str, t.Any]:
    return _fields()


def _fields() -> dict[str, t.Any]:
    return t.cast(dict[str, t.Any], http.load(FIELDS, request.args.to_dict(), text=True))


def body_limit() -> tuple[int, type[errors.AilydianError]]:
    """Return how long the current request's body may be, and the error when it is longer."""
    settings = current_ailydian.settings
    if http.media_type() in RAW_TYPES:
        return settings.max_image_bytes, errors.ImageTooLarge
    return settings.body_limit, errors.BodyTooLarge


def read_batch(body: bytes) -> t.Sequence[c.Callable[[], Given]]:
    """Return a reader for each input that the current request's *body* holds.

    An input that cannot be read is found out by its own reader: it fails no other.
    """
    if http.is_json():
        data: dict[str, t.Any] = http.load(BATCH, strict_json.loads(body))
        items = data.pop("items")
        readers = [functools.partial(_given, data | item) for item in items]
    elif http.media_type() == "multipart/form-data":
        fields, files = http.read_multipart(body, parts=_most() + http.MAX_PARTS)
        if unknown := [name for name in files if name != "image"]:
            raise errors.ValidationFailed(fields={name: ["Unknown file."] for name in unknown})
        data = http.load(FIELDS, fields.to_dict(), text=True)
        readers = [functools.partial(Given, **data, image=i) for i in files.getlist("image")]
    else:
        raise errors.UnsupportedMediaType("Send application/json or multipart/form-data.")
    if not 1 <= len(readers) <= _most():
        message = f"Between 1 and {_most()} inputs."
        raise errors.ValidationFailed(fields={"items": [message]})
    return readers


def _most() -> int:
    return current_ailydian.settings.max_batch


def _from_json(body: bytes) -> Given:
    return _given(http.load(REQUEST, strict_json.loads(body)))


def _given(data: dict[str, t.Any]) -> Given:
    if data.get("image") is None:
        return Given(**data)
    limit = current_ailydian.settings.max_image_bytes
    decoded, media_type = encoding.decode_base64(data["image"], max_bytes=limit)
    return Given(**data | {"image": decoded}, media_type=media_type)


def _from_multipart(body: bytes) -> Given:
    fields, files = http.read_multipart(body)
    unknown = [name for name in files if name != "image"]
    if unknown:
        raise errors.ValidationFailed(fields={name: ["Unknown file."] for name in unknown})
    if len(files.getlist("image")) > 1:
        raise errors.ValidationFailed(fields={"image": ["Send one image."]})
    if "image" not in files:
        data = http.load(TEXT_FORM, fields.to_dict(), text=True)
        return Given(**data)
    data = http.load(FIELDS, fields.to_dict(), text=True)
    return Given(**data, image=files["image"])
