"""A real Triton reads the repository that is exported for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import onnx_models
import pytest
from environments import ENVIRONMENTS
from flask import Flask

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

TRITON = ENVIRONMENTS["triton"]


def say(repository: Path, home: Path) -> str:
    """Return what Triton says of a repository; it ends where it cannot serve all of it."""
    (binary,) = TRITON.folder.glob("lib/python3*/site-packages/pytriton/tritonserver/bin/*")
    ports = [f"--allow-{kind}=false" for kind in ("http", "grpc", "metrics")]
    done = subprocess.run(
        [binary, "--model-repository", repository, "--exit-on-error=true", *ports],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(not TRITON.there, reason="Triton is not installed; run: make test-remote")
def test_triton_reads_the_repository(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        labels = Declared(labels=['say "yes"', "hayır"])
        current_ailydian.registry.register(onnx_models.text_classifier(), "words", "v1", labels)
        current_ailydian.registry.register(onnx_models.adder(), "adder", "v1", Declared())
    repository = tmp_path / "repository"
    words = ["ailydian", "models", "export", "--triton", str(repository)]
    assert app.test_cli_runner().invoke(args=words).exit_code == 0
    said = say(repository, tmp_path)
    # The Python package comes without the backend that would run them: that is all it lacks.
    lacks = "unable to find backend library for backend 'onnxruntime'"
    for name in ("shapes", "words", "adder"):
        assert f"failed to load '{name}' version 1: Invalid argument: {lacks}" in said, said
    assert "Error parsing" not in said

    config = repository / "shapes" / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: [ 3 ]", "dims: 3, ["))
    assert "Error parsing" in say(repository, tmp_path)
