"""A host for real servers, with models that take as long as their caller wants."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import onnx_models
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared


def fill(folder: Path, **config: t.Any) -> None:
    """Make the host's tables and register its models."""
    app = make_host(folder, **config)
    shapes = Declared(labels=["circle", "square", "star"])
    with app.app_context():
        register = current_ailydian.registry.register
        register(onnx_models.timed(), "timed", "v1", Declared())
        register(onnx_models.classifier(labels=3, size=8), "shapes", "v1", shapes)
    dispose(app)


def create_app() -> Flask:
    """Return the host; its folder and settings come by the environment."""
    config = json.loads(os.environ["SERVED_CONFIG"])
    return make_host(Path(os.environ["SERVED_FOLDER"]), create=False, **config)
