"""The phrases: those that are learned from, and those that were set aside before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

FOLDER = Path(__file__).parent
OUT_OF_SCOPE = "kapsam_disi"


#: How people wrap what they ask about; the same around everything, so that it tells nothing.
FRAMES = """
    {}|{} hakkında bilgi|{} istiyorum|{} nasıl|{} nerede|{} ne zaman|{} ne kadar|{} var mı|
    {} için ne yapmalıyım|{} için hangi belgeler lazım|{} öğrenmek istiyorum|{} lütfen|merhaba {}|
    {} konusunda yardım|{} ücretli mi|{} kaç lira|{} almak istiyorum|{} nasıl yapılır|
    {} için başvuru|bana {} lazım|bugün {}|yarın {}|{} soracaktım|iyi günler {}|{} acaba|
    {} hakkında sorum var|{} ile ilgili|{} yapıyor musunuz|{} olur mu|{} kaç günde çıkar
"""


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Something that people write, and what they want."""

    text: str
    intent: str
    worth: float = 1.0


def phrases(path: Path) -> list[Phrase]:
    """Read phrases: one a line, below ``# intent``."""
    found, intent = [], ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            intent = line[2:].strip()
        elif line.strip():
            found.append(Phrase(line.strip(), intent))
    return found


def framed(path: Path = FOLDER / "keywords.txt") -> list[Phrase]:
    """Return every keyword in some of the frames, always the same ones."""
    frames = [frame.strip() for frame in FRAMES.split("|")]
    found = []
    for phrase in phrases(path):
        for keyword in phrase.text.split(";"):
            word = keyword.strip()
            start = hashlib.sha256(word.encode()).digest()[0]
            for step in range(6):
                frame = frames[0] if step == 0 else frames[(start + 5 * step) % len(frames)]
                found.append(Phrase(frame.format(word), phrase.intent, 0.3))
    return found


def taught() -> list[Phrase]:
    """Return what is learned from."""
    return phrases(FOLDER / "phrases.txt") + framed()


def held_out() -> list[Phrase]:
    """Return what is judged by: written before the first training, and used for nothing else.

    A phrase that the framed keywords happen to make as well is left out: it was learned.
    """
    known = {phrase.text for phrase in taught()}
    return [p for p in phrases(FOLDER / "held_out.txt") if p.text not in known]


def answers(path: Path = FOLDER / "answers.json") -> dict[str, str]:
    """Read what the help desk says for each intent."""
    told: dict[str, str] = json.loads(path.read_text("utf-8"))
    return told
