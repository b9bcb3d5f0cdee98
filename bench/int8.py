"""The host that serves ResNet-50, and its int8 variant where the package can make one."""

from __future__ import annotations

import typing as t
from pathlib import Path

from . import photos
from .workshop import Bench
from .workshop import Host

MODEL, VARIANT = "resnet50", "v1-int8"
#: Photographs that calibrate and judge the variant; none of them is asked about later.
SAMPLES = 64


def serving(bench: Bench) -> tuple[Host, bool]:
    """Return the host, made once in a run, and whether it has the variant."""
    found = bench.found.get("serving")
    if found is None:
        host = Host(bench, "serving")
        host.add(MODEL)
        found = bench.found["serving"] = (host, _make(bench, host))
    return t.cast(tuple[Host, bool], found)


def query() -> str:
    """Return what asks for the variant, in a server's path."""
    return f"{MODEL}&model_version={VARIANT}"


def _make(bench: Bench, host: Host) -> bool:
    if host.flask("ailydian", "models", "optimize", "--help", check=False).returncode:
        bench.say("int8: skipped, this version has no `flask ailydian models optimize`.")
        return False
    folder = str(_samples(bench))
    bench.say("int8: flask ailydian models optimize …")
    words = ("ailydian", "models", "optimize", MODEL, "--images", folder, "--as", VARIANT)
    done = host.flask(*words, check=False)
    if done.returncode:
        bench.say(f"int8: skipped, the variant was refused: {done.stdout}{done.stderr}")
    return not done.returncode


def _samples(bench: Bench) -> Path:
    folder = bench.work / "samples"
    if not folder.exists():
        part = bench.work / "samples.part"
        part.mkdir(exist_ok=True)
        for i, data in enumerate(photos.make(SAMPLES, seed=1, side=480)):
            (part / f"{i:02}.jpg").write_bytes(data)
        part.rename(folder)
    return folder
