"""Base64 and data URIs."""

from __future__ import annotations

import base64
import binascii
import re

from ..errors import ImageTooLarge
from ..errors import InvalidBase64

_SPACE = str.maketrans("", "", " \t\r\n\f\v")
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.I | re.A)
_URL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def decode_base64(text: str, *, max_bytes: int) -> tuple[bytes, str | None]:
    """Return the bytes of bare base64 or of a data URI, and the media type that it declares.

    White space is allowed anywhere, and nothing else that does not belong.

    :raises ImageTooLarge: for more than *max_bytes* decoded bytes, before they are decoded.
    :raises InvalidBase64: for everything else; URLs are never fetched.
    """
    declared = None
    if head := _DATA_URI.match(text):
        if head[3] is None:
            raise InvalidBase64("The data URI is not base64.")
        declared = head[1].lower() if head[1] else None
        text = text[head.end() :]
    elif _URL.match(text):
        raise InvalidBase64("Send the file itself: URLs are never fetched.")
    text = text.translate(_SPACE)
    if len(text) // 4 * 3 - 2 > max_bytes:
        raise ImageTooLarge(f"At most {max_bytes} bytes are accepted.")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidBase64("The text has characters or padding that base64 does not.") from error
    if not data:
        raise InvalidBase64("The base64 text is empty.")
    # Bits that the padding hides would let two texts stand for the same bytes.
    if base64.b64encode(data[-(len(data) % 3 or 3) :]).decode() != text[-4:]:
        raise InvalidBase64("The base64 text is not canonical.")
    if len(data) > max_bytes:
        raise ImageTooLarge(f"At most {max_bytes} bytes are accepted.")
    return data, declared
