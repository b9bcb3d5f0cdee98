"""Bodies that were made smaller on the way, and no larger than is accepted."""

from __future__ import annotations

import zlib

from ..errors import BodyTooLarge
from ..errors import InvalidInput
from ..errors import UnsupportedMediaType

#: How zlib calls what HTTP calls these.
WINDOWS = {"gzip": 31, "deflate": 15}
#: The quickest: tensors of a network shrink little, whatever the effort.
LEVEL = 1


def expand(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a body as it was before it was compressed.

    :raises UnsupportedMediaType: for anything but gzip and deflate.
    :raises BodyTooLarge: as soon as it grows beyond *limit* bytes.
    :raises InvalidInput: when it is broken.
    """
    encoding = encoding.lower().strip()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOWS:
        raise UnsupportedMediaType("Content-Encoding is gzip or deflate.")
    inflater = zlib.decompressobj(WINDOWS[encoding])
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput("The compressed body is broken.") from error
    if len(data) > limit:
        raise BodyTooLarge(f"At most {limit} bytes are accepted.")
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput("The compressed body is broken.")
    return data


def shrink(parts: list[bytes], encoding: str) -> bytes:
    """Return the parts of a body, compressed."""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOWS[encoding])
    return b"".join([*map(deflater.compress, parts), deflater.flush()])
