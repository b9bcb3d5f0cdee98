"""What is taken out of a text before it leaves, and put back into the answer.

Fails closed: a text that could not be looked through is not sent.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re

Names = c.Callable[[str], c.Iterable[str]]

IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.I)
TCKN = re.compile(r"(?<![\d])[1-9](?:[ ]?\d){10}(?![\d])")
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(
    r"(?<![\d\w])(?:\+\d{1,3}|00\d{1,3}|0)?[ .()-]{0,2}\(?\d{3}\)?(?:[ .-]?\d{3})(?:[ .-]?\d{2}){2}"
    r"(?![\d])"
)
PLACEHOLDER = re.compile(r"\[(?:TCKN|IBAN|EMAIL|PHONE|NAME)_\d+\]")
LONGEST = 24


def is_tckn(text: str) -> bool:
    """Whether *text* is a Turkish identity number: eleven digits, of which two are checks."""
    digits = [int(x) for x in text if x.isdigit()]
    if len(digits) != 11 or digits[0] == 0:
        return False
    tenth = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return digits[9] == tenth and digits[10] == sum(digits[:10]) % 10


def is_iban(text: str) -> bool:
    """Whether *text* is an IBAN: its number is 1 modulo 97."""
    plain = text.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(x, 36)) for x in moved)) % 97 == 1


@dataclasses.dataclass(frozen=True)
class Redacted:
    """A text without what it held, and what that was.

    :param found: By placeholder; lives as long as the answer is made, and is kept nowhere.
    """

    text: str
    found: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind there were: all that a record may hold."""
        kinds = [name.strip("[]").rpartition("_")[0] for name in self.found]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def restore(self, text: str) -> str:
        """Put back into *text* what the placeholders stand for."""
        return PLACEHOLDER.sub(lambda match: self.found.get(match[0], match[0]), text)


def redact(text: str, names: Names | None = None) -> Redacted:
    """Replace identity numbers, IBANs, e-mails, phones, and the names that *names* returns.

    A placeholder that somebody typed is replaced as well: it would be restored as another's.
    """
    by_value: dict[tuple[str, str], str] = {}

    def put(kind: str, value: str) -> str:
        number = sum(k == kind for k, _ in by_value) + 1
        return by_value.setdefault((kind, value), f"[{kind}_{number}]")

    def put_iban(match: re.Match[str]) -> str:
        # The words that follow look like its last groups: the longest part that adds up is meant.
        found = match[0]
        for end in range(len(found), 14, -1):
            if is_iban(found[:end].rstrip()):
                value = found[:end].rstrip()
                return put("IBAN", value) + found[len(value) :]
        return found

    text = PLACEHOLDER.sub(lambda match: put("NAME", match[0]), text)
    text = EMAIL.sub(lambda match: put("EMAIL", match[0]), text)
    text = IBAN.sub(put_iban, text)
    text = TCKN.sub(lambda m: put("TCKN", m[0]) if is_tckn(m[0]) else m[0], text)
    text = PHONE.sub(lambda match: put("PHONE", match[0]), text)
    for name in sorted(set(names(text) if names else ()), key=len, reverse=True):
        if name.strip():
            bounded = rf"(?<!\w){re.escape(name)}(?!\w)"
            text = re.sub(bounded, lambda m: put("NAME", m[0]), text)
    return Redacted(text, {placeholder: value for (_, value), placeholder in by_value.items()})


class Restorer:
    """Restores an answer that comes in pieces: a placeholder may be cut between two."""

    def __init__(self, redacted: Redacted) -> None:
        self._redacted = redacted
        self._kept = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown so far."""
        text = self._kept + piece
        cut = text.rfind("[")
        unfinished = cut >= 0 and "]" not in text[cut:] and len(text) - cut < LONGEST
        self._kept = text[cut:] if unfinished else ""
        return self._redacted.restore(text[:cut] if unfinished else text)

    def rest(self) -> str:
        """Return what was held back."""
        kept, self._kept = self._kept, ""
        return self._redacted.restore(kept)
