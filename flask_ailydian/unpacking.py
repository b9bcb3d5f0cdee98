"""A model's folder that comes as one ZIP archive: looked at as a whole before a file is written."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import stat
import tempfile
import typing as t
import zipfile
import zlib
from pathlib import Path

from .engine.archives import BLOAT
from .engine.archives import ENTRY
from .engine.archives import SPARE
from .errors import ModelRefused

#: One of them lies in every folder that can be registered.
KNOWN = frozenset({"model.onnx", "genai_config.json", "MLmodel"})
MOST_ENTRIES = 64
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,127}")


def holds_folder(data: bytes) -> bool:
    """Whether the bytes are an archive of a model's folder, which PyTorch's archives are not."""
    if data[:4] != b"PK\x03\x04" or data.count(ENTRY) > MOST_ENTRIES:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return not KNOWN.isdisjoint(name.rpartition("/")[2] for name in names)


@contextlib.contextmanager
def unpacked(data: bytes, *, max_bytes: int) -> t.Iterator[Path]:
    """Lend the folder that an archive holds, for the length of the block.

    :param max_bytes: Of all its files together.
    :raises ModelRefused: for what leads out of the folder, is no plain file, or unpacks to more.
    """
    with tempfile.TemporaryDirectory(prefix="ailydian-") as place:
        root = Path(place)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for info in _files(archive, min(max_bytes, BLOAT * len(data) + SPARE)):
                    target = root / info.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(info) as source, target.open("xb") as file:
                        shutil.copyfileobj(source, file)
        # The last three: of a name that is a file and a folder at once.
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError),
            *(FileExistsError, NotADirectoryError, IsADirectoryError),
        ) as error:
            raise ModelRefused("The archive cannot be read.") from error
        inside = list(root.iterdir())
        yield inside[0] if len(inside) == 1 and inside[0].is_dir() else root


def _files(archive: zipfile.ZipFile, most: int) -> list[zipfile.ZipInfo]:
    """Return the entries that are files, none of them before all were looked at."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        # What macOS adds to every archive.
        if info.is_dir() or name.startswith("__MACOSX/") or name.endswith(".DS_Store"):
            continue
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ModelRefused("The archive holds something that is no plain file.")
        if not all(map(_PART.fullmatch, name.split("/"))):
            raise ModelRefused("The archive names a file that does not belong in a model's folder.")
        if info.flag_bits & 1:
            raise ModelRefused("The archive is encrypted.")
        if found.setdefault(name.lower(), info) is not info:
            raise ModelRefused("The archive names one file twice.")
    # No more is read of an entry than it says of itself.
    if sum(info.file_size for info in found.values()) > most:
        raise ModelRefused(f"The archive unpacks to more than the {most} bytes that are accepted.")
    return list(found.values())
