"""What the reader of the documentation has at hand: models, pictures, tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import onnx_models
from pictures import encoded
from PIL import Image

from example_app import phantom

LABELS = ("red", "green", "blue")


def lay_out(folder: Path) -> None:
    """Write the files that the examples name into *folder*."""
    write = {
        "photo.onnx": onnx_models.convolutional(),
        "photo-v2.onnx": onnx_models.convolutional(seed=1),
        "sum.onnx": onnx_models.adder(),
        "mood.onnx": onnx_models.text_classifier(),
        "xray.png": phantom.draw(),
        "scan.dcm": _scan(),
        "photo.jpg": encoded(_painting(0, 0), "JPEG"),
    }
    for name, data in write.items():
        (folder / name).write_bytes(data)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    for i in range(60):
        target = folder / "pictures" / LABELS[i % 3] / f"{i:02}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(_painting(i % 3, i)))
    mlflow = folder / "mlflow-model"
    mlflow.mkdir()
    (mlflow / "model.onnx").write_bytes(onnx_models.adder())
    (mlflow / "MLmodel").write_text("flavors:\n  onnx:\n    data: model.onnx\n", encoding="utf-8")
    _outcomes(folder / "outcomes.csv")


def _painting(colour: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8)
    pixels[:, :, colour] += rng.integers(110, 160, dtype=np.uint8)
    return Image.fromarray(pixels)


def _scan() -> bytes:
    import pydicom

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    with Image.open(io.BytesIO(phantom.draw(256))) as image:
        grey = np.asarray(image.convert("L"))
    data = pydicom.dataset.Dataset()
    data.file_meta = meta
    data.PatientName = "Nobody^At^All"
    data.Rows, data.Columns = grey.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = (grey.astype(np.uint16) * 16).tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def _outcomes(path: Path) -> None:
    """Questions about medicines gain by the paid backend, the others do not."""
    rng = np.random.default_rng(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["query", "weak", "strong"])
        for i in range(400):
            hard = bool(rng.random() < 0.5)
            words = ["dosage interaction"] if hard else ["opening hours"]
            words += list(rng.choice(["please", "tell", "me", "about", "today", "the"], 5))
            query = " ".join(map(str, rng.permutation(words))) + f" {i}"
            rows.writerow([query, int(rng.random() < (0.2 if hard else 0.9)), 1])
