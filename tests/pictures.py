"""Pictures drawn by code, for tests."""

from __future__ import annotations

import base64
import io
import typing as t

import numpy as np
from PIL import Image


def picture(width: int = 32, height: int = 32, *, seed: int = 0) -> Image.Image:
    """Return a smooth coloured picture."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image | None = None, kind: str = "PNG", **options: t.Any) -> bytes:
    """Return a picture as the bytes of a file."""
    file = io.BytesIO()
    (image or picture()).save(file, kind, **options)
    return file.getvalue()


def base64_of(data: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(data).decode()


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """Return bytes as a data URI."""
    return f"data:{media_type};base64,{base64_of(data)}"
