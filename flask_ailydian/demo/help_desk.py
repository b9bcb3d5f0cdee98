"""The demo help desk: answers what people ask a town and its clinic, in Turkish."""

from __future__ import annotations

from importlib.resources import files

NAME = "help-desk-demo"
VERSION = "v1.0.0"


def read() -> bytes:
    """Return the ONNX file."""
    return files(__package__).joinpath(f"{NAME}.onnx").read_bytes()


def card() -> str:
    """Return the model card, as Markdown."""
    return files(__package__).joinpath(f"{NAME}.md").read_text("utf-8")
