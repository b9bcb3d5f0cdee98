"""What a text looks like, whatever it is about: its lengths, lines, figures and signs.

Subjects change from one traffic to the next; how a hard question looks changes less.
"""

from __future__ import annotations

import re
import typing as t

import numpy as np

#: Raised with every change below: a model that was trained on others does not fit any more.
VERSION = 1
#: Longer texts are read so far.
MOST_CHARS = 2000

_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"\w+")
#: Each counts once for a text.
_SIGNS = (
    re.compile(r"_{3}|\.{3}|…"),
    re.compile(r"\b(NOT|EXCEPT|DEĞİL|HARİÇ)\b|\bexcept\b"),
    re.compile(r"\ball of the|none of the|hepsi|hiçbiri", re.IGNORECASE),
    re.compile(r"\bI\b.*\bII\b", re.DOTALL),
    re.compile(r"\?"),
    re.compile(r"\bboth\b|her ikisi|hem\b", re.IGNORECASE),
    re.compile(r"\bstatement\b|\btrue\b|\bfalse\b|önerme|doğru|yanlış", re.IGNORECASE),
)
_MATH = frozenset("=+^*/\\$<>%")


def features(text: str) -> np.ndarray[t.Any, np.dtype[np.float32]]:
    """Return the numbers of one text; counts and lengths as logarithms."""
    text = text[:MOST_CHARS]
    # The letter of a choice says nothing of its length.
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    first, rest = lines[0], [len(line) for line in lines[1:]] or [0]
    words = _WORD.findall(text)
    length = max(len(text), 1)
    mean = sum(rest) / len(rest)
    spread = (sum((x - mean) ** 2 for x in rest) / len(rest)) ** 0.5
    figures = len(_DIGIT.findall(text))
    with_figures = sum(1 for line in lines[1:] if _DIGIT.search(line))
    counts = [
        len(text),
        len(first),
        len(lines),
        max(rest),
        min(rest),
        mean,
        figures,
        len(_DIGIT.findall(first)),
        len(words),
        sum(c in _MATH for c in text),
    ]
    shares = [
        spread / (mean + 1),
        with_figures / len(rest),
        sum(map(str.isupper, text)) / length,
        sum(not c.isalnum() and not c.isspace() for c in text) / length,
        sum(map(len, words)) / max(len(words), 1),
        len({word.lower() for word in words}) / max(len(words), 1),
    ]
    signs = [float(sign.search(text) is not None) for sign in _SIGNS]
    return np.array([*np.log1p(counts), *shares, *signs], dtype=np.float32)


#: How many numbers there are.
WIDTH = features("").size
