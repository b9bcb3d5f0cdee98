"""Tries a model file in a process of its own, where it can crash and hang at will."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from .child import ask
from .child import ProbeLimits as ProbeLimits
from .child import REFUSALS as REFUSALS
from .files import read_model_file
from .signature import TensorSpec


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """What was found out about a model."""

    opset: int
    ir_version: int
    producer: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]
    ends_in_probabilities: bool
    ran: bool
    load_ms: float
    run_ms: float | None
    peak_bytes: int
    #: What loading and running the model added; 0 where nobody measured it.
    loaded_bytes: int = 0
    #: Where the last map of features and the weights behind it are, for class activation maps.
    cam: dict[str, t.Any] | None = None
    #: Where another server has the model, as :class:`.remote.address.RemoteModel` writes it.
    remote: str | None = None

    @property
    def exposed(self) -> tuple[str, ...]:
        """The inner values of the graph that an engine should be able to return."""
        return () if self.cam is None else (str(self.cam["map"]),)

    @property
    def opening(self) -> dict[str, t.Any]:
        """What :func:`.open.open_engine` has to know besides the file."""
        return {"expose": self.exposed, "inputs": self.inputs, "outputs": self.outputs}

    def to_json(self) -> dict[str, t.Any]:
        """Return the report as JSON holds it."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["inputs"] = [spec.to_json() for spec in self.inputs]
        data["outputs"] = [spec.to_json() for spec in self.outputs]
        return data

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> ModelReport:
        """Read what :meth:`to_json` wrote."""
        values = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        values["inputs"] = tuple(map(TensorSpec.from_json, data["inputs"]))
        values["outputs"] = tuple(map(TensorSpec.from_json, data["outputs"]))
        return cls(**values)


def probe(
    data: bytes, *, limits: ProbeLimits | None = None, size: tuple[int, int] | None = None
) -> ModelReport:
    """Check a model's structure, load it and run it on zeros, all in a child process.

    :param size: Height and width to try where the model leaves them open.
    :raises ModelRefused: with one sentence of ours, whatever the model did.
    """
    request = {"mode": "probe", "size": list(size or (224, 224))}
    answer = ask("_probe_child", request, data, limits or ProbeLimits())
    return ModelReport.from_json(json.loads(answer))


def probe_torch(
    data: bytes,
    kind: str,
    *,
    limits: ProbeLimits,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    inputs: t.Sequence[TensorSpec] = (),
) -> ModelReport:
    """Check a TorchScript or ``torch.export`` file, load it and run it, all in a child process.

    :param size: Height and width of the images that a TorchScript file takes; it cannot say so.
    :param inputs: What an earlier probe found, in place of that.
    :raises ModelRefused: with one sentence of ours, whatever the file did.
    """
    request = {
        "mode": "torch",
        "kind": kind,
        "size": list(size or ()),
        "channels": channels,
        "inputs": [spec.to_json() for spec in inputs],
    }
    # PyTorch itself takes seconds to be imported, and half a gigabyte.
    roomier = dataclasses.replace(
        limits,
        cpu_seconds=limits.cpu_seconds + 20,
        wall_seconds=limits.wall_seconds + 60,
        memory_bytes=limits.memory_bytes + 2**31,
    )
    return ModelReport.from_json(json.loads(ask("_torch_child", request, data, roomier)))


def inline_external_data(path: Path, *, max_bytes: int, limits: ProbeLimits | None = None) -> bytes:
    """Return one self-contained model for a file whose weights lie beside it.

    :raises ModelRefused: when it needs anything outside its own folder.
    """
    data = read_model_file(path, max_bytes=max_bytes)
    request = {"mode": "inline", "folder": str(path.parent), "max_bytes": max_bytes}
    return ask("_probe_child", request, data, limits or ProbeLimits(), most=max_bytes)


def render_template(text: str, words: dict[str, str], *, limits: ProbeLimits) -> list[str]:
    """Return what a chat template puts before a system's text, between it and a query, and after.

    :param words: What the tokeniser's file calls the signs that templates use.
    :raises ModelRefused: when it cannot be rendered.
    """
    request = {"mode": "template", "words": words}
    parts = json.loads(ask("_template_child", request, text.encode(), limits))
    return [str(part) for part in parts]
