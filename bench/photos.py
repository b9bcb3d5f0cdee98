"""Photographs from fixed seeds: 1/f spectra, shapes with edges, sensor noise."""

from __future__ import annotations

import io
import typing as t

import numpy as np
from PIL import Image

Array = np.ndarray[t.Any, np.dtype[t.Any]]

QUALITY = 80


def make(count: int, *, seed: int = 0, side: int = 1024) -> list[bytes]:
    """Return JPEG files of about *side* × *side*, of the size and decoding cost of photographs."""
    return [_jpeg(_photo(np.random.default_rng([seed, i]), side)) for i in range(count)]


def _jpeg(pixels: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _photo(rng: np.random.Generator, side: int) -> Array:
    low, high = side - side // 16, side + side // 16
    height, width = (int(n) for n in rng.integers(low, high + 1, size=2))
    picture = _texture(rng, height, width)
    y, x = np.mgrid[:height, :width]
    for _ in range(int(rng.integers(6, 14))):
        # An ellipse with a texture of its own: objects have edges, spectra alone have none.
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(0.05, 0.3, size=2) * min(height, width)
        turn = rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        inside = (u / rx) ** 2 + (v / ry) ** 2 < 1
        colour = rng.normal(0, 0.8, size=3)
        picture[inside] = 0.6 * np.roll(picture, int(width / 3), axis=1)[inside] + colour
    picture = 118 + 52 * picture + rng.normal(0, 2.0, size=(height, width, 1))
    return t.cast(Array, np.clip(picture, 0, 255).astype(np.uint8))


def _texture(rng: np.random.Generator, height: int, width: int) -> Array:
    """Return three channels of mean 0 and variance 1 whose amplitude falls with frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    planes = []
    for slope in (1.15, 1.3, 1.3):
        noise = np.fft.rfft2(rng.normal(size=(height, width)))
        plane = np.fft.irfft2(noise / frequency**slope, s=(height, width))
        planes.append(plane / plane.std())
    bright, warm, green = planes
    # Colours vary less than brightness, and with it.
    channels = np.stack([bright + 0.3 * warm, bright + 0.2 * green, bright - 0.3 * warm], axis=-1)
    return t.cast(Array, channels / channels.std())
