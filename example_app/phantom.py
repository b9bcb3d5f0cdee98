"""A chest drawn by code, for machines without an X-ray; it shows nobody."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFilter


def draw(side: int = 512) -> bytes:
    """Return a PNG file of something that is arranged like a frontal chest X-ray."""
    image = Image.new("L", (side, side), 30)
    pen = ImageDraw.Draw(image)

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        return (left * side, top * side, right * side, bottom * side)

    pen.ellipse(box(0.06, 0.1, 0.94, 1.2), fill=165)
    for left, right in ((0.16, 0.45), (0.55, 0.84)):
        pen.ellipse(box(left, 0.16, right, 0.8), fill=55)
    pen.rectangle(box(0.465, 0.0, 0.535, 1.0), fill=200)
    pen.ellipse(box(0.42, 0.45, 0.7, 0.8), fill=205)
    for i in range(7):
        top = 0.16 + 0.085 * i
        for left, right in ((0.1, 0.5), (0.5, 0.9)):
            pen.arc(box(left, top, right, top + 0.2), 190, 350, fill=125, width=side // 60)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(side / 60)), dtype=np.float64)
    noise = np.random.default_rng(7).normal(0, 4, soft.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(soft + noise, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
