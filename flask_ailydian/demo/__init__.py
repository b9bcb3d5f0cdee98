"""The demo model: a teaching model for chest X-rays, not for diagnosis."""

from __future__ import annotations

import json
import typing as t
from importlib.resources import files
from pathlib import Path

from ..clock import now
from ..engine.files import sha256_of
from ..engine.files import store

NAME = "chest-xray-classifier-demo"
VERSION = "v1.0.0"


def read() -> bytes:
    """Return the ONNX file."""
    return files(__name__).joinpath(f"{NAME}.onnx").read_bytes()


def card() -> str:
    """Return the model card, as Markdown."""
    return files(__name__).joinpath(f"{NAME}.md").read_text("utf-8")


def place(folder: Path) -> str:
    """Write the file into a folder of model files and return its path there."""
    data = read()
    return store(data, folder, f"{sha256_of(data)}.onnx")


def row() -> dict[str, t.Any]:
    """Return the row of ``pytorch_models``, for a host's own migration.

    Read from ``row.json``, which a test holds equal to what registering the file gives.
    """
    values: dict[str, t.Any] = json.loads(files(__name__).joinpath("row.json").read_text("utf-8"))
    return values | {"created_at": now(), "updated_at": now()}
