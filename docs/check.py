"""Walk the built site: every inner link and anchor leads somewhere, nothing is loaded from outside.

`python -m docs.check FOLDER` lists the links that leave the site; it fetches none of them.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urlsplit

#: Tags whose address the browser fetches by itself.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """The addresses and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.undescribed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, links to and loads."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADED.get(tag, "")):
            self.loaded.append(given[LOADED[tag]])
        if tag == "img" and not given.get("alt", "").strip():
            self.undescribed.append(given.get("src", ""))


def faults(root: Path) -> tuple[list[str], set[str]]:
    """Return what is wrong with the site under *root*, and the links that leave it."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.html"))}
    found, outside = [] if pages else [f"{root} holds no page"], set()
    for path, page in pages.items():
        name = path.relative_to(root)
        found += [f"{name}: a picture without a text: {source}" for source in page.undescribed]
        for address in (*page.links, *page.loaded):
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                outside.add(address)
                if address in page.loaded:
                    found.append(f"{name}: loads {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: no file {address}")
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    found.append(f"{name}: no anchor {address}")
    return found, outside


def main() -> None:
    """Print what is wrong and exit with 1, or print the links that leave the site."""
    found, outside = faults(Path(sys.argv[1]).resolve())
    if found:
        sys.exit("\n".join(found))
    print("No broken link. Links that leave the site, not fetched:", *sorted(outside), sep="\n  ")


if __name__ == "__main__":
    main()
