"""Model sources: one file, a file with its weights beside it, or a folder."""

from __future__ import annotations

import collections.abc as c
import json
import re
import typing as t
from pathlib import Path

from .engine import archives
from .engine.files import read_model_file
from .engine.probe import inline_external_data
from .engine.probe import ProbeLimits
from .engine.probe import render_template
from .errors import ModelRefused

#: What `onnxruntime-genai` writes beside a model, and what else says how a model is asked.
GENAI = "genai_config.json"
SAYING = ("generation_config.json", "config.json", "tokenizer_config.json")
#: Signs that chat templates use, as the tokeniser's file calls them.
SIGNS = ("bos_token", "eos_token", "pad_token", "unk_token")
#: Tokens of prompt and answer together that are kept room for, however many the model could read.
CONTEXT = 4096
#: A file that says something, not one that holds anything.
MOST_SAID = 2**22

PICKLED = frozenset({".pkl", ".pickle", ".joblib", ".ckpt"})


class Source(t.NamedTuple):
    """A model, the tokeniser beside it, and how it is asked as far as its folder says it."""

    data: bytes
    tokenizer: bytes | None = None
    recipe: t.Mapping[str, t.Any] = {}


def read(
    path: Path, *, max_bytes: int, writes: bool, limits: c.Callable[[int], ProbeLimits]
) -> Source:
    """Return what is registered of a file or a folder.

    :param writes: Whether it is to be asked as a model that writes.
    :param limits: What may be spent on a model of so many bytes.
    :raises ModelRefused: for anything that is no model.
    """
    data = read_source(path, max_bytes=max_bytes)
    tokenizer = read_tokenizer(path, max_bytes=max_bytes)
    return Source(data, tokenizer, read_recipe(path, limits=limits(len(data))) if writes else {})


def read_source(path: Path, *, max_bytes: int) -> bytes:
    """Return the bytes of the one self-contained model that *path* stands for.

    :raises ModelRefused: for anything that is no model, and for pickles.
    """
    if path.is_dir():
        path = _of_genai(path) if (path / GENAI).is_file() else _of_mlflow(path)
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


def read_recipe(path: Path, *, limits: ProbeLimits) -> dict[str, t.Any]:
    """Return how a model that writes is asked, as far as its folder says it.

    :raises ModelRefused: for files that are no JSON, and templates that cannot be rendered.
    """
    if not path.is_dir():
        return {}
    genai, generation, config, tokenizer = (_said(path / name) for name in (GENAI, *SAYING))
    model = genai.get("model", {})
    found: dict[str, t.Any] = {}
    for said in (model, generation, config):
        end = said.get("eos_token_id")
        if end is not None and "end" not in found:
            found["end"] = list(end) if isinstance(end, list) else [end]
    for said, name in ((model, "context_length"), (config, "max_position_embeddings")):
        if said.get(name) is not None:
            found.setdefault("context", min(said[name], CONTEXT))
    # Whether there is chance in answers is for whoever registers the model to say.
    for said in (genai.get("search", {}), generation):
        if said.get("top_p") is not None:
            found.setdefault("top_p", said["top_p"])
    if stop := generation.get("stop_strings"):
        found["stop"] = [stop] if isinstance(stop, str) else stop
    beside = path / "chat_template.jinja"
    template = tokenizer.get("chat_template")
    if beside.is_file():
        template = read_model_file(beside.resolve(), max_bytes=MOST_SAID).decode("utf-8", "replace")
    if isinstance(template, list):
        # Several of them, by name.
        named = {x.get("name"): x.get("template") for x in template if isinstance(x, dict)}
        template = named.get("default")
    if isinstance(template, str):
        signs = {name: _sign(tokenizer[name]) for name in SIGNS if tokenizer.get(name)}
        found["template"] = render_template(template, signs, limits=limits)
    return found


def _sign(said: t.Any) -> str:
    return str(said.get("content", "")) if isinstance(said, dict) else str(said)


def _said(path: Path) -> dict[str, t.Any]:
    if not path.is_file():
        return {}
    try:
        said = json.loads(read_model_file(path.resolve(), max_bytes=MOST_SAID))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is not JSON.") from error
    if not isinstance(said, dict):
        raise ModelRefused(f"{path.name} is not a JSON object.")
    return said


def _of_genai(folder: Path) -> Path:
    """Return the decoder of a folder as ``onnxruntime-genai`` has it.

    :raises ModelRefused: when it needs anything but one decoder that lies in the folder.
    """
    said = _said(folder / GENAI)
    if _names(said, "custom_ops_library"):
        raise ModelRefused(f"{GENAI} names a library of operators: code that would run here.")
    decoder = said.get("model", {}).get("decoder", {})
    name = decoder.get("filename", "model.onnx")
    parts = sorted(set(said.get("model", {})) & {"encoder", "vision", "speech", "embedding"})
    if parts or decoder.get("pipeline"):
        raise ModelRefused(f"{GENAI} describes more than one decoder of text.")
    if not isinstance(name, str) or Path(name).name != name or "\\" in name:
        raise ModelRefused(f"{GENAI} names a model outside its folder.")
    if not (folder / name).is_file():
        raise ModelRefused(f"{GENAI} names a model that is not in its folder.")
    return folder / name


def _names(said: t.Any, key: str) -> bool:
    """Whether a key stands anywhere in a JSON value."""
    if isinstance(said, dict):
        return key in said or any(_names(value, key) for value in said.values())
    return isinstance(said, list) and any(_names(value, key) for value in said)


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
