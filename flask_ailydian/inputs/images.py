"""Untrusted image files become 8-bit RGB pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL import ImageOps

from ..errors import ImageTooLarge
from ..errors import InvalidImage
from ..errors import TooManyPixels
from ..errors import UnsupportedMediaType
from . import headers
from .headers import MEDIA_TYPES as MEDIA_TYPES
from .quiet import quietly

#: Declared types that say nothing, or nothing wrong; the bytes decide.
_TOLERATED = frozenset(MEDIA_TYPES) | {"image/jpg", "image/*", "application/octet-stream", ""}


def decode_image(
    data: bytes,
    *,
    max_bytes: int,
    max_pixels: int,
    declared: str | None = None,
    draft: tuple[int, int] | None = None,
    apply_orientation: bool = True,
) -> Image.Image:
    """Return the first frame as RGB, upright, transparent pixels on white.

    :param declared: The media type that came with the bytes.
    :param draft: Width and height that the picture is going to be scaled to: a JPEG may then be
        decoded at a half, a quarter or an eighth, as long as twice that size is left.
    :raises AilydianError: with a status between 400 and 499, for whatever is wrong with them.
    """
    if declared is not None and declared.lower() not in _TOLERATED:
        raise UnsupportedMediaType(f"Accepted are {', '.join(MEDIA_TYPES)}.")
    if len(data) > max_bytes:
        raise ImageTooLarge(f"At most {max_bytes} bytes are accepted.")
    kind = headers.sniff(data)
    if kind == "DICOM":
        raise UnsupportedMediaType("Send DICOM files as application/dicom.")
    width, height = headers.dimensions(data, kind)
    if width * height > max_pixels:
        raise TooManyPixels(f"At most {max_pixels} pixels are accepted.")
    if kind == "JPEG" and headers.count_scans(data) > headers.MAX_SCANS:
        raise InvalidImage(f"The JPEG file has more than {headers.MAX_SCANS} scans.")
    try:
        with quietly():
            return _decode(data, kind, (width, height), draft, apply_orientation)
    except (InvalidImage, UnsupportedMediaType, TooManyPixels):
        raise
    # Hostile bytes have been seen to make Pillow raise nearly everything there is; all of it
    # means that the file cannot be read, and none of its texts is for the caller.
    except Exception as error:
        raise InvalidImage() from error


def _decode(
    data: bytes,
    kind: str,
    stated: tuple[int, int],
    draft: tuple[int, int] | None,
    apply_orientation: bool,
) -> Image.Image:
    # Phones write JPEG files with a second picture behind the first (MPO); it is ignored.
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        if image.size != stated:
            raise InvalidImage("The image contradicts itself about its size.")
        if draft is not None and kind == "JPEG":
            _shrink_while_decoding(image, draft)
        image.load()
        orientation = _orientation(image) if apply_orientation else 1
        picture = to_rgb(image)
    if orientation in range(2, 9):
        picture = picture.copy()
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.info["exif"] = exif.tobytes()
        picture = ImageOps.exif_transpose(picture)
    picture.info.clear()
    return picture


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation; metadata that cannot be read does not spoil a good picture."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def _shrink_while_decoding(image: Image.Image, draft: tuple[int, int]) -> None:
    if image.mode not in ("L", "RGB", "YCbCr"):
        return
    scale = min(image.width / draft[0], image.height / draft[1])
    # Twice the target is kept, so that what follows still decides how the result looks.
    factor = next((f for f in (8, 4, 2) if scale >= 2 * f), 1)
    if factor > 1:
        size = (image.width // factor, image.height // factor)
        image.draft("L" if image.mode == "L" else "RGB", size)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return *image* as 8-bit RGB, by a rule for each mode; itself when it is that already.

    Pillow's own ``convert("RGB")`` clips 16-bit grey at 255, which turns an X-ray white.

    :raises InvalidImage: for modes that have no one right conversion.
    """
    mode = image.mode
    if mode.startswith("I;16") or mode == "I":
        return _from_16_bit(image)
    if mode == "F":
        raise InvalidImage("Floating-point images have no range of brightness to go by.")
    if mode in ("P", "1", "L", "RGB") and "transparency" not in image.info:
        return image.convert("RGB") if mode != "RGB" else image
    if mode in ("P", "PA", "LA", "La", "RGBA", "RGBa", "L", "RGB", "1"):
        straight = image if mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", straight.size, (255, 255, 255))
        white.paste(straight.convert("RGB"), mask=straight.getchannel("A"))
        return white
    if mode in ("CMYK", "YCbCr", "HSV", "LAB", "RGBX"):
        return image.convert("RGB")
    raise InvalidImage("The image's colours are of a kind that is not accepted.")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey by its full range, or by the largest value that the file declares."""
    pixels = np.asarray(image).astype(np.float32)
    top = 65535.0
    tags = getattr(image, "tag_v2", None)
    if tags is not None and 281 in tags:
        declared = tags[281]
        declared = declared[0] if isinstance(declared, tuple) else declared
        if 255 < declared < 65535:
            top = float(declared)
    inverted = tags is not None and tags.get(262) == 0
    grey = np.clip(pixels * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)
    if inverted:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")
