"""How requests come in and answers go out: bodies, limits, headers, errors."""

from __future__ import annotations

import collections.abc as c
import functools
import io
import logging
import re
import typing as t

import marshmallow as ma
from flask import g
from flask import request
from flask import Response
from werkzeug import exceptions
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from .. import errors
from ..access import Action
from ..audit.ledger import encode
from ..clock import new_id
from ..inputs import strict_json
from ..state import current_ailydian
from .refusals import note_refusal
from .schemas.common import parsed

log = logging.getLogger("flask_ailydian.web")

PLAIN_TOKEN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Parts of a multipart body, and bytes of the parts that are no files.
MAX_PARTS, MAX_FIELD_BYTES = 64, 2**20

Refusal = type[errors.AilydianError]
View = t.TypeVar("View", bound=c.Callable[..., t.Any])


def answer(body: t.Any, status: int = 200) -> Response:
    """Return *body* as JSON with its members in their own order."""
    text = body if isinstance(body, str) else encode(body)
    return Response(text, status, mimetype="application/json")


def accepts(schema: ma.Schema, *, location: str = "json") -> c.Callable[[View], View]:
    """Load the request's JSON body or query into the view's first argument, and say so in OpenAPI.

    :param location: ``json`` or ``query``.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
            query = location == "query"
            source = request.args.to_dict() if query else read_json()
            return view(load(schema, source, text=query), *args, **kwargs)

        wrapped.accepts = (schema, location)  # type: ignore[attr-defined]
        return t.cast(View, wrapped)

    return decorate


def returns(
    schema: ma.Schema, *, status: int = 200, fails: t.Iterable[int] = ()
) -> c.Callable[[View], View]:
    """Answer with what the view returns, and say so in OpenAPI.

    :param fails: The statuses of the errors that this view is known to give.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
            result = view(*args, **kwargs)
            return result if isinstance(result, Response) else answer(result, status)

        wrapped.returns = (schema, status, tuple(fails))  # type: ignore[attr-defined]
        return t.cast(View, wrapped)

    return decorate


def needs(action: Action, *, personal: bool = False) -> c.Callable[[View], View]:
    """Ask the host's gate before anything is read, and say so in OpenAPI.

    :param personal: Refuse ``read`` also where the host has not answered yet.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
            try:
                g.ailydian_actor = current_ailydian.gate.check(action, personal=personal)
            except (errors.Unauthenticated, errors.Forbidden) as refusal:
                note_refusal(action, refusal)
                raise
            return view(*args, **kwargs)

        wrapped.needs = action  # type: ignore[attr-defined]
        return t.cast(View, wrapped)

    return decorate


def load(schema: ma.Schema, data: t.Any, *, text: bool = False) -> t.Any:
    """Validate *data*, or raise :class:`ValidationFailed` with the messages by field.

    :param text: Whether it comes from a form or a query, where numbers are text as well.
    """
    try:
        return schema.load(parsed(schema, data) if text else data)
    except ma.ValidationError as error:
        raise errors.ValidationFailed(fields=_messages(error)) from error


def _messages(error: ma.ValidationError) -> dict[str, t.Any]:
    messages = error.messages
    return messages if isinstance(messages, dict) else {"_schema": messages}


def media_type() -> str:
    """Return the body's media type in lower case, without parameters."""
    return (request.mimetype or "").lower()


def read_body(limit: int, refuse: Refusal = errors.BodyTooLarge, *, encoded: bool = False) -> bytes:
    """Read the whole body, at most *limit* bytes of it.

    :param encoded: Leave it to the caller what its ``Content-Encoding`` is.

    A chunked body has no length to check beforehand, and Werkzeug cuts it at its own limit
    without a word; one byte more than allowed is read to tell the two apart.
    """
    if not encoded and request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise errors.UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    if request.content_length is not None and request.content_length > limit:
        raise refuse(f"At most {limit} bytes are accepted.")
    request.max_content_length = limit + 1
    try:
        whole = request.content_length
        data = request.stream.read(limit + 1 if whole is None else whole)
    except exceptions.RequestEntityTooLarge as error:
        raise refuse(f"At most {limit} bytes are accepted.") from error
    except (exceptions.ClientDisconnected, OSError) as error:
        raise errors.InvalidInput("The body ended early.") from error
    if len(data) > limit:
        raise refuse(f"At most {limit} bytes are accepted.")
    if request.content_length is not None and len(data) < request.content_length:
        raise errors.InvalidInput("The body ended early.")
    return data


def is_json() -> bool:
    """Whether the body says that it is JSON."""
    kind = media_type()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def read_json() -> t.Any:
    """Read a JSON body, strictly."""
    return strict_json.loads(read_json_body())


def read_json_body() -> bytes:
    """Read a body that says it is JSON, and leave it as it is."""
    if not is_json():
        raise errors.UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    return read_body(current_ailydian.settings.body_limit)


def _in_memory(*_: t.Any, **__: t.Any) -> t.IO[bytes]:
    return io.BytesIO()


def read_multipart(
    data: bytes, *, parts: int = MAX_PARTS
) -> tuple[MultiDict[str, str], MultiDict[str, bytes]]:
    """Parse a multipart body into fields and files, in memory: nothing is spooled to disk."""
    boundary = parse_options_header(request.content_type)[1].get("boundary", "")
    if not boundary:
        raise errors.InvalidInput("The multipart body names no boundary.")
    parser = MultiPartParser(
        stream_factory=_in_memory,
        max_form_memory_size=MAX_FIELD_BYTES,
        max_form_parts=parts,
    )
    try:
        form, files = parser.parse(io.BytesIO(data), boundary.encode("latin-1"), len(data))
    except exceptions.RequestEntityTooLarge as error:
        raise errors.BodyTooLarge("The multipart body has too many or too long fields.") from error
    except (ValueError, UnicodeError, exceptions.BadRequest) as error:
        raise errors.InvalidInput("The multipart body cannot be read.") from error
    contents: MultiDict[str, bytes] = MultiDict()
    for name, file in files.items(multi=True):
        contents.add(name, file.stream.read())
    return form, contents


def guard_request() -> None:
    """Name the request, and refuse what another site's page sends with our cookies."""
    asked = request.headers.get("X-Request-ID", "")
    g.ailydian_request_id = asked if PLAIN_TOKEN.fullmatch(asked) else new_id()
    if request.method in SAFE_METHODS or "Cookie" not in request.headers:
        return
    if "Authorization" in request.headers:
        return
    origin = request.headers.get("Origin")
    if origin in current_ailydian.settings.trusted_origins:
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    own = f"{request.scheme}://{request.host}"
    if site not in ("same-origin", "none") or (origin is not None and origin != own):
        raise errors.Forbidden("Requests with cookies are taken from this site's own pages only.")


def finish_response(response: Response) -> Response:
    """Set the headers that every answer carries."""
    if request.endpoint != "ailydian.static":
        response.headers["Cache-Control"] = "no-store"
    response.headers["X-Request-ID"] = g.get("ailydian_request_id", "") or new_id()
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
