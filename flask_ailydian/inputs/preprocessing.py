"""How a model wants its images: the recipe is data of the model."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing as t

import numpy as np
from PIL import Image
from PIL import ImageOps

from ..errors import ImageTooLarge
from ..errors import ValidationFailed
from . import dicom
from . import images

Array = np.ndarray[t.Any, np.dtype[t.Any]]

#: Changes whenever the same bytes and recipe would give another tensor.
VERSION = 1

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESAMPLING = {
    name.lower(): Image.Resampling[name] for name in ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS")
}
CHOICES = {
    "kind": ("image",),
    "fit": ("cover", "contain", "stretch"),
    "resample": tuple(RESAMPLING),
    "colour": ("RGB", "BGR", "L"),
    "layout": ("NCHW", "NHWC"),
    "dtype": ("float32", "float16", "uint8"),
}
MAX_SIDE = 4096


@dataclasses.dataclass(frozen=True)
class ImagePreprocessing:
    """A recipe: scale and crop to a size, then ``(pixel / 255 - mean) / std`` by channel.

    The default is the one that most ImageNet models were trained with.
    """

    kind: str = "image"
    size: tuple[int, int] = (224, 224)
    fit: str = "cover"
    resample: str = "bicubic"
    pad: int = 0
    colour: str = "RGB"
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    layout: str = "NCHW"
    dtype: str = "float32"
    apply_orientation: bool = True

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> ImagePreprocessing:
        """Read a recipe; what it leaves out has the default.

        :raises ValidationFailed: with the messages by member.
        """
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        wrong = {str(key): ["Unknown."] for key in data.keys() - known.keys()}
        for key, value in data.items():
            if key in known and (message := _wrong(key, value)):
                wrong[key] = [message]
        if wrong:
            raise ValidationFailed(fields=wrong)
        values: dict[str, t.Any] = dict(data)
        for key in ("size", "mean", "std"):
            if key in values:
                values[key] = tuple(values[key])
        recipe = cls(**values)
        channels = 1 if recipe.colour == "L" else 3
        for key in ("mean", "std"):
            if len(getattr(recipe, key)) != channels:
                raise ValidationFailed(fields={key: [f"{channels} numbers, one a channel."]})
        return recipe

    def frame(self) -> dict[str, t.Any]:
        """Return what somebody needs to lay what the model saw over the picture."""
        return {"fit": self.fit, "size": list(self.size), "upright": self.apply_orientation}

    def to_json(self) -> dict[str, t.Any]:
        """Return the whole recipe as JSON holds it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _wrong(key: str, value: t.Any) -> str | None:
    if key in CHOICES:
        return None if value in CHOICES[key] else f"One of {', '.join(CHOICES[key])}."
    if key == "apply_orientation":
        return None if isinstance(value, bool) else "True or false."
    if key == "pad":
        right = type(value) is int and 0 <= value <= 255
        return None if right else "A whole number between 0 and 255."
    if not isinstance(value, list | tuple):
        return "A list of numbers."
    if key == "size":
        right = len(value) == 2 and all(type(v) is int and 1 <= v <= MAX_SIDE for v in value)
        return None if right else f"Height and width, each between 1 and {MAX_SIDE}."
    if not all(type(v) in (int, float) and math.isfinite(v) for v in value):
        return "A list of finite numbers."
    if key == "std" and not all(v > 0 for v in value):
        return "Every number must be above zero."
    return None


def load(
    data: bytes,
    recipe: ImagePreprocessing,
    *,
    max_bytes: int,
    max_pixels: int,
    declared: str | None = None,
) -> Array:
    """Return the tensor of an untrusted image file, batch axis first.

    :raises AilydianError: with a status between 400 and 499.
    """
    if declared == dicom.MEDIA_TYPE or dicom.is_dicom(data):
        return to_tensor(_dicom(data, max_bytes, max_pixels), recipe)
    # A JPEG that lies on its side is scaled by the other side, so both get the larger.
    side = max(recipe.size)
    image = images.decode_image(
        data,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        declared=declared,
        draft=(side, side),
        apply_orientation=recipe.apply_orientation,
    )
    return to_tensor(image, recipe)


def _dicom(data: bytes, max_bytes: int, max_pixels: int) -> Image.Image:
    if len(data) > max_bytes:
        raise ImageTooLarge(f"At most {max_bytes} bytes are accepted.")
    return dicom.decode_dicom(data, max_pixels=max_pixels)


def to_tensor(image: Image.Image, recipe: ImagePreprocessing) -> Array:
    """Return an RGB picture as the tensor that the recipe describes, batch axis first."""
    height, width = recipe.size
    resample = RESAMPLING[recipe.resample]
    if recipe.fit == "cover":
        fitted = ImageOps.fit(image, (width, height), method=resample)
    elif recipe.fit == "contain":
        padding = (recipe.pad,) * 3
        fitted = ImageOps.pad(image, (width, height), method=resample, color=padding)
    else:
        fitted = image.resize((width, height), resample)
    pixels = np.asarray(fitted.convert("L") if recipe.colour == "L" else fitted)
    pixels = pixels.reshape(height, width, -1)
    if recipe.colour == "BGR":
        pixels = pixels[:, :, ::-1]
    tables = _tables(recipe.mean, recipe.std, recipe.dtype)
    channels = len(tables)
    first = recipe.layout == "NCHW"
    shape = (1, channels, height, width) if first else (1, height, width, channels)
    tensor = np.empty(shape, dtype=recipe.dtype)
    for channel, table in enumerate(tables):
        target = tensor[0, channel] if first else tensor[0, :, :, channel]
        # A table of 256 entries is quicker than the arithmetic, and exact; the mode spares a
        # check of bounds that no byte can be out of.
        np.take(table, pixels[:, :, channel], out=target, mode="clip")
    return tensor


@functools.lru_cache(maxsize=256)
def _tables(mean: tuple[float, ...], std: tuple[float, ...], dtype: str) -> tuple[Array, ...]:
    values = np.arange(256, dtype=np.float64) / 255
    tables = [(values - m) / s for m, s in zip(mean, std, strict=True)]
    if dtype == "uint8":
        tables = [np.clip(np.rint(table), 0, 255) for table in tables]
    return tuple(table.astype(dtype) for table in tables)
