"""A host for real servers, with models that take as long as their caller wants."""

from __future__ import annotations

import json
import os
from pathlib import Path

import onnx_models
from flask import Flask
from hosts import make_host

from flask_ailydian import current_ailydian
from flask_ailydian.errors import Conflict
from flask_ailydian.registration import Declared


def create_app() -> Flask:
    """Return the host; its models are registered by whoever starts first."""
    folder = Path(os.environ["SERVED_FOLDER"])
    app = make_host(folder, **json.loads(os.environ["SERVED_CONFIG"]))
    with app.app_context():
        known = {record.name for record in current_ailydian.registry.versions()}
        shapes = Declared(labels=["circle", "square", "star"])
        for name, data, declared in (
            ("timed", onnx_models.timed(), Declared()),
            ("shapes", onnx_models.classifier(labels=3, size=8), shapes),
        ):
            if name not in known:
                try:
                    current_ailydian.registry.register(data, name, "v1", declared)
                except Conflict:
                    continue
        app.extensions["sqlalchemy"].engine.dispose()
    return app
