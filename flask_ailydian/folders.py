"""Model sources: one file, a file with its weights beside it, or an MLflow folder."""

from __future__ import annotations

import re
from pathlib import Path

from .engine import archives
from .engine.files import read_model_file
from .engine.probe import inline_external_data
from .errors import ModelRefused

PICKLED = frozenset({".pkl", ".pickle", ".joblib", ".ckpt"})


def read_source(path: Path, *, max_bytes: int) -> bytes:
    """Return the bytes of the one self-contained model that *path* stands for.

    :raises ModelRefused: for anything that is no model, and for pickles.
    """
    if path.is_dir():
        path = _of_mlflow(path)
    if path.suffix.lower() in PICKLED:
        raise ModelRefused(archives.PICKLED)
    # The user named this very file; what is stored is a copy of what it holds.
    path = path.resolve()
    data = read_model_file(path, max_bytes=max_bytes)
    if archives.kind_of(data) != "onnx":
        return data
    if path.suffix.lower() in (".pt", ".pth"):
        raise ModelRefused(archives.PICKLED)
    if any(path.parent.iterdir()):
        return inline_external_data(path, max_bytes=max_bytes) if _has_external(data) else data
    return data


def read_tokenizer(path: Path, *, max_bytes: int) -> bytes | None:
    """Return the tokeniser that lies in a model's folder, if *path* is one that has it."""
    beside = path / "tokenizer.json"
    if not path.is_dir() or not beside.is_file():
        return None
    return read_model_file(beside.resolve(), max_bytes=max_bytes)


def _has_external(data: bytes) -> bool:
    # The key under which ONNX names the other file; a cheap look before the costly one.
    return b"location" in data


def _of_mlflow(folder: Path) -> Path:
    """Return the ONNX file of an MLflow model folder.

    ``MLmodel`` is YAML; of it one line matters, ``data: model.onnx`` below ``onnx:``.
    """
    manifest = folder / "MLmodel"
    if not manifest.is_file() and (folder / "model.onnx").is_file():
        return folder / "model.onnx"
    if not manifest.is_file():
        raise ModelRefused("The folder has no MLmodel file and no model.onnx.")
    text = manifest.read_text("utf-8", errors="replace")
    block = re.search(r"^  onnx:\s*\n((?:    .*\n?)+)", text, re.MULTILINE)
    if block is None:
        raise ModelRefused("The MLmodel file has no onnx flavour.")
    data = re.search(r"^\s+data:\s*['\"]?([^'\"\n]+?)['\"]?\s*$", block[1], re.MULTILINE)
    name = Path(data[1] if data else "model.onnx")
    target = folder / name
    if target.is_dir():
        target = target / "model.onnx"
    if name.is_absolute() or ".." in name.parts or not target.is_file():
        raise ModelRefused("The MLmodel file names no ONNX file inside its folder.")
    return target
