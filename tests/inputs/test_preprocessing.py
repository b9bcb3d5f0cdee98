from __future__ import annotations

import io
import typing as t
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pictures import encoded
from pictures import picture
from PIL import Image
from PIL import ImageOps

from flask_ailydian.errors import ValidationFailed
from flask_ailydian.inputs.preprocessing import ImagePreprocessing
from flask_ailydian.inputs.preprocessing import load
from flask_ailydian.inputs.preprocessing import to_tensor

LIMITS = {"max_bytes": 10 * 2**20, "max_pixels": 40_000_000}


def reference(image: Image.Image, recipe: ImagePreprocessing) -> t.Any:
    """The plain way: Pillow's fit, then arithmetic."""
    height, width = recipe.size
    method = Image.Resampling[recipe.resample.upper()]
    fitted = ImageOps.fit(image.convert("RGB"), (width, height), method=method)
    values = np.asarray(fitted, dtype=np.float64) / 255
    return (((values - recipe.mean) / recipe.std).transpose(2, 0, 1))[None]


@given(
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    resample=st.sampled_from(["bilinear", "bicubic", "nearest", "lanczos"]),
    mean=st.floats(-1, 1),
    std=st.floats(0.05, 2),
)
@settings(max_examples=100, deadline=None)
def test_the_tensor_is_the_reference_s(
    width: int, height: int, size: tuple[int, int], resample: str, mean: float, std: float
) -> None:
    recipe = ImagePreprocessing(
        size=size, resample=resample, mean=(mean, 0.0, 0.5), std=(std, 1.0, 0.5)
    )
    image = picture(width, height)
    tensor = to_tensor(image, recipe)
    assert tensor.shape == (1, 3, *size) and tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, reference(image, recipe), atol=1e-5)


def test_layouts_colours_and_types() -> None:
    image = picture(8, 8)
    first = to_tensor(image, ImagePreprocessing(size=(8, 8)))
    last = to_tensor(image, ImagePreprocessing(size=(8, 8), layout="NHWC"))
    assert (first.transpose(0, 2, 3, 1) == last).all()
    flipped = to_tensor(image, ImagePreprocessing(size=(8, 8), mean=(0,) * 3, std=(1,) * 3))
    bgr = to_tensor(
        image, ImagePreprocessing(size=(8, 8), colour="BGR", mean=(0,) * 3, std=(1,) * 3)
    )
    assert (flipped[:, ::-1] == bgr).all()
    grey = to_tensor(image, ImagePreprocessing(size=(8, 8), colour="L", mean=(0.5,), std=(0.5,)))
    assert grey.shape == (1, 1, 8, 8)
    raw = ImagePreprocessing(size=(8, 8), dtype="uint8", mean=(0,) * 3, std=(1 / 255,) * 3)
    assert (to_tensor(image, raw)[0].transpose(1, 2, 0) == np.asarray(image)).all()


def test_contain_keeps_the_whole_picture_and_stretch_fills() -> None:
    image = Image.new("RGB", (40, 10), (255, 255, 255))
    recipe = {"size": [20, 20], "mean": [0] * 3, "std": [1] * 3}
    held = to_tensor(image, ImagePreprocessing.from_json({**recipe, "fit": "contain"}))
    assert held[0, 0, 0, 0] == 0 and held[0, 0, 10, 10] == 1
    filled = to_tensor(image, ImagePreprocessing.from_json({**recipe, "fit": "stretch"}))
    assert (filled == 1).all()


def test_a_recipe_survives_json() -> None:
    recipe = ImagePreprocessing(size=(32, 64), fit="contain", colour="L", mean=(0.1,), std=(2.0,))
    assert ImagePreprocessing.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [0, 5]},
        {"size": 5},
        {"size": [5000, 5]},
        {"size": [True, 5]},
        {"std": [0, 1, 1]},
        {"std": [1]},
        {"mean": [float("nan"), 0, 0]},
        {"mean": ["a", 0, 0]},
        {"fit": "squeeze"},
        {"resample": "magic"},
        {"colour": "CMYK"},
        {"kind": "audio"},
        {"colour": "L"},
        {"apply_orientation": 1},
        {"pad": 256},
        {"sise": [1, 1]},
    ],
)
def test_a_recipe_that_is_wrong_is_named(wrong: dict[str, t.Any]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        ImagePreprocessing.from_json(wrong)
    assert caught.value.fields


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (3000, 500), (700, 700)])
def test_drafted_jpegs_stay_close_to_the_reference(size: tuple[int, int]) -> None:
    data = encoded(picture(*size), "JPEG", quality=92)
    recipe = ImagePreprocessing()
    got = load(data, recipe, **LIMITS)
    want = reference(Image.open(io.BytesIO(data)), recipe)
    assert np.abs(got - want).mean() < 0.02


def test_real_photographs_keep_their_probabilities(data: Path) -> None:
    from flask_ailydian.engine.onnx_engine import OnnxEngine

    engine = OnnxEngine((data / "models" / "mobilenet_v2_1.0_224.onnx").read_bytes())
    recipe = ImagePreprocessing(mean=(128 / 255,) * 3, std=(128 / 255,) * 3)
    photo = Image.open(data / "models" / "parrot.jpg").convert("RGB")
    pictures = [photo.resize((int(photo.width * k), int(photo.height * k))) for k in (1, 1.7, 3)]
    xrays = sorted((data / "cxr" / "images").rglob("*.jpg"))[::97]
    files = [encoded(image, "JPEG", quality=90) for image in pictures]
    files += [path.read_bytes() for path in xrays]
    for content in files:
        image = Image.open(io.BytesIO(content))
        want = engine.run({"input": reference(image, recipe).astype(np.float32)}, deadline=None)[
            "probs"
        ]
        got = engine.run({"input": load(content, recipe, **LIMITS)}, deadline=None)["probs"]
        assert np.abs(got - want).max() < 0.003
