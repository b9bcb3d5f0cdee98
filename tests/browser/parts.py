"""What the tests of the components need: pictures, a page with one element, what was recorded."""

from __future__ import annotations

import base64
import contextlib
import io
import sqlite3
import time
import typing as t

import numpy as np
from browser.conftest import Site
from PIL import Image

from example_app import phantom

#: A picture whose sides differ, so that a wrong place of the heat map shows.
WIDE = (640, 400)
BROKEN = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff no picture"}


def picture(name: str = "chest.png") -> dict[str, t.Any]:
    """Return a phantom as the browser's file field takes it."""
    return {"name": name, "mimeType": "image/png", "buffer": phantom.draw()}


def wide_picture() -> dict[str, t.Any]:
    """Return a phantom that is wider than it is high."""
    file = io.BytesIO()
    Image.open(io.BytesIO(phantom.draw())).resize(WIDE).save(file, "PNG")
    return {"name": "wide.png", "mimeType": "image/png", "buffer": file.getvalue()}


def heavy_picture() -> dict[str, t.Any]:
    """Return a picture of some megabytes, whose upload takes a while on a slow line."""
    noise = np.random.default_rng(3).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG", compress_level=0)
    return {"name": "heavy.png", "mimeType": "image/png", "buffer": file.getvalue()}


def dicom(name: str) -> dict[str, t.Any]:
    """Return a DICOM file of a phantom."""
    from pydicom.dataset import FileDataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian
    from pydicom.uid import generate_uid
    from pydicom.uid import SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pixels = np.asarray(Image.open(io.BytesIO(phantom.draw(256))).convert("L"))
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.PatientName = "Yılmaz^Ayşe"
    data.SpecificCharacterSet = "ISO_IR 192"
    data.Modality = "DX"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelRepresentation = 0
    data.PixelData = pixels.tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return {"name": name, "mimeType": "", "buffer": file.getvalue()}


def mount(page: t.Any, tag: str, **attributes: str) -> t.Any:
    """Put one element in the place of the page's content, note its events, and return it."""
    page.evaluate(
        """([tag, given]) => {
          window.heard = [];
          for (const name of ["prediction", "answer", "error", "rating"]) {
            document.addEventListener(`ailydian-${name}`, (event) =>
              window.heard.push([name, JSON.parse(JSON.stringify(event.detail))]));
          }
          const node = document.createElement(tag);
          for (const [name, text] of Object.entries(given)) node.setAttribute(name, text);
          const title = document.createElement("h1");
          title.textContent = "One element";
          document.querySelector("main").replaceChildren(title, node);
        }""",
        [tag, {name.replace("_", "-"): text for name, text in attributes.items()}],
    )
    return page.locator(tag)


def heard(page: t.Any, name: str) -> list[dict[str, t.Any]]:
    """Return what the page heard under a name."""
    return [detail for said, detail in page.evaluate("window.heard") if said == name]


def hand_over(element: t.Any, kind: str, *files: dict[str, t.Any]) -> None:
    """Drop files on an element, or paste them into the page."""
    sent = [
        [f["name"], f["mimeType"], base64.b64encode(f["buffer"]).decode("ascii")] for f in files
    ]
    element.evaluate(
        """(node, [kind, files]) => {
          const carried = new DataTransfer();
          for (const [name, type, text] of files) {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            carried.items.add(new File([bytes], name, { type }));
          }
          const options = { bubbles: true, cancelable: true, composed: true };
          if (kind === "paste") {
            const event = new ClipboardEvent("paste", { ...options, clipboardData: carried });
            document.body.dispatchEvent(event);
          } else {
            const target = node.shadowRoot.querySelector(".drop");
            for (const name of ["dragenter", "dragover", "drop"]) {
              target.dispatchEvent(new DragEvent(name, { ...options, dataTransfer: carried }));
            }
          }
        }""",
        [kind, sent],
    )


@contextlib.contextmanager
def slow(page: t.Any, **limits: float) -> t.Iterator[None]:
    """Make the line slow: bytes a second up and down, milliseconds until anything comes."""
    usual = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1, "offline": False}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", usual | limits)
    try:
        yield
    finally:
        session.send("Network.emulateNetworkConditions", usual)
        session.detach()


def row(site: Site, table: str, column: str, value: str) -> dict[str, t.Any] | None:
    """Return a row of the site's database."""
    with sqlite3.connect(site.folder / "example.db") as connection:
        connection.row_factory = sqlite3.Row
        query = f"SELECT * FROM {table} WHERE {column} = ?"
        found = connection.execute(query, (value,)).fetchone()
    connection.close()
    return dict(found) if found else None


def until(page: t.Any, holds: t.Callable[[], t.Any], seconds: float = 30) -> None:
    """Wait until something holds; Playwright's own way needs ``eval``, which the policy forbids."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came about"
        page.wait_for_timeout(20)


def hear(page: t.Any, name: str, count: int = 1) -> list[dict[str, t.Any]]:
    """Wait until the page has heard something so many times, and return it."""
    until(page, lambda: len(heard(page, name)) >= count)
    return heard(page, name)
