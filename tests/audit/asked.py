"""Asks a host about inputs that bear marks, and leaves everything that was said in its folder."""

from __future__ import annotations

import io
import logging
import sys
import typing as t
from pathlib import Path

import onnx_models
import sqlalchemy as sa
from hosts import dispose
from hosts import make_host
from inputs.test_dicom import dicom
from pictures import base64_of
from PIL import Image
from PIL import PngImagePlugin

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

URL = "/api/pytorch/inference"
MARK = "GIZLI-HASTA-4711"
PIXELS = (MARK * 256)[: 16 * 16 * 3].encode()


def picture(kind: str, **options: t.Any) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (16, 16), PIXELS).save(file, kind, **options)
    return file.getvalue()


def inputs() -> dict[str, bytes]:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", MARK)
    exif = Image.Exif()
    exif[0x010E] = MARK
    return {
        "png": picture("PNG", pnginfo=text),
        "jpg": picture("JPEG", exif=exif),
        "tif": picture("TIFF"),
        "dcm": dicom(PatientName=MARK, PatientID=MARK, PixelData=PIXELS[:256]),
        "bad.png": b"\x89PNG\r\n\x1a\n" + MARK.encode() * 20,
        "bad.dcm": bytes(128) + b"DICM" + MARK.encode() * 20,
    }


def ask(client: t.Any, given: dict[str, bytes]) -> list[bytes]:
    found = []
    for name, data in given.items():
        form = {"model_name": "shapes", "image": (io.BytesIO(data), f"{MARK}.{name}")}
        key = {"Idempotency-Key": name}
        found.append(client.post(URL, data=form, headers=key).data)
        encoded = {"model_name": "shapes", "image": base64_of(data), "user_id": "somebody"}
        found.append(client.post(URL, json=encoded).data)
    found.append(client.post(URL, json={"model_name": "words", "text": MARK}).data)
    found.append(client.post(URL, json={"model_name": "shapes", "text": MARK}).data)
    found.append(client.post(URL, json={"model_name": MARK, "text": MARK * 500}).data)
    found.append(client.post(URL, data=b'{"a": ' + MARK.encode()).data)
    wrong = {"model_name": "shapes", "image": MARK + "!", "other": MARK}
    found.append(client.post(URL, json=wrong).data)
    found.append(client.get("/api/pytorch/health/ready").data)
    return found


def main(folder: Path) -> None:
    # Made before anything is logged: Pillow tells of what it writes as well.
    given = inputs()
    logging.basicConfig(filename=folder / "everything.log", level=logging.DEBUG)
    bodies: list[bytes] = []
    for name, config in {
        "plain": {},
        "late": {"AILYDIAN_TIMEOUT_SECONDS": 0.01},
        "spool": {"AILYDIAN_AUDIT_FAILURE": "spool"},
    }.items():
        (folder / name).mkdir()
        app = make_host(folder / name, **config)
        with app.app_context():
            registry = current_ailydian.registry
            shapes = onnx_models.classifier(labels=3, size=8)
            registry.register(shapes, "shapes", "1", Declared(domain="medical"), activate=True)
            words = onnx_models.text_classifier()
            registry.register(words, "words", "1", Declared(domain="legal"), activate=True)
            if name == "spool":
                with app.extensions["sqlalchemy"].engine.begin() as connection:
                    connection.execute(sa.text("DROP TABLE pytorch_audit_checkpoints"))
                    connection.execute(sa.text("ALTER TABLE pytorch_audit_events RENAME TO away"))
            bodies += ask(app.test_client(), given)
            if name == "spool":
                assert current_ailydian.audit.spooled() > 5
        dispose(app)
    # What the client itself asked for by name is said back to it alone.
    (folder / "bodies").write_bytes(b"\n".join(b for b in bodies if b"model_not_found" not in b))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
