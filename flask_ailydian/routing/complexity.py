"""How complex a query looks, by rules that explain themselves.

A rule decides policy: what may go out, what is cheap. It is no measure of difficulty.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from . import folding
from .lexicon import Lexicon

#: Raised with every change of a rule, so that a log can be read later.
VERSION = 1
#: Points for fewer words than the first number; the last band has no end.
BANDS: tuple[tuple[float, int], ...] = ((10, 10), (20, 20), (50, 30), (float("inf"), 50))
POINTS = {"medical": 20, "legal": 20, "complex": 15, "question": 10}
QUESTION_MARKS = frozenset("?？؟")

#: The words of the first description of this router, found anywhere in the text.
FIRST_WORDS = {
    "medical": ("hasta", "röntgen", "tanı", "tedavi", "ilaç", "pnömoni", "covid", "akciğer"),
    "legal": ("dava", "mahkeme", "kanun", "hukuk", "sözleşme", "avukat", "yasa", "ceza"),
    "complex": ("analiz", "karşılaştır", "değerlendir", "fark"),
}


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Scores below ``simple`` are simple, below ``medium`` medium, the rest complex."""

    simple: float = 30
    medium: float = 60

    def name(self, score: float) -> str:
        """Return the band of *score*."""
        if score < self.simple:
            return "simple"
        return "medium" if score < self.medium else "complex"


@dataclasses.dataclass(frozen=True)
class Part:
    """Some of the points, and the word or number that they are for."""

    feature: str
    points: float
    because: str


@dataclasses.dataclass(frozen=True)
class Classification:
    """A query's score and everything that made it."""

    score: float
    complexity: str
    features: dict[str, t.Any]
    parts: tuple[Part, ...]
    thresholds: Thresholds
    profile: str
    version: int = VERSION

    def to_json(self) -> dict[str, t.Any]:
        """Return it as the answer and the log show it: never a whole query."""
        return {
            "score": self.score,
            "complexity": self.complexity,
            "features": self.features,
            "parts": [dataclasses.asdict(part) for part in self.parts],
            "thresholds": dataclasses.asdict(self.thresholds),
            "profile": self.profile,
            "rule_version": self.version,
        }


def rules(
    query: str,
    lexicon: Lexicon,
    *,
    thresholds: Thresholds | None = None,
    points: c.Mapping[str, int] | None = None,
) -> Classification:
    """Score *query* by length, subject, complex keywords and question (profile ``tr-v1``)."""
    worth = POINTS | dict(points or {})
    count = len(query.split())
    parts = [_length(count)]
    seen: dict[str, str] = {}
    for word in folding.words(query):
        stem = lexicon.find(word)
        if stem is not None and stem.concept not in seen:
            seen[stem.concept] = stem.group
            parts.append(Part(stem.group, worth[stem.group], stem.strict))
    if QUESTION_MARKS & set(query):
        parts.append(Part("question", worth["question"], "?"))
    return _classified(count, parts, thresholds or Thresholds(), "tr-v1")


def document(query: str, *, thresholds: Thresholds | None = None) -> Classification:
    """Score *query* as the first description did: bare substrings (profile ``document-2025``).

    ``str.lower`` knows no Turkish, and a substring no word; kept to replay old decisions.
    """
    text = query.lower()
    count = len(query.split())
    parts = [_length(count)]
    for group in ("medical", "legal"):
        fired = [word for word in FIRST_WORDS[group] if word in text]
        if fired:
            parts.append(Part(group, POINTS[group], fired[0]))
    parts += [Part("complex", 15, word) for word in FIRST_WORDS["complex"] if word in text]
    if "?" in query:
        parts.append(Part("question", POINTS["question"], "?"))
    return _classified(count, parts, thresholds or Thresholds(), "document-2025")


def word_count(query: str, *, thresholds: Thresholds | None = None) -> Classification:
    """Score *query* by its number of words and nothing else (profile ``words``)."""
    count = len(query.split())
    parts = [Part("length", count, f"{count} words")]
    return _classified(count, parts, thresholds or Thresholds(10, 20), "words")


def _length(count: int) -> Part:
    points = next(points for below, points in BANDS if count < below)
    return Part("length", points, f"{count} words")


def _classified(
    count: int, parts: list[Part], thresholds: Thresholds, profile: str
) -> Classification:
    score = sum(part.points for part in parts)
    features: dict[str, t.Any] = {"wordCount": count}
    named = {part.feature for part in parts}
    features |= {
        "hasMedical": "medical" in named,
        "hasLegal": "legal" in named,
        "complexKeywords": sum(part.feature == "complex" for part in parts),
        "isQuestion": "question" in named,
    }
    if profile == "words":
        features = {"wordCount": count}
    return Classification(
        score, thresholds.name(score), features, tuple(parts), thresholds, profile
    )
