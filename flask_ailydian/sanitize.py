"""HTML that people wrote becomes harmless HTML; the only module that knows bleach."""

from __future__ import annotations

import importlib

TAGS = frozenset({"a", "b", "br", "code", "em", "i", "li", "ol", "p", "strong", "sub", "sup", "ul"})


def html(text: str) -> str:
    """Keep a few formatting tags and http(s) links, and escape everything else."""
    # With the HTML parser behind it bleach is heavy, and only who describes a model needs it.
    cleaned = importlib.import_module("bleach").clean(
        text, tags=TAGS, attributes={"a": ["href", "title"]}, protocols={"http", "https"}
    )
    return str(cleaned)
