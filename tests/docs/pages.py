"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
#: English page to Turkish page.
PAIRS: dict[str, str] = json.loads((DOCS / "pages.json").read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: its info string, its text, and the line that it begins on."""

    info: str
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Page:
    """One page: its headings as (level, text), and its fenced blocks."""

    path: Path
    headings: tuple[tuple[int, str], ...]
    blocks: tuple[Block, ...]
    links: tuple[str, ...]


def path(language: str, english: str) -> Path:
    """Return where a page lies that is called *english* in English."""
    return DOCS / language / f"{english if language == 'en' else PAIRS[english]}.md"


def read(language: str, name: str) -> Page:
    """Return a page, read; *name* is the one it has in that language."""
    path = DOCS / language / f"{name}.md"
    headings, blocks, prose = [], [], []
    fence, info, start, held = "", "", 0, [""]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = re.match(r"(`{3,})(.*)", line)
        if not fence and mark:
            fence, info, start, held = mark[1], mark[2].strip(), number, []
        elif fence and line.strip() == fence:
            blocks.append(Block(info, "\n".join(held), start))
            fence = ""
        elif fence:
            held.append(line)
        else:
            prose.append(line)
            if heading := re.match(r"(#+) (.*)", line):
                headings.append((len(heading[1]), heading[2]))
    assert not fence, f"{path}: the fence of line {start} is never closed"
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose))
    return Page(path, tuple(headings), tuple(blocks), tuple(links))
