"""What a text looks like, whatever it is about: its lengths, lines, figures, choices and signs.

Subjects change from one traffic to the next; how a hard question looks changes less.
"""

from __future__ import annotations

import collections
import collections.abc as c
import math
import re
import typing as t

import numpy as np

#: Raised with every change below: a model that was trained on others does not fit any more.
VERSION = 2
#: Longer texts are read so far.
MOST_CHARS = 2000

_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"\w+")
_CHOICE = re.compile(r"\(?[A-Ha-h1-9][.)]\s+(?=\S)")
#: A line such as ``Answer:`` asks nothing and offers nothing.
_LABEL = re.compile(r"\w+:$")
_SENTENCE = re.compile(r"[.?!](?:\s|$)")
#: A word with a capital that no sentence begins with: mostly a name.
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÇĞİÖŞÜ]\w+")
_NUMBER = re.compile(r"[^A-Za-z]{0,3}\d[^a-z]*[A-Za-z/°%]{0,6}")
_MATH = frozenset("=+^*/\\$<>%√∫±≤≥→")
#: Words that carry no subject, in both languages that ship.
_COMMON = frozenset(
    "a an and are as at be by can could did do does for from had has have he her his how if in is "
    "it its not of on or she should that the their there they this to was were what when which "
    "who will with would you acaba ama bir bu da daha de en gibi göre hangi hangisi her için ile "
    "kadar ki mı mi mu mü ne nasıl neden o olan olarak sonra şu ve veya ya".split()
)
#: Words that tell something by standing in a text; each line counts once.
_TELLING = tuple(
    frozenset(line.split())
    for line in (
        "not except least değil hariç",
        "most best main primary likely en başlıca",
        "would should could gerekir olurdu olabilir",
        "because since çünkü nedeniyle",
        "increase increases decrease decreases more less greater higher lower artar azalır çok az",
        "he she his her they kendisi onun",
    )
)
_PHRASES = (("of the following", "aşağıdaki"), ("statement", "önerme"))
_QUOTES = frozenset('"“”«')
_YEAR = re.compile(r"\b(?:1\d{3}|20\d\d)\b")
#: How a text begins.
_OPENINGS = (
    re.compile(r"(?:the|an?|according|bir|bu)\b", re.IGNORECASE),
    re.compile(r"(?:which|hangi)", re.IGNORECASE),
    re.compile(r"(?:how|find|calculate|compute|solve|evaluate|nasıl|kaç|hesapla|bul)", re.I),
)
_YES = re.compile(r"(?:yes|no|true|false|evet|hayır|doğru|yanlış)\b", re.IGNORECASE)


def features(text: str) -> np.ndarray[t.Any, np.dtype[np.float32]]:
    """Return the numbers of one text; counts and lengths as logarithms."""
    text = text[:MOST_CHARS]
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    if len(lines) > 1 and _LABEL.match(lines[-1]):
        del lines[-1]
    choices = [line[mark.end() :] for line in lines if (mark := _CHOICE.match(line))]
    asked = " ".join(line for line in lines if not _CHOICE.match(line))
    parts = (_whole(text), _lines(lines or [""]), _asked(asked), _offered(choices, asked))
    return np.array([number for part in parts for number in part], dtype=np.float32)


def _whole(text: str) -> list[float]:
    lowered = text.lower()
    words = _WORD.findall(lowered)
    known = set(words)
    length = max(len(text), 1)
    signs = collections.Counter(text)
    counts = [len(text), len(words), _digits(text), sum(signs[sign] for sign in _MATH)]
    return [
        *_logs(counts),
        *_logs([signs[sign] for sign in ",(-"]),
        sum(count for sign, count in signs.items() if sign.isupper()) / length,
        _punctuation(signs) / length,
        len(known) / max(len(words), 1),
        *(float(not telling.isdisjoint(known)) for telling in _TELLING),
        *(float(any(phrase in lowered for phrase in phrases)) for phrases in _PHRASES),
        float(_YEAR.search(text) is not None),
        float(not _QUOTES.isdisjoint(signs)),
    ]


def _lines(lines: list[str]) -> list[float]:
    """Return what the first line is like, and those after it."""
    rest = [len(line) for line in lines[1:]] or [0]
    mean = _mean(rest)
    return [
        *_logs([len(lines[0]), _digits(lines[0]), len(lines), max(rest), min(rest), mean]),
        _spread(rest) / (mean + 1),
        sum(_digits(line) > 0 for line in lines[1:]) / len(rest),
    ]


def _asked(text: str) -> list[float]:
    words = _WORD.findall(text.lower())
    rare = [len(word) for word in words if word not in _COMMON] or [0]
    sentences = len(_SENTENCE.findall(text))
    counts = [len(text), len(words), sentences, _digits(text), len(_NAME.findall(text))]
    return [
        *_logs(counts),
        len(words) / max(sentences, 1) / 20,
        1 - len(rare) / max(len(words), 1),
        _mean(rare),
        max(rare),
        len(set(words)) / max(len(words), 1),
        float("?" in text),
        float(text.endswith("?")),
        *(float(opening.match(text) is not None) for opening in _OPENINGS),
    ]


def _offered(choices: list[str], asked: str) -> list[float]:
    """Return how the choices differ from each other, and what they take from the question."""
    shown = choices or [""]
    words = [_WORD.findall(choice.lower()) for choice in shown]
    own = [set(found) - _COMMON for found in words]
    known = set(_WORD.findall(asked.lower())) - _COMMON
    taken = [len(found & known) / max(len(found), 1) for found in own]
    lengths, counts = [len(choice) for choice in shown], [len(found) for found in words]
    mean = _mean(lengths)
    long = [len(word) for found in own for word in found] or [0]
    alike = [
        len(one & other) / max(len(one | other), 1)
        for number, one in enumerate(own)
        for other in own[:number]
    ]
    return [
        len(choices),
        *_logs([mean, max(lengths), min(lengths), _mean(counts), max(counts), min(counts)]),
        _spread(lengths) / (mean + 1),
        float(lengths.index(max(lengths))),
        _mean(alike or [0]),
        _mean(taken),
        max(taken),
        min(taken),
        _mean([float(_digits(choice) > 0) for choice in shown]),
        _mean([float(_NUMBER.fullmatch(choice) is not None) for choice in shown]),
        len({found[0] for found in words if found}),
        len({found[-1] for found in words if found}),
        _mean(long),
        max(long),
        _punctuation(collections.Counter("".join(shown))) / max(sum(lengths), 1),
        float(any(_YES.match(choice) for choice in shown)),
    ]


def _digits(text: str) -> int:
    return len(_DIGIT.findall(text))


def _punctuation(signs: c.Mapping[str, int]) -> int:
    return sum(count for sign, count in signs.items() if not sign.isalnum() and not sign.isspace())


def _logs(counts: c.Iterable[float]) -> list[float]:
    return [math.log1p(count) for count in counts]


def _mean(numbers: c.Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _spread(numbers: c.Sequence[float]) -> float:
    mean = _mean(numbers)
    return math.sqrt(_mean([(number - mean) ** 2 for number in numbers]))


#: How many numbers there are.
WIDTH = features("").size
