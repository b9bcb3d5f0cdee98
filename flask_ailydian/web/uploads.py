"""A multipart body of many files, read as it comes: one file at a time is in memory."""

from __future__ import annotations

import collections.abc as c
import typing as t

from flask import request
from werkzeug import exceptions
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data
from werkzeug.sansio.multipart import Epilogue
from werkzeug.sansio.multipart import Field
from werkzeug.sansio.multipart import File
from werkzeug.sansio.multipart import MultipartDecoder
from werkzeug.sansio.multipart import NeedData

from .. import errors
from .http import MAX_FIELD_BYTES

CHUNK = 2**16

#: A field as its name and value, or a file as its bytes: ``None`` when it is too large.
Part = tuple[str, str] | tuple[None, bytes | None]


def parts(*, most: int, limit: int, file_limit: int) -> c.Iterator[Part]:
    """Yield the fields and the files called ``image`` of the current request.

    :param most: Parts.
    :param limit: Bytes of the whole body.
    :param file_limit: Bytes of one file; what a larger one holds is read and dropped.
    """
    boundary = parse_options_header(request.content_type)[1].get("boundary", "")
    if not boundary:
        raise errors.InvalidInput("The multipart body names no boundary.")
    if request.content_length is not None and request.content_length > limit:
        raise errors.BodyTooLarge(f"At most {limit} bytes are accepted.")
    request.max_content_length = limit
    decoder = MultipartDecoder(boundary.encode("latin-1"), max_parts=most)
    name: str | None = None
    held = bytearray()
    too_large = False
    try:
        for event in _events(decoder):
            if isinstance(event, Field | File):
                name = event.name if isinstance(event, Field) else None
                if isinstance(event, File) and event.name != "image":
                    raise errors.ValidationFailed(fields={str(event.name): ["Unknown file."]})
                held, too_large = bytearray(), False
            elif isinstance(event, Data):
                room = file_limit if name is None else MAX_FIELD_BYTES
                too_large = too_large or len(held) + len(event.data) > room
                if not too_large:
                    held += event.data
                if event.more_data:
                    continue
                if name is None:
                    yield None, None if too_large else bytes(held)
                elif too_large:
                    raise errors.BodyTooLarge("A field of the multipart body is too long.")
                else:
                    yield name, held.decode()
    except exceptions.RequestEntityTooLarge as error:
        raise errors.BodyTooLarge(f"At most {limit} bytes and {most} parts.") from error
    except (exceptions.ClientDisconnected, OSError) as error:
        raise errors.InvalidInput("The body ended early.") from error
    except (ValueError, UnicodeError, exceptions.BadRequest) as error:
        raise errors.InvalidInput("The multipart body cannot be read.") from error


def _events(decoder: MultipartDecoder) -> c.Iterator[t.Any]:
    while True:
        data = request.stream.read(CHUNK)
        decoder.receive_data(data or None)
        while not isinstance(event := decoder.next_event(), NeedData):
            yield event
            if isinstance(event, Epilogue):
                return
