"""DICOM files become 8-bit RGB pictures; nothing of what else they hold is looked at."""

from __future__ import annotations

import importlib
import io
import typing as t

import numpy as np
from PIL import Image

from ..errors import InvalidDicom
from ..errors import TooManyPixels
from ..errors import UnsupportedMediaType
from .quiet import quietly

Array = np.ndarray[t.Any, np.dtype[t.Any]]

MEDIA_TYPE = "application/dicom"
#: Only what decides how the pixels look is read; names and numbers of people stay in the file.
TAGS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "PixelRepresentation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "PixelData",
    "RedPaletteColorLookupTableDescriptor",
)


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have DICOM's preamble and mark."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes, *, max_pixels: int) -> Image.Image:
    """Return the first frame: rescaled, then windowed, dark where the film is dark.

    :raises UnsupportedMediaType: without the extra ``dicom``.
    :raises InvalidDicom: when the pixels cannot be read; the message quotes nothing of the file.
    """
    try:
        pydicom = importlib.import_module("pydicom")
        pixels = importlib.import_module("pydicom.pixels")
    except ImportError as error:
        raise UnsupportedMediaType("Install flask-ailydian[dicom] to read DICOM.") from error
    if not is_dicom(data):
        raise InvalidDicom("The bytes are not a DICOM file.")
    try:
        with quietly():
            dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=list(TAGS))
            size = int(dataset.Rows) * int(dataset.Columns)
            if size < 1:
                raise InvalidDicom("The image has no pixels.")
            if size * int(dataset.get("NumberOfFrames") or 1) > max_pixels:
                raise TooManyPixels(f"At most {max_pixels} pixels are accepted.")
            return _picture(np.asarray(pixels.pixel_array(dataset, index=0)), dataset)
    except (InvalidDicom, TooManyPixels):
        raise
    # A decoder may raise anything at all, and its texts quote tags.
    except Exception as error:
        raise InvalidDicom() from error


def _picture(array: Array, dataset: t.Any) -> Image.Image:
    kind = str(dataset.PhotometricInterpretation)
    if array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8:
        return Image.fromarray(array)
    if array.ndim != 2 or kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise InvalidDicom("The colours of the image are of a kind that is not accepted.")
    values = array.astype(np.float32)
    values = values * _first(dataset.get("RescaleSlope"), 1.0)
    values += _first(dataset.get("RescaleIntercept"), 0.0)
    width = _first(dataset.get("WindowWidth"), 0.0)
    if width >= 1:
        # The linear function of the standard, PS3.3 C.11.2.1.2.1.
        centre = _first(dataset.get("WindowCenter"), 0.0)
        shares = (values - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5
    else:
        low, high = float(values.min()), float(values.max())
        shares = (values - low) / max(high - low, 1e-6)
    shares = np.clip(shares, 0, 1)
    if kind == "MONOCHROME1":
        shares = 1 - shares
    return Image.fromarray((shares * 255 + 0.5).astype(np.uint8)).convert("RGB")


def _first(value: t.Any, default: float) -> float:
    """Return a number, or the first of several: a file may offer many windows."""
    if value is None or value == "":
        return default
    if hasattr(value, "__iter__"):
        value = next(iter(value), default)
    number = float(value)
    if not np.isfinite(number):
        raise InvalidDicom("The file's numbers for its brightness are not finite.")
    return number
