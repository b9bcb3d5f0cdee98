"""Text as models take it, and as Turkish compares it."""

from __future__ import annotations

import unicodedata

from ..errors import ValidationFailed

#: The control characters that people type.
ALLOWED = frozenset("\n\r\t")
_TURKISH = str.maketrans({"İ": "i", "I": "ı"})


def normalise(text: str, *, max_chars: int) -> str:
    """Return *text* in Unicode's form NFC.

    :raises ValidationFailed: when it is blank, too long or holds control characters.
    """
    message = None
    if len(text) > max_chars:
        message = f"At most {max_chars} characters."
    elif not text.strip():
        message = "The text is blank."
    elif any(_is_control(c) for c in text):
        message = "The text holds control characters."
    if message:
        raise ValidationFailed(fields={"text": [message]})
    return unicodedata.normalize("NFC", text)


def without_controls(text: str) -> str:
    """Return *text* with a blank for each control character: files are less clean than requests."""
    return "".join(" " if _is_control(c) else c for c in text)


def _is_control(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cs") and c not in ALLOWED


def fold_turkish(text: str) -> str:
    """Return *text* for comparison, with the dotted and the dotless i kept apart."""
    composed = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", composed.translate(_TURKISH).lower())
