"""Stems by language, and which words carry them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import json
import re
import typing as t
from importlib.resources import files

from ..inputs.text import fold_turkish
from . import folding

LANGUAGES = ("tr", "en")
#: What a host may add words to; ``complex`` is keyed by what the words ask for.
GROUPS = ("medical", "legal", "complex")
#: Letters by which stems are found; every stem is at least this long.
KEY = 2


@dataclasses.dataclass(frozen=True)
class Stem:
    """One stem, and what it stands for.

    :param group: ``medical``, ``legal`` or ``complex``.
    :param concept: Distinct stems of one concept count once.
    :param open: Anything may follow (a verb); otherwise only a suffix of the language.
    :param soft: The last consonant is softened: a vowel must follow.
    :param denied: Beginnings that are other words.
    """

    group: str
    concept: str
    strict: str
    plain: str
    open: bool
    soft: bool
    suffixes: re.Pattern[str]
    denied: tuple[str, ...]

    def fits(self, word: folding.Word) -> bool:
        """Whether *word* is this stem with what the language may hang on it."""
        if not word.plain.startswith(self.plain):
            return False
        if not word.typed_plain and not word.strict.startswith(self.strict):
            merged = word.strict.replace("ı", "i")
            if not (word.dotless and merged.startswith(self.strict.replace("ı", "i"))):
                return False
        rest = word.plain[len(self.plain) :]
        if self.soft and rest[:1] not in tuple("aeiou"):
            return False
        if not self.open and not self.suffixes.fullmatch(rest):
            return False
        return not any(
            word.plain.startswith(folding.plain(other))
            and (word.typed_plain or word.dotless or word.strict.startswith(other))
            for other in self.denied
        )


@dataclasses.dataclass(frozen=True)
class Lexicon:
    """The stems of all languages in use, by their first letters."""

    stems: dict[str, tuple[Stem, ...]]

    def find(self, word: folding.Word) -> Stem | None:
        """Return the first stem that *word* carries, or ``None``."""
        for stem in self.stems.get(word.plain[:KEY], ()):
            if stem.fits(word):
                return stem
        return None


@functools.cache
def shipped(language: str) -> dict[str, t.Any]:
    """Return the data of a language that the package ships."""
    text = files(__package__).joinpath("lexicons", f"{language}.json").read_text("utf-8")
    data: dict[str, t.Any] = json.loads(text)
    return data


def build(
    languages: c.Iterable[str], more: c.Mapping[str, c.Mapping[str, t.Any]] | None = None
) -> Lexicon:
    """Return the lexicon of *languages*, with *more* words of a host.

    :param more: By language: ``medical`` and ``legal`` lists, ``complex`` a mapping of lists,
        ``suffixes``, ``softening`` and ``not`` for languages that the package does not ship.
    """
    found: dict[str, list[Stem]] = {}
    for language in dict.fromkeys((*languages, *(more or {}))):
        own = shipped(language) if language in LANGUAGES else {}
        extra = (more or {}).get(language, {})
        suffixes = re.compile(extra.get("suffixes") or own.get("suffixes") or "")
        softening = own.get("softening", {}) | dict(extra.get("softening", {}))
        denied = own.get("not", {}) | dict(extra.get("not", {}))
        for group, concept, entry in (*_entries(own), *_entries(extra)):
            for stem in _stems(group, concept, entry, suffixes, softening, denied):
                found.setdefault(stem.plain[:KEY], []).append(stem)
    return Lexicon({key: tuple(stems) for key, stems in found.items()})


def _entries(data: c.Mapping[str, t.Any]) -> list[tuple[str, str, str]]:
    flat = [(group, group, entry) for group in GROUPS[:2] for entry in data.get(group, ())]
    for concept, entries in data.get("complex", {}).items():
        flat += [("complex", concept, entry) for entry in entries]
    return flat


def _stems(
    group: str,
    concept: str,
    entry: str,
    suffixes: re.Pattern[str],
    softening: dict[str, str],
    denied: dict[str, list[str]],
) -> c.Iterator[Stem]:
    text = fold_turkish(entry.removesuffix("-"))
    if len(folding.plain(text)) < KEY:
        raise ValueError(f"The stem {entry!r} is too short.")
    open_ended = entry.endswith("-")
    never = tuple(denied.get(text, ()))
    yield Stem(group, concept, text, folding.plain(text), open_ended, False, suffixes, never)
    if not open_ended and text[-1] in softening:
        soft = text[:-1] + softening[text[-1]]
        yield Stem(group, concept, soft, folding.plain(soft), False, True, suffixes, never)
