"""How words are compared: capitals, decomposed Unicode and Turkish typed in ASCII alike."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ..inputs.text import fold_turkish

WORD = re.compile(r"[^\W_]+")
_ASCII = str.maketrans("çğıöşüâîû", "cgiosuaiu")


def plain(text: str) -> str:
    """Return folded *text* without the letters and marks that an ASCII keyboard lacks."""
    mapped = text.translate(_ASCII)
    if mapped.isascii():
        return mapped
    return "".join(c for c in unicodedata.normalize("NFD", mapped) if not unicodedata.combining(c))


def canonical(text: str) -> str:
    """Return *text* as caches and hashes see it: folded, white space evened out."""
    folded = fold_turkish(unicodedata.normalize("NFKC", text))
    return " ".join(folded.split())


class Word(t.NamedTuple):
    """One word in the forms in which it may match a stem.

    :param shown: As it was typed, in form NFC.
    :param strict: With Turkish letters, lower case.
    :param plain: With ASCII letters alone.
    :param typed_plain: Typed without any Turkish letter: each letter may stand for its Turkish kin.
    :param dotless: Holds a capital I, of which nobody knows whether it had a dot.
    """

    shown: str
    strict: str
    plain: str
    typed_plain: bool
    dotless: bool


def words(text: str) -> list[Word]:
    """Return the words of *text* in their order."""
    found = []
    for match in WORD.finditer(unicodedata.normalize("NFC", text)):
        shown = match[0]
        strict = fold_turkish(shown)
        found.append(
            Word(shown, strict, plain(strict), shown.replace("İ", "I").isascii(), "I" in shown)
        )
    return found
