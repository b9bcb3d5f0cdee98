"""Tells model files apart by their bytes, and takes from PyTorch's only what runs no code.

Nothing here unpickles anything. ``torch.export.load`` would: it unpickles sample inputs and odd
weights, evaluates expressions of shapes as Python, imports modules that tree specs name, and
executes guards. So it never sees the file, but an archive made anew of the graph and the raw
weights, in which every string was looked at.
"""

from __future__ import annotations

import io
import json
import re
import typing as t
import zipfile

from ..errors import ModelRefused
from .child import REFUSALS

Kind = t.Literal["onnx", "torchscript", "pytorch"]

PICKLED = (
    "Pickled files run code when they are opened and are refused; export the model with "
    "python -m training.torch_file, torch.jit.save, torch.export.save or torch.onnx.export."
)
CODE = REFUSALS["code"]
#: How much larger than the file its unpacked parts may be.
BLOAT, SPARE = 4, 2**26
#: What stands before each entry of an archive's list, and how many there may be: a list takes
#: twenty times its own size once it is read.
ENTRY, MOST_PARTS = b"PK\x01\x02", 20_000

_NAME = re.compile(r"[A-Za-z0-9_.]*")
# Arithmetic alone: no attribute of Python's own, and no operator that reaches for files.
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!(save|load|from_file|wait)\.)_?[a-z0-9][a-z0-9_]*\.[A-Za-z0-9]\w*"
    r"|torch\.ops\.aten\.__(and|or|xor|lshift|rshift)__\.[A-Za-z0-9]\w*"
    r"|_operator\.(add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge|getitem)",
    re.ASCII,
)
# What is left of an expression of shapes when its known words are taken out.
_WORDS = re.compile(
    r"Symbol\('[su]\d+'(, positive=True)?, integer=True\)|\b[su]\d+\b"
    r"|\b(Max|Min|Mod|FloorDiv|CeilDiv|CleanDiv|PythonMod|Integer)(?=\()",
    re.ASCII,
)
_ARITHMETIC = re.compile(r"(?!.*\*\*)[0-9 ()+*/,<>=-]*")
_TREES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})
_WEIGHT = re.compile(r"(weight|tensor)_\d+")


def kind_of(data: bytes) -> Kind:
    """Return what a file is; whatever is no archive is taken for ONNX, and tried as that.

    :raises ModelRefused: for pickles and for archives of another kind.
    """
    if data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ModelRefused(PICKLED)
    if data[:4] != b"PK\x03\x04":
        return "onnx"
    names = _parts(data)
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "archive_format" in names and "models/model.json" in names:
        return "pytorch"
    raise ModelRefused(PICKLED if "data.pkl" in names else "The archive is no model known here.")


def metadata(data: bytes) -> dict[str, str]:
    """Return the ``ailydian.`` entries among an archive's extra files."""
    parts = _parts(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            name.removeprefix("extra/"): archive.read(info).decode("utf-8", "replace")[:200_000]
            for name, info in parts.items()
            if name.startswith("extra/ailydian.")
        }


def exported_program(data: bytes) -> bytes:
    """Return a ``torch.export`` archive with nothing in it that could run when it is loaded.

    :raises ModelRefused: when the file needs such a thing.
    """
    parts = _parts(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            program = json.loads(archive.read(parts["models/model.json"]))
            kept = {"models/model.json": json.dumps(_checked(program)).encode()}
            for folder, name in (("weights", "weights"), ("constants", "constants")):
                config = f"data/{folder}/model_{name}_config.json"
                listed = json.loads(archive.read(parts[config]))
                kept[config] = json.dumps(listed).encode()
                for entry in listed["config"].values():
                    path = entry["path_name"]
                    if entry["use_pickle"] is not False or not _WEIGHT.fullmatch(path):
                        raise ModelRefused(CODE)
                    place = f"data/{folder}/{path}"
                    kept[place] = archive.read(parts[place])
            for name in ("archive_format", "archive_version", "byteorder", ".data/version"):
                if name in parts:
                    kept[name] = archive.read(parts[name])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ModelRefused(REFUSALS["torch"]) from error
    except zipfile.BadZipFile as error:
        raise ModelRefused("The archive cannot be read.") from error
    kept["data/sample_inputs/model.pt"] = b""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in kept.items():
            archive.writestr(f"archive/{name}", content)
    return made.getvalue()


def _parts(data: bytes) -> dict[str, zipfile.ZipInfo]:
    """Return an archive's entries by their names below its one folder."""
    if data.count(ENTRY) > MOST_PARTS:
        raise ModelRefused(f"The archive has more than {MOST_PARTS} entries.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelRefused("The archive cannot be read.") from error
    names = [info.filename.partition("/")[2] for info in found]
    roots = {info.filename.partition("/")[0] for info in found}
    # With two entries of one name, who reads it second may read the other.
    if len(roots) != 1 or len(set(map(str.lower, names))) != len(names):
        raise ModelRefused("The archive cannot be read.")
    if sum(info.file_size for info in found) > BLOAT * len(data) + SPARE:
        raise ModelRefused("The archive unpacks to far more than its size.")
    return dict(zip(names, found, strict=True))


def _checked(program: dict[str, t.Any]) -> dict[str, t.Any]:
    # Both are for people and for checks that are made here anyway.
    program["guards_code"] = []
    _check(program, "")
    return program


def _check(value: t.Any, key: str) -> None:
    if isinstance(value, dict):
        if "metadata" in value:
            value["metadata"] = {}
        for name, inner in value.items():
            if not _NAME.fullmatch(name) or name in ("as_custom_obj", "as_operator", "as_graph"):
                raise ModelRefused(CODE)
            _check(inner, name)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, key)
    elif isinstance(value, str) and not _harmless(value, key):
        raise ModelRefused(CODE)


def _harmless(text: str, key: str) -> bool:
    if key == "target":
        return _TARGET.fullmatch(text) is not None
    if key == "expr_str":
        return _ARITHMETIC.fullmatch(_WORDS.sub("", text)) is not None
    if key in ("in_spec", "out_spec"):
        return not text or _is_plain_tree(json.loads(text)[1])
    if key == "torch_version":
        return re.fullmatch(r"[0-9A-Za-z.+]*", text) is not None
    return _NAME.fullmatch(text) is not None


def _is_plain_tree(tree: dict[str, t.Any]) -> bool:
    context = tree["context"]
    plain = context is None or re.fullmatch(r'null|\[("[A-Za-z0-9_]+"(, )?)*\]', context)
    return (
        tree["type"] in _TREES and bool(plain) and all(map(_is_plain_tree, tree["children_spec"]))
    )
