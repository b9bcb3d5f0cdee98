"""Hostile and unusual image files: the right picture, or a 4xx."""

from __future__ import annotations

import io
import struct
import typing as t
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pictures import encoded
from pictures import picture
from PIL import Image
from PIL import ImageOps

from flask_ailydian.errors import AilydianError
from flask_ailydian.errors import ImageTooLarge
from flask_ailydian.errors import InvalidImage
from flask_ailydian.errors import TooManyPixels
from flask_ailydian.errors import UnsupportedMediaType
from flask_ailydian.inputs.images import decode_image


def decode(data: bytes, **options: t.Any) -> Image.Image:
    options = {"max_bytes": 10 * 2**20, "max_pixels": 40_000_000, **options}
    image = decode_image(data, **options)
    assert image.mode == "RGB"
    return image


def pixels(image: Image.Image) -> t.Any:
    return np.asarray(image.convert("RGB")).astype(int)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    rows = zlib.compress(bytes(min(height, 10) * (min(width, 100) + 1)))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (pixels(decode(encoded(picture(), kind, **options))) == pixels(picture())).all()


def test_jpeg_is_decoded_as_pillow_does() -> None:
    data = encoded(picture(), "JPEG")
    assert (pixels(decode(data)) == pixels(Image.open(io.BytesIO(data)))).all()


def test_the_first_picture_of_a_phone_s_file_counts() -> None:
    file = io.BytesIO()
    picture(seed=1).save(file, "MPO", save_all=True, append_images=[picture(seed=2)])
    first = io.BytesIO()
    picture(seed=1).save(first, "JPEG")
    assert (pixels(decode(file.getvalue())) == pixels(Image.open(first))).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_the_first_frame_counts(kind: str) -> None:
    more = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture(seed=1), kind, save_all=True, append_images=[picture(seed=2)], **more)
    assert (pixels(decode(data)) == pixels(picture(seed=1))).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        result = pixels(decode(encoded(Image.fromarray(ramp), kind)))[:, :, 0]
        assert abs(result - ramp / 257).max() <= 1
        assert (result == 255).mean() < 0.01


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_that_has_a_right_picture_gets_it(mode: str) -> None:
    image = picture().convert("RGB").convert("L" if mode in ("1", "LA") else "RGB")
    if mode == "LAB":
        image = Image.new("LAB", (8, 8), (128, 128, 128))
    else:
        image = image.convert(mode)
    decode(encoded(image, "TIFF"))


def test_transparent_pixels_go_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 128))
    result = decode(encoded(image))
    assert result.getpixel((0, 0)) == (255, 0, 0)
    assert result.getpixel((3, 3)) == (255, 255, 255)
    assert result.getpixel((1, 0)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_goes_on_white(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (10, 20, 30)).convert(mode)
    colour: t.Any = {"L": image.getpixel((0, 0)), "RGB": (10, 20, 30)}.get(mode, 0)
    if mode == "P":
        colour = image.getpixel((0, 0))
    assert decode(encoded(image, transparency=colour)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(20, 10), "JPEG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (pixels(decode(data)) == pixels(expected)).all()
    assert decode(data, apply_orientation=False).size == (20, 10)


def test_cmyk_jpegs_are_decoded() -> None:
    decode(encoded(picture().convert("CMYK"), "JPEG"))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "ICO", "PPM", "ICNS", "JPEG2000"])
def test_formats_that_are_not_listed_are_refused(kind: str) -> None:
    try:
        data = encoded(picture(), kind)
    except (KeyError, OSError):
        data = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64)
    with pytest.raises(UnsupportedMediaType):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\0", bytes(9)])
def test_fragments_are_invalid(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_half_a_file_is_invalid_even_where_the_host_takes_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(InvalidImage):
        decode(data[: len(data) // 2])


def test_declared_types_that_are_no_images_are_refused() -> None:
    for declared in ("text/html", "image/svg+xml", "image/gif"):
        with pytest.raises(UnsupportedMediaType):
            decode(encoded(), declared=declared)
    decode(encoded(), declared="image/jpeg")


def test_too_many_bytes() -> None:
    with pytest.raises(ImageTooLarge):
        decode(encoded(), max_bytes=10)


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (1, 50_000_000), (2**31 - 1, 2**31 - 1)]
)
def test_pixels_are_counted_before_decoding(width: int, height: int) -> None:
    with pytest.raises(TooManyPixels):
        decode(png(width, height))


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_invalid(width: int, height: int) -> None:
    with pytest.raises(InvalidImage):
        decode(png(width, height))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"tEXt", b"a\0" + bytes(2_000_000)),
        chunk(b"eXIf", b"MM\0*" + b"\xff" * 200),
        chunk(b"tRNS", b""),
        chunk(b"gAMA", b""),
    ],
    ids=["zTXt", "iTXt", "iCCP", "tEXt", "eXIf", "tRNS", "gAMA"],
)
def test_chunks_that_explode_give_a_picture_or_a_4xx(extra: bytes) -> None:
    try:
        decode(png(10, 10, extra))
    except AilydianError as error:
        assert 400 <= error.status < 500


def test_a_jpeg_of_hundreds_of_scans_is_refused_unread() -> None:
    data = encoded(picture(), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    with pytest.raises(InvalidImage, match="scans"):
        decode(data[:start] + data[start:-2] * 40 + b"\xff\xd9")
    decode(data)


def test_a_tiff_of_millions_of_strips_is_refused_unread() -> None:
    tags = [(256, 1, 60), (257, 1, 60), (273, 2_000_000, 200), (279, 2_000_000, 200)]
    entries = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4 + 8_000_200)
    with pytest.raises(InvalidImage, match="strips"):
        decode(data)


def test_the_host_s_pillow_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(encoded())
    assert before == Image.MAX_IMAGE_PIXELS


SOURCES = {
    "jpeg": encoded(picture(40, 30), "JPEG"),
    "progressive": encoded(picture(40, 30), "JPEG", progressive=True),
    "png": encoded(picture(40, 30)),
    "palette": encoded(picture(40, 30).convert("P")),
    "webp": encoded(picture(40, 30), "WEBP"),
    "lossless": encoded(picture(40, 30), "WEBP", lossless=True),
    "tiff": encoded(picture(40, 30), "TIFF"),
    "lzw": encoded(picture(40, 30), "TIFF", compression="tiff_lzw"),
    "deflate": encoded(picture(40, 30), "TIFF", compression="tiff_adobe_deflate"),
}


@given(
    source=st.sampled_from(sorted(SOURCES)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4),
    keep=st.floats(0.2, 1.5),
)
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_picture_or_a_4xx(
    source: str, edits: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(SOURCES[source])
    for place, change in edits:
        start = int(place * len(data))
        data[start : start + len(change)] = change
    damaged = bytes(data[: int(keep * len(data))])
    try:
        decode(damaged, max_pixels=1_000_000)
    except AilydianError as error:
        assert 400 <= error.status < 500
        assert "/" not in str(error)
