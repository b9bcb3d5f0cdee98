"""DICOM: the right greys, and nothing of the patient."""

from __future__ import annotations

import io
import typing as t

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from flask_ailydian.errors import AilydianError
from flask_ailydian.errors import InvalidDicom
from flask_ailydian.errors import TooManyPixels
from flask_ailydian.inputs.dicom import decode_dicom

pydicom = pytest.importorskip("pydicom", reason='no pydicom here; pip install -e ".[dicom]"')


def dicom(kind: str = "MONOCHROME2", **tags: t.Any) -> bytes:
    """Return a 12-bit ramp of 16x8 pixels as a DICOM file."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = pydicom.dataset.Dataset()
    data.file_meta = meta
    data.PatientName = "Gizli^Hasta"
    data.Rows, data.Columns = 8, 16
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PhotometricInterpretation = kind
    ramp = np.linspace(0, 4095, 128).astype(np.uint16)
    data.PixelData = ramp.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def grey(data: bytes) -> t.Any:
    image = decode_dicom(data, max_pixels=10**6)
    assert isinstance(image, Image.Image) and image.mode == "RGB"
    return np.asarray(image)[:, :, 0].astype(int).ravel()


RAMP = np.linspace(0, 4095, 128).astype(int)


def test_without_a_window_the_whole_range_is_shown() -> None:
    assert np.abs(grey(dicom()) - RAMP * 255 / 4095).max() <= 1


def test_monochrome1_is_dark_where_the_numbers_are_high() -> None:
    assert (grey(dicom("MONOCHROME1")) == 255 - grey(dicom())).mean() > 0.95


def test_the_first_of_several_windows_counts() -> None:
    one = dicom(WindowCenter=1000, WindowWidth=500)
    many = dicom(WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert (grey(one) == grey(many)).all()
    assert grey(one)[RAMP < 740].max() == 0
    assert grey(one)[RAMP > 1260].min() == 255


def test_rescaling_comes_before_the_window() -> None:
    shifted = dicom(WindowCenter=0, WindowWidth=500, RescaleIntercept=-1000, RescaleSlope=1)
    plain = dicom(WindowCenter=1000, WindowWidth=500)
    assert (grey(shifted) == grey(plain)).all()


def test_pixels_are_counted_first() -> None:
    with pytest.raises(TooManyPixels):
        decode_dicom(dicom(), max_pixels=127)
    with pytest.raises(TooManyPixels):
        decode_dicom(dicom(NumberOfFrames=1_000_000), max_pixels=10**6)


@pytest.mark.parametrize("data", [b"", bytes(132), b"x" * 500, dicom()[:300]])
def test_what_cannot_be_read_is_invalid(data: bytes) -> None:
    with pytest.raises(InvalidDicom):
        decode_dicom(data, max_pixels=10**6)


@given(st.lists(st.tuples(st.integers(128, 900), st.binary(min_size=1, max_size=6)), max_size=3))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_picture_or_a_4xx_without_a_name(
    edits: list[tuple[int, bytes]],
) -> None:
    data = bytearray(dicom())
    for place, change in edits:
        data[place : place + len(change)] = change
    try:
        decode_dicom(bytes(data), max_pixels=10**6)
    except AilydianError as error:
        assert 400 <= error.status < 500
        assert "Gizli" not in str(error)
