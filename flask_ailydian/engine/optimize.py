"""An int8 variant of a model, and what a model says of samples: each in a child process."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import platform
import typing as t
from pathlib import Path

import numpy as np

from .child import ask
from .child import ProbeLimits

CPU_INFO = Path("/proc/cpuinfo")

Array = np.ndarray[t.Any, np.dtype[t.Any]]
#: Largest answer with the scores of all samples: 10,000 of 10,000 classes.
MAX_SCORES_BYTES = 4 * 10**8


@dataclasses.dataclass(frozen=True)
class Feed:
    """How samples are given to a model: the input's name, NumPy's dtype or ``string``, shape."""

    input: str
    dtype: str
    shape: tuple[int, ...]

    def frame(self, sample: Array | str) -> bytes:
        """Return a sample as it travels."""
        if isinstance(sample, str):
            return sample.encode()
        return np.ascontiguousarray(sample, dtype=self.dtype).reshape(self.shape).tobytes()


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model on samples: scores ``[samples, classes]``, and what one run of one thread takes."""

    scores: Array
    ms: float
    peak_bytes: int
    runtime: str


def weight_bits(machine: str | None = None, described: str | None = None) -> int:
    """Return of how many bits weights may be on this processor.

    Without the instructions called VNNI an x86 processor adds two products in 16 bits, which
    overflow where weights use all 8.
    """
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64"):
        return 8
    if described is None:
        try:
            described = CPU_INFO.read_text("utf-8", errors="replace")
        except OSError:
            return 7
    return 8 if "vnni" in described else 7


def quantise(
    data: bytes,
    feed: Feed,
    samples: c.Iterable[Array | str],
    *,
    limits: ProbeLimits,
    most: int,
) -> bytes:
    """Return the int8 variant of an ONNX model.

    Images: weights by channel and activations, whose ranges are those seen on *samples*. Texts:
    weights alone; activations are rounded as they come.

    :param most: How many bytes the variant may have.
    :raises ModelRefused: in one sentence.
    """
    kind = "dynamic" if feed.dtype == "string" else "static"
    request = {"mode": "quantise", "kind": kind, "bits": weight_bits()} | dataclasses.asdict(feed)
    frames = map(feed.frame, samples)
    return ask("_optimize_child", request, data, limits, frames=frames, most=most)


def measure(
    data: bytes, feed: Feed, samples: c.Iterable[Array | str], *, limits: ProbeLimits
) -> Measured:
    """Run an ONNX model on samples, one by one and on one thread.

    :raises ModelRefused: in one sentence.
    """
    request = {"mode": "measure"} | dataclasses.asdict(feed)
    frames = map(feed.frame, samples)
    said = ask("_optimize_child", request, data, limits, frames=frames, most=MAX_SCORES_BYTES)
    head, _, raw = said.partition(b"\n")
    found = json.loads(head)
    scores = np.frombuffer(raw, np.float32).reshape(found["rows"], -1)
    return Measured(scores, found["ms"], found["peak_bytes"], found["runtime"])
